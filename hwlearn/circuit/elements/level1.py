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
    beta : ndarray, shape (K,) or (1,)
        ``KP W / L`` in A/V^2.
    vto : ndarray
        Threshold in volts with the body at the source.
    gamma, phi, lambda_ : ndarray
        Body effect in V^0.5, surface potential in volts, channel-length modulation in 1/V.
    """

    beta: FloatArray
    vto: FloatArray
    gamma: FloatArray
    phi: FloatArray
    lambda_: FloatArray

    def currents(
        self, gate: FloatArray, drain: FloatArray, source: FloatArray, body: FloatArray | float
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return the current from drain to source, and its derivatives by gate, drain, source and body.

        All voltages are against ground. Where the drain is below the source, they change places.
        """
        reverses = drain < source
        low = np.minimum(drain, source)
        across = np.abs(drain - source)
        bias = body - low
        root = np.sqrt(self.phi)
        arg = np.sqrt(self.phi - np.minimum(bias, 0.0))
        by_body = self.gamma / (2 * arg)  # minus d(threshold)/d(bias)
        forward = bias > 0
        if forward.any():
            line = np.maximum(root - bias / (2 * root), 0.0)
            arg = np.where(forward, line, arg)
            by_body = np.where(forward, self.gamma / (2 * root) * (line > 0), by_body)
        above = np.maximum(gate - low - self.vto - self.gamma * (arg - root), 0.0)
        inside = np.minimum(above, across)
        gain = self.beta * (1 + self.lambda_ * across)
        shape = inside * (above - 0.5 * inside)
        current = gain * shape
        gm = gain * inside
        gds = gain * (above - inside) + self.beta * self.lambda_ * shape
        at_body = gm * by_body
        at_low = gds + gm + at_body
        if not reverses.any():
            return current, gm, gds, -at_low, at_body
        sign = np.where(reverses, -1.0, 1.0)
        by_drain = np.where(reverses, at_low, gds)
        by_source = -np.where(reverses, gds, at_low)
        return sign * current, sign * gm, by_drain, by_source, sign * at_body
