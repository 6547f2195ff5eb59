"""`Varied`: edges that obey one law, each with parameters of its own, as devices of one kind do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.three_terminal import Parameter, Stamp, ThreeTerminal


class Varied(ThreeTerminal):
    """A law of three terminals whose parameters are arrays (K,), one number for each of its K edges in order.

    Made by `ThreeTerminal.varied`. A circuit has to use one object for exactly these edges.

    Parameters
    ----------
    law : ThreeTerminal
        Computes with the arrays.
    declared : ThreeTerminal
        The law without variation, for its name.
    parameters : mapping of str to ndarray, shape (K,)
        What differs; part of the identity of the element.
    """

    def __init__(self, law: ThreeTerminal, declared: ThreeTerminal, parameters: Mapping[str, FloatArray]) -> None:
        self._law, self._declared = law, declared
        digest = hashlib.sha256()
        for name in sorted(parameters):
            digest.update(name.encode() + np.ascontiguousarray(parameters[name]).tobytes())
        self._digest = digest.hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Varied({self._declared!r}, {self._digest})"

    @property
    def parameter(self) -> Parameter:
        """What is programmed and learned."""
        return self._law.parameter

    @property
    def n_inner(self) -> int:
        """Number of inner unknowns."""
        return self._law.n_inner

    @property
    def scale_V(self) -> float:
        """Volts over which the slope changes."""
        return self._law.scale_V

    @property
    def has_kinks(self) -> bool:
        """Whether the slope jumps somewhere."""
        return self._law.has_kinks

    def start(self, terminals: FloatArray) -> FloatArray:
        """Return the inner unknowns at which a search begins."""
        return self._law.start(terminals)

    def controls(self, volts: FloatArray) -> FloatArray:
        """Return the voltages across the exponential parts."""
        return self._law.controls(volts)

    def begun_at(self, controls: FloatArray) -> FloatArray:
        """Return where a search takes the exponential parts to have been before."""
        return self._law.begun_at(controls)

    def linearised_at(self, controls: FloatArray, before: FloatArray) -> FloatArray:
        """Return where the exponential parts are linearised next."""
        return self._law.linearised_at(controls, before)

    def stamp(self, volts: FloatArray, values: FloatArray, at: FloatArray) -> Stamp:
        """Return the currents."""
        return self._law.stamp(volts, values, at)

    def in_range(self, controls: FloatArray) -> BoolArray:
        """Return a mask of voltages within the range of the law."""
        return self._law.in_range(controls)

    def contrast(self, terminals: FloatArray, values: FloatArray) -> FloatArray:
        """Return what coupled learning compares between two phases."""
        return self._law.contrast(terminals, values)
