"""Benches made of any instruments: the backend ``bench``."""
