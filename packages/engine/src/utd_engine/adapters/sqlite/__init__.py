"""The store in one SQLite file: the only SQL of this dialect."""
