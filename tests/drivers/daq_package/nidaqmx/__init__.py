"""Stands in for the package of NI in other processes: one virtual device, Dev1, whose outputs outlive the process.

The file that the variable DAQ_STATE names holds the voltages of its outputs.
"""

import json
import os
from pathlib import Path

import numpy as np
from daq_rig import EDGES, graph

from hwlearn_sim.instruments.daq.device import PlacedDaq, VirtualDaq
from hwlearn_sim.instruments.daq.library import VirtualDaqmx
from hwlearn_sim.instruments.daq.models import model_of
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.plane.plane import AnalogPlane

_STATE = Path(os.environ["DAQ_STATE"])


class _Device(VirtualDaq):
    def set_outputs(self, volts, limits):
        super().set_outputs(volts, limits)
        part = _STATE.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(self.outputs), encoding="ascii")
        part.replace(_STATE)


_nodes = {"ao0": 0, "ao1": 1}
_placed = PlacedDaq("daq", model_of("PCI-6225"), _nodes, {"ai0": 2, "ai1": 3})
_device = _Device(_placed, _nodes, AnalogPlane(graph(), EDGES), np.random.default_rng(0), 0.0, Clock(), 1)
_device.device, _device.serial_num = "Dev1", 0xDA0
if _STATE.exists():
    _device.outputs.update(json.loads(_STATE.read_text(encoding="ascii")))
from nidaqmx import constants as constants  # noqa: E402
from nidaqmx import errors as errors  # noqa: E402

library = VirtualDaqmx(_device)
Task = library.Task
