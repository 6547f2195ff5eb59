"""`OutputDrive`: setpoints of the sources at the outputs during one phase."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError, NetworkError
from hwlearn.network.headroom import driven_range, series_conductance
from hwlearn.network.limits import Limits

DriveKind = Literal["clamp", "current", "resistor"]


@dataclass(frozen=True, eq=False, slots=True)
class OutputDrive:
    """Setpoints of the sources at the outputs during one phase; made by `clamp`, `current` or `resistor`.

    Attributes
    ----------
    kind : "clamp", "current" or "resistor"
    values : ndarray, shape (S, n_out)
        Volts (clamp, resistor) or amperes (current); an output with NaN is left floating.
    siemens : ndarray, shape (n_out,), or None
        Known conductance between DAC and node (resistor only).
    """

    kind: DriveKind
    values: FloatArray
    siemens: FloatArray | None = None

    def __post_init__(self) -> None:
        # a resistor drive without its conductance would be applied as an ideal clamp
        with_siemens = (self.kind == "resistor") is (self.siemens is not None)
        if self.kind not in ("clamp", "current", "resistor") or np.ndim(self.values) != 2 or not with_siemens:
            raise NetworkError(
                f"an output drive cannot be of kind {self.kind!r}, values of shape {np.shape(self.values)} and "
                f"siemens = {self.siemens!r}; make it with OutputDrive.clamp, .current or .resistor"
            )

    @classmethod
    def clamp(cls, volts: ArrayLike) -> Self:
        """Return a drive that holds outputs at ``volts`` (S, n_out) with ideal voltage sources."""
        return cls("clamp", _drive_values(volts))

    @classmethod
    def current(cls, amperes: ArrayLike) -> Self:
        """Return a drive that pushes ``amperes`` (S, n_out) into the outputs."""
        return cls("current", _drive_values(amperes))

    @classmethod
    def resistor(cls, volts: ArrayLike, siemens: ArrayLike) -> Self:
        """Return a drive from DACs at ``volts`` (S, n_out) through known conductances, scalar or (n_out,).

        Raises
        ------
        NetworkError
            If a conductance is not positive and finite, or their number is wrong.
        """
        values = _drive_values(volts)
        try:
            kappa = np.broadcast_to(np.asarray(siemens, dtype=np.float64), values.shape[1:]).copy()
        except (TypeError, ValueError) as error:
            raise NetworkError(
                f"nudge conductances must be one number in S or {values.shape[1]}, one for each output, "
                f"got {siemens!r}"
            ) from error
        if not (np.isfinite(kappa).all() and (kappa > 0).all()):
            raise NetworkError(f"nudge conductance must be positive and finite, got {siemens!r} S")
        return cls("resistor", values, kappa)

    def rows(self, chosen: BoolArray | IntArray) -> Self:
        """Return the drive of the chosen samples only."""
        return replace(self, values=self.values[chosen])

    def then(self, other: OutputDrive) -> Self:
        """Return this drive and another of the same kind as one longer batch."""
        return replace(self, values=np.concatenate([self.values, other.values]))

    def check(self, topology: Topology, limits: Limits, inputs: FloatArray) -> None:
        """Refuse the drive if it exceeds the limits together with the inputs (S, n_in).

        Raises
        ------
        LimitError
            With node, sample, value and limit. The current of a resistor drive is bounded by the largest voltage
            to any driven terminal, across kappa in series with the maximum conductance of all edges at the node.
        """
        if np.isinf(self.values).any():
            raise LimitError("an output drive is infinite; nothing was applied")
        if self.kind == "current":
            limits.check_terminals(topology, inputs)
            limits.check_currents(topology, topology.outputs, self.values)
            return
        limits.check_terminals(topology, inputs, self.values)
        if self.siemens is not None:
            low, high = driven_range(topology, inputs)
            through = series_conductance(topology, limits, self.siemens)
            worst = np.maximum(np.abs(self.values - low), np.abs(self.values - high)) * through
            limits.check_currents(topology, topology.outputs, worst)


def _drive_values(values: ArrayLike) -> FloatArray:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"an output drive must be numbers (samples, n_out), got {values!r:.80}") from error
    if array.ndim == 1:
        array = array[None, :]
    if array.ndim != 2:
        raise NetworkError(f"an output drive must have shape (samples, n_out), got {array.shape}")
    return array
