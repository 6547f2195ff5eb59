"""Calibration records, and the network that is corrected by one."""
