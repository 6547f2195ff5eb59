"""Checks of a network that a backend has opened, before anything is applied to it."""

from __future__ import annotations

import math
from typing import Final, get_args

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn.errors import BackendError
from hwlearn.network import gate
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.network.nudges import DriveKind
from hwlearn.units import ROUNDING

_DRIVES: Final = frozenset(get_args(DriveKind))
_PARTS: Final = {
    "n_nodes": "number of nodes",
    "edges": "list of edges",
    "inputs": "list of inputs",
    "outputs": "list of outputs",
    "ground": "ground node",
    "fixed_edges": "list of fixed edges",
    "fixed_conductances": "conductance of fixed edges or wires",
}


def check_opened(network: object, topology: Topology, limits: Limits) -> Network:
    """Return the network that a backend opened for a topology and limits; close and refuse an invalid one.

    Parameters
    ----------
    network : object
        What `Backend.open` returned.
    topology : Topology
        Graph of the bench.
    limits : Limits
        Hard limits of the bench. The network may have narrower ones, not wider ones.

    Raises
    ------
    TypeError
        If it is no `Network`.
    BackendError
        If it is closed, has another topology or wider limits, or has an invalid property. The network is closed.
    """
    if not isinstance(network, Network):
        raise TypeError(f"open() returned {gate.shown(network)}, which is no hwlearn.Network")
    try:
        _check(network, topology, limits)
    except BackendError as error:
        raise gate.closed(network, error) from None
    except Exception as error:  # a backend may raise anything
        raise gate.closed(network, gate.failure(network, error)) from error
    return network


def _check(network: Network, topology: Topology, limits: Limits) -> None:
    if network.closed:
        gate.refuse(network, "a network that is closed already")
    different = topology_difference(network.topology, topology)
    if different is not None:
        gate.refuse(
            network,
            f"{gate.shown(network.topology)} as its topology; it must be that of the bench, but the {different} "
            "is another",
        )
    gate.check_limits(network, "limits", network.limits, limits)
    for parameter, _ in topology.parameters:
        (low, high), (lowest, highest) = network.limits.range_of(parameter), limits.range_of(parameter)
        if not (low >= lowest - ROUNDING * abs(lowest) and high <= highest + ROUNDING * abs(highest)):
            ends = f"({low:g}, {high:g}), wider than ({lowest:g}, {highest:g})"
            gate.refuse(network, f"limits with {parameter.name} = {ends}")
    if not (isinstance(network.nudges, frozenset) and network.nudges <= _DRIVES):
        gate.refuse(network, f"nudges = {gate.shown(network.nudges)}; known are: {', '.join(sorted(_DRIVES))}")
    for name, least, optional in (("resolution", 0.0, False), ("settle_s", 0.0, True), ("dac_step_V", 0.0, True)):
        value = getattr(network, name)
        if not (optional and value is None) and not _is_number(value, least):
            gate.refuse(network, f"{name} = {gate.shown(value)}; it must be a finite number of at least 0")
    siemens = network.nudge_siemens
    if siemens is not None and not (
        isinstance(siemens, np.ndarray)
        and siemens.shape == (topology.n_outputs,)
        and siemens.dtype == np.float64
        and bool((siemens > 0).all() and np.isfinite(siemens).all())
    ):
        gate.refuse(
            network,
            f"nudge_siemens = {gate.shown(siemens)}; it must be None or ({topology.n_outputs},) positive numbers",
        )
    names = network.instruments
    if not (isinstance(names, tuple) and all(isinstance(name, str) for name in names)):
        gate.refuse(network, f"instruments = {gate.shown(names)}; it must be a tuple of str")


def topology_difference(given: object, topology: Topology) -> str | None:
    """Return which part of an object is not that of a topology, names of nodes aside; None for equal circuits."""
    if given is topology:
        return None
    if not isinstance(given, Topology):
        return "type"
    for name, part in _PARTS.items():
        if not np.array_equal(getattr(given, name), getattr(topology, name)):
            return part
    return None if _elements_text(given) == _elements_text(topology) else "list of elements"


def _elements_text(topology: Topology) -> str | None:
    return None if topology.elements is None else topology.elements.text()


def _is_number(value: object, least: float) -> bool:
    return (
        isinstance(value, float | int | np.floating)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and float(value) >= least
    )
