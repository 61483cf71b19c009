"""Sessions: what an app holds while its user is in a room or a call."""
