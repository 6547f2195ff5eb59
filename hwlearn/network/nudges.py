"""Output drives, and the nudges of generalised equilibrium propagation (GEP).

A nudge pushes a current I into the output nodes, proportional to ``Z^-(k-1) e`` with the output impedance Z and
the error e. Order k = 1 is Equilibrium Propagation (a current source), k = 2 is Coupled Learning (an ideal clamp),
and a resistor nudge lies between them.
Sources: arXiv:2602.03546; Scellier & Bengio 2017 (EP); Stern, Hexner, Rocks & Liu 2021 (CL).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError, NetworkError
from hwlearn.network.headroom import Headroom, driven_range, series_conductance
from hwlearn.network.limits import Limits

DriveKind = Literal["clamp", "current", "resistor"]
Strength = float | Literal["auto"]

MODEL_HEADROOM = 2.0
"""Safety factor where a displacement is predicted with the model's output impedance."""

SMALL_MOVE = 0.25
"""Maximum displacement of an output with ``"auto"``, as a fraction of the element's voltage scale."""


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
        if self.strength != "auto" and not _is_positive(self.strength):
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


@dataclass(frozen=True, eq=False)
class CurrentNudge(Nudge):
    """Nudge of Equilibrium Propagation: a current source pushes ``I = -beta e`` into each output.

    The strength is beta, in siemens for an error e in volts. The contrast divided by beta is the exact gradient of
    the cost.
    """

    kind: ClassVar[DriveKind] = "current"

    @property
    def needs_impedance(self) -> bool:
        """True for ``"auto"``: the displacement of a node by a current depends on the network."""
        return self.strength == "auto"

    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the current drive ``-beta e``."""
        return OutputDrive("current", -strength[:, None] * error)

    def _displacement(self, error: FloatArray) -> FloatArray:
        return np.abs(_times(_known(self.impedance), error))

    def _max_strength(self, headroom: Headroom, free: FloatArray, error: FloatArray) -> FloatArray:
        displacement = MODEL_HEADROOM * self._displacement(error)
        return _smallest(
            _ratio(headroom.limits.current, np.abs(error)),
            _ratio(self._max_move(headroom), displacement),
            _ratio(headroom.outputs(free), displacement),
        )


@dataclass(frozen=True, eq=False)
class ClampNudge(Nudge):
    """Nudge of Coupled Learning: a voltage source holds each output at ``V_F - eta e``.

    The strength is eta and V_F is the free output. ``metric="impedance"`` holds the output at ``V_F - beta Z e``
    with the model's Z. This is the direction of Equilibrium Propagation and gives the exact gradient on hardware
    that can only clamp.
    """

    metric: Literal["identity", "impedance"] = "identity"

    kind: ClassVar[DriveKind] = "clamp"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric not in ("identity", "impedance"):
            raise NetworkError(f"clamp metric must be 'identity' or 'impedance', got {self.metric!r}")

    @property
    def needs_impedance(self) -> bool:
        """True for ``metric="impedance"``."""
        return self.metric == "impedance"

    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the clamp voltages ``V_F - eta e``, with the metric "impedance" ``V_F - beta Z e``."""
        return OutputDrive("clamp", free - strength[:, None] * self._step(error))

    def _step(self, error: FloatArray) -> FloatArray:
        return _times(_known(self.impedance), error) if self.metric == "impedance" else error

    def _known_displacement(self, error: FloatArray) -> FloatArray:
        return np.abs(self._step(error))

    def _max_strength(self, headroom: Headroom, free: FloatArray, error: FloatArray) -> FloatArray:
        step = self._step(error)
        bounds = [_ratio(self._max_move(headroom), np.abs(step)), _ratio(headroom.outputs(free), np.abs(step))]
        if self.impedance is not None:
            current = error if self.metric == "impedance" else _solved(self.impedance, step)
            bounds.append(_ratio(headroom.limits.current, MODEL_HEADROOM * np.abs(current)))
        return _smallest(*bounds)


@dataclass(frozen=True, eq=False)
class ResistorNudge(Nudge):
    """Nudge by a DAC at ``V_F - eta e`` that drives each output through a known conductance kappa.

    The strength is eta and V_F is the free output. The current is ``-eta (1/kappa + Z)^-1 e``: the limit of small
    kappa is Equilibrium Propagation (times kappa), the limit of large kappa is Coupled Learning. With a finite
    kappa the nudged output voltage is additional information; with an ideal clamp it equals the setpoint.

    Parameters
    ----------
    kappa : float
        Nudge conductance in siemens.
    """

    kappa: float = 1e-4

    kind: ClassVar[DriveKind] = "resistor"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_positive(self.kappa):
            raise NetworkError(f"nudge conductance kappa must be positive and finite, got {self.kappa!r} S")

    @property
    def needs_impedance(self) -> bool:
        """True for ``"auto"``: the displacement of the node depends on the network."""
        return self.strength == "auto"

    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the resistor drive with the DAC at ``V_F - eta e``."""
        return OutputDrive.resistor(free - strength[:, None] * error, self.kappa)

    def _displacement(self, error: FloatArray) -> FloatArray:
        Z = _known(self.impedance)
        return np.abs(_times(Z, _solved(np.eye(Z.shape[-1]) / self.kappa + Z, error)))

    def _max_strength(self, headroom: Headroom, free: FloatArray, error: FloatArray) -> FloatArray:
        size = np.abs(error)
        return _smallest(
            _ratio(self._max_move(headroom), MODEL_HEADROOM * self._displacement(error)),
            _ratio(headroom.outputs(free), size),
            _ratio(headroom.dacs(free, self.kappa), size),
        )


def _smallest(*bounds: FloatArray) -> FloatArray:
    """Return the smallest value (S,) over all outputs and all bounds (S, n_out)."""
    return np.asarray(np.min([bound.min(axis=1) for bound in bounds], axis=0))


def _ratio(limit: FloatArray | float, per_unit: FloatArray) -> FloatArray:
    """Return limit / per_unit, infinite where per_unit is zero."""
    out = np.full(per_unit.shape, np.inf)
    with np.errstate(over="ignore"):
        return np.asarray(np.divide(limit, per_unit, out=out, where=per_unit > 0))


def _known(impedance: FloatArray | None) -> FloatArray:
    if impedance is None:
        raise NetworkError("this nudge needs the output impedance of a model: call nudge.bound(Z)")
    return impedance


def _times(matrix: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return the product of symmetric matrices, one for all samples or one for each, and vectors (S, n)."""
    return vectors @ matrix if matrix.ndim == 2 else np.einsum("sij,sj->si", matrix, vectors)


def _solved(matrix: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return x (S, n) with matrix x = vector; the matrix is one for all samples or one for each."""
    if matrix.ndim == 2:
        return np.asarray(np.linalg.solve(matrix, vectors.T).T)
    return np.asarray(np.linalg.solve(matrix, vectors[:, :, None])[:, :, 0])


def _is_positive(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and 0 < float(value) < math.inf


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
