"""The server that owns the truth of live sessions on LiveKit. Start at `utd_engine.domain.seats`."""
