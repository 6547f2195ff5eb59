"""Newton solver of circuits with nonlinear elements."""
