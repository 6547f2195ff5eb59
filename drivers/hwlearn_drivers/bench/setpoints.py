"""`Setpoints`: levels of all sources of a bench, and how each instrument is brought to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import LimitError, NetworkError
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import OutputDrive
from hwlearn_drivers.bench.players import Players
from hwlearn_drivers.bench.terminals import Behind, Place
from hwlearn_drivers.roles.instrument import BenchInstrument, ClosesSwitches, DrivesOutputs, SetsVoltages
from hwlearn_drivers.roles.values import SourceRange


@dataclass(frozen=True, eq=False, slots=True)
class Targets:
    """What the sources are to do in one sample.

    Attributes
    ----------
    levels : ndarray, shape (n_in + n_out,)
        Volts of inputs; volts or amperes of outputs. NaN: an output behind an open switch, whose source stays.
    clamped : ndarray of bool, shape (n_out,)
        Outputs that are held by a voltage source; the others source a current, or are behind a resistor.
    closed : ndarray of bool, shape (n_out,)
        Outputs that are connected to their nudge resistor.
    driven : ndarray of bool, shape (n_out,)
        Outputs that do not float.
    """

    levels: FloatArray
    clamped: BoolArray
    closed: BoolArray
    driven: BoolArray


class Setpoints:
    """Levels of inputs and outputs as they were set last, and the channels that set them.

    Parameters
    ----------
    players : Players
    limits : Limits

    Attributes
    ----------
    levels : ndarray, shape (n_in + n_out,)
        Present levels, volts or amperes.
    switches : tuple of tuple of str
        For each instrument, the channels of its switches.
    """

    def __init__(self, players: Players, limits: Limits) -> None:
        wiring = players.wiring
        self._players, self._limits = players, limits
        self._n_in = len(wiring.inputs)
        self._names = [terminal.name for terminal in (*wiring.inputs, *wiring.outputs)]
        self._where = [terminal.where for terminal in (*wiring.inputs, *wiring.outputs)]
        n_out, count = len(wiring.outputs), len(players.instruments)
        self._sources: list[list[tuple[str, int]]] = [[] for _ in range(count)]  # channel, number of its level
        self._drives: list[list[tuple[str, int]]] = [[] for _ in range(count)]
        self._switches: list[dict[str, list[int]]] = [{} for _ in range(count)]  # channel, numbers of its outputs
        self._ranges: list[SourceRange | None] = [None] * (self._n_in + n_out)
        self._at: list[tuple[SetsVoltages, str] | None] = [None] * (self._n_in + n_out)
        for k, terminal in enumerate((*wiring.inputs, *wiring.outputs)):
            nudge = terminal.nudge
            if terminal.source is not None:
                self._add_source(k, terminal.source)
            elif isinstance(nudge, Behind):
                self._add_source(k, nudge.source)
                at = players.index(nudge.switch)
                self._switches[at].setdefault(nudge.switch.channel, []).append(k - self._n_in)
            elif nudge is not None:
                self._drives[players.index(nudge)].append((nudge.channel, k))
        self.switches = tuple(tuple(one) for one in self._switches)
        self.is_behind = np.array([isinstance(one.nudge, Behind) for one in wiring.outputs], dtype=np.bool_)
        self._siemens = np.array(
            [1 / one.nudge.ohm if isinstance(one.nudge, Behind) else 0.0 for one in wiring.outputs]
        )
        self.levels: FloatArray = np.zeros(self._n_in + n_out)
        self._clamped: BoolArray = np.zeros(n_out, dtype=np.bool_)
        self._closed: BoolArray = np.zeros(n_out, dtype=np.bool_)

    def _add_source(self, k: int, place: Place) -> None:
        instrument = self._players.sets_voltages(place)
        self._sources[self._players.index(place)].append((place.channel, k))
        self._ranges[k] = instrument.source_range(place.channel)
        self._at[k] = (instrument, place.channel)

    # --- what the bench can set ---------------------------------------------------------------------

    @property
    def kappa(self) -> FloatArray | None:
        """Conductances (n_out,) of the nudge resistors; None unless every output has one."""
        return self._siemens.copy() if self.is_behind.all() else None

    @property
    def input_count(self) -> int:
        """Number of sources at inputs."""
        return self._n_in

    @property
    def input_step_V(self) -> float | None:
        """Largest step of an input; None if one of them is continuous or unknown."""
        steps = [one.step_V for one in self._ranges[: self._n_in] if one is not None]
        return None if None in steps or not steps else max(step for step in steps if step is not None)

    def siemens(self, j: int) -> float:
        """Return the conductance of the nudge resistor of output j; 0 if it has none."""
        return float(self._siemens[j])

    def step_V(self, k: int) -> float:
        """Return the step of the source with this number; 0 if it is continuous or unknown."""
        found = self._ranges[k]
        return 0.0 if found is None or found.step_V is None else found.step_V

    def nearest(self, k: int, volts: float) -> float:
        """Return the voltage that the source with this number really sets."""
        found = self._at[k]
        return volts if found is None else found[0].nearest(found[1], volts)

    def name(self, k: int) -> str:
        """Return channel, instrument and node of the source with this number, for messages."""
        found = self._at[k]
        where = self._where[k]
        return where if found is None else f"channel {found[1]} of {found[0].name} at {where}"

    @property
    def volts_per_unit(self) -> FloatArray:
        """Volts (n_in + n_out,) that correspond to one unit of each level, for ramps: currents by their limit."""
        is_voltage = np.ones(len(self.levels), dtype=np.bool_)
        is_voltage[self._n_in :] = self._clamped | self.is_behind
        return np.where(is_voltage, 1.0, self._limits.voltage / self._limits.current)

    # --- targets ------------------------------------------------------------------------------------

    def targets(self, x: FloatArray, values: FloatArray | None, drive: OutputDrive | None) -> Targets:
        """Return the targets of inputs (n_in,) and drive values (n_out,)."""
        n_out = len(self._clamped)
        levels = np.concatenate([x, np.where(self.is_behind, np.nan, 0.0)])
        driven = np.zeros(n_out, dtype=np.bool_)
        if drive is not None and values is not None:
            driven = ~np.isnan(values)
            levels[self._n_in :][driven] = values[driven]
        kind = None if drive is None else drive.kind
        return Targets(levels, driven & (kind == "clamp"), driven & (kind == "resistor"), driven)

    def check(self, targets: Sequence[Targets]) -> None:
        """Refuse levels that a source cannot set, and outputs with a common switch that are not nudged together.

        Raises
        ------
        LimitError, NetworkError
            With sample and terminal; nothing was applied.
        """
        for s, target in enumerate(targets):
            for k, bounds in enumerate(self._ranges):
                if bounds is not None and not np.isnan(target.levels[k]):
                    try:
                        bounds.check(f"{self.name(k)} (sample {s})", float(target.levels[k]))
                    except LimitError as error:
                        raise LimitError(f"{error}; reduce the voltages of this terminal") from None
            for at in self._switches:
                for channel, outputs in at.items():
                    if len({bool(target.closed[j]) for j in outputs}) > 1:
                        names = ", ".join(self._names[self._n_in + j] for j in outputs)
                        raise NetworkError(
                            f"outputs {names} have one switch, {channel}, and can only be nudged together "
                            f"(sample {s})"
                        )

    # --- changes ------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Note that every source is at 0 V or 0 A, and every switch is open."""
        self.levels[:] = 0.0
        self._clamped[:] = False
        self._closed[:] = False

    def open_switches(self, one: BenchInstrument, k: int, closed: BoolArray) -> None:
        """Open the switches of instrument k that are closed and are to be open."""
        wanted = {
            channel: False
            for channel, outputs in self._switches[k].items()
            if self._closed[outputs[0]] and not closed[outputs[0]]
        }
        if wanted and isinstance(one, ClosesSwitches):
            one.set_switches(wanted)

    def close_switches(self, one: BenchInstrument, k: int, closing: BoolArray) -> None:
        """Close the switches of instrument k at these outputs."""
        wanted = {channel: True for channel, outputs in self._switches[k].items() if closing[outputs[0]]}
        if wanted and isinstance(one, ClosesSwitches):
            one.set_switches(wanted)

    def change_drives(self, one: BenchInstrument, k: int, clamped: BoolArray) -> None:
        """Change the kind of source of instrument k where needed, and note its new levels."""
        wanted = {
            channel: bool(clamped[level - self._n_in])
            for channel, level in self._drives[k]
            if self._clamped[level - self._n_in] != clamped[level - self._n_in]
        }
        if wanted and isinstance(one, DrivesOutputs):
            found = one.change_drives(wanted)
            for channel, level in self._drives[k]:
                if channel in found:
                    self.levels[level] = found[channel]

    def closing(self, closed: BoolArray) -> BoolArray:
        """Return the outputs (n_out,) whose switch is open and is to be closed."""
        return np.asarray(closed & ~self._closed)

    def behind_switches(self, closing: BoolArray, volts: FloatArray) -> FloatArray:
        """Return levels with the sources behind these open switches at the voltage of their output.

        The reading is clipped to the limits and to the range of the source: noise may carry it beyond.
        """
        levels = self.levels.copy()
        for j in np.flatnonzero(closing).tolist():
            k = self._n_in + j
            bounds = self._ranges[k]
            assert bounds is not None
            low, high = max(bounds.low_V, -self._limits.voltage), min(bounds.high_V, self._limits.voltage)
            levels[k] = min(max(float(volts[j]), low), high)
        return levels

    def changed(self, target: Targets) -> None:
        """Note kinds of sources and switches."""
        self._clamped = target.clamped.copy()
        self._closed = target.closed.copy()

    def move(self, one: BenchInstrument, k: int, levels: FloatArray, check: bool) -> None:
        """Bring the sources of instrument k to levels (n_in + n_out,); NaN: no change."""
        volts = {channel: float(levels[n]) for channel, n in self._sources[k] if self._moves(n, levels)}
        outputs = {channel: float(levels[n]) for channel, n in self._drives[k] if self._moves(n, levels)}
        if volts and isinstance(one, SetsVoltages):
            one.set_voltages(volts, check)
        if outputs and isinstance(one, DrivesOutputs):
            one.set_outputs(outputs, check)

    def moved(self, levels: FloatArray) -> None:
        """Note levels that were set; NaN: no change."""
        self.levels = np.where(np.isnan(levels), self.levels, levels)

    def _moves(self, n: int, levels: FloatArray) -> bool:
        return not np.isnan(levels[n]) and levels[n] != self.levels[n]
