"""What comes in from LiveKit by itself."""
