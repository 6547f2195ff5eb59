"""Data sets: files, encoding as voltages, noise and splits."""
