"""Boards with a text protocol of their own, which a file declares: drivers without code."""
