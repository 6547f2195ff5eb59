"""The virtual Keithley 2450 family with its SCPI command set: one file per subsystem."""
