"""SPICE netlists of resistor networks: read them into a graph, write them for ngspice.

Two kinds of comments store what SPICE cannot express, so that a network is read back exactly as it was written:
``* hwlearn: node n1 "row 1"`` gives the order and names of the nodes; ``; 0.001 S, fixed`` after a resistor gives
its exact conductance and marks a fixed edge.
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
from hwlearn.circuit.elements import OHMIC, AnyElement, Element, ThreeTerminal
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.spice.cards import GROUND, Cards
from hwlearn.circuit.spice.lines import check_title
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, TopologyError
from hwlearn.storage.text_file import checked_text, is_file, read_text

_SAFE: Final = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED: Final = {"gnd", "all", "allv", "alli", "ally"}


@dataclass(frozen=True, eq=False, slots=True)
class Netlist:
    """The network in a SPICE netlist.

    Attributes
    ----------
    topology : Topology
        The graph; node 0 (or gnd) is ``ground`` if a resistor is connected to it.
    conductances : ndarray, shape (E,)
        Siemens, in the order of the netlist.
    input_volts : ndarray, shape (n_in,)
        Volts of the sources; NaN at an input that has none.
    output_amperes : ndarray, shape (n_out,)
        Amperes of the current sources into the outputs.
    title : str
        The first line.
    notes : tuple of str
        What was ignored, and what other programs read in another way, with its line.
    """

    topology: Topology
    conductances: FloatArray
    input_volts: FloatArray
    output_amperes: FloatArray
    title: str
    notes: tuple[str, ...] = ()


def read_spice(
    netlist: str | Path, inputs: Iterable[str] | None = None, outputs: Iterable[str] | None = None
) -> Netlist:
    """Read a SPICE netlist: R elements, DC sources to ground, and the nodes that are printed.

    Analyses, models and other cards that do not change the operating point are ignored with a note. A source of
    0 V between two nodes is an ammeter and makes them one node. Text files are UTF-8, or UTF-16 with a byte order
    mark.

    Parameters
    ----------
    netlist : str or Path
        A file, or the text itself: a string with more than one line.
    inputs : iterable of str, optional
        Names of the driven nodes; those with a V source unless given, in the order of the netlist.
    outputs : iterable of str, optional
        Names of the nodes to read; unless given, those of ``.print``, ``.save`` and ``.probe`` without a source,
        in the order of the netlist.

    Returns
    -------
    Netlist

    Raises
    ------
    TopologyError
        If the file cannot be read, a line is not part of a resistor network, or the graph is invalid.
    CircuitError
        If a value cannot be read or a resistance is not positive; the line is named.

    Examples
    --------
    >>> divider = read_spice('''a divider
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
    cards.without_ammeters()
    touched = dict.fromkeys(node for r in cards.resistors for node in (r.a, r.b))
    for (_, node), line in cards.lines.items():
        if node not in touched and node != GROUND:
            raise TopologyError(f"line {line}: no resistor is connected to node {node!r}")
    index = {node: k for k, node in enumerate(dict.fromkeys([*cards.names, *touched]))}
    names = [cards.names.get(node, node) for node in index]

    def find(wanted: Iterable[str], role: str) -> list[str]:
        by_name = dict(zip(names, index, strict=True))
        found = []
        for name in wanted:
            node = cards.node(by_name.get(name, "0" if name.lower() == "gnd" else name.lower()))
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
                f"line {cards.lines['amperes', node]}: a current source at {node!r}, which is not an output"
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
        tuple(cards.notes),
    )


def write_spice(
    topology: Topology,
    conductances: ArrayLike,
    path: str | Path,
    input_volts: ArrayLike | None = None,
    output_amperes: ArrayLike | None = None,
    title: str = "hwlearn network",
) -> None:
    """Write an operating-point netlist to a file; `spice_text` describes the other parameters.

    Parameters
    ----------
    path : str or Path
        The file; it is replaced if it exists.

    Raises
    ------
    CircuitError, TopologyError
        As `spice_text`; also if the file cannot be written.
    """
    text = spice_text(topology, conductances, input_volts, output_amperes, title)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise TopologyError(f"cannot write netlist file {str(path)!r}: {_reason(error)}") from error


def spice_text(
    topology: Topology,
    conductances: ArrayLike,
    input_volts: ArrayLike | None = None,
    output_amperes: ArrayLike | None = None,
    title: str = "hwlearn network",
) -> str:
    """Return an operating-point netlist; ``ngspice -b`` prints its node voltages to 15 digits.

    Nonlinear elements become B sources with the law of the element. `read_spice` reads netlists of resistors only.

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
        `read_spice` returns the same topology, conductances, volts and amperes for it.

    Raises
    ------
    CircuitError
        If conductances, volts or amperes do not fit, part of the circuit floats, or an element has no
        SPICE expression.
    TopologyError
        If the title has more than one line, or reads as a line of the circuit.
    """
    if len(title.splitlines()) > 1:
        raise TopologyError(f"the title of a netlist is one line, got {title!r}")
    check_title(title)
    g = Kirchhoff(topology, conductances).values  # only to check them
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
            element = elements[k]
            if element == OHMIC:
                lines.append(f"R{kind}{k} {a} {b} {1 / s!r} ; {s!r} S{mark}")
            elif isinstance(element, ThreeTerminal):
                lines += _cards(element, f"{kind}{k}", a, b, s)
            else:
                lines.append(f"B{kind}{k} {a} {b} I={_law(element, a, b, s)}")
    # .options cannot set the number of printed digits of a batch run
    lines += [
        f".options reltol=1e-9 vntol=1e-12 abstol=1e-18{_options(topology)}",
        ".control",
        "set numdgt=15",
        ".endc",
        ".op",
    ]
    lines += [f".save v({node[n]})" for n in topology.outputs]
    return "\n".join([*lines, ".end", ""])


def _options(topology: Topology) -> str:
    """Return the options that the elements depend on, each after a space.

    Raises
    ------
    CircuitError
        If two elements need different ones.
    """
    kinds: tuple[AnyElement, ...] = () if topology.elements is None else topology.elements.kinds
    found: dict[str, float] = {}
    for kind in kinds:
        for name, value in (kind.spice_options if isinstance(kind, ThreeTerminal) else {}).items():
            if found.setdefault(name, value) != value:
                raise CircuitError(
                    f"a netlist has one {name}, but elements have {found[name]!r} and {value!r}; give them one"
                )
    return "".join(f" {name}={value!r}" for name, value in found.items())


def _cards(element: ThreeTerminal, name: str, a: str, b: str, value: float) -> list[str]:
    """Return the cards of an element of three terminals.

    Raises
    ------
    CircuitError
        If it has none.
    """
    cards = element.spice(name, a, b, value)
    if not cards:
        raise CircuitError(
            f"edge {name} cannot be written for SPICE: {element!r} is a function of Python; use an element that "
            "SPICE has, such as Mosfet, or a Custom element with an `expression`"
        )
    return cards


def _law(element: Element, a: str, b: str, theta: float) -> str:
    """Return the current from node a to node b as a SPICE expression."""
    across = f"(-v({b}))" if a == GROUND else f"v({a})" if b == GROUND else f"v({a},{b})"
    law = element.spice(across, theta)
    if law is None:
        raise CircuitError(f"the element {element!r} has no SPICE expression; set its `expression`")
    return law


def _text(netlist: str | Path) -> str:
    if isinstance(netlist, str) and ("\n" in netlist or "\r" in netlist):
        return checked_text(netlist, "netlist", TopologyError)
    if not is_file(Path(netlist)):
        raise TopologyError(
            f"cannot read netlist file {str(netlist)!r}: there is no such file; "
            "give a file that exists, or the text itself"
        )
    return read_text(Path(netlist), "netlist", TopologyError)


def _reason(error: OSError | ValueError) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _safe_names(topology: Topology) -> list[str]:
    """Return a valid SPICE name for each node: its own name if valid; ground is ``0``."""
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
