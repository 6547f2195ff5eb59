"""Real instruments and boards behind `hwlearn.Network`."""
