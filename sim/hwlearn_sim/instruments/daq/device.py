"""`VirtualDaq`: a virtual DAQ device: outputs that hold their voltage, lines, multiplexer, reservations."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_sim.instruments.daq.converters import BIAS_A, INPUT_OHM, InputConverter, OutputConverter, multiplexed
from hwlearn_sim.instruments.daq.errors import DaqError
from hwlearn_sim.instruments.daq.models import NiProduct, Range
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.placed import Placed, PlacedResistor
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import Open, VoltageSource

DaqFault = Literal["gone", "write fails", "late", "short", "nan", "reset"]
"""``gone``: unplugged, until `VirtualDaq.plug_in`. ``write fails``, ``late``, ``short``, ``nan``: of one call.
``reset``: another program resets the device before the call."""

_CODES: Final = {"gone": -88705, "write fails": -50808, "late": -200284}
_ABORTED: Final = -88709
_RESERVED: Final = -50103
_LEADS_OHM: Final = 0.1


@dataclass(frozen=True)
class PlacedDaq(Placed):
    """A DAQ device of a virtual bench.

    Attributes
    ----------
    model : NiProduct
    sources, reads : mapping of str to int
        Node of each analog output and analog input in use.
    nudges : tuple of PlacedResistor
        Resistors between an output and a node; the switch in series is a digital line.
    closed_high : bool
        Whether a high level closes a switch.
    gain, offset_V, noise_V : float
        Standard deviations of gain errors and offsets of its converters, and of one sample in addition to its own.
    """

    model: NiProduct
    sources: Mapping[str, int | str] = field(default_factory=dict)
    reads: Mapping[str, int | str] = field(default_factory=dict)
    nudges: tuple[PlacedResistor, ...] = ()
    closed_high: bool = True
    gain: float = 0.0
    offset_V: float = 0.0
    noise_V: float = 0.0


class VirtualDaq(VirtualInstrument):
    """A device on the plane.

    Parameters
    ----------
    placed : PlacedDaq
    nodes : mapping of str to int or str
        Node at which each output drives: behind its own resistance, or at the end of a nudge resistor.
    plane : AnalogPlane
    rng : numpy.random.Generator
    noise : float
        Factor on the noise of the data sheet.
    clock : Clock
    unit : int
        Number on the bench, for the serial number.

    Attributes
    ----------
    device : str
        Name in NI-DAQmx, set by the server.
    written : list of dict
        Every write to outputs, by channel; for tests.
    """

    takes_blocks = False

    def __init__(
        self,
        placed: PlacedDaq,
        nodes: Mapping[str, int | str],
        plane: AnalogPlane,
        rng: np.random.Generator,
        noise: float,
        clock: Clock,
        unit: int,
    ) -> None:
        super().__init__(f"NI,{placed.model.product},{unit},virtual", 16, clock)
        self.model, self.placed, self.serial_num, self.simulated = placed.model, placed, 0, False
        self.device = ""
        self.guard = threading.RLock()
        self._plane, self._rng, self._noise = plane, rng, noise
        model = placed.model
        self.outputs = {f"ao{k}": 0.0 for k in range(model.outputs)}
        self.lines: dict[str, bool | None] = {
            f"port{p}/line{k}": None for p, count in enumerate(model.ports) for k in range(count)
        }
        self.written: list[dict[str, float]] = []
        self._channels = {name: plane.attach(node, f"{placed.name} {name}") for name, node in nodes.items()}
        self._reads = {name: plane.attach(node, f"{placed.name} {name}") for name, node in placed.reads.items()}
        names = [*self.outputs, *(f"ai{k}" for k in range(model.inputs))]
        self._gains = dict(zip(names, 1 + placed.gain * rng.standard_normal(len(names)), strict=True))
        self._offsets = dict(zip(names, placed.offset_V * rng.standard_normal(len(names)), strict=True))
        self._ranges: dict[str, Range] = {}
        self._kept_V = 0.0
        self._ohms: dict[tuple[object, ...], float] = {}
        self._holders: dict[str, object] = {}
        self._aborted: set[int] = set()
        self._due: dict[str, list[tuple[int, DaqFault]]] = {"write": [], "read": []}
        self._is_gone = False
        for name in self.outputs:
            self._drive(name)

    # --- instrument ---------------------------------------------------------------------------------

    @property
    def generators(self) -> list[np.random.Generator]:
        """The noise of its inputs."""
        return [self._rng]

    def reset(self) -> None:
        """Go to the state after power-up: outputs at 0 V, lines as inputs."""
        self._zero()
        self._release_lines()

    @property
    def is_off(self) -> bool:
        """Whether every output is within half a step of 0 V, and every switch is open; for tests."""
        closed = [line for line, level in self.lines.items() if level is self.placed.closed_high]
        return not any(self.outputs.values()) and not closed

    def _execute(self, message: bytes) -> bytes:
        return b""

    def _record_error(self, error: VirtualInstrumentError) -> None:
        """Do nothing: errors are raised by the calls."""

    # --- faults -------------------------------------------------------------------------------------

    def inject(self, fault: DaqFault, calls: int = 0, of: Literal["write", "read"] = "read") -> None:
        """Let a fault happen in the call with this number from now on, counted from 0."""
        self._due[of].append((calls, fault))

    def unplug(self) -> None:
        """Unplug the device; its tasks are lost. A device with its own supply keeps its outputs."""
        with self.guard:
            self._is_gone = True
            self._abort()

    def plug_in(self) -> None:
        """Plug the device in again, as it was."""
        self._is_gone = False

    def check_there(self) -> None:
        """Raise if the device is unplugged."""
        if self._is_gone:
            raise DaqError("The device was removed.", _CODES["gone"])

    def fault(self, of: Literal["write", "read"]) -> DaqFault | None:
        """Return the fault of a call, and raise those that are errors."""
        self.check_there()
        listed = self._due[of]
        now = next((fault for left, fault in listed if left == 0), None)
        self._due[of] = [(left - 1, fault) for left, fault in listed if left > 0]
        if now == "gone":
            self.unplug()
            self.check_there()
        if now == "reset":
            self.reset_device()
        elif now in _CODES:
            raise DaqError(f"Virtual fault: {now}.", _CODES[now])
        return now

    # --- reservations -------------------------------------------------------------------------------

    def reserve(self, task: object, resources: Sequence[str]) -> None:
        """Reserve channels for a task alone."""
        with self.guard:
            self.check_there()
            taken = [one for one in resources if self._holders.get(one, task) is not task]
            if taken:
                raise DaqError(f"The specified resource is reserved: {', '.join(taken)}.", _RESERVED)
            self._holders.update(dict.fromkeys(resources, task))

    def release(self, task: object) -> None:
        """Release what a task has reserved; outputs and lines keep their levels."""
        with self.guard:
            self._holders = {name: holder for name, holder in self._holders.items() if holder is not task}
            self._aborted.discard(id(task))

    def check_alive(self, task: object) -> None:
        """Raise if the tasks of the device were aborted since this one reserved its channels."""
        self.check_there()
        if id(task) in self._aborted:
            raise DaqError("The task was aborted: the device was reset or removed.", _ABORTED)

    def reset_device(self) -> None:
        """Abort all tasks; outputs go to 0 V on some families, and keep their voltage on others."""
        with self.guard:
            self.check_there()
            self._abort()
            if self.model.reset_zeroes:
                self._zero()
            self._release_lines()

    def _abort(self) -> None:
        self._aborted |= {id(holder) for holder in self._holders.values()}
        self._holders.clear()

    def _zero(self) -> None:
        for name in self.outputs:
            self.outputs[name] = 0.0
            self._drive(name)

    def _release_lines(self) -> None:
        for line in self.lines:
            self.lines[line] = None
        self._switched()

    # --- outputs and lines --------------------------------------------------------------------------

    def set_outputs(self, volts: Mapping[str, float], limits: Range) -> None:
        """Set outputs of one range."""
        with self.guard:
            self.written.append(dict(volts))
            for name, level in volts.items():
                self.outputs[name], self._ranges[name] = level, limits
                self._drive(name)

    def set_lines(self, levels: Mapping[str, bool]) -> None:
        """Set digital lines."""
        with self.guard:
            self.lines.update(levels)
            self._switched()

    def output_volts(self, name: str) -> float:
        """Return the voltage that an output generates."""
        limits = self._ranges.get(name, self.model.output_ranges[0])
        own = OutputConverter(self.model.output_bits, limits, float(self._gains[name]), float(self._offsets[name]))
        return own.volts(self.outputs[name])

    def _switched(self) -> None:
        for resistor in self.placed.nudges:
            self._drive(resistor.source)

    def _drive(self, name: str) -> None:
        if name not in self._channels:
            return
        switches = [one.switch for one in self.placed.nudges if one.source == name]
        if switches and self.lines[switches[0]] is not self.placed.closed_high:
            self._plane.drive(self._channels[name], Open())
        else:
            self._plane.drive(
                self._channels[name], VoltageSource(float(self.output_volts(name)), self.model.output_A)
            )

    # --- inputs -------------------------------------------------------------------------------------

    def sample(self, scan: Sequence[tuple[str, Range]], samples: int, convert_s: float) -> FloatArray:
        """Return samples (n, samples) of a scan list of channels with their ranges."""
        with self.guard:
            volts, ohms = zip(*(self._seen(name) for name, _ in scan), strict=True)
            if self.model.simultaneous:
                true = np.repeat(np.array(volts)[:, None], samples, axis=1)
            else:
                true, self._kept_V = multiplexed(volts, ohms, convert_s, self._kept_V, samples)
            found = np.empty_like(true)
            for k, (name, limits) in enumerate(scan):
                gain, offset = float(self._gains.get(name, 1.0)), float(self._offsets.get(name, 0.0))
                own = InputConverter(self.model, limits, gain, offset)
                noise = np.hypot(own.noise_V * self._noise, self.placed.noise_V)
                seen = true[k] if noise == 0 else true[k] + noise * self._rng.standard_normal(samples)
                found[k] = own.volts(seen)
            return found

    def _seen(self, name: str) -> tuple[float, float]:
        """Return voltage and source resistance at an input; an open one is at 0 V."""
        if name.startswith("_ao"):
            return self.output_volts(name[1:].partition("_")[0]), _LEADS_OHM
        if name not in self._reads:
            return 0.0, _LEADS_OHM
        channel = self._reads[name]
        ohm = self._resistance(channel)
        loaded = INPUT_OHM / (INPUT_OHM + ohm)
        return (self._plane.read(channel).volts + BIAS_A * ohm) * loaded, ohm

    def _resistance(self, channel: int) -> float:
        """Return the resistance at a channel; it depends on the conductances and on what drives the circuit."""
        own = self._plane
        driven = tuple(number for number, _ in own.other_sources({channel}))
        levels = () if own.topology.elements is None else own.other_sources({channel})
        key = (channel, id(own.conductances), driven, levels)
        if key not in self._ohms:
            if len(self._ohms) > 1000:
                self._ohms.clear()
            self._ohms[key] = own.resistance(channel)
        return self._ohms[key]
