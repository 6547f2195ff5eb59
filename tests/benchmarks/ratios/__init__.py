"""The engine next to its peers: the same problem, the same answer, and the ratio of their times in one run."""
