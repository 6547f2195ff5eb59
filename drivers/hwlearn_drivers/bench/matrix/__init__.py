"""Benches whose terminals are connected to few instruments through a switch matrix."""
