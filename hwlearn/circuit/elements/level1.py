"""The channel current of a SPICE level 1 MOSFET (Shichman and Hodges), with its derivatives.

Sources: docs/elements.md; the equations are those of ngspice's level 1, body effect included. Where the body is
forward biased, the square root of the body effect continues as a straight line, as there; its derivative here is
that of the line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Channel:
    """Strength, threshold, body effect and channel-length modulation of an n-channel transistor.

    Attributes
    ----------
    beta : float or ndarray, shape (K,)
        ``KP W / L`` in A/V^2.
    vto : float or ndarray, shape (K,)
        Threshold in volts with the body at the source.
    gamma, phi, lambda_ : float
        Body effect in V^0.5, surface potential in volts, channel-length modulation in 1/V.
    """

    beta: float | FloatArray
    vto: float | FloatArray
    gamma: float
    phi: float
    lambda_: float

    def currents(
        self, gate: FloatArray, drain: FloatArray, source: FloatArray, body: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return the current from drain to source, and its derivatives by gate, drain, source and body.

        All voltages are against ground, with one shape. Where the drain is below the source, they change places.
        """
        forward = drain >= source
        low = np.where(forward, source, drain)
        across = np.abs(drain - source)
        bias = body - low
        root = np.sqrt(self.phi)
        arg = np.sqrt(self.phi - np.minimum(bias, 0.0))
        line = root - bias / (2 * root)
        reverse = bias <= 0
        arg = np.where(reverse, arg, np.maximum(line, 0.0))
        by_body = self.gamma / (2 * np.where(reverse, arg, root)) * (arg > 0)  # minus d(threshold)/d(bias)
        above = np.maximum(gate - low - self.vto - self.gamma * (arg - root), 0.0)
        inside = np.minimum(above, across)
        gain = self.beta * (1 + self.lambda_ * across)
        shape = inside * (above - 0.5 * inside)
        current = gain * shape
        gm = gain * inside
        gds = gain * (above - inside) + self.beta * self.lambda_ * shape
        at_low = -gds - gm * (1 + by_body)
        at_body = gm * by_body
        sign = np.where(forward, 1.0, -1.0)
        return (
            sign * current,
            sign * gm,
            np.where(forward, gds, -at_low),
            np.where(forward, at_low, -gds),
            sign * at_body,
        )
