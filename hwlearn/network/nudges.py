"""What may be done to the outputs: output drives, and the family of nudges of GEP.

A nudge pushes a current I into the output nodes, proportional to ``Z^-(k-1) e``: order k = 1 is Equilibrium
Propagation (a current source), k = 2 is Coupled Learning (an ideal clamp), a resistor lies between.
Source: arXiv:2602.03546; Scellier & Bengio 2017 (EP); Stern, Hexner, Rocks & Liu 2021 (CL).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError, NetworkError
from hwlearn.network.limits import Limits

DriveKind = Literal["clamp", "current", "resistor"]
Strength = float | Literal["auto"]

MODEL_HEADROOM = 2.0
"""Safety factor wherever a reach is predicted with the model's output impedance rather than known."""

SMALL_MOVE = 0.25
"""Most that ``"auto"`` moves an output, as a fraction of the volts over which an element's slope changes."""


@dataclass(frozen=True, eq=False, slots=True)
class OutputDrive:
    """What sources at the outputs do during one phase; make it with `clamp`, `current` or `resistor`.

    Attributes
    ----------
    kind : "clamp", "current" or "resistor"
    values : ndarray, shape (S, n_out)
        Volts (clamp, resistor) or amperes (current); NaN leaves that output floating.
    siemens : ndarray, shape (n_out,), or None
        The known conductance between DAC and node (resistor only).
    """

    kind: DriveKind
    values: FloatArray
    siemens: FloatArray | None = None

    @classmethod
    def clamp(cls, volts: ArrayLike) -> Self:
        """Hold outputs at ``volts`` (S, n_out) with an ideal voltage source."""
        return cls("clamp", _drive_values(volts))

    @classmethod
    def current(cls, amperes: ArrayLike) -> Self:
        """Push ``amperes`` (S, n_out) into the outputs."""
        return cls("current", _drive_values(amperes))

    @classmethod
    def resistor(cls, volts: ArrayLike, siemens: ArrayLike) -> Self:
        """Drive outputs from ``volts`` (S, n_out) behind known conductances ``siemens``, scalar or (n_out,).

        Raises
        ------
        NetworkError
            If a conductance is not positive and finite.
        """
        values = _drive_values(volts)
        kappa = np.broadcast_to(np.asarray(siemens, dtype=np.float64), values.shape[1:]).copy()
        if not (np.isfinite(kappa).all() and (kappa > 0).all()):
            raise NetworkError(f"nudge conductance must be positive and finite, got {siemens!r} S")
        return cls("resistor", values, kappa)

    def rows(self, chosen: BoolArray | IntArray) -> Self:
        """Return the drive of the chosen samples."""
        return replace(self, values=self.values[chosen])

    def then(self, other: OutputDrive) -> Self:
        """Return this drive followed by another of the same kind, one batch after the other."""
        return replace(self, values=np.concatenate([self.values, other.values]))

    def check(self, topology: Topology, limits: Limits, inputs: FloatArray) -> None:
        """Refuse the drive, together with the inputs (S, n_in), if it leaves the limits.

        Raises
        ------
        LimitError
            Naming node, sample, value and limit. For a resistor the current is bounded by the largest
            voltage to any driven terminal, across kappa in series with all that may hang on the node.
        """
        if np.isinf(self.values).any():
            raise LimitError("an output drive is infinite; nothing was applied")
        if self.kind == "current":
            limits.check_terminals(topology, inputs)
            limits.check_currents(topology, topology.outputs, self.values)
            return
        limits.check_terminals(topology, inputs, self.values)
        if self.siemens is not None:
            low, high = _terminal_span(topology, inputs)
            through = _most_conductance(topology, limits, self.siemens)
            worst = np.maximum(np.abs(self.values - low), np.abs(self.values - high)) * through
            limits.check_currents(topology, topology.outputs, worst)


