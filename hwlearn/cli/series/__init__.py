"""Commands that train a bench many times."""
