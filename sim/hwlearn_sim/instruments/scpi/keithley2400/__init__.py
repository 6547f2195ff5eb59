"""The virtual Keithley 2400 series: one file per subsystem."""
