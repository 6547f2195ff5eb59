"""Abstract base class `Network`: the interface that every simulator, board and instrument backend implements.

One file because a reader follows one measurement, from the request to the checked readings, in one place.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Concatenate, Final, ParamSpec, Protocol, Self, TypeVar, final, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.batches import batch
from hwlearn.circuit.topology import Topology
from hwlearn.device_access.access import DeviceAccess
from hwlearn.errors import BackendError, HwlearnError, LimitError, NetworkError
from hwlearn.exclusive import ExclusiveUse
from hwlearn.network import gate
from hwlearn.network.headroom import Headroom
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import DriveKind, Nudge, OutputDrive, ResistorNudge
from hwlearn.network.readings import Programmed, Readout, TwoPhase
from hwlearn.network.simulation import Simulation

__all__ = ["ErrorSignal", "HasLeastError", "Network", "Programmed", "Readout", "TargetError", "TwoPhase"]

_Value = TypeVar("_Value")
_Self = TypeVar("_Self", bound="Network")
_Request = ParamSpec("_Request")

_NOTHING: Final = object()

ErrorSignal = Callable[[FloatArray], FloatArray]
"""Measured outputs (S, n_out) -> dC/dV_out (S, n_out). Errors up to the reading resolution count as zero, unless
the signal has a `HasLeastError` method of its own."""


@runtime_checkable
class HasLeastError(Protocol):
    """An error signal that knows which errors are too small to resolve."""

    def least_error(self, resolution: float) -> float:
        """Return the largest error that a reading with this resolution in volts cannot distinguish from zero."""


@dataclass(frozen=True, eq=False, slots=True)
class TargetError:
    """Error signal of a mean-square cost, ``V_out - y``. A board can compute it without the host.

    Attributes
    ----------
    targets : ndarray, shape (S, n_out)
        Target output volts y.
    """

    targets: FloatArray

    def __call__(self, outputs: FloatArray) -> FloatArray:
        """Return ``outputs - targets`` (S, n_out)."""
        return outputs - self.targets

    def least_error(self, resolution: float) -> float:
        """Return the reading resolution: smaller errors count as zero."""
        return resolution


def _closes_when_broken(
    operation: Callable[Concatenate[_Self, _Request], _Value],
) -> Callable[Concatenate[_Self, _Request], _Value]:
    """Close the network, outputs off, if its backend returns something invalid or fails with a foreign error."""

    @functools.wraps(operation)
    def checked(self: _Self, /, *request: _Request.args, **named: _Request.kwargs) -> _Value:
        try:
            return operation(self, *request, **named)
        except BackendError as error:
            raise gate.closed(self, error) from error.__cause__
        except HwlearnError:
            raise
        except Exception as error:  # a backend may raise anything
            if not self._is_backend:
                raise
            raise gate.closed(self, gate.failure(self, error)) from error

    return checked


class Network(ABC):
    """A physical or simulated resistor network with sources, voltage readings and programmable conductances.

    Subclasses implement `_measure`, `_program` and `_close`. Every request is checked against the limits before it
    reaches them. Hardware that measures several phases faster in one sequence also implements `_measure_sides` or
    `_both_phases`. What these methods return is checked by `hwlearn.network.gate`. Use a network as a context
    manager: outputs are switched off on every exit path.

    A network is used by one thread at a time and only by the process that opened it. Another thread is refused
    while a call is running. `close` is never refused: another thread can switch the outputs off. In a forked child
    `close` sends nothing, because the links belong to the parent.

    After an error:

    - A refused request (`LimitError`, `CircuitError`, wrong thread or process) applied nothing. The network stays
      open and its outputs stay as they were.
    - After an error that the hardware reports (`ComplianceError`, other errors of the drivers) and after Ctrl-C
      during a measurement, the drivers of this package have switched every output off. The network stays open; the
      next measurement switches them on again, unless the error says that a person must go on.
    - After a `BackendError` the network is closed: a backend that returns invalid results, or that fails with an
      error that is none of this package, is not used any further.
    - If outputs cannot be switched off, the error names them and says that they MAY BE ON.

    Parameters
    ----------
    topology : Topology
        Graph of the network.
    limits : Limits
        Hard limits of the bench.
    nudges : iterable of {"clamp", "current", "resistor"}
        Kinds of output drive that the hardware supports.
    resolution : float
        Smallest voltage difference in volts that a reading can resolve.

    Attributes
    ----------
    measurements : int
        Number of samples measured so far, over all phases.
    on_measured : callable or None
        Called with the number of samples after each completed measurement. It may raise to stop the caller
        between two measurements.
    on_closed : callable or None
        Called once after closing, with False if switching off raised an error.
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
        self.on_closed: Callable[[bool], None] | None = None
        self._closed = False
        self._use = ExclusiveUse()

    # --- operations ---------------------------------------------------------------------------------

    def measure(self, inputs: ArrayLike, drive: OutputDrive | None = None) -> Readout:
        """Apply input voltages and an optional output drive, and read the network.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts.
        drive : OutputDrive, optional
            None: the outputs float (free phase).

        Raises
        ------
        LimitError
            If the request is outside the limits; nothing was applied.
        ComplianceError
            If a source reached its compliance limit during the measurement.
        NetworkError
            If the network is closed, is in use by another thread, belongs to another process or does not support
            this drive.
        BackendError
            If the backend returns an invalid readout; the phase is void.
        CircuitError
            If an array has the wrong shape.
        """
        with self._use:
            self._check_open()
            x = batch(inputs, self.topology.n_inputs, "inputs")
            self._check_request(x, drive)
            readout = self._checked_measure(x, drive)
            self._count(len(x))
            return readout

    def two_phase(self, inputs: ArrayLike, error: ErrorSignal, nudge: Nudge, symmetric: bool = True) -> TwoPhase:
        """Measure the free phase, the phase nudged against the error and, if symmetric, the one along it.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts.
        error : callable
            Measured outputs (S, n_out) -> dC/dV_out (S, n_out).
        nudge : Nudge
            Kind and strength of the nudge, bound to a model's output impedance if it needs one.
        symmetric : bool
            Whether both signs are measured.

        Returns
        -------
        TwoPhase

        Raises
        ------
        LimitError, ComplianceError, NetworkError, BackendError, CircuitError
            As `measure`.
        """
        with self._use:
            return self._two_phase(inputs, error, nudge, symmetric)

    def _two_phase(self, inputs: ArrayLike, error: ErrorSignal, nudge: Nudge, symmetric: bool) -> TwoPhase:
        _check_phases(error, nudge)
        x = batch(inputs, self.topology.n_inputs, "inputs")
        self._check_open()
        self._check_request(x, None)
        whole = self._checked_phases(x, error, nudge, symmetric)
        if whole is not None:
            self._count(len(x))
            if not whole.skipped.all():
                self._count(int((~whole.skipped).sum()) * (2 if symmetric else 1))
            return whole
        free = self._checked_measure(x, None)
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
        high, low, refused = self._checked_sides(x[active], plus, minus)
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
        """Program the edges to target conductances (E,) in siemens.

        Raises
        ------
        LimitError
            If a target lies outside ``limits.conductance``; nothing was programmed.
        NetworkError
            If the network is closed, in use by another thread or of another process, or the array has the wrong
            shape or is not of numbers.
        BackendError
            If the backend returns an invalid result.
        """
        with self._use:
            return self._program_targets(conductances)

    def _program_targets(self, conductances: ArrayLike) -> Programmed:
        self._check_open()
        try:
            targets = np.array(conductances, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise NetworkError(
                f"conductances must be numbers in S, shape ({self.topology.n_edges},), got {conductances!r:.80}"
            ) from error
        if targets.shape != (self.topology.n_edges,):
            raise NetworkError(f"conductances must have shape ({self.topology.n_edges},), got {targets.shape}")
        self.limits.check_conductances(self.topology, targets)
        return self._checked_program(targets)

    def close(self) -> None:
        """Switch all outputs off and release the hardware; closing twice has no effect.

        It does not wait for a call that another thread is running. A process that did not open the network sends
        nothing.
        """
        if not self._closed:
            self._closed = True
            if self._use.is_own_process():
                safe = False
                try:
                    self._close()
                    safe = True
                finally:
                    if self.on_closed is not None:
                        self.on_closed(safe)

    def revoke(self, reason: str) -> None:
        """Refuse every further call, because somebody else has switched the outputs off; `close` still works.

        May be called from any thread. A call in progress ends with a `NetworkError` too, and so do networks that
        wrap this one or are wrapped by it.
        """
        self._use.revoke(reason)

    @final
    def reserved(self) -> AbstractContextManager[None]:
        """Return a context in which only this thread uses the network, also between two calls.

        Raises
        ------
        NetworkError
            On entry, as `measure`.
        """
        return self._use

    @final
    def switch_off(self) -> None:
        """Switch every output off and stay open; the next measurement switches them on again.

        Raises
        ------
        NetworkError
            If the network is in use by another thread (`close` is never refused) or of another process.
        HwlearnError
            If outputs cannot be switched off; the error names those that MAY BE ON.
        """
        with self._use:
            if not self.closed:
                self._checked_switch_off()

    @final
    def reconnect(self) -> None:
        """Reconnect the hardware after its link dropped. Every output is off afterwards.

        Raises
        ------
        NetworkError
            If the network is closed, in use by another thread, of another process, or has no link.
        HwlearnError
            From the drivers, if the hardware cannot be reached or is not the same.
        """
        with self._use:
            self._check_open()
            self._checked_reconnect()

    @final
    def true_outputs(self, inputs: ArrayLike) -> FloatArray | None:
        """Return the true output volts (S, n_out) if a simulator knows them, else None; for reports.

        Raises
        ------
        CircuitError, NetworkError, BackendError
            As `measure`; a closed simulator still knows them.
        """
        with self._use:
            return self._checked_true_outputs(batch(inputs, self.topology.n_inputs, "inputs"))

    @property
    def instruments(self) -> tuple[str, ...]:
        """Maker, model, serial number and address of each connected instrument; empty in a simulation."""
        return ()

    @property
    def has_fixed_edges(self) -> bool:
        """Whether the edges cannot be programmed: a training measures, but changes nothing."""
        return False

    @property
    def settle_s(self) -> float | None:
        """Settling time in seconds between a change of the sources and a reading; None if unknown."""
        return None

    @property
    def dac_step_V(self) -> float | None:
        """Step in volts of the input DACs; None if unknown or continuous."""
        return None

    @property
    def conductance_step_S(self) -> float | None:
        """Step in siemens of the conductances that an edge can take; None if unknown, unequal or continuous."""
        return None

    @property
    def nudge_siemens(self) -> FloatArray | None:
        """Conductances (n_out,) in siemens of the fixed nudge resistors; None if there are none."""
        return None

    @property
    @final
    def devices(self) -> DeviceAccess | None:
        """Access to single devices for reading and pulsing, if the hardware supports it; None otherwise.

        Device k is edge k. The result of `program` no longer holds for a device that was pulsed here. The devices
        are refused to a second thread, to a forked child and after `close`, as the network is.
        """
        access = self._device_access()
        if access is not None:
            gate.check_devices(access, self)
            access.bind(self._use, self._check_open)
        return access

    @property
    def simulation(self) -> Simulation | None:
        """State of a simulation, which is stored with a run and restored when it is resumed; None on hardware."""
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

    # --- implemented by a backend -------------------------------------------------------------------

    @abstractmethod
    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        """Measure a checked request: inputs (S, n_in), drive values (S, n_out)."""

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        """Measure both nudged phases of a checked request, or only ``plus`` if ``minus`` is None.

        Returns
        -------
        (Readout, Readout or None, ndarray of bool (S,) or None)
            The phases, and the samples that the hardware refused to nudge; None if it nudged all of them.
        """
        if minus is None:
            return self._measure(inputs, plus), None, None
        nudged = self._checked_measure(np.concatenate([inputs, inputs]), plus.then(minus))
        half = len(inputs)
        return self._vouch((nudged.rows(slice(None, half)), nudged.rows(slice(half, None)), None))

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        """Measure free and nudged phases of checked inputs in one sequence; None if the hardware has none.

        Hardware that computes the nudges itself must also keep them within the limits itself.
        """
        return None

    def _nudge_limits(self) -> Limits:
        """Return the limits for choosing strengths: narrower than ``limits`` if setpoints are corrected."""
        return self.limits

    def _max_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        """Return the maximum strengths (S,) that the hardware supports at free outputs and errors (S, n_out)."""
        return np.full(len(free), np.inf)

    @abstractmethod
    def _program(self, conductances: FloatArray) -> Programmed:
        """Program checked targets (E,)."""

    def _device_access(self) -> DeviceAccess | None:
        """Return access to the single devices, the same object each time; None if there is none."""
        return None

    def _switch_off(self) -> None:
        """Switch every output off; nothing to do for hardware whose outputs are off between two requests."""
        return

    def _reconnect(self) -> None:
        """Reconnect the hardware, with every output off afterwards."""
        raise NetworkError("this network has no link that could be reconnected; close it and open the bench again")

    def _true_outputs(self, inputs: FloatArray) -> FloatArray | None:
        """Return the true output volts (S, n_out) of checked inputs; None if they are not known."""
        return None

    @abstractmethod
    def _close(self) -> None:
        """Switch all outputs off; called once."""

    # --- checks -------------------------------------------------------------------------------------

    _is_backend: bool = True
    """Whether errors that are none of this package come from hardware or a simulator, not from code around one."""

    _vouched: object = _NOTHING
    """A result that the gate accepted already: it is not checked again if it is returned unchanged."""

    def _vouch(self, result: _Value) -> _Value:
        """Return a result that the gate accepted already, and remember it until the end of this call."""
        self._vouched = result
        return result

    @_closes_when_broken
    def _checked_measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        self._vouched = _NOTHING
        read = self._measure(inputs, drive)
        if read is not self._vouched:
            gate.check_readout(read, len(inputs), self, None if drive is None else drive.siemens)
        return read

    @_closes_when_broken
    def _checked_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        self._vouched = _NOTHING
        sides = self._measure_sides(inputs, plus, minus)
        if sides is not self._vouched:
            gate.check_sides(sides, len(inputs), self, plus.siemens, minus is not None)
        return sides

    @_closes_when_broken
    def _checked_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        self._vouched = _NOTHING
        whole = self._both_phases(inputs, error, nudge, symmetric)
        if whole is not self._vouched and whole is not None:
            kappa = nudge.kappa if isinstance(nudge, ResistorNudge) else None
            gate.check_two_phase(whole, len(inputs), self, kappa, symmetric)
        return whole

    @_closes_when_broken
    def _checked_program(self, conductances: FloatArray) -> Programmed:
        self._vouched = _NOTHING
        programmed = self._program(conductances)
        if programmed is not self._vouched:
            gate.check_programmed(programmed, conductances, self)
        return programmed

    @_closes_when_broken
    def _checked_switch_off(self) -> None:
        self._switch_off()

    @_closes_when_broken
    def _checked_reconnect(self) -> None:
        self._reconnect()

    @_closes_when_broken
    def _checked_true_outputs(self, inputs: FloatArray) -> FloatArray | None:
        true = self._true_outputs(inputs)
        gate.check_true_outputs(true, len(inputs), self)
        return true

    @_closes_when_broken
    def _checked_nudge_limits(self) -> Limits:
        narrowed = self._nudge_limits()
        gate.check_nudge_limits(narrowed, self)
        return narrowed

    @_closes_when_broken
    def _checked_max_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        most = self._max_strength(nudge, free, error)
        gate.check_strengths(most, len(free), self)
        return most

    def _strengths(
        self, inputs: FloatArray, free: FloatArray, e: FloatArray, error: ErrorSignal, nudge: Nudge
    ) -> FloatArray:
        """Choose the strength of each sample (S,) within the limits and the capability of the hardware."""
        least = error.least_error(self.resolution) if isinstance(error, HasLeastError) else self.resolution
        strength = nudge.strengths(
            Headroom(self.topology, self._checked_nudge_limits(), inputs),
            free,
            e,
            least,
            self.resolution,
        )
        most = self._checked_max_strength(nudge, free, e)
        if nudge.strength == "auto":
            return np.asarray(np.minimum(strength, most))
        over = np.flatnonzero(strength > most)
        if over.size:
            raise LimitError(
                f"nudge strength {nudge.strength:g} exceeds what the hardware supports for sample {over[0]}, "
                f"{most[over[0]]:.3g} within limits.nudge; use less, or 'auto'"
            )
        return strength

    def _check_request(self, inputs: FloatArray, drive: OutputDrive | None) -> None:
        """Refuse inputs (S, n_in) and a drive that exceed the limits or that the hardware does not support."""
        if drive is None:
            self.limits.check_terminals(self.topology, inputs)
            return
        given: object = drive
        if not isinstance(given, OutputDrive):
            raise NetworkError(
                f"drive must be an OutputDrive object, such as OutputDrive.clamp(volts), got {given!r:.80}"
            )
        if drive.kind not in self.nudges:
            able = ", ".join(sorted(self.nudges)) or "none"
            raise NetworkError(f"this network does not support a {drive.kind!r} drive; it supports: {able}")
        if drive.values.shape != (len(inputs), self.topology.n_outputs):
            raise NetworkError(
                f"output drive must have shape ({len(inputs)}, {self.topology.n_outputs}), "
                f"got {drive.values.shape}"
            )
        drive.check(self.topology, self.limits, inputs)

    def _count(self, samples: int) -> None:
        """Count measured samples and call the listener."""
        self.measurements += samples
        if self.on_measured is not None:
            self.on_measured(samples)

    def _check_open(self) -> None:
        if self._closed:
            raise NetworkError("the network is closed; open it again to measure or program")


def _check_phases(error: object, nudge: object) -> None:
    """Refuse a class or a name instead of an error signal or a nudge."""
    if not isinstance(nudge, Nudge):
        raise NetworkError(f"nudge must be a Nudge object, such as ClampNudge(), got {nudge!r}")
    if isinstance(error, type) or not callable(error):
        raise NetworkError(f"error must be a function of the outputs, such as TargetError(targets), got {error!r}")
