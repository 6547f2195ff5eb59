"""What a network returns: `Readout`, `TwoPhase`, `Programmed`; what its listeners receive; error signals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.html_text import object_box
from hwlearn.network.nudges import Nudge, OutputDrive

_MOST_LISTED = 20
_Kind = TypeVar("_Kind", bound=np.generic)


@dataclass(frozen=True, eq=False, slots=True)
class Readout:
    """Readings of the instruments in one phase. Values that only a simulator knows are never included.

    Attributes
    ----------
    voltages : ndarray, shape (S, n_out)
        Volts at the outputs.
    output_currents : ndarray, shape (S, n_out), optional
        Amperes into the outputs, if the hardware knows them; zero at a floating output.
    source_currents : ndarray, shape (S, n_in), optional
        Amperes delivered by the input sources, if the hardware measures them.
    nodes : ndarray, shape (S, N), optional
        Volts at every node, if the hardware can read them.
    saturated : ndarray of bool, shape (S, n_out)
        Readings at an end of the converter's range: the true value may lie beyond it.
    voltage_sigma, current_sigma : float
        Specified standard uncertainty of one voltage reading (V) and of one output current (A).
    """

    voltages: FloatArray
    output_currents: FloatArray | None = None
    source_currents: FloatArray | None = None
    nodes: FloatArray | None = None
    saturated: BoolArray | None = None
    voltage_sigma: float = 0.0
    current_sigma: float = 0.0

    def rows(self, chosen: BoolArray | IntArray | slice) -> Self:
        """Return the readout of the chosen samples."""

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
        """Return this readout with the chosen samples replaced by the samples of ``other``, in order."""

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
        Free phase, and phase with the outputs nudged against their error. A skipped sample repeats its free
        reading.
    minus : Readout or None
        Phase with the outputs nudged along their error; None for a one-sided measurement.
    error : ndarray, shape (S, n_out)
        dC/dV_out at the measured free outputs.
    strength : ndarray, shape (S,)
        The nudge strength that was applied; zero for a skipped sample.
    contrast : ndarray, shape (S, E), or None
        What circuits at the edges have measured themselves, in V^2: half the difference of the squared drops of
        the plus phase and of the minus phase (one-sided: of the free phase), with the offsets of these circuits.
        None for hardware without such circuits.
    """

    free: Readout
    plus: Readout
    minus: Readout | None
    error: FloatArray
    strength: FloatArray
    contrast: FloatArray | None = None

    def rows(self, chosen: BoolArray | IntArray | slice) -> Self:
        """Return the phases of the chosen samples."""
        return replace(
            self,
            free=self.free.rows(chosen),
            plus=self.plus.rows(chosen),
            minus=None if self.minus is None else self.minus.rows(chosen),
            error=self.error[chosen],
            strength=self.strength[chosen],
            contrast=None if self.contrast is None else self.contrast[chosen],
        )

    @property
    def skipped(self) -> BoolArray:
        """Samples (S,) that were not nudged."""
        return np.asarray(self.strength == 0)


@dataclass(frozen=True, eq=False, slots=True)
class Programmed:
    """Result of programming the edges.

    Attributes
    ----------
    requested, reached : ndarray, shape (E,)
        Target values, and the values that the hardware reports (quantised, calibrated): siemens, or volts for the
        gates of transistors.
    failed : ndarray of bool, shape (E,)
        Edges that are known to have missed their target.
    """

    requested: FloatArray
    reached: FloatArray
    failed: BoolArray

    def __repr__(self) -> str:
        return f"<Programmed: {', '.join(f'{text} {name}' for name, text in self._shown()[:2])}>"

    def _repr_html_(self) -> str:
        return object_box("Result of programming", self._shown())

    def _shown(self) -> list[tuple[str, str]]:
        """Return what a person wants to know first."""
        failed = np.flatnonzero(self.failed)
        facts = [("edges", f"{len(self.requested):,}"), ("failed", f"{len(failed):,}")]
        if len(failed):
            more = ", ..." if len(failed) > _MOST_LISTED else ""
            facts.append(("failed edges", ", ".join(str(edge) for edge in failed[:_MOST_LISTED]) + more))
        for name, values in (("requested", self.requested), ("reached", self.reached)):
            known = values[np.isfinite(values)]
            if len(known):  # siemens, or volts for gates
                facts.append((f"{name} (S or V)", f"{known.min():.4g} to {known.max():.4g}"))
        return facts


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


@dataclass(frozen=True, eq=False, slots=True)
class MeasuredPhase:
    """A measured phase.

    Attributes
    ----------
    inputs : ndarray, shape (S, n_in)
        Volts.
    drive : OutputDrive or None
        None in the free phase.
    readout : Readout
    seconds : float
        Duration of the measurement of all samples, by the clock of the computer.
    """

    inputs: FloatArray
    drive: OutputDrive | None
    readout: Readout
    seconds: float


def nudged_phases(inputs: FloatArray, phases: TwoPhase, nudge: Nudge, seconds: float) -> list[MeasuredPhase]:
    """Return the nudged phases (no free one) of samples that were nudged.

    ``seconds`` is the duration of all of them.
    """
    active = ~phases.skipped
    if not active.any():
        return []
    some, x, bound = phases.rows(active), inputs[active], nudge.rows(active)
    free, sides = some.free.voltages, [(some.plus, some.strength)]
    if some.minus is not None:
        sides.append((some.minus, -some.strength))
    share = seconds / len(sides)
    return [MeasuredPhase(x, bound.drive(free, some.error, t), read, share) for read, t in sides]
