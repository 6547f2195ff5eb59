"""Journals of calibrations: every answer of the hardware is on disk before the next request is sent.

A step of a calibration is a fixed procedure: its requests follow from its settings and its readings. Therefore an
interrupted step is run again from its start. Its first answers come from the journal, and the hardware is used
from the first request without a stored answer. No procedure needs code for resuming.
"""

from hwlearn.lab.calibration.journal.devices import JournaledDevices
from hwlearn.lab.calibration.journal.journal import Journal
from hwlearn.lab.calibration.journal.network import JournaledNetwork

__all__ = ["Journal", "JournaledDevices", "JournaledNetwork"]
