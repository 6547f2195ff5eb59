"""The reference board of a virtual bench."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn_sim.bench.kinds.kind import PlacedKind, Surroundings
from hwlearn_sim.bench.kinds.law_keys import law_keys
from hwlearn_sim.board.board import VirtualBoard
from hwlearn_sim.board.circuit import BoardCircuit, with_nudges
from hwlearn_sim.board.emulated import make_controller
from hwlearn_sim.board.parts import EDGE_LAW, BoardParts
from hwlearn_sim.placed import PlacedBoard


class BoardKind(PlacedKind):
    """Reference boards; they are not in benches of terminals."""

    placed = PlacedBoard

    def extend(self, placed: PlacedBoard, topology: Topology, seed: int) -> tuple[Topology, BoardParts]:
        """Return the graph with its nudge resistors, and its random parts."""
        drawn = BoardParts.drawn(np.random.default_rng([seed, 3]), placed.gain, placed.offset_V, placed.noise_V)
        return with_nudges(topology, drawn.kappa[: topology.n_outputs]), drawn

    def edges(self, placed: PlacedBoard, topology: Topology) -> Sequence[int]:
        """Return all edges."""
        return range(topology.n_edges)

    def make(self, placed: PlacedBoard, added: BoardParts, around: Surroundings) -> VirtualBoard:
        """Return the board; see `PlacedKind.make`."""
        record = added.record(f"VIRTUAL-{around.seed % 10000}", placed.calibrated)
        controller = make_controller(placed.emulation)
        circuit = BoardCircuit(around.plane, placed.name)
        return VirtualBoard(controller, circuit, around.devices, added, record, around.seed)

    def model(self, placed: PlacedBoard) -> str:
        """Return what it is."""
        return "reference board"

    def edge_law(self, placed: PlacedBoard) -> str:
        """Return its law as keys of a bench file."""
        return law_keys(EDGE_LAW)