@dataclass(frozen=True, eq=False)
class Nudge(ABC):
    """One way of pushing outputs against their error, and how strongly.

    A strength of ``"auto"`` takes, for each sample, the largest nudge that the limits allow; samples whose
    error lies below what a reading can resolve, or that have no headroom, are skipped. Where the reach
    depends on the output impedance it comes from the model (`bound`) with a factor `MODEL_HEADROOM` in hand.
    """

    strength: Strength = "auto"
    impedance: FloatArray | None = field(default=None, repr=False, kw_only=True)
    most_move_V: float = field(default=math.inf, repr=False, kw_only=True)

    kind: ClassVar[DriveKind]

    def __post_init__(self) -> None:
        if self.strength != "auto" and not (np.isfinite(self.strength) and self.strength > 0):
            raise NetworkError(f"nudge strength must be positive and finite, or 'auto'; got {self.strength!r}")

    def bound(self, impedance: FloatArray, scale_V: float = math.inf) -> Self:
        """Return the same nudge knowing the model.

        Parameters
        ----------
        impedance : ndarray, shape (n_out, n_out), or (S, n_out, n_out)
            Output impedance in ohm, one for all samples or one for each.
        scale_V : float
            Volts over which the slope of an element changes (`Kirchhoff.scale_V`). A nudge of strength ``"auto"``
            moves no output by more than a quarter of it: there the contrast is off by about a percent.
        """
        return replace(self, impedance=impedance, most_move_V=SMALL_MOVE * scale_V)

    def rows(self, chosen: BoolArray) -> Self:
        """Return the same nudge for the chosen samples (S,)."""
        Z = self.impedance
        return self if Z is None or Z.ndim == 2 else replace(self, impedance=Z[chosen])

    @property
    @abstractmethod
    def needs_impedance(self) -> bool:
        """Whether the nudge cannot be made without the model's output impedance."""

    @abstractmethod
    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the drive for free outputs (S, n_out), errors (S, n_out) and signed strengths (S,)."""

    @abstractmethod
    def _most(self, room: _Room, free: FloatArray, error: FloatArray) -> FloatArray:
        """Return the largest strength (S,) that stays in the room, both signs."""

    def strengths(
        self,
        topology: Topology,
        limits: Limits,
        inputs: FloatArray,
        free: FloatArray,
        error: FloatArray,
        least_error: float = 0.0,
        resolution: float = 0.0,
    ) -> FloatArray:
        """Choose the strength of each sample.

        Parameters
        ----------
        inputs, free, error : ndarray
            Input volts (S, n_in), measured free outputs (S, n_out), dC/dV_out (S, n_out).
        least_error : float
            Samples whose largest |error| does not exceed it are skipped by ``"auto"``.
        resolution : float
            Reading resolution in volts; a nudge that could not move any output by this much is skipped.

        Returns
        -------
        ndarray, shape (S,)
            Strengths; zero marks a skipped sample.

        Raises
        ------
        LimitError
            If a *fixed* strength would move an output by more than ``limits.nudge``.
        NetworkError
            If the nudge needs the model's output impedance and was not bound to it.
        """
        if self.needs_impedance and self.impedance is None:
            raise NetworkError(
                f"{type(self).__name__} with strength {self.strength!r} needs the output impedance of a "
                "model; give the trainer a model, or call nudge.bound(model.output_impedance())"
            )
        size = np.abs(error).max(axis=1)
        if self.strength != "auto":
            chosen = np.where(size > 0, self.strength, 0.0)
            limits.check_nudge(topology, self._known_reach(error) * chosen[:, None])
            return chosen
        room = _Room(topology, limits, inputs, min(limits.nudge, self.most_move_V))
        most = np.maximum(self._most(room, free, error), 0.0)
        chosen = np.where((size > least_error) & np.isfinite(most), most, 0.0)
        moved = chosen * self._reach(error).max(axis=1)
        return np.where(moved > resolution, chosen, 0.0)

    def _reach(self, error: FloatArray) -> FloatArray:
        """Return by how many volts (S, n_out) a unit strength moves the outputs, as far as is known."""
        return self._known_reach(error)

    def _known_reach(self, error: FloatArray) -> FloatArray:
        """Return the part of the reach that holds whatever the network's true impedance is."""
        return np.zeros_like(error)


