"""Compare the engine with its peers: the same problem, the same answer, and the ratio of their times."""
