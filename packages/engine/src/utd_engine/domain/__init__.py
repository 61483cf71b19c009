"""The rules, pure: `decide`, `apply`, `plan`, `desired_permission`. No I/O, no clock, no randomness."""
