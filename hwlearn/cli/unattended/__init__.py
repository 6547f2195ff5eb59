"""Unattended sessions: a log file, and commands that run after the end."""
