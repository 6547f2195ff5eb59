"""Virtual benches: virtual instruments and boards on one simulated circuit."""
