"""Command sets of the scanning voltmeters, one file per family."""
