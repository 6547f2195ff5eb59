"""Edges of a network on SMUs: fixed resistors, or an edge card that sets the conductances."""
