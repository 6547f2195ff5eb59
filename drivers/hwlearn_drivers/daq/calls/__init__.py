"""Calls to a device: made, printed in a dry run, recorded, or taken from a record."""
