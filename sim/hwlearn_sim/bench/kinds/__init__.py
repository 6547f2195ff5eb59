"""Kinds of virtual instruments of a bench: how each is placed, joined to the circuit, made and served.

To add one, derive a class from `PlacedKind` (``kind.py``) and add it to `KINDS` (``registry.py``).
"""
