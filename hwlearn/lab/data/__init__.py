"""Data sets: files, scaling, splits."""
