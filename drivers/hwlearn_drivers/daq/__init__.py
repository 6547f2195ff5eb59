"""Data acquisition devices of NI through NI-DAQmx: analog outputs, analog inputs and digital lines as terminals."""
