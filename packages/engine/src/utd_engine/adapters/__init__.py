"""The world behind the ports: databases and LiveKit, each in a folder of its own."""
