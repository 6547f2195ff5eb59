"""Virtual DAQ devices of NI behind the calls of the package `nidaqmx`."""
