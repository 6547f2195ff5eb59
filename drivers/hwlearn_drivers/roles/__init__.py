"""Roles that instruments play on a bench: voltage source, reader, nudge, switch, edge programmer."""
