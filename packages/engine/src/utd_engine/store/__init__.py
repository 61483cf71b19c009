"""Adapters of the `Store` port, and the only SQL. Rows never leave this package."""
