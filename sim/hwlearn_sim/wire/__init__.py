"""Servers and sessions that connect virtual instruments to sockets and pseudo-terminals."""
