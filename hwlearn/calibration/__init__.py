"""Calibration of converters, noise, lines, edges and devices from measurements."""
