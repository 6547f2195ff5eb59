"""The solver of circuits of resistors."""
