"""Virtual instruments with SCPI commands."""
