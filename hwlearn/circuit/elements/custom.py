"""Elements that a user defines by functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements.element import Element
from hwlearn.circuit.elements.numbers import plain_number, shown
from hwlearn.circuit.elements.quadrature import integral_from_zero
from hwlearn.errors import CircuitError

OfDrop = Callable[[FloatArray, FloatArray], FloatArray]
"""Drops in volts and thetas in siemens, of the same shape -> a value for each."""


@dataclass(frozen=True)
class Custom(Element):
    """An element that a user defines by functions of drops and thetas (arrays of the same shape).

    Parameters
    ----------
    law : callable
        Current in amperes; it must increase with the drop.
    law_dv, law_dtheta : callable
        Its derivatives with respect to the drop (never negative) and theta.
    law_cocontent : callable, optional
        d(co-content)/d(theta), the integral of ``law_dtheta`` from 0 to v; by quadrature unless given.
    scale : float
        Volts over which the slope changes; nudges of strength ``"auto"`` stay far below it.
    name : str
        Name in messages; part of the fingerprint of a topology.
    expression : callable, optional
        ``(across, theta) -> str``, the current as a SPICE expression.

    Raises
    ------
    CircuitError
        If a law is no function, the scale is not positive, or the name is no text.

    Examples
    --------
    >>> cubic = Custom(
    ...     lambda v, t: t * (v + v**3), lambda v, t: t * (1 + 3 * v**2), lambda v, t: v + v**3, name="cubic"
    ... )
    >>> cubic.cocontent(np.array([1.0]), np.array([1e-3])).round(12)
    array([0.75])
    """

    law: OfDrop
    law_dv: OfDrop
    law_dtheta: OfDrop
    law_cocontent: OfDrop | None = None
    scale: float = math.inf
    name: str = "custom"
    expression: Callable[[str, float], str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise CircuitError(f"a Custom element has name = {shown(self.name)}; it must be text")
        for what in ("law", "law_dv", "law_dtheta", "law_cocontent", "expression"):
            given = getattr(self, what)
            if not callable(given) and (given is not None or what in ("law", "law_dv", "law_dtheta")):
                raise CircuitError(f"the element {self.name!r} has {what} = {shown(given)}; it must be a function")
        number = plain_number(self.scale)
        if not number > 0:
            raise CircuitError(
                f"the element {self.name!r} has scale = {shown(self.scale)}; it must be positive volts"
            )
        object.__setattr__(self, "scale", number)

    def __repr__(self) -> str:
        return f"Custom({self.name!r}, scale={self.scale!r})"

    @property
    def scale_V(self) -> float:
        """Volts over which the slope changes, as given."""
        return self.scale

    def current(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return ``law(v, theta)``."""
        return self._called("current", self.law, v, theta)

    def slope(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return ``law_dv(v, theta)``.

        Raises
        ------
        CircuitError
            If it is negative: the circuit could have more than one steady state.
        """
        slope = self._called("d/dv", self.law_dv, v, theta)
        if (slope < 0).any():
            at = float(v[slope < 0][0])
            raise CircuitError(
                f"the element {self.name!r} has a negative slope at {at:g} V; "
                "its current must increase with the drop"
            )
        return slope

    def sensitivity(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return ``law_dtheta(v, theta)``."""
        return self._called("d/dtheta", self.law_dtheta, v, theta)

    def cocontent(self, v: FloatArray, theta: FloatArray) -> FloatArray:
        """Return ``law_cocontent(v, theta)``, or the integral of ``law_dtheta`` if it is not given."""
        if self.law_cocontent is not None:
            return self._called("d(co-content)/dtheta", self.law_cocontent, v, theta)
        return integral_from_zero(self.sensitivity, v, theta, self.name)

    def spice(self, across: str, theta: float) -> str | None:
        """Return ``expression(across, theta)``; None if it is not given."""
        return None if self.expression is None else self.expression(across, theta)

    def _called(self, what: str, law: OfDrop, v: FloatArray, theta: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            values = np.asarray(law(v, np.broadcast_to(theta, v.shape)), dtype=np.float64)
        if values.shape != v.shape:
            raise CircuitError(
                f"{what} of the element {self.name!r} returned shape {values.shape} for drops of shape {v.shape}; "
                "it must return one value for each drop"
            )
        if not np.isfinite(values).all():
            at = float(v[~np.isfinite(values)][0])
            raise CircuitError(f"{what} of the element {self.name!r} is not finite at a drop of {at:g} V")
        return values
