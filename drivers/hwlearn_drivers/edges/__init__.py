"""Programmable-edge cards: the conductances of a network set by a second instrument."""
