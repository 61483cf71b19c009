"""Everything in this process: for tests and simulation."""
