"""SPICE netlists: read and write."""
