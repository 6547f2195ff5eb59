"""Data acquisition devices of NI through NI-DAQmx: analog outputs and inputs, and digital lines, as terminals."""
