"""The server that owns the truth of live sessions on LiveKit. Begin at `domain.seats`."""
