"""Scanning voltmeters: one voltmeter behind a multiplexer, which reads its channels one after the other."""
