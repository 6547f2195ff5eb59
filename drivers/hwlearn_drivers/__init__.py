"""Drivers for real instruments and boards; each backend implements `hwlearn.Network`."""
