"""Commands that show stored runs or hand on their data."""
