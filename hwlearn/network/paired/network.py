"""`PairedNetwork`: a network that holds the free phase on one copy and the nudged phases on the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import CircuitError, ComplianceError, HwlearnError, LimitError, NetworkError, SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import ErrorSignal, Network, Programmed, Readout, TwoPhase
from hwlearn.network.nudges import Nudge, OutputDrive
from hwlearn.network.paired.copies import ClampedCopy, PairSimulation, check_copies, named, narrower
from hwlearn.network.paired.use import PairUse
from hwlearn.network.simulation import Simulation


class PairedNetwork(Network):
    """A free and a clamped copy of one design, each with devices of its own.

    The free phase is measured on one copy and the nudged phases on the other, as analog learners do that hold both
    phases at once. Both copies are programmed with the same targets. Their devices differ, so the contrast of the
    two phases has a part that no nudge has caused.

    Every exit path switches both copies off before either is released, also if one of them fails. If a copy fails
    during a measurement, the other one is switched off too. Errors name the copy.

    Parameters
    ----------
    free, clamped : Network
        Open networks of the same circuit, fixed edges and elements included, on any backends; they are closed with
        the pair.
    contrast_bias : float or array_like, shape (E,), optional
        Offset in V^2 of the contrast that the circuit at each edge measures, `TwoPhase.contrast`.

    Attributes
    ----------
    periods : int
        Sample periods that hardware with two copies needs for the two-phase measurements so far: a free and a
        nudged phase at once take one, a second nudged phase another one. `measurements` counts each phase.

    Raises
    ------
    SetupError
        If the copies are the same network, closed, or of different circuits, if no value is within the limits
        of both, or if the offsets are not finite.

    Notes
    -----
    If both copies read every node, each two-phase measurement has a `TwoPhase.contrast`. The contrast of two
    nudged phases (``symmetric``) compares the clamped copy with itself: the difference between the devices of the
    copies is not in it. Paired learners are one-sided.

    Limits are the narrower ones of both copies. Single devices cannot be reached through the pair.
    Source of the arrangement: Dillavou, Stern, Liu & Durian, Phys. Rev. Applied 18, 014040 (2022).
    """

    def __init__(self, free: Network, clamped: Network, *, contrast_bias: ArrayLike = 0.0) -> None:
        check_copies(free, clamped)
        self.has_any_values: bool = free.has_any_values and clamped.has_any_values
        resolution = max(free.resolution, clamped.resolution)
        super().__init__(
            free.topology, narrower(free.limits, clamped.limits), clamped.nudges, resolution=resolution
        )
        self.free: Network = free
        self.clamped: Network = clamped
        self._nudged = ClampedCopy(clamped)
        self.periods: int = 0
        self._bias = _offsets(contrast_bias, self.topology.n_edges)
        self._alike = True
        self._use = PairUse(free._use, clamped._use)

    # --- what is known of the hardware ----------------------------------------------------------------

    @property
    def contrast_bias(self) -> FloatArray:
        """Offset (E,) in V^2 of the contrast that the circuit at each edge measures."""
        return self._bias

    @property
    def instruments(self) -> tuple[str, ...]:
        """Instruments of both copies, with the name of the copy."""
        return tuple(f"{name} copy: {one}" for name, copy in self._copies() for one in copy.instruments)

    @property
    def has_fixed_edges(self) -> bool:
        """Whether the edges of a copy cannot be programmed."""
        return self.free.has_fixed_edges or self.clamped.has_fixed_edges

    @property
    def drives_outputs(self) -> bool | None:
        """Whether outputs of a copy are on; None if that is not known."""
        states = [copy.drives_outputs for _, copy in self._copies()]
        return True if True in states else None if None in states else False

    @property
    def noise_is_from_data_sheet(self) -> bool:
        """Whether the uncertainty of readings of a copy is the figure of a data sheet."""
        return self.free.noise_is_from_data_sheet or self.clamped.noise_is_from_data_sheet

    @property
    def settle_s(self) -> float | None:
        """Settling time in seconds of the slower copy; None if one is unknown."""
        times = (self.free.settle_s, self.clamped.settle_s)
        return None if times[0] is None or times[1] is None else max(times[0], times[1])

    @property
    def reading_s(self) -> float | None:
        """Duration in seconds of reading one sample of the slower copy; None if one is unknown."""
        times = (self.free.reading_s, self.clamped.reading_s)
        return None if times[0] is None or times[1] is None else max(times[0], times[1])

    @property
    def dac_step_V(self) -> float | None:
        """Coarser step in volts of the input converters; None if unknown or continuous."""
        return max((s for _, copy in self._copies() if (s := copy.dac_step_V) is not None), default=None)

    @property
    def relay_moves(self) -> int | None:
        """Number of relays of both copies that were opened or closed; None if there are none."""
        moves = [n for _, copy in self._copies() if (n := copy.relay_moves) is not None]
        return sum(moves) if moves else None

    @property
    def pulse_totals(self) -> tuple[float, float] | None:
        """Joules and seconds of all pulses at devices of both copies; None unless both have pulses."""
        free, clamped = self.free.pulse_totals, self.clamped.pulse_totals
        return None if free is None or clamped is None else (free[0] + clamped[0], free[1] + clamped[1])

    @property
    def direct_levels(self) -> int | None:
        """Number of voltages that both copies can measure directly; None: any."""
        return min((n for _, copy in self._copies() if (n := copy.direct_levels) is not None), default=None)

    @property
    def conductance_step_S(self) -> float | None:
        """Coarser step in siemens of the conductances; None if unknown, unequal or continuous."""
        return max((s for _, copy in self._copies() if (s := copy.conductance_step_S) is not None), default=None)

    @property
    def nudge_siemens(self) -> FloatArray | None:
        """Conductances (n_out,) in siemens of the nudge resistors of the clamped copy; None if it has none."""
        return self.clamped.nudge_siemens

    @property
    def simulation(self) -> Simulation | None:
        """State of both copies if both are simulated; else None."""
        free, clamped = self.free.simulation, self.clamped.simulation
        return None if free is None or clamped is None else PairSimulation(free, clamped)

    @property
    def closed(self) -> bool:
        """Whether the pair or one of its copies has been closed."""
        return super().closed or self.free.closed or self.clamped.closed

    # --- operations -----------------------------------------------------------------------------------

    def _two_phase(self, inputs: ArrayLike, error: ErrorSignal, nudge: Nudge, symmetric: bool) -> TwoPhase:
        phases = super()._two_phase(inputs, error, nudge, symmetric)
        self.periods += len(phases.strength) + (int((~phases.skipped).sum()) if symmetric else 0)
        return replace(phases, contrast=self._contrast(phases))

    def _contrast(self, phases: TwoPhase) -> FloatArray | None:
        """Return the contrast (S, E) in V^2 that the circuits at the edges measure, from readings of all nodes."""
        low = phases.free if phases.minus is None else phases.minus
        if phases.plus.nodes is None or low.nodes is None:
            return None
        a, b = self.topology.edges.T
        high_V, low_V = (each[:, a] - each[:, b] for each in (phases.plus.nodes, low.nodes))
        contrast = 0.5 * (high_V**2 - low_V**2) + self._bias
        contrast[phases.skipped] = 0.0
        return np.asarray(contrast)

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        self._check_alike()
        with self._using("free" if drive is None else "clamped") as copy:
            return self._vouch(copy.measure(inputs, drive))

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        self._check_alike()
        with self._using("clamped"):
            return self._vouch(self._nudged.sides(inputs, plus, minus))

    def _nudge_limits(self) -> Limits:
        return narrower(self.limits, self._nudged.nudge_limits())

    def _max_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        with self._using("clamped"):
            return self._nudged.max_strength(nudge, free, error)

    def _program(self, values: FloatArray) -> Programmed:
        self._alike = False
        with self._using("free") as copy:
            first = copy.program(values)
        with self._using("clamped") as copy:
            second = copy.program(values)
        self._alike = True
        return Programmed(values, first.reached, first.failed | second.failed)

    def _keep_superposition(self, holds: bool, found: str) -> None:
        for name, copy in self._copies():
            with named(name):
                copy.keep_superposition(holds, found)

    def _true_outputs(self, inputs: FloatArray) -> FloatArray | None:
        return self.free.true_outputs(inputs)

    def _reconnect(self) -> None:
        for name, copy in self._copies():
            with named(name):
                copy.reconnect()

    def _check_open(self) -> None:
        super()._check_open()
        for name, copy in self._copies():
            with named(name):
                copy._check_open()

    def _check_alike(self) -> None:
        if not self._alike:
            raise NetworkError(
                "the copies of the pair may hold different values, because the last programming did not "
                "complete; program the pair again before it is measured"
            )

    # --- safe exits -----------------------------------------------------------------------------------

    def _switch_off(self) -> None:
        _raise_first(self._off_errors())

    def _close(self) -> None:
        self._off_errors()  # a copy that could not be switched off here tries again, and reports, when it closes
        errors = []
        for name, copy in self._copies():
            try:
                with named(name):
                    copy.close()
            except BaseException as error:
                errors.append(error)
        _raise_first(errors)

    def _off_errors(self) -> list[BaseException]:
        """Switch off both copies; return what went wrong."""
        errors: list[BaseException] = []
        for name, copy in self._copies():
            try:
                with named(name):
                    copy.switch_off()
            except BaseException as error:
                errors.append(error)
        return errors

    @contextmanager
    def _using(self, name: str) -> Iterator[Network]:
        """Use a copy; if it fails, switch the other one off. A refused request applied nothing."""
        copies = dict(self._copies())
        copy = copies.pop(name)
        (other_name, other), *_ = copies.items()
        try:
            with named(name):
                yield copy
        except BaseException as error:
            refused = isinstance(error, LimitError | CircuitError) and not isinstance(error, ComplianceError)
            if not refused:
                try:
                    with named(other_name):
                        other.switch_off()
                except HwlearnError as unsafe:
                    _raise_first([error, unsafe])
            raise

    def _copies(self) -> tuple[tuple[str, Network], tuple[str, Network]]:
        return (("free", self.free), ("clamped", self.clamped))


def _raise_first(errors: list[BaseException]) -> None:
    """Raise the first of some errors; its message also has those of the others."""
    if not errors:
        return
    first, *others = errors
    if others and isinstance(first, HwlearnError):
        first.args = ("; ".join(str(each) for each in errors), *first.args[1:])
    elif others:
        raise others[0] from first
    raise first


def _offsets(given: ArrayLike, n_edges: int) -> FloatArray:
    """Return offsets (E,) in V^2, given as one number or one for each edge."""
    try:
        offsets = np.broadcast_to(np.asarray(given, dtype=np.float64), (n_edges,)).copy()
    except (TypeError, ValueError) as error:
        raise SetupError(f"contrast_bias must be one number in V^2 or {n_edges}, got {given!r:.80}") from error
    if not np.isfinite(offsets).all():
        raise SetupError("contrast_bias has NaN or infinite values; each must be a finite number in V^2")
    return offsets
