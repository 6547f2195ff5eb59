"""A simulated ArC TWO: the vendor's methods, its queue and its failures, with a resistive array."""

from __future__ import annotations

import weakref
from collections import deque
from functools import partial
from types import SimpleNamespace

import numpy as np

import hwlearn as hl
from hwlearn_drivers.arc2.backend import Arc2Backend

LEAK_S = 1e-15  # keeps the voltage of a floating line defined

ROWS, COLUMNS = 4, 3
LIMITS = hl.Limits(voltage=1.0, drop=1.5, nudge=0.3, current=1e-3, conductance=(1e-6, 1e-4))
PULSES = {"voltage": "2 V", "current": "500 uA", "width": ["100 ns", "1 ms"], "most": 50}


class PanicException(BaseException):
    """A panic in Rust as seen from Python."""


class VendorError(Exception):
    pass


def gone():
    """Return the failures of a disconnected instrument."""
    return [VendorError("the cable is out") for _ in range(50)]


class World:
    """Array and outputs of one instrument, which exist independently of the vendor's objects."""

    def __init__(self, conductances):
        self.siemens = dict(conductances)  # (channel of the row, channel of the column) -> S
        self.volts = np.zeros(64)
        self.floats = np.zeros(64, dtype=bool)
        self.most_volts = 0.0
        self.ever = []  # volts of every level that was applied
        self.pulses = []
        self.calls = []
        self.opened = 0
        self.fails = {}  # method -> exceptions to raise, in turn
        self.before = {}  # method -> callable run when the method begins
        self.after_pulse = lambda low, high, volts, nanos: None
        self.busy_forever = False
        self.noise_A, self.offset_A = 0.0, 0.0
        self.rng = np.random.default_rng(7)
        self.numbers = [0]
        self.alive = lambda: None  # the object that holds the instrument open; only its deletion closes it
        self.sign = 1.0  # of the reported currents
        self.step_V = 0.0  # step of levels; 305 uV in the real instrument

    @property
    def at_0_V(self):
        return not self.floats.any() and not self.volts.any()

    def channels(self):
        return sorted({channel for pair in self.siemens for channel in pair})

    def solve(self):
        """Return the volts of all channels and the amperes that each delivers."""
        nodes = self.channels()
        index = {channel: k for k, channel in enumerate(nodes)}
        L = np.diag(np.full(len(nodes), LEAK_S))
        for (a, b), g in self.siemens.items():
            i, j = index[a], index[b]
            L[[i, j], [i, j]] += g
            L[[i, j], [j, i]] -= g
        free = np.array([bool(self.floats[c]) for c in nodes])
        v = np.array([0.0 if self.floats[c] else self.volts[c] for c in nodes])
        if free.any():
            v[free] = np.linalg.solve(L[np.ix_(free, free)], -L[np.ix_(free, ~free)] @ v[~free])
        volts, amperes = self.volts.copy(), np.zeros(64)
        volts[nodes] = v
        amperes[nodes] = self.sign * (L @ v)
        amperes += self.offset_A + self.noise_A * self.rng.standard_normal(64)
        return volts, amperes

    def ground(self):
        self.volts[:] = 0.0
        self.floats[:] = False

    def float(self, channels):
        self.floats[channels] = True

    def hold(self, levels):
        for channel, volts in levels.items():
            self.volts[channel] = round(volts / self.step_V) * self.step_V if self.step_V else volts
            self.floats[channel] = False

    def pulse(self, low, high, volts, nanos):
        self.pulses.append((low, high, volts, nanos))
        self.after_pulse(low, high, volts, nanos)

    def read(self, low, high, volts):
        self.volts[[low, high]] = -volts, 0.0
        self.level()
        amperes = self.solve()[1][high]
        self.volts[[low, high]] = 0.0
        return np.float32(amperes).item()

    def level(self):
        """Record the applied levels."""
        held = ~self.floats
        if held.any():
            self.most_volts = max(self.most_volts, float(np.abs(self.volts[held]).max()))
        self.ever.append(np.where(held, self.volts, np.nan))


