"""Work that nobody asks for: timers, the relay of events, the sweep, trimming."""
