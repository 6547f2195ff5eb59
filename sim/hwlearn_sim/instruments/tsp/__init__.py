"""Virtual instruments with Keithley's script language TSP (Test Script Processor)."""
