"""The state of SMUs, read without changing it."""
