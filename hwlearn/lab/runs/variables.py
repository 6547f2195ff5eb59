"""What a run stores: units and dimensions of its arrays by name, and what the values of its edges are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from hwlearn.arrays import IntArray
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE, Parameter
from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits


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
    "contrast": Variable("V^2", ("sample", "edge"), "contrast that circuits at the edges have measured"),
    "gradient": Variable("cost/S", ("edge",), "measured gradient of the cost, mean over the batch"),
    "requested": Variable("S", ("edge",), "unquantised target values of the edges"),
    "reached": Variable("S", ("edge",), "values of the edges that the hardware reported"),
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
    "saturated": Variable("1", ("sample", "output"), "readings at an end of the converter's range"),
}


def variable(name: str, unit: str = "S") -> Variable:
    """Return the meaning of an array of a run whose edges have values in this unit.

    Examples
    --------
    >>> variable("plus_output_currents").unit, variable("gradient", "V").unit
    ('A', 'cost/V')
    """
    if name in ("requested", "reached"):
        return replace(_KNOWN[name], unit=unit)
    if name == "gradient":
        return replace(_KNOWN[name], unit=", ".join(f"cost/{one}" for one in unit.split(", ")))
    if name in _KNOWN:
        return _KNOWN[name]
    found = re.fullmatch(r"(?P<phase>[a-z]+\d*)_(?P<reading>voltages|output_currents|nodes|saturated)", name)
    if found is None:
        return Variable("", (), "state of the optimizer or of the network, from which a training continues")
    reading = _READINGS[found["reading"]]
    return Variable(reading.unit, reading.dimensions, f"{reading.description} in phase {found['phase']}")


@dataclass(frozen=True, eq=False, slots=True)
class ValuesOfRun:
    """One kind of value that a run has trained.

    Attributes
    ----------
    parameter : Parameter
        Its range is that of the limits of the run.
    edges : ndarray of int, or None
        The edges that have it; None: all of them.
    """

    parameter: Parameter
    edges: IntArray | None

    @property
    def label(self) -> str:
        """Name with the unit, for axes and tables."""
        return f"{self.parameter.name} ({self.parameter.unit})"


def value_facts(topology: Topology, limits: Limits) -> list[dict[str, Any]]:
    """Return the facts of the values of a network within its limits."""
    facts = []
    for parameter, edges in topology.parameters:
        low, high = limits.range_of(parameter)
        listed = None if len(edges) == topology.n_edges else edges.tolist()
        ends = {"low": low, "high": high, "edges": listed}
        facts.append({"name": parameter.name, "unit": parameter.unit, "scale": parameter.scale, **ends})
    return facts


def stored_values(facts: Mapping[str, Any]) -> tuple[ValuesOfRun, ...]:
    """Return the values that the facts of a run describe; conductances for runs of earlier versions."""
    found = facts.get("values")
    if found is None:
        low, high = facts["limits"]["conductance_S"]
        found = [{"name": CONDUCTANCE.name, "unit": "S", "scale": "log", "low": low, "high": high, "edges": None}]
    return tuple(
        ValuesOfRun(
            Parameter(one["name"], one["unit"], float(one["low"]), float(one["high"]), one["scale"]),
            None if one["edges"] is None else np.array(one["edges"], dtype=np.int64),
        )
        for one in found
    )


def unit_of_values(facts: Sequence[Mapping[str, Any]] | None) -> str:
    """Return the unit of the stored arrays of values; several, joined by commas, for a mixed network.

    Examples
    --------
    >>> unit_of_values([{"unit": "S"}, {"unit": "V"}]), unit_of_values(None)
    ('S, V', 'S')
    """
    return ", ".join(dict.fromkeys(str(one["unit"]) for one in facts or ())) or CONDUCTANCE.unit
