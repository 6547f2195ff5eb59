"""Virtual instruments that run TSP scripts."""
