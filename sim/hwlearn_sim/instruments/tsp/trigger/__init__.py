"""Trigger events of a Keithley 2600, and the blocks that generate and combine them."""
