"""SPICE netlists of resistor networks: read one into a graph, write one that ngspice can run.

Two kinds of comment carry what SPICE has no word for, so that a network comes back as it was written:
``* hwlearn: node n1 "row 1"`` gives the nodes their order and names, and ``; 0.001 S, fixed`` after a resistor
its exact conductance, and that it is a fixed edge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.circuit.batches import batch
from hwlearn.circuit.elements.kinds import OHMIC, Element
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.spice.cards import GROUND, Cards, check_title
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, TopologyError

_SAFE: Final = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED: Final = {"gnd", "all", "allv", "alli", "ally"}


@dataclass(frozen=True, eq=False, slots=True)
class Netlist:
    """A netlist that was read.

    Attributes
    ----------
    topology : Topology
        The graph; node 0 (or gnd) is ``ground`` if a resistor touches it.
    conductances : ndarray, shape (E,)
        Siemens, in the order of the netlist.
    input_volts : ndarray, shape (n_in,)
        Volts of the sources; NaN at an input that has none.
    output_amperes : ndarray, shape (n_out,)
        Amperes that current sources push into the outputs.
    title : str
        The first line.
    """

    topology: Topology
    conductances: FloatArray
    input_volts: FloatArray
    output_amperes: FloatArray
    title: str


def parse(
    netlist: str | Path, inputs: Iterable[str] | None = None, outputs: Iterable[str] | None = None
) -> Netlist:
    """Read a SPICE netlist: R elements, DC sources to ground, and the lines that say what to print.

    Parameters
    ----------
    netlist : str or Path
        The text. A `Path`, or a string of a single line, is a file to read.
    inputs : iterable of str, optional
        Names of the driven nodes; unless given those with a V source, in their order.
    outputs : iterable of str, optional
        Names of the nodes to read; unless given those of ``.print``, ``.save`` and ``.probe``, in their
        order, that no source drives.

    Returns
    -------
    Netlist

    Raises
    ------
    TopologyError
        If the file cannot be read, a line is no part of a resistor network, or the graph is none.
    CircuitError
        If a value cannot be read or a resistance is not positive; the line is named.

    Examples
    --------
    >>> divider = parse('''a divider
    ... V1 in 0 DC 1.0
    ... R1 in mid 1k
    ... R2 mid 0 2kohm
    ... .print op v(mid)
    ... .end''')
    >>> divider.topology, divider.conductances.tolist(), divider.input_volts.tolist()
    (<Topology of 3 nodes, 2 edges, 1 inputs, 1 outputs, ground 0>, [0.001, 0.0005], [1.0])
    """
    cards = Cards()
    cards.read(_text(netlist))
    touched = dict.fromkeys(node for r in cards.resistors for node in (r.a, r.b))
    for (_, node), line in cards.lines.items():
        if node not in touched and node != GROUND:
            raise TopologyError(f"line {line}: no resistor touches node {node!r}")
    index = {node: k for k, node in enumerate(dict.fromkeys([*cards.names, *touched]))}
    names = [cards.names.get(node, node) for node in index]

    def find(wanted: Iterable[str], role: str) -> list[str]:
        by_name = dict(zip(names, index, strict=True))
        found = []
        for name in wanted:
            node = by_name.get(name, "0" if name.lower() == "gnd" else name.lower())
            if node not in index:
                raise TopologyError(f"{role} names node {name!r}, which the netlist does not have")
            found.append(node)
        return found

    driven = [node for node in (cards.volts if inputs is None else find(inputs, "inputs")) if node != GROUND]
    for node in cards.volts:
        if node not in driven:
            raise TopologyError(
                f"line {cards.lines['volts', node]}: a source drives {node!r}, but inputs omits it"
            )
    read = (
        [node for node in cards.printed if node not in driven and node != GROUND]
        if outputs is None
        else find(outputs, "outputs")
    )
    for node in cards.amperes:
        if node not in read:
            raise TopologyError(
                f"line {cards.lines['amperes', node]}: a current is pushed into {node!r}, which is no output"
            )
    edges = [r for r in cards.resistors if not r.fixed]
    wires = [r for r in cards.resistors if r.fixed]
    topology = Topology(
        len(index),
        [(index[r.a], index[r.b]) for r in edges],
        [index[node] for node in driven],
        [index[node] for node in read],
        index.get(GROUND),
        names=names,
        fixed_edges=[(index[r.a], index[r.b]) for r in wires],
        fixed_conductances=[r.siemens for r in wires],
    )
    return Netlist(
        topology,
        np.array([r.siemens for r in edges]),
        np.array([cards.volts.get(node, np.nan) for node in driven]),
        np.array([cards.amperes.get(node, 0.0) for node in read]),
        cards.title,
    )


def write(
    topology: Topology,
    conductances: ArrayLike,
    input_volts: ArrayLike | None = None,
    output_amperes: ArrayLike | None = None,
    title: str = "hwlearn network",
) -> str:
    """Write an operating-point netlist; ``ngspice -b`` prints its node voltages to 15 digits.

    Elements that are no resistors become B sources of their law; `parse` reads netlists of resistors alone.

    Parameters
    ----------
    topology : Topology
        The graph.
    conductances : array_like, shape (E,)
        Siemens, positive and finite.
    input_volts : array_like, shape (n_in,), optional
        Volts at the inputs; 0 unless given.
    output_amperes : array_like, shape (n_out,), optional
        Amperes pushed into the outputs; no current sources unless given.
    title : str
        One line.

    Returns
    -------
    str
        `parse` makes the same topology, conductances, volts and amperes of it.

    Raises
    ------
    CircuitError
        If conductances, volts or amperes do not fit, part of the circuit floats, or an element has no
        expression that SPICE takes.
    TopologyError
        If the title is more than one line, or reads as a line of the circuit.
    """
    if len(title.splitlines()) > 1:
        raise TopologyError(f"a netlist's title is one line, got {title!r}")
    check_title(title)
    g = Kirchhoff(topology, conductances).conductances  # for its checks alone
    node = _safe_names(topology)
    volts = _one_sample(input_volts, topology.n_inputs, "input_volts")
    lines = [title.strip()]
    lines += [f"* hwlearn: node {node[k]} {json.dumps(name)}" for k, name in enumerate(topology.names)]
    lines += [f"V{k} {node[n]} 0 {volts[k]!r}" for k, n in enumerate(topology.inputs)]
    if output_amperes is not None:
        amperes = _one_sample(output_amperes, topology.n_outputs, "output_amperes")
        lines += [f"I{k} 0 {node[n]} {amperes[k]!r}" for k, n in enumerate(topology.outputs)]
    for kind, mark, edges, siemens, elements in (
        ("", "", topology.edges, g, topology.edge_elements),
        ("fixed", ", fixed", topology.fixed_edges, topology.fixed_conductances, topology.fixed_edge_elements),
    ):
        for k, s in enumerate(siemens.tolist()):
            a, b = node[edges[k, 0]], node[edges[k, 1]]
            if elements[k] == OHMIC:
                lines.append(f"R{kind}{k} {a} {b} {1 / s!r} ; {s!r} S{mark}")
            else:
                lines.append(f"B{kind}{k} {a} {b} I={_law(elements[k], a, b, s)}")
    # the number of digits that a batch run prints is a variable; .options cannot set it
    lines += [".options reltol=1e-9 vntol=1e-12 abstol=1e-18", ".control", "set numdgt=15", ".endc", ".op"]
    lines += [f".save v({node[n]})" for n in topology.outputs]
    return "\n".join([*lines, ".end", ""])


def _law(element: Element, a: str, b: str, theta: float) -> str:
    """Return the current from node a to node b as SPICE takes it."""
    across = f"(-v({b}))" if a == GROUND else f"v({a})" if b == GROUND else f"v({a},{b})"
    law = element.spice(across, theta)
    if law is None:
        raise CircuitError(f"the element {element!r} has no expression for SPICE; give it one")
    return law


def _text(netlist: str | Path) -> str:
    if isinstance(netlist, str) and "\n" in netlist:
        return netlist
    try:
        return Path(netlist).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TopologyError(
            f"cannot read netlist file {str(netlist)!r}: {reason}; give a file that exists, or the text itself"
        ) from error


def _safe_names(topology: Topology) -> list[str]:
    """Return a name for each node that SPICE can take: its own where that is one, ground is ``0``."""
    own = {name for name in topology.names if _SAFE.fullmatch(name) and name not in _RESERVED}
    safe = []
    for k, name in enumerate(topology.names):
        other = f"n{k}"
        while other in own:
            other += "_"
        safe.append(GROUND if k == topology.ground else name if name in own else other)
    return safe


def _one_sample(values: ArrayLike | None, size: int, what: str) -> list[float]:
    if values is None:
        return [0.0] * size
    sample = batch(values, size, what)
    if len(sample) != 1 or not np.isfinite(sample).all():
        raise CircuitError(f"a netlist takes one sample of finite {what}, got shape {np.shape(values)}")
    return [float(value) for value in sample[0]]
