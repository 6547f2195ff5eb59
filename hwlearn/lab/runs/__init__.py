"""The run store, its recorder and reports of runs."""
