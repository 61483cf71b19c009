"""A livekit-server of our own: found, fetched or built, started and ended by process id."""
