"""Bench files: reading, sections, checks."""