@dataclass(frozen=True, eq=False)
class CurrentNudge(Nudge):
    """Equilibrium Propagation: a current source pushes ``I = -beta e`` into each output (strength = beta).

    With e in volts beta is in siemens. The contrast divided by beta is the exact gradient of the cost.
    """

    kind: ClassVar[DriveKind] = "current"

    @property
    def needs_impedance(self) -> bool:
        """Only ``"auto"`` needs it: how far a current moves a node depends on the network."""
        return self.strength == "auto"

    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the current drive ``-beta e``."""
        return OutputDrive("current", -strength[:, None] * error)

    def _reach(self, error: FloatArray) -> FloatArray:
        return np.abs(_times(_known(self.impedance), error))

    def _most(self, room: _Room, free: FloatArray, error: FloatArray) -> FloatArray:
        reach = MODEL_HEADROOM * self._reach(error)
        return room.least(
            _ratio(room.limits.current, np.abs(error)),
            _ratio(room.nudge, reach),
            _ratio(room.beyond(free), reach),
        )


@dataclass(frozen=True, eq=False)
class ClampNudge(Nudge):
    """Coupled Learning: a voltage source holds each output at ``V_F - eta e`` (strength = eta).

    ``metric="impedance"`` holds it at ``V_F - beta Z e`` with the model's Z instead: the direction of EP, and
    with it the exact gradient, on hardware that can only clamp.
    """

    metric: Literal["identity", "impedance"] = "identity"

    kind: ClassVar[DriveKind] = "clamp"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric not in ("identity", "impedance"):
            raise NetworkError(f"clamp metric must be 'identity' or 'impedance', got {self.metric!r}")

    @property
    def needs_impedance(self) -> bool:
        """Only ``metric="impedance"`` needs it."""
        return self.metric == "impedance"

    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the clamp ``V_F - eta e`` (or ``V_F - beta Z e``)."""
        return OutputDrive("clamp", free - strength[:, None] * self._step(error))

    def _step(self, error: FloatArray) -> FloatArray:
        return _times(_known(self.impedance), error) if self.metric == "impedance" else error

    def _known_reach(self, error: FloatArray) -> FloatArray:
        return np.abs(self._step(error))

    def _most(self, room: _Room, free: FloatArray, error: FloatArray) -> FloatArray:
        step = self._step(error)
        bounds = [_ratio(room.nudge, np.abs(step)), _ratio(room.beyond(free), np.abs(step))]
        if self.impedance is not None:
            current = error if self.metric == "impedance" else _solved(self.impedance, step)
            bounds.append(_ratio(room.limits.current, MODEL_HEADROOM * np.abs(current)))
        return room.least(*bounds)


