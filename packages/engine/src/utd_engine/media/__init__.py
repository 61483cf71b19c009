"""Adapters of the media port: LiveKit, and a stand-in in this process."""
