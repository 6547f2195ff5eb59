"""Real instruments and boards behind `hwlearn.Network`. None has landed yet."""
