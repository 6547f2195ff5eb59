"""Crossbars with wire resistance: problem, solvers, solution."""
