"""Driver of the reference board."""
