"""Makes the virtual switch matrix of a bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from hwlearn.errors import SetupError
from hwlearn_drivers.matrix.cards import Grid
from hwlearn_drivers.matrix.registry import matrix_family, matrix_model
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.instruments.matrix.keithley7001 import Virtual7001
from hwlearn_sim.instruments.matrix.keithley_tsp import VirtualTspMatrix
from hwlearn_sim.instruments.matrix.keysight_b2200 import VirtualB2200
from hwlearn_sim.instruments.matrix.relays import RelayBank
from hwlearn_sim.placed import PlacedMatrix
from hwlearn_sim.plane.contacts import node_number
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import VoltageSource

_GROUND_LINE_A: Final = 100.0

Make = Callable[[int, Mapping[int, str], Grid, RelayBank, Clock, str], VirtualInstrument]


def _tsp(model: str) -> Make:
    return lambda slots, cards, grid, relays, clock, serial: VirtualTspMatrix(
        model, slots, cards, grid, relays, clock, serial
    )


def _b2200(model: str) -> Make:
    return lambda slots, cards, grid, relays, clock, serial: VirtualB2200(model, cards, grid, relays, clock)


MATRICES: Final[Mapping[str, Make]] = {
    "707B": _tsp("707B"),
    "708B": _tsp("708B"),
    "3706A MATRIX": _tsp("3706A"),
    "7001": lambda slots, cards, grid, relays, clock, serial: Virtual7001(cards, grid, relays, clock, serial),
    "B2200A": _b2200("B2200A"),
    "B2201A": _b2200("B2201A"),
}
"""How each model is made."""


def make_matrix(
    placed: PlacedMatrix, plane: AnalogPlane, rng: np.random.Generator, clock: Clock, unit: int = 1
) -> VirtualInstrument:
    """Return a switch matrix whose relays connect nodes of the plane.

    Parameters
    ----------
    placed : PlacedMatrix
    plane : AnalogPlane
        With a node for each of its rows.
    rng : numpy.random.Generator
        Source of its contact resistances and thermal voltages.
    clock : Clock
    unit : int
        Last digits of its serial number.

    Raises
    ------
    SetupError
        If a model, a card, a row or a column does not exist.
    """
    model = matrix_model(placed.model)
    family = matrix_family(model)
    grid = family.grid_of(model, placed.cards)
    for row in placed.rows:
        grid.check(Crosspoint(row, grid.columns[0]), placed.name)
    for column in placed.columns:
        grid.check(Crosspoint(grid.rows[0], column), placed.name)
    rows = {row: node_number(plane.topology, placed.row_node(row)) for row in placed.rows}
    columns = {column: node_number(plane.topology, node) for column, node in placed.columns.items()}
    for row in placed.grounded:
        if row not in rows:
            raise SetupError(f"{placed.name}: row {row!r} is grounded and not among its rows, {placed.rows}")
        ground = plane.attach(rows[row], f"ground line at {placed.row_node(row)}")
        plane.drive(ground, VoltageSource(0.0, _GROUND_LINE_A))
    relays = RelayBank(plane, placed.name, rows, columns, placed.relays, rng, clock)
    return MATRICES[model](family.mainframes[model], placed.cards, grid, relays, clock, f"0444{unit:04d}")
