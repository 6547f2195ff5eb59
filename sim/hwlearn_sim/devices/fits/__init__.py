"""Fits of device models to measured data."""
