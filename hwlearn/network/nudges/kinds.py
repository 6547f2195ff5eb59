"""The nudges of generalised equilibrium propagation (GEP).

A nudge pushes a current I into the output nodes, proportional to ``Z^-(k-1) e`` with the output impedance Z and
the error e. Order k = 1 is Equilibrium Propagation (a current source), k = 2 is Coupled Learning (an ideal clamp),
and a resistor nudge lies between them. Current sources and clamps can also nudge with any other order.
Sources: arXiv:2602.03546; Scellier & Bengio 2017 (EP); Stern, Hexner, Rocks & Liu 2021 (CL).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import NetworkError
from hwlearn.network.headroom import Headroom
from hwlearn.network.nudges.algebra import impedance_power, known, ratio, smallest, solved, times
from hwlearn.network.nudges.drive import DriveKind, OutputDrive
from hwlearn.network.nudges.nudge import MODEL_HEADROOM, Nudge, is_positive
from hwlearn.units import is_number


@dataclass(frozen=True, eq=False)
class CurrentNudge(Nudge):
    """Nudge of Equilibrium Propagation: a current source pushes ``I = -beta e`` into each output.

    The strength is beta, in siemens for an error e in volts. The contrast divided by beta is the exact gradient of
    the cost.

    Parameters
    ----------
    order : float
        Order k of another current, ``-beta Z^-(k-1) e`` with the model's Z; beta then has the unit S^(2-k). The
        contrast gives the gradient with e replaced by ``Z^-(k-1) e``: for k = 2 that of Coupled Learning.
    """

    order: float = field(default=1.0, kw_only=True)

    kind: ClassVar[DriveKind] = "current"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_order(self.order)

    @property
    def needs_impedance(self) -> bool:
        """True for ``"auto"``, since the displacement depends on the network, and for orders other than 1."""
        return self.strength == "auto" or self.order != 1

    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the current drive ``-beta Z^-(k-1) e``, of order 1 ``-beta e``."""
        return OutputDrive("current", -strength[:, None] * self._current(error))

    def _current(self, error: FloatArray) -> FloatArray:
        return error if self.order == 1 else impedance_power(self.impedance, 1 - self.order, error)

    def _displacement(self, error: FloatArray) -> FloatArray:
        return np.abs(times(known(self.impedance), self._current(error)))

    def _max_strength(self, headroom: Headroom, free: FloatArray, error: FloatArray) -> FloatArray:
        displacement = MODEL_HEADROOM * self._displacement(error)
        return smallest(
            ratio(headroom.limits.current, np.abs(self._current(error))),
            ratio(self._max_move(headroom), displacement),
            ratio(headroom.outputs(free), displacement),
        )


@dataclass(frozen=True, eq=False)
class ClampNudge(Nudge):
    """Nudge of Coupled Learning: a voltage source holds each output at ``V_F - eta e``.

    The strength is eta and V_F is the free output. ``metric="impedance"`` holds the output at ``V_F - beta Z e``
    with the model's Z. This is the direction of Equilibrium Propagation and gives the exact gradient on hardware
    that can only clamp.

    Parameters
    ----------
    order : float
        Order k of another step, ``V_F - t Z^(2-k) e``: the voltages that `CurrentNudge` of this order reaches.
        Unless given 2, or 1 for ``metric="impedance"``.
    """

    metric: Literal["identity", "impedance"] = "identity"
    order: float = field(default=None, kw_only=True)  # type: ignore[assignment]  # None only until it is known

    kind: ClassVar[DriveKind] = "clamp"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric not in ("identity", "impedance"):
            raise NetworkError(f"clamp metric must be 'identity' or 'impedance', got {self.metric!r}")
        given: object = self.order
        if given is None:
            object.__setattr__(self, "order", 1.0 if self.metric == "impedance" else 2.0)
        _check_order(self.order)
        if self.metric == "impedance" and self.order != 1:
            raise NetworkError(f"metric='impedance' is order 1, and order={self.order:g} is given too; give one")

    @property
    def needs_impedance(self) -> bool:
        """True for ``metric="impedance"`` and for orders other than 2."""
        return self.metric == "impedance" or self.order != 2

    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the clamp voltages ``V_F - t Z^(2-k) e``, of order 2 ``V_F - eta e``."""
        return OutputDrive("clamp", free - strength[:, None] * self._step(error))

    def _step(self, error: FloatArray) -> FloatArray:
        if self.metric == "impedance":
            return times(known(self.impedance), error)
        return error if self.order == 2 else impedance_power(self.impedance, 2 - self.order, error)

    def _known_displacement(self, error: FloatArray) -> FloatArray:
        return np.abs(self._step(error))

    def _max_strength(self, headroom: Headroom, free: FloatArray, error: FloatArray) -> FloatArray:
        step = self._step(error)
        bounds = [ratio(self._max_move(headroom), np.abs(step)), ratio(headroom.outputs(free), np.abs(step))]
        if self.impedance is not None:
            current = error if self.metric == "impedance" else solved(self.impedance, step)
            bounds.append(ratio(headroom.limits.current, MODEL_HEADROOM * np.abs(current)))
        return smallest(*bounds)


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
        if not is_positive(self.kappa):
            raise NetworkError(f"nudge conductance kappa must be positive and finite, got {self.kappa!r} S")

    @property
    def needs_impedance(self) -> bool:
        """True for ``"auto"``: the displacement of the node depends on the network."""
        return self.strength == "auto"

    def drive(self, free: FloatArray, error: FloatArray, strength: FloatArray) -> OutputDrive:
        """Return the resistor drive with the DAC at ``V_F - eta e``."""
        return OutputDrive.resistor(free - strength[:, None] * error, self.kappa)

    def _displacement(self, error: FloatArray) -> FloatArray:
        Z = known(self.impedance)
        return np.abs(times(Z, solved(np.eye(Z.shape[-1]) / self.kappa + Z, error)))

    def _max_strength(self, headroom: Headroom, free: FloatArray, error: FloatArray) -> FloatArray:
        size = np.abs(error)
        return smallest(
            ratio(self._max_move(headroom), MODEL_HEADROOM * self._displacement(error)),
            ratio(headroom.outputs(free), size),
            ratio(headroom.dacs(free, self.kappa), size),
        )


def _check_order(order: object) -> None:
    if not is_number(order):
        raise NetworkError(
            f"the order of a nudge must be a finite number, such as 1 (EP) or 2 (CL), got {order!r}"
        )
