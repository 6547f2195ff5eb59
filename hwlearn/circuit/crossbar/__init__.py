"""Crossbars with wire resistance: problem, solvers and solution."""
