"""Virtual instruments that speak SCPI."""
