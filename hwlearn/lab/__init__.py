"""The lab: bench files, data sets, the run store, reports."""
