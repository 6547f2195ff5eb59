"""The Kirchhoff twin: a simulated network with the imperfections of hardware."""
