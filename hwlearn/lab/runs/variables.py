"""Units and dimensions of the arrays that a run stores, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Variable:
    """Meaning of an array.

    Attributes
    ----------
    unit : str
        SI unit; ``"1"`` for numbers and truth values, ``"cost"`` for the unit of the cost function: V² for mean
        squared error and 1 for the costs of classes. Empty if only the program that wrote it knows.
    dimensions : tuple of str
        Name of each axis.
    description : str
    """

    unit: str
    dimensions: tuple[str, ...]
    description: str


_KNOWN: Final[Mapping[str, Variable]] = {
    "samples": Variable("1", ("sample",), "rows of the training set that were measured"),
    "outputs": Variable("V", ("sample", "output"), "measured free outputs, by which the batch is scored"),
    "costs": Variable("cost", ("sample",), "cost at the measured free outputs"),
    "error": Variable("cost/V", ("sample", "output"), "derivative of the cost with respect to the outputs"),
    "strength": Variable("", ("sample",), "applied strength of the nudge; 0 for a skipped sample"),
    "gradient": Variable("cost/S", ("edge",), "measured gradient of the cost, mean over the batch"),
    "requested": Variable("S", ("edge",), "unquantised target conductances"),
    "reached": Variable("S", ("edge",), "conductances that the hardware reported"),
    "failed": Variable("1", ("edge",), "edges that are known to have missed their targets"),
    "measurements": Variable("1", ("count",), "samples measured in the training, and in its present epoch"),
    "edges": Variable("1", ("edge", "end"), "nodes of each programmable edge"),
    "inputs": Variable("1", ("input",), "nodes held by sources"),
    "output_nodes": Variable("1", ("output",), "nodes that are read"),
    "fixed_edges": Variable("1", ("fixed_edge", "end"), "nodes of each fixed edge"),
    "fixed_conductances": Variable("S", ("fixed_edge",), "conductances of the fixed edges"),
}

_READINGS: Final[Mapping[str, Variable]] = {
    "voltages": Variable("V", ("sample", "output"), "measured outputs"),
    "output_currents": Variable("A", ("sample", "output"), "currents into the outputs"),
    "nodes": Variable("V", ("sample", "node"), "measured node voltages"),
}


def variable(name: str) -> Variable:
    """Return the meaning of an array.

    Examples
    --------
    >>> variable("plus_output_currents").unit
    'A'
    """
    if name in _KNOWN:
        return _KNOWN[name]
    found = re.fullmatch(r"(?P<phase>[a-z]+\d*)_(?P<reading>voltages|output_currents|nodes)", name)
    if found is None:
        return Variable("", (), "state of the optimizer or of the network, from which a training continues")
    reading = _READINGS[found["reading"]]
    return Variable(reading.unit, reading.dimensions, f"{reading.description} in phase {found['phase']}")
