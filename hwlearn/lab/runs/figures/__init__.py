"""Figures of runs: learning curve, map of conductances, comparison."""