class FakeInstrument:
    """Replacement of `pyarc2.Instrument` with the same signatures, which a test compares."""

    def __init__(self, world):
        self._world, self._queue, self._due = world, [], deque()

    def _call(self, name, *arguments):
        self._world.calls.append((name, *arguments))
        hook = self._world.before.pop(name, None)
        if hook is not None:
            hook()
        failures = self._world.fails.get(name)
        if failures:
            raise failures.pop(0)

    # queued calls must not refer to this object: its deletion must close the instrument

    def ground_all(self):
        self._call("ground_all")
        self._queue.append(self._world.ground)
        return self

    def execute(self):
        self._call("execute")
        return self._flush()

    def _flush(self):
        for act in self._queue:
            act()
            self._world.level()
        self._queue.clear()
        return self

    def busy(self):
        self._call("busy")
        return self._world.busy_forever

    def set_control_mode(self, mode):
        self._call("set_control_mode", mode)
        return self

    def connect_to_gnd(self, chans):
        self._call("connect_to_gnd", list(chans))
        return self

    def open_channels(self, channels):
        self._call("open_channels", list(channels))
        self._queue.append(partial(self._world.float, list(channels)))
        return self

    def config_channels(self, input, base=None):
        self._call("config_channels", list(input), base)
        self._queue.append(partial(self._world.hold, dict(input)))
        return self

    def delay(self, nanos):
        self._call("delay", nanos)
        return self

    def vread_channels_deferred(self, chans, averaging):
        self._call("vread_channels_deferred", list(chans), averaging)
        world, due = self._world, self._due
        self._queue.append(lambda: due.append(_only(chans, world.solve()[0])))
        return self

    def read_slice_open_deferred(self, highs, ground_after):
        self._call("read_slice_open_deferred", list(highs), ground_after)
        world, due = self._world, self._due
        self._queue.append(lambda: due.append(_only(highs, world.solve()[1])))
        return self

    def pick_one(self, mode, rtype):
        self._call("pick_one", mode, rtype)
        return self._due.popleft() if self._due else None

    def read_one(self, low, high, vread):
        self._call("read_one", low, high, vread)
        self._flush()
        return self._world.read(low, high, vread)

    def pulseread_one(self, low, high, vpulse, nanos, vread):
        self._queue.append(partial(self._world.pulse, low, high, vpulse, nanos))
        self._call("pulseread_one", low, high, vpulse, nanos, vread)
        self._flush()
        return self._world.read(low, high, vread)


def _only(channels, values):
    shown = np.full(64, np.nan, dtype=np.float32)
    shown[list(channels)] = values[list(channels)]
    return shown


class FakeLibrary:
    """Replacement of the vendor's module."""

    ArC2Error = VendorError
    DataMode = SimpleNamespace(All="all")
    ReadType = SimpleNamespace(Voltage="volts", Current="amperes")
    ControlMode = SimpleNamespace(Internal="internal", Header="header")

    def __init__(self, world):
        self.world = world

    def find_ids(self):
        return self.world.numbers

    def Instrument(self, port, firmware, init=True):
        self.world.calls.append(("Instrument", port, init))
        failures = self.world.fails.get("Instrument")
        if failures:
            raise failures.pop(0)
        if self.world.alive() is not None:
            raise self.ArC2Error("the device is in use")
        self.world.opened += 1
        self.world.ground()
        instrument = FakeInstrument(self.world)
        self.world.alive = weakref.ref(instrument)
        return instrument


def crossbar():
    return hl.Topology.crossbar(ROWS, COLUMNS, inputs=[0, 1, 2], outputs=[0, 1])


def world_of(conductances):
    """Return a world whose array (rows, columns) is connected to the default channels."""
    g = np.asarray(conductances, dtype=np.float64)
    return World({(r, 16 + c): g[r, c] for r in range(g.shape[0]) for c in range(g.shape[1])})


def array_of(seed=0):
    return 10 ** np.random.default_rng(seed).uniform(-5.5, -4.5, (ROWS, COLUMNS))


def settings(firmware, **keys):
    return Arc2Backend.Settings(**{"firmware": firmware, "pulses": PULSES, "timeout": 2.0, **keys})
