"""Solver of circuits of resistors."""
