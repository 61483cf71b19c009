"""The demos: short plays on the whole stack, which end with measured facts."""
