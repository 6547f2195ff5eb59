"""The virtual Keithley DAQ6510."""
