"""Errors of installed plugins."""
