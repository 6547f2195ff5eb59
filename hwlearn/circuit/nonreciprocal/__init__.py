"""Solver of circuits whose linearised equations are not symmetric: with elements of three terminals."""
