"""Calibration: what a bench's converters, noise, lines and edges really are, found by measurements."""
