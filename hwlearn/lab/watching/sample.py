"""Node voltages and drops of one sample of a run."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.drops import edge_drops
from hwlearn.errors import HwlearnError
from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.watching.definition import MOST_EDGES_SOLVED, RunDefinition
from hwlearn.lab.watching.readings import SampleReading


@dataclass(frozen=True, eq=False)
class SampleOnNetwork:
    """One sample on the network.

    Attributes
    ----------
    reading : SampleReading
    inputs : ndarray, shape (n_in,)
        Volts.
    target : str
    voltages : ndarray, shape (N,), or None
        Node volts; None if they are neither measured nor computed.
    drops : ndarray, shape (E,), or None
        Volts across the edges, a minus b.
    origin : str
        Where the voltages are from, or why there are none.
    """

    reading: SampleReading
    inputs: FloatArray | None
    target: str
    voltages: FloatArray | None
    drops: FloatArray | None
    origin: str


def sample_on_network(
    contents: RunContents, db: sqlite3.Connection, definition: RunDefinition, reading: SampleReading
) -> SampleOnNetwork:
    """Return a sample with its node voltages: measured if every node was read, else computed by the circuit model.

    The model has the values that the hardware reported before the batch of the sample was measured.

    Raises
    ------
    RunError
        If the run is damaged.
    """
    training, inputs, target = definition.training, None, ""
    if training is not None:
        row = int(training.data.train[reading.row])
        inputs, target = (
            np.asarray(training.data.inputs[row]),
            _target(training.data.classes, training.targets, row),
        )
    voltages, origin = reading.nodes, "measured at every node"
    if voltages is None:
        voltages, origin = _computed(contents, db, definition, reading, inputs)
    drops = None if voltages is None else edge_drops(definition.topology.edges, voltages[None])[0]
    return SampleOnNetwork(reading, inputs, target, voltages, drops, origin)


def _computed(
    contents: RunContents,
    db: sqlite3.Connection,
    definition: RunDefinition,
    reading: SampleReading,
    inputs: FloatArray | None,
) -> tuple[FloatArray | None, str]:
    if inputs is None:
        return None, f"not computed: {definition.missing}"
    edges = definition.topology.n_edges
    if edges > MOST_EDGES_SOLVED:
        return None, f"not computed here: {edges} edges, at most {MOST_EDGES_SOLVED}; only outputs were measured"
    values, at = _values_before(contents, db, reading.step)
    if values is None:
        return None, "not computed: no values were programmed"
    try:
        return definition.solved(values, inputs), f"computed by the circuit model with {at}; outputs are measured"
    except HwlearnError as error:
        return None, f"not computed: {' '.join(str(error).split())}"


def _values_before(contents: RunContents, db: sqlite3.Connection, step: int) -> tuple[FloatArray | None, str]:
    """Return the values (E,) that the hardware reported before a step, and which these are."""
    found = db.execute("SELECT MAX(step) FROM updates WHERE step < ?", (step,)).fetchone()[0]
    if found is not None:
        for _, arrays in contents.rows("updates", "WHERE step = ?", found):
            return np.asarray(arrays["reached"], dtype=np.float64), f"the values of step {found}"
    initial = contents.constants("initial")
    if not initial:
        return None, ""
    return np.asarray(initial.get("reached", initial["requested"]), dtype=np.float64), "the initial values"


def _target(classes: tuple[str, ...], targets: np.ndarray, row: int) -> str:
    if classes:
        return f"class {classes[int(targets[row]) if targets.ndim == 1 else int(targets[row].argmax())]}"
    return ", ".join(f"{1e3 * volts:.4g}" for volts in np.atleast_1d(targets[row])) + " mV"
