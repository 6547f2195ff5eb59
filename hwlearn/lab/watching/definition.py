"""`RunDefinition`: what a run is made of and does not change: graph, limits, data, circuit model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError
from hwlearn.lab.bench.recipes import make_cost, make_targets
from hwlearn.lab.bench_file.file import BenchFile, load_bench_file, parse_bench_file
from hwlearn.lab.data.loading import Data, load_data
from hwlearn.lab.data.scaling import OutputScale
from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.runs.earlier import FORMAT_1
from hwlearn.lab.runs.inputs import own_files
from hwlearn.lab.runs.reading import reported_damage
from hwlearn.lab.runs.store import BENCH_FILE
from hwlearn.lab.runs.variables import ValuesOfRun, stored_values, value_facts
from hwlearn.lab.watching.layout import EdgeCells, NetworkPlaces, edge_cells, network_places
from hwlearn.learning.costs import Cost

MOST_EDGES_SOLVED: Final = 20_000
"""Edges of the largest network whose node voltages are computed here."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Training rows of a run, and how outputs are scored against their targets.

    Attributes
    ----------
    data : Data
    targets : ndarray
        Of all rows as the cost takes them: class numbers (S,) or volts (S, n_scored).
    cost : Cost
    batches : int
        Of an epoch.
    """

    data: Data
    targets: FloatArray | IntArray
    cost: Cost
    batches: int


@dataclass(frozen=True, eq=False)
class RunDefinition:
    """What a run is made of.

    Attributes
    ----------
    facts : mapping
        Of the table ``meta``, as they were when the run was opened.
    topology : Topology
    kinds : tuple of ValuesOfRun
        What the values of the edges are.
    training : TrainingData or None
        None if the data cannot be read; `missing` says why.
    missing : str
    """

    facts: Mapping[str, Any]
    topology: Topology
    kinds: tuple[ValuesOfRun, ...]
    training: TrainingData | None
    missing: str

    @cached_property
    def places(self) -> NetworkPlaces | None:
        """Where the nodes are drawn; None for a large network."""
        return network_places(self.topology)

    @cached_property
    def cells(self) -> EdgeCells:
        """The edges as cells of a heat map."""
        return edge_cells(self.topology)

    @property
    def scale(self) -> OutputScale | None:
        """Scale of the targets in the user's own unit."""
        return OutputScale.from_facts(self.facts.get("target_scale"))

    def solved(self, values: FloatArray, inputs: FloatArray) -> FloatArray:
        """Return node volts (N,) that the circuit model gives for values (E,) and input volts (n_in,).

        Raises
        ------
        CircuitError
            If the circuit cannot be solved.
        """
        # an empty history: no function is compiled for a single sample
        model = Kirchhoff(self.topology, values, allow_open=True).with_history({})
        return np.asarray(model.solve(inputs[None])[0])


def read_definition(contents: RunContents) -> RunDefinition:
    """Return what a run is made of, from its folder alone.

    Raises
    ------
    RunError
        If the run is damaged.
    """
    facts, missing = dict(contents.facts), ""
    file: BenchFile | None = None
    topology: Topology | None = None
    training: TrainingData | None = None
    try:
        file = _bench_file(facts, contents.folder)
        topology = file.topology()
        training = _training(file, topology)
    except (HwlearnError, OSError) as error:
        missing = " ".join(str(error).split())
    if topology is None:
        topology = _stored_topology(contents)
    with reported_damage(contents.folder):
        if "limits" not in facts and file is not None:  # format 1
            facts["values"] = value_facts(topology, file.limits.build())
        return RunDefinition(facts, topology, stored_values(facts), training, missing)


def _bench_file(facts: Mapping[str, Any], folder: Path) -> BenchFile:
    if facts.get("format") == FORMAT_1:
        return replace(load_bench_file(folder / BENCH_FILE), name=str(facts.get("bench")))
    return parse_bench_file(facts["settings"], facts["bench"], folder).with_(own_files(facts, folder))


def _training(file: BenchFile, topology: Topology) -> TrainingData:
    data = load_data(file.data, file.folder, topology, file.limits.build())
    cost = make_cost(file.train, data.classifies, data.pairs)
    targets = make_targets(file, data, cost, topology.n_outputs)
    batches = -(-len(data.train) // (file.train.batch or len(data.train)))
    return TrainingData(data, targets, cost, batches)


def _stored_topology(contents: RunContents) -> Topology:
    """Return the graph that the run has stored; its edges count as resistors."""
    graph = contents.constants("topology")
    with reported_damage(contents.folder):
        if graph is None:
            raise ValueError("it has no topology")
        return Topology(
            contents.facts["nodes"],
            graph["edges"],
            graph["inputs"],
            graph["output_nodes"],
            contents.facts["ground"],
            names=contents.facts["node_names"],
            fixed_edges=graph["fixed_edges"],
            fixed_conductances=graph["fixed_conductances"],
        )
