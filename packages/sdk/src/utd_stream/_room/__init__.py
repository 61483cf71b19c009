"""One LiveKit room in our own words: tracks, participants, events."""
