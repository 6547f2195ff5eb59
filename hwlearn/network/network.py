"""The waist of the house: one abstract `Network` that every simulator, board and instrument rack stands behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.batches import batch
from hwlearn.circuit.topology import Topology
from hwlearn.device_access.access import DeviceAccess
from hwlearn.errors import LimitError, NetworkError
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import DriveKind, Nudge, OutputDrive

_Kind = TypeVar("_Kind", bound=np.generic)

ErrorSignal = Callable[[FloatArray], FloatArray]
"""Measured outputs (S, n_out) -> dC/dV_out (S, n_out). It may offer ``least_error(resolution)``, the size of
error that a reading of that resolution in volts cannot tell from none; otherwise that is the resolution."""


@dataclass(frozen=True, eq=False, slots=True)
class Readout:
    """What the instruments read in one phase; nothing in it is hidden truth.

    Attributes
    ----------
    voltages : ndarray, shape (S, n_out)
        Volts at the outputs.
    output_currents : ndarray, shape (S, n_out), optional
        Amperes pushed into the outputs, where the hardware knows them; zero at a floating output.
    source_currents : ndarray, shape (S, n_in), optional
        Amperes delivered by the input sources, where the hardware measures them.
    nodes : ndarray, shape (S, N), optional
        Volts at every node, where the hardware can read them.
    saturated : ndarray of bool, shape (S, n_out)
        Readings at the end of the converter's range: their value is a bound only.
    voltage_sigma, current_sigma : float
        Stated standard uncertainty of one voltage (V) and one output current (A) reading.
    """

    voltages: FloatArray
    output_currents: FloatArray | None = None
    source_currents: FloatArray | None = None
    nodes: FloatArray | None = None
    saturated: BoolArray | None = None
    voltage_sigma: float = 0.0
    current_sigma: float = 0.0

    def rows(self, chosen: BoolArray | IntArray | slice) -> Self:
        """Return the chosen samples."""

        def take(array: NDArray[_Kind] | None) -> NDArray[_Kind] | None:
            return None if array is None else array[chosen]

        return replace(
            self,
            voltages=self.voltages[chosen],
            output_currents=take(self.output_currents),
            source_currents=take(self.source_currents),
            nodes=take(self.nodes),
            saturated=take(self.saturated),
        )

    def with_rows(self, chosen: BoolArray, other: Readout) -> Readout:
        """Return this readout with the chosen samples replaced by those of ``other``, in order."""

        def merged(mine: NDArray[_Kind] | None, theirs: NDArray[_Kind] | None) -> NDArray[_Kind] | None:
            if mine is None or theirs is None:
                return None
            out = mine.copy()
            out[chosen] = theirs
            return out

        voltages = self.voltages.copy()
        voltages[chosen] = other.voltages
        return Readout(
            voltages,
            output_currents=merged(self.output_currents, other.output_currents),
            source_currents=merged(self.source_currents, other.source_currents),
            nodes=merged(self.nodes, other.nodes),
            saturated=merged(self.saturated, other.saturated),
            voltage_sigma=other.voltage_sigma,
            current_sigma=other.current_sigma,
        )


@dataclass(frozen=True, eq=False, slots=True)
class TwoPhase:
    """The free phase and one or two nudged phases of a batch.

    Attributes
    ----------
    free, plus : Readout
        Free phase; phase with the outputs pushed against their error. A skipped sample repeats its free reading.
    minus : Readout or None
        Phase with the outputs pushed along their error; None for a one-sided measurement.
    error : ndarray, shape (S, n_out)
        dC/dV_out at the measured free outputs.
    strength : ndarray, shape (S,)
        The nudge strength that was really applied; zero for a skipped sample.
    """

    free: Readout
    plus: Readout
    minus: Readout | None
    error: FloatArray
    strength: FloatArray

    @property
    def skipped(self) -> BoolArray:
        """Samples (S,) that were not nudged."""
        return np.asarray(self.strength == 0)


@dataclass(frozen=True, eq=False, slots=True)
class Programmed:
    """What came of programming.

    Attributes
    ----------
    requested, reached : ndarray, shape (E,)
        Target conductances, and what the hardware says it took (quantised, calibrated), in siemens.
    failed : ndarray of bool, shape (E,)
        Edges that are known not to have taken their target.
    """

    requested: FloatArray
    reached: FloatArray
    failed: BoolArray


@dataclass(frozen=True, eq=False, slots=True)
class TargetError:
    """The error of a mean-square cost, ``V_out - y``; a board may compute it by itself.

    Attributes
    ----------
    targets : ndarray, shape (S, n_out)
        Wanted output volts y.
    """

    targets: FloatArray

    def __call__(self, outputs: FloatArray) -> FloatArray:
        """Return ``outputs - targets`` (S, n_out)."""
        return outputs - self.targets

    def least_error(self, resolution: float) -> float:
        """An error below the reading resolution is no error."""
        return resolution


class Network(ABC):
    """A physical (or simulated) resistor network with sources, readers and programmable conductances.

    Subclasses implement `_measure`, `_program` and `_close`; every request passes the limits here first, so
    nothing outside them reaches a backend. Use it as a context manager: it is left safe on every exit.
    Hardware that knows a quicker way through the phases also implements `_measure_sides` or `_both_phases`.

    Parameters
    ----------
    topology : Topology
        Its graph.
    limits : Limits
        What nobody may exceed.
    nudges : iterable of {"clamp", "current", "resistor"}
        The kinds of output drive that the hardware can make.
    resolution : float
        Smallest difference in volts that a reading can tell.

    Attributes
    ----------
    measurements : int
        Samples measured so far, over all phases.
    on_measured : callable or None
        Called with the number of samples after each completed measurement; may raise to stop the caller
        between two measurements.
    """

    def __init__(
        self, topology: Topology, limits: Limits, nudges: Iterable[DriveKind], *, resolution: float = 0.0
    ) -> None:
        self.topology = topology
        self.limits = limits
        self.nudges = frozenset(nudges)
        self.resolution = resolution
        self.measurements = 0
        self.on_measured: Callable[[int], None] | None = None
        self._closed = False

    # --- what a network does ------------------------------------------------------------------------

    def measure(self, inputs: ArrayLike, drive: OutputDrive | None = None) -> Readout:
        """Apply inputs, and a drive at the outputs if any, and read.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts.
        drive : OutputDrive, optional
            None: the outputs float (free phase).

        Raises
        ------
        LimitError
            If anything asked lies outside the limits; nothing was applied.
        ComplianceError
            If a source reached its limit while measuring.
        NetworkError
            If the network is closed or cannot make this drive.
        CircuitError
            If a shape does not fit.
        """
        self._check_open()
        x = batch(inputs, self.topology.n_inputs, "inputs")
        self._check_request(x, drive)
        readout = self._measure(x, drive)
        self._count(len(x))
        return readout

    def two_phase(self, inputs: ArrayLike, error: ErrorSignal, nudge: Nudge, symmetric: bool = True) -> TwoPhase:
        """Measure the free phase, then the phase nudged against the error, and along it if symmetric.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts.
        error : callable
            Measured outputs (S, n_out) -> dC/dV_out (S, n_out).
        nudge : Nudge
            How to push; bound to a model's output impedance where it needs one.
        symmetric : bool
            Measure both signs.

        Returns
        -------
        TwoPhase

        Raises
        ------
        LimitError, ComplianceError, NetworkError, CircuitError
            As `measure`.
        """
        x = batch(inputs, self.topology.n_inputs, "inputs")
        self._check_open()
        self._check_request(x, None)
        whole = self._both_phases(x, error, nudge, symmetric)
        if whole is not None:
            self._count(len(x))
            if not whole.skipped.all():
                self._count(int((~whole.skipped).sum()) * (2 if symmetric else 1))
            return whole
        free = self._measure(x, None)
        self._count(len(x))
        e = error(free.voltages)
        strength = self._strengths(x, free.voltages, e, error, nudge)
        active = strength > 0
        if not active.any():
            return TwoPhase(free, free, free if symmetric else None, e, strength)
        volts, errors, t, nudge = free.voltages[active], e[active], strength[active], nudge.rows(active)
        plus = nudge.drive(volts, errors, t)
        minus = nudge.drive(volts, errors, -t) if symmetric else None
        sides = plus if minus is None else plus.then(minus)
        driven = x[active] if minus is None else np.concatenate([x[active], x[active]])
        self._check_request(driven, sides)
        high, low, refused = self._measure_sides(x[active], plus, minus)
        self._count(len(driven))
        if refused is not None and refused.any():
            strength = strength.copy()
            strength[np.flatnonzero(active)[refused]] = 0.0
            active, high = strength > 0, high.rows(~refused)
            low = None if low is None else low.rows(~refused)
        return TwoPhase(
            free,
            free.with_rows(active, high),
            None if low is None else free.with_rows(active, low),
            e,
            strength,
        )

    def program(self, conductances: ArrayLike) -> Programmed:
        """Set the edges to target conductances (E,) in siemens.

        Raises
        ------
        LimitError
            If a target lies outside ``limits.conductance``; nothing was programmed.
        NetworkError
            If the network is closed or the shape does not fit.
        """
        self._check_open()
        asked = np.array(conductances, dtype=np.float64)
        if asked.shape != (self.topology.n_edges,):
            raise NetworkError(f"conductances must have shape ({self.topology.n_edges},), got {asked.shape}")
        self.limits.check_conductances(self.topology, asked)
        return self._program(asked)

    def close(self) -> None:
        """Leave the hardware safe and let go of it; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._close()

    def true_outputs(self, inputs: ArrayLike) -> FloatArray | None:
        """Return the true output volts (S, n_out) where a simulator knows them, else None; for reports."""
        return None

    @property
    def instruments(self) -> tuple[str, ...]:
        """What the network hangs on: maker, model, serial number and address of each; empty in a simulation."""
        return ()

    @property
    def settle_s(self) -> float | None:
        """Wait in seconds between a change of the sources and a reading; None if unknown."""
        return None

    @property
    def dac_step_V(self) -> float | None:
        """Step in volts of the converters that drive the inputs; None if unknown or continuous."""
        return None

    @property
    def nudge_siemens(self) -> FloatArray | None:
        """Conductances (n_out,) in siemens of the resistors behind resistor nudges; None if free or absent."""
        return None

    @property
    def devices(self) -> DeviceAccess | None:
        """Single edges to be read and pulsed, where the hardware has that; None otherwise.

        Device k is edge k. What is pulsed here is no more what `program` said it was.
        """
        return None

    @property
    def closed(self) -> bool:
        """Whether the network has been closed."""
        return self._closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what a backend implements ------------------------------------------------------------------

    @abstractmethod
    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        """Measure a checked request: inputs (S, n_in), drive values (S, n_out)."""

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        """Measure both nudged phases of a checked request, or the one if ``minus`` is None.

        Returns
        -------
        (Readout, Readout or None, ndarray of bool (S,) or None)
            The phases, and which samples the hardware refused to nudge; None: it nudged them all.
        """
        if minus is None:
            return self._measure(inputs, plus), None, None
        nudged = self._measure(np.concatenate([inputs, inputs]), plus.then(minus))
        half = len(inputs)
        return nudged.rows(slice(None, half)), nudged.rows(slice(half, None)), None

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        """Measure free and nudged phases of checked inputs in one go; None: measure them one by one.

        Hardware that finds the nudges by itself must keep them within the limits by itself.
        """
        return None

    def _nudge_limits(self) -> Limits:
        """Return what strengths are chosen within: narrower than ``limits`` where drives are corrected."""
        return self.limits

    def _most_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        """Return the strongest nudge (S,) that the hardware makes at free outputs (S, n_out) of this error."""
        return np.full(len(free), np.inf)

    @abstractmethod
    def _program(self, conductances: FloatArray) -> Programmed:
        """Program checked targets (E,)."""

    @abstractmethod
    def _close(self) -> None:
        """Make everything safe; called once."""

    # --- what every request passes ------------------------------------------------------------------

    def _strengths(
        self, inputs: FloatArray, free: FloatArray, e: FloatArray, error: ErrorSignal, nudge: Nudge
    ) -> FloatArray:
        """Choose the strength of each sample (S,) within the limits and what the hardware makes."""
        least = getattr(error, "least_error", None)
        strength = nudge.strengths(
            self.topology,
            self._nudge_limits(),
            inputs,
            free,
            e,
            self.resolution if least is None else least(self.resolution),
            self.resolution,
        )
        most = self._most_strength(nudge, free, e)
        if nudge.strength == "auto":
            return np.minimum(strength, most)
        over = np.flatnonzero(strength > most)
        if over.size:
            raise LimitError(
                f"a nudge of strength {nudge.strength:g} is more than this hardware makes of sample {over[0]}, "
                f"{most[over[0]]:.3g} within limits.nudge; use less, or 'auto'"
            )
        return strength

    def _check_request(self, inputs: FloatArray, drive: OutputDrive | None) -> None:
        """Refuse inputs (S, n_in), with a drive if any, that leave the limits or that cannot be made."""
        if drive is None:
            self.limits.check_terminals(self.topology, inputs)
            return
        if drive.kind not in self.nudges:
            able = ", ".join(sorted(self.nudges)) or "none"
            raise NetworkError(f"this network cannot make a {drive.kind!r} drive; it can make: {able}")
        if drive.values.shape != (len(inputs), self.topology.n_outputs):
            raise NetworkError(
                f"output drive must have shape ({len(inputs)}, {self.topology.n_outputs}), "
                f"got {drive.values.shape}"
            )
        drive.check(self.topology, self.limits, inputs)

    def _count(self, samples: int) -> None:
        """Count samples that were measured, and tell who wants to know."""
        self.measurements += samples
        if self.on_measured is not None:
            self.on_measured(samples)

    def _check_open(self) -> None:
        if self._closed:
            raise NetworkError("the network is closed; open it again to measure or program")
