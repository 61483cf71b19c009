"""The only LiveKit knowledge of the engine."""
