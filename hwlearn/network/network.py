"""Abstract base class `Network`: the operations of every simulator, board and instrument backend.

What a backend implements, and the checks of what it returns, are in `hwlearn.network.checked`. One file because
the operations of a network share its checks and its counters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self, final

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.circuit.batches import batch
from hwlearn.circuit.topology import Topology
from hwlearn.device_access.access import DeviceAccess
from hwlearn.errors import NetworkError
from hwlearn.exclusive import ExclusiveUse
from hwlearn.network import gate
from hwlearn.network.checked import CheckedBackend
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import DriveKind, Nudge, OutputDrive
from hwlearn.network.readings import (
    ErrorSignal,
    HasLeastError,
    MeasuredPhase,
    Programmed,
    Readout,
    TargetError,
    TwoPhase,
    nudged_phases,
)
from hwlearn.network.simulation import Simulation

__all__ = ["ErrorSignal", "HasLeastError", "Network", "Programmed", "Readout", "TargetError", "TwoPhase"]


class Network(CheckedBackend):
    """A physical or simulated network with sources, voltage readings and programmable edges.

    What is programmed is the value of each edge: a conductance in siemens, or another parameter that its element
    declares, such as the gate voltage of a transistor.

    Subclasses implement `_measure`, `_program` and `_close`. Every request is checked against the limits before it
    reaches them. Hardware that measures several phases faster in one sequence also implements `_measure_sides` or
    `_both_phases`. What these methods return is checked by `hwlearn.network.gate`. Use a network as a context
    manager: outputs are switched off on every exit path.

    A network is used by one thread at a time and only by the process that opened it. Another thread is refused
    while a call runs, except for `close`, which switches the outputs off. In a forked child `close` sends nothing:
    the links belong to the parent.

    After an error:

    - A refused request (`LimitError`, `CircuitError`, wrong thread or process) applied nothing. The network stays
      open and its outputs stay as they were.
    - After an error that the hardware reports (`ComplianceError`, other errors of the drivers) and after Ctrl-C
      during a measurement, the drivers of this package have switched every output off. The network stays open; the
      next measurement switches them on again, unless the error says that a person must go on.
    - After a `BackendError` (invalid results of a backend, or an error that is none of this package) it is closed.
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
        Called with the number of samples after each measurement; it may raise to stop the caller between two.
    on_phase : callable or None
        Called with each `MeasuredPhase`.
    on_programmed : callable or None
        Called with what each programming reached, and the seconds that it took by the clock.
    on_closed : callable or None
        Called once after closing, with False if switching off raised an error.
    """

    def __init__(
        self, topology: Topology, limits: Limits, nudges: Iterable[DriveKind], *, resolution: float = 0.0
    ) -> None:
        if not self.has_any_values:
            topology.require_two_terminals(f"a network of {type(self).__name__}")
        limits.ranges(topology)  # refuses a network for which they have no range
        self.topology = topology
        self.limits = limits
        self.nudges: frozenset[DriveKind] = frozenset(nudges)
        self.resolution = resolution
        self.measurements: int = 0
        self.on_measured: Callable[[int], None] | None = None
        self.on_phase: Callable[[MeasuredPhase], None] | None = None
        self.on_programmed: Callable[[Programmed, float], None] | None = None
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
            began = time.perf_counter()
            readout = self._checked_measure(x, drive)
            self._notify(MeasuredPhase(x, drive, readout, time.perf_counter() - began))
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
        began = time.perf_counter()
        whole = self._checked_phases(x, error, nudge, symmetric)
        if whole is not None:
            took = (time.perf_counter() - began) / (3 if symmetric else 2)
            self._notify(MeasuredPhase(x, None, whole.free, took))
            self._notify_nudged(x, whole, nudge, 2 * took if symmetric else took)
            self._count(len(x))
            if not whole.skipped.all():
                self._count(int((~whole.skipped).sum()) * (2 if symmetric else 1))
            return whole
        free = self._checked_measure(x, None)
        self._notify(MeasuredPhase(x, None, free, time.perf_counter() - began))
        self._count(len(x))
        e = error(free.voltages)
        strength = self._strengths(x, free.voltages, e, error, nudge)
        active = strength > 0
        if not active.any():
            return TwoPhase(free, free, free if symmetric else None, e, strength)
        volts, errors, t, bound = free.voltages[active], e[active], strength[active], nudge.rows(active)
        plus = bound.drive(volts, errors, t)
        minus = bound.drive(volts, errors, -t) if symmetric else None
        sides = plus if minus is None else plus.then(minus)
        driven = x[active] if minus is None else np.concatenate([x[active], x[active]])
        self._check_request(driven, sides)
        began = time.perf_counter()
        high, low, refused = self._checked_sides(x[active], plus, minus)
        took = time.perf_counter() - began
        self._count(len(driven))
        if refused is not None and refused.any():
            strength = strength.copy()
            strength[np.flatnonzero(active)[refused]] = 0.0
            active, high = strength > 0, high.rows(~refused)
            low = None if low is None else low.rows(~refused)
        found = TwoPhase(
            free,
            free.with_rows(active, high),
            None if low is None else free.with_rows(active, low),
            e,
            strength,
        )
        self._notify_nudged(x, found, nudge, took)
        return found

    def program(self, values: ArrayLike) -> Programmed:
        """Program the edges to target values (E,): conductances in siemens, gate voltages in volts.

        Raises
        ------
        LimitError
            If a target lies outside its range in ``limits``; nothing was programmed.
        NetworkError
            If the network is closed, in use by another thread or of another process, or the array has the wrong
            shape or is not of numbers.
        BackendError
            If the backend returns an invalid result.
        """
        with self._use:
            return self._program_targets(values)

    def _program_targets(self, values: ArrayLike) -> Programmed:
        self._check_open()
        shape, is_other = (self.topology.n_edges,), self.topology.has_three_terminals
        name = "values" if is_other else "conductances"
        try:
            targets = np.array(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            unit = "" if is_other else " in S"
            raise NetworkError(f"{name} must be numbers{unit}, shape {shape}, got {values!r:.80}") from error
        if targets.shape != shape:
            raise NetworkError(f"{name} must have shape {shape}, got {targets.shape}")
        self.limits.check_values(self.topology, targets)
        began = time.perf_counter()
        programmed = self._checked_program(targets)
        if self.on_programmed is not None:
            self.on_programmed(programmed, time.perf_counter() - began)
        return programmed

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
    def keep_superposition(self, holds: bool, found: str) -> None:
        """Tell the hardware whether a check has shown that superposition holds, and what it has found.

        Hardware that composes samples from several measurements does so only after a check that passed.

        Raises
        ------
        NetworkError
            If the network is closed, in use by another thread or of another process.
        HwlearnError
            If the result cannot be stored.
        """
        with self._use:
            self._check_open()
            self._keep_superposition(holds, found)

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
        """Maker, model, serial number, firmware and address of each instrument; empty in a simulation."""
        return ()

    @property
    def has_fixed_edges(self) -> bool:
        """Whether the edges cannot be programmed: a training measures, but changes nothing."""
        return False

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
    def pulse_totals(self) -> tuple[float, float] | None:
        """Joules and seconds of all pulses at single devices since the network was opened; None without pulses."""
        access = self._device_access()
        return None if access is None else (access.pulse_J, access.pulse_s)

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

    # --- checks of requests ---------------------------------------------------------------------------

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

    def _notify(self, phase: MeasuredPhase) -> None:
        if self.on_phase is not None:
            self.on_phase(phase)

    def _notify_nudged(self, inputs: FloatArray, phases: TwoPhase, nudge: Nudge, seconds: float) -> None:
        if self.on_phase is not None:
            for phase in nudged_phases(inputs, phases, nudge, seconds):
                self.on_phase(phase)

    def _check_open(self) -> None:
        if self._closed:
            raise NetworkError("the network is closed; open it again to measure or program")


def _check_phases(error: object, nudge: object) -> None:
    """Refuse a class or a name instead of an error signal or a nudge."""
    if not isinstance(nudge, Nudge):
        raise NetworkError(f"nudge must be a Nudge object, such as ClampNudge(), got {nudge!r}")
    if isinstance(error, type) or not callable(error):
        raise NetworkError(f"error must be a function of the outputs, such as TargetError(targets), got {error!r}")
