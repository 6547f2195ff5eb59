"""Benches: the network, data and training that a bench file describes."""
