"""Solver of crossbars with wire resistance."""
