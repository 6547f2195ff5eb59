"""Virtual Keithley 2700, 2701 and 2750 multimeter/switch systems."""
