"""The analog plane: one simulated circuit that several virtual instruments share."""
