"""The way to the engine: HTTP, the inbox's socket, bearers, and folding its log."""
