"""Problems that both sides solve; there are several of each kind, so that answers cannot be cached."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

import hwlearn as hl

WIRE_OHM = 1.0
WIRED_OHM = 2.0
LOW_S, HIGH_S = 1e-6, 1e-4


@dataclass(frozen=True)
class Crossbars:
    """Arrays (K, M, N) in siemens, log-uniform from 1e-6 to 1e-4, and their common row voltages (S, M)."""

    conductances: np.ndarray
    volts: np.ndarray

    @classmethod
    def of(cls, rows: int, columns: int, samples: int, count: int = 4) -> Crossbars:
        """Return the arrays, the same ones at each call."""
        rng = np.random.default_rng(rows + columns + samples)
        return cls(conductances(rng, (count, rows, columns)), rng.uniform(-0.5, 0.5, (samples, rows)))

    def __len__(self) -> int:
        return len(self.conductances)


def conductances(rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    """Draw conductances over two decades."""
    return 10 ** rng.uniform(np.log10(LOW_S), np.log10(HIGH_S), shape)


def wired_crossbar(rows: int, columns: int, ohms: float = WIRE_OHM) -> hl.Topology:
    """Return a crossbar as a topology: row nodes, column nodes, sources, ground; wire segments are fixed edges."""
    row = np.arange(rows * columns).reshape(rows, columns)
    column = row + rows * columns
    source, ground = 2 * rows * columns + np.arange(rows), 2 * rows * columns + rows
    wires = [pair for m in range(rows) for pair in pairwise([source[m], *row[m]])]
    wires += [pair for n in range(columns) for pair in pairwise([*column[:, n], ground])]
    return hl.Topology(
        ground + 1,
        np.stack([row.ravel(), column.ravel()], axis=1),
        source,
        [row[-1, -1]],
        ground,
        fixed_edges=wires,
        fixed_conductances=np.full(len(wires), 1 / ohms),
    )


@dataclass(frozen=True)
class Training:
    """A grid with several sets of conductances (K, E), inputs (S, n_in) and targets (S, n_out)."""

    topology: hl.Topology
    conductances: np.ndarray
    inputs: np.ndarray
    targets: np.ndarray

    @classmethod
    def on_grid(cls, side: int, samples: int, count: int = 4) -> Training:
        """Return the grid, the same one at each call."""
        rng = np.random.default_rng(side + samples)
        topology = hl.Topology.grid(side, side)
        return cls(
            topology,
            conductances(rng, (count, topology.n_edges)),
            rng.uniform(-0.5, 0.5, (samples, topology.n_inputs)),
            rng.uniform(-0.2, 0.2, (samples, topology.n_outputs)),
        )

    @classmethod
    def on_wires(cls, side: int, ohms: float, samples: int, count: int = 4) -> Training:
        """Return a crossbar with wires and uniform conductances, the same one at each call."""
        rng = np.random.default_rng(side + samples)
        topology = hl.Topology.crossbar(side, side, wire_resistance=ohms)
        return cls(
            topology,
            rng.uniform(LOW_S, HIGH_S, (count, topology.n_edges)),
            rng.uniform(-1, 1, (samples, topology.n_inputs)),
            rng.uniform(-0.2, 0.2, (samples, topology.n_outputs)),
        )

    @classmethod
    def of_a_subset(cls, side: int, share: float, samples: int, count: int = 24) -> Training:
        """Return a grid where each set of conductances differs in the same ``share`` of the edges."""
        base = cls.on_grid(side, samples, 1)
        rng = np.random.default_rng(side)
        edges = base.topology.n_edges
        trained = rng.choice(edges, round(share * edges), replace=False)
        sets = np.repeat(base.conductances, count, axis=0)
        sets[:, trained] = conductances(rng, (count, trained.size))
        return cls(base.topology, sets, base.inputs, base.targets)

    def __len__(self) -> int:
        return len(self.conductances)
