"""Calibration sessions of a bench: steps, journal, figures."""
