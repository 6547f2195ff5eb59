"""Benches: a bench file opened, with its network, data and training."""
