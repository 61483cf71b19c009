"""The rules: `decide`, `apply`, `plan`, `desired_permission`. No I/O, no clock, no randomness."""
