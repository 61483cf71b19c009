"""What the services need of the world, in their words, by noun. Adapters implement it."""
