"""A virtual bench with one board that obeys a declared text protocol, to rehearse it before it exists."""

from __future__ import annotations

import math
import sys
from typing import Any, Final

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn_drivers.declared.declaration import load_declaration
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.placed import PlacedDeclared, PlacedResistor, Wire

BOARD: Final = "board"
"""Name of the board."""

_NUDGE_OHM: Final = 10e3


def rehearsed_board(
    protocol: str, topology: Topology, limits: Limits, wire: Wire | None = None
) -> tuple[VirtualBench, list[dict[str, Any]]]:
    """Return a bench with the board on a circuit, and the ``terminals`` of a bench file with this wiring.

    Sources are connected to the inputs in order, readers to the outputs and then to the inputs. Where sources and
    switches are left, each output has a nudge resistor of 10 kohm.

    Parameters
    ----------
    protocol : str
        File, or name of a declaration that comes with the package.
    topology : Topology
    limits : Limits
    wire : {"tcp", "pty"}, optional
        Default: a pseudo-terminal, except on Windows.

    Raises
    ------
    SetupError
        If the declaration is wrong, or the board has too few channels or edges for the circuit.
    """
    declaration = load_declaration(protocol)
    sources = () if declaration.source is None else declaration.source.names
    reads = () if declaration.read is None else declaration.read.names
    switches = () if declaration.switch is None else declaration.switch.names
    inputs, outputs = topology.inputs.tolist(), topology.outputs.tolist()
    for what, there, needed in (("sources", sources, inputs), ("readers", reads, outputs)):
        if len(there) < len(needed):
            raise SetupError(
                f"{protocol} has {len(there)} {what}, the circuit needs {len(needed)}; name another bench"
            )
    if declaration.edge is not None and declaration.edge.count < topology.n_edges:
        raise SetupError(
            f"{protocol} has {declaration.edge.count} edges, the circuit {topology.n_edges}; name another bench"
        )
    left = sources[len(inputs) :]
    nudged = (
        list(zip(outputs, left, switches, strict=False)) if min(len(left), len(switches)) >= len(outputs) else []
    )
    driven = dict(zip(sources, inputs, strict=False))
    read = dict(zip(reads, [*outputs, *inputs], strict=False))
    placed = PlacedDeclared(
        BOARD,
        declaration,
        driven,
        read,
        tuple(PlacedResistor(source, switch, node, 1 / _NUDGE_OHM) for node, source, switch in nudged),
        None if declaration.edge is None else tuple(range(topology.n_edges)),
        wire=wire or ("tcp" if sys.platform == "win32" else "pty"),
    )
    low, high = limits.conductance
    bench = VirtualBench(topology, [placed], conductances=math.sqrt(low * high), conductance=limits.conductance)
    by_node = {node: f"{BOARD}:{channel}" for channel, node in read.items()}
    terminals: list[dict[str, Any]] = [
        {"node": topology.names[node], "source": f"{BOARD}:{channel}", **_optional("read", by_node.get(node))}
        for channel, node in driven.items()
    ]
    resistors = {node: (source, switch) for node, source, switch in nudged}
    for node in outputs:
        nudge = None
        if node in resistors:
            source, switch = resistors[node]
            nudge = {"source": f"{BOARD}:{source}", "resistance": _NUDGE_OHM, "switch": f"{BOARD}:{switch}"}
        terminals.append({"node": topology.names[node], "read": by_node[node], **_optional("nudge", nudge)})
    return bench, terminals


def _optional(key: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {key: value}
