"""`Nudge`: base class of the nudges of generalised equilibrium propagation (GEP), and the choice of strengths."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import ClassVar, Literal, Self

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import NetworkError
from hwlearn.network.headroom import Headroom
from hwlearn.network.nudges.drive import DriveKind, OutputDrive

Strength = float | Literal["auto"]

MODEL_HEADROOM = 2.0
"""Safety factor where a displacement is predicted with the model's output impedance."""

SMALL_MOVE = 0.25
"""Maximum displacement of an output with ``"auto"``, as a fraction of the element's voltage scale."""


@dataclass(frozen=True, eq=False)
class Nudge(ABC):
    """Kind and strength of a nudge, which moves outputs against their error.

    With the strength ``"auto"``, each sample gets the largest nudge within the limits. Samples whose error is too
    small to resolve, or that have no headroom, are skipped. If the displacement depends on the output impedance,
    it is predicted by the model (`bound`) with the safety factor `MODEL_HEADROOM`.
    """

    strength: Strength = "auto"
    impedance: FloatArray | None = field(default=None, repr=False, kw_only=True)
    max_move_V: float = field(default=math.inf, repr=False, kw_only=True)

    kind: ClassVar[DriveKind]

    def __post_init__(self) -> None:
        if self.strength != "auto" and not is_positive(self.strength):
            raise NetworkError(f"nudge strength must be positive and finite, or 'auto'; got {self.strength!r}")

    def bound(self, impedance: FloatArray, scale_V: float = math.inf) -> Self:
        """Return the same nudge bound to a model.

        Parameters
        ----------
        impedance : ndarray, shape (n_out, n_out), or (S, n_out, n_out)
            Output impedance in ohm, one for all samples or one for each.
        scale_V : float
            Voltage scale of the elements in volts (`Kirchhoff.scale_V`), over which their slope changes. A nudge
            of strength ``"auto"`` moves no output by more than a quarter of it. At this limit the contrast
            deviates by about one percent.
        """
        return replace(self, impedance=impedance, max_move_V=SMALL_MOVE * scale_V)

    def rows(self, chosen: BoolArray) -> Self:
        """Return the same nudge for the chosen samples (S,)."""
        Z = self.impedance
        return self if Z is None or Z.ndim == 2 else replace(self, impedance=Z[chosen])

    @property
    @abstractmethod
    def needs_impedance(self) -> bool:
        """Whether the nudge needs the model's output impedance."""

    @abstractmethod
    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the drive for free outputs (S, n_out), errors (S, n_out) and signed strengths (S,)."""

    @abstractmethod
    def _max_strength(self, headroom: Headroom, free: FloatArray, error: FloatArray) -> FloatArray:
        """Return the maximum strength (S,) within the headroom for both signs."""

    def strengths(
        self,
        headroom: Headroom,
        free: FloatArray,
        error: FloatArray,
        least_error: float = 0.0,
        resolution: float = 0.0,
    ) -> FloatArray:
        """Choose the strength of each sample.

        Parameters
        ----------
        headroom : Headroom
            Limits and inputs of the samples.
        free, error : ndarray, shape (S, n_out)
            Measured free outputs in volts, and dC/dV_out.
        least_error : float
            ``"auto"`` skips samples whose largest absolute error does not exceed it.
        resolution : float
            Reading resolution in volts. A nudge that moves every output by less is skipped.

        Returns
        -------
        ndarray, shape (S,)
            Strengths; zero marks a skipped sample.

        Raises
        ------
        LimitError
            If a fixed strength would move an output by more than ``limits.nudge``.
        NetworkError
            If the nudge needs the model's output impedance and is not bound to a model.
        """
        if self.needs_impedance and self.impedance is None:
            raise NetworkError(
                f"{type(self).__name__} with strength {self.strength!r} needs the output impedance of a "
                "model; give the trainer a model, or call nudge.bound(model.output_impedance())"
            )
        size = np.abs(error).max(axis=1)
        if self.strength != "auto":
            chosen = np.where(size > 0, self.strength, 0.0)
            headroom.limits.check_nudge(headroom.topology, self._known_displacement(error) * chosen[:, None])
            return chosen
        most = np.maximum(self._max_strength(headroom, free, error), 0.0)
        chosen = np.where((size > least_error) & np.isfinite(most), most, 0.0)
        moved = chosen * self._displacement(error).max(axis=1)
        return np.where(moved > resolution, chosen, 0.0)

    def _max_move(self, headroom: Headroom) -> float:
        """Return the maximum displacement of an output in volts."""
        return min(headroom.limits.nudge, self.max_move_V)

    def _displacement(self, error: FloatArray) -> FloatArray:
        """Return the volts (S, n_out) by which a unit strength moves the outputs, as far as the model knows."""
        return self._known_displacement(error)

    def _known_displacement(self, error: FloatArray) -> FloatArray:
        """Return the displacement that does not depend on the network's impedance."""
        return np.zeros_like(error)


def is_positive(value: object) -> bool:
    """Return whether a value is a positive, finite number."""
    return not isinstance(value, bool) and isinstance(value, Real) and 0 < float(value) < math.inf