@dataclass(frozen=True, eq=False)
class ResistorNudge(Nudge):
    """A DAC at ``V_F - eta e`` behind a known conductance kappa pulls each output (strength = eta).

    The current is ``-eta (1/kappa + Z)^-1 e``: kappa to zero is EP (times kappa), kappa to infinity is CL.
    Behind a finite kappa the node's own voltage tells something new, which an ideal clamp's does not.

    Parameters
    ----------
    kappa : float
        The nudge conductance in siemens.
    """

    kappa: float = 1e-4

    kind: ClassVar[DriveKind] = "resistor"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.kappa) and self.kappa > 0):
            raise NetworkError(f"nudge conductance kappa must be positive and finite, got {self.kappa!r} S")

    @property
    def needs_impedance(self) -> bool:
        """Only ``"auto"`` needs it: how far the node follows depends on the network."""
        return self.strength == "auto"

    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the resistor drive with the DAC at ``V_F - eta e``."""
        return OutputDrive.resistor(free - strength[:, None] * error, self.kappa)

    def _reach(self, error: FloatArray) -> FloatArray:
        Z = _known(self.impedance)
        return np.abs(_times(Z, _solved(np.eye(Z.shape[-1]) / self.kappa + Z, error)))

    def _most(self, room: _Room, free: FloatArray, error: FloatArray) -> FloatArray:
        size = np.abs(error)
        return room.least(
            _ratio(room.nudge, MODEL_HEADROOM * self._reach(error)),
            _ratio(room.beyond(free), size),
            _ratio(room.within(free, room.limits.current / room.most_conductance(self.kappa)), size),
        )


class _Room:
    """The space that limits and inputs leave around the free outputs of each sample."""

    def __init__(self, topology: Topology, limits: Limits, inputs: FloatArray, nudge: float) -> None:
        self.limits, self.nudge = limits, nudge
        self._topology = topology
        self.low, self.high = _terminal_span(topology, inputs)

    def beyond(self, free: FloatArray) -> FloatArray:
        """Return by how many volts (S, n_out) each output may move either way within voltage and drop."""
        # a window as wide as the drop limit, centred on the inputs, bounds every pair of terminals at once
        centre, half = 0.5 * (self.low + self.high), 0.5 * self.limits.drop
        low = np.maximum(centre - half, -self.limits.voltage)
        high = np.minimum(centre + half, self.limits.voltage)
        return np.minimum(free - low, high - free)

    def most_conductance(self, kappa: float) -> FloatArray:
        """Return the largest conductance (n_out,) from a DAC behind kappa to the sources."""
        return _most_conductance(self._topology, self.limits, np.full(self._topology.n_outputs, kappa))

    def within(self, free: FloatArray, span: FloatArray) -> FloatArray:
        """Return by how many volts a terminal may move from ``free`` and stay within span of every source."""
        return np.minimum(free - (self.high - span), (self.low + span) - free)

    @staticmethod
    def least(*bounds: FloatArray) -> FloatArray:
        """Return the tightest bound (S,) over all outputs and all bounds."""
        return np.asarray(np.min([bound.min(axis=1) for bound in bounds], axis=0))


def _terminal_span(topology: Topology, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return lowest and highest driven input of each sample, (S, 1) each, ground included."""
    low, high = inputs.min(axis=1, keepdims=True), inputs.max(axis=1, keepdims=True)
    if topology.ground is not None:
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    return low, high


def _most_conductance(topology: Topology, limits: Limits, kappa: FloatArray) -> FloatArray:
    """Return kappa (n_out,) in series with the most that the edges at each output can conduct."""
    edges = np.bincount(topology.edges.ravel(), minlength=topology.n_nodes) * limits.conductance[1]
    a, b = topology.fixed_edges.T
    for end in (a, b):
        edges = edges + np.bincount(end, topology.fixed_conductances, minlength=topology.n_nodes)
    at_node = edges[topology.outputs]
    return np.asarray(kappa * at_node / (kappa + at_node))


def _ratio(room: FloatArray | float, per_unit: FloatArray) -> FloatArray:
    """Return room / per_unit, infinite where nothing moves."""
    out = np.full(per_unit.shape, np.inf)
    with np.errstate(over="ignore"):
        return np.asarray(np.divide(room, per_unit, out=out, where=per_unit > 0))


def _known(impedance: FloatArray | None) -> FloatArray:
    if impedance is None:
        raise NetworkError("this nudge needs the output impedance of a model: call nudge.bound(Z)")
    return impedance


def _times(matrix: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return symmetric matrices, one for all or one for each sample, times vectors (S, n)."""
    return vectors @ matrix if matrix.ndim == 2 else np.einsum("sij,sj->si", matrix, vectors)


def _solved(matrix: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return what matrices, one for all or one for each sample, turn into vectors (S, n)."""
    if matrix.ndim == 2:
        return np.asarray(np.linalg.solve(matrix, vectors.T).T)
    return np.asarray(np.linalg.solve(matrix, vectors[:, :, None])[:, :, 0])


def _drive_values(values: ArrayLike) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    if array.ndim == 1:
        array = array[None, :]
    if array.ndim != 2:
        raise NetworkError(f"an output drive must have shape (samples, n_out), got {array.shape}")
    return array
