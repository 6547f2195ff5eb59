"""GPIB instruments behind a Prologix or AR488 adapter: the adapter, and the link to one instrument."""
