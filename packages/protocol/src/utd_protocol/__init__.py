"""What the engine and its clients say to each other.

Pure: structs, one `apply`, one codec. No I/O, no clock, no randomness; the engine and the SDK
meet here only. Import the modules (`from utd_protocol import events`); nothing is re-exported.
"""
