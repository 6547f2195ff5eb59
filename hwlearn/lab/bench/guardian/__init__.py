"""The guardian: a second process that sends OFF when the process that opened a bench dies or stops responding."""
