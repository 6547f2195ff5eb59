"""Read, check and write bench files."""
