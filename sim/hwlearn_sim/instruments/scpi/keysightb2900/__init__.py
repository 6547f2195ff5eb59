"""The virtual Keysight B2900 family: one file per subsystem."""
