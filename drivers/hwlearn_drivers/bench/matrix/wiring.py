"""`MatrixTable`: the rows and columns of ``[backend.matrix]``, checked before any instrument is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from hwlearn.circuit.topology import Topology
from hwlearn.errors import closest
from hwlearn_drivers.bench.settings import BenchSettings, MatrixSettings, RowSettings
from hwlearn_drivers.bench.terminals import MatrixRow, MatrixWiring, Place, Terminal
from hwlearn_drivers.roles.settings import InstrumentSettings

GROUND = "ground"

RolesOf = Callable[[str, MatrixRow], Iterator[str]]
"""Yields what no channel of a row can do; the first argument is the key of the row."""


class MatrixTable:
    """The table ``[backend.matrix]`` of a bench.

    Parameters
    ----------
    table : MatrixSettings
    topology : Topology

    Attributes
    ----------
    rows : tuple of MatrixRow
    columns : mapping of int to str
        Node -> column.
    """

    def __init__(self, table: MatrixSettings, topology: Topology) -> None:
        self._table, self._topology = table, topology
        self.rows = tuple(_row(name, given) for name, given in table.rows.items())
        self._grounds = [name for name, given in table.rows.items() if given == GROUND]
        self.columns: dict[int, str] = {}
        self._problems = list(self._read_columns())

    @classmethod
    def of(cls, settings: BenchSettings, topology: Topology) -> MatrixTable | None:
        """Return the table of a bench; None if it has none."""
        return None if settings.matrix is None else cls(settings.matrix, topology)

    @property
    def instrument(self) -> str:
        """Name of the matrix."""
        return self._table.instrument

    @property
    def connected(self) -> dict[str, str]:
        """Return what each row is connected to, for messages: ``"smu1:a"``, ``"ground"``."""
        found = {
            row.name: " and ".join(dict.fromkeys(str(place) for _, place in row.places())) for row in self.rows
        }
        return {**found, **dict.fromkeys(self._grounds, GROUND)}

    @property
    def is_grounded(self) -> bool:
        """Whether a row is a ground line."""
        return bool(self._grounds)

    @property
    def holds_at_zero(self) -> bool:
        """Whether inputs can be held at 0 V while another one is not."""
        return bool(self._grounds) or sum(row.source is not None for row in self.rows) > 1

    def terminal(self, node: int, instruments: Mapping[str, InstrumentSettings]) -> Terminal:
        """Return the terminal at a column; its nudge is one of the rows, if there is one for each such output."""
        outputs = [k for k in self._topology.outputs.tolist() if k in self.columns]
        nudges = [row.nudge for row in self.rows if row.nudge is not None]
        place = nudges[outputs.index(node)] if node in outputs and outputs.index(node) < len(nudges) else None
        known = place is not None and place.instrument in instruments
        kinds = instruments[place.instrument].drive_kinds if place is not None and known else frozenset()
        return Terminal(node, self._topology.names[node], kinds=kinds, column=self.columns[node])

    def wiring(self) -> MatrixWiring:
        """Return the rows by what they do; the table has no problems."""
        outputs = [k for k in self._topology.outputs.tolist() if k in self.columns]
        nudges = tuple(row for row in self.rows if row.nudge is not None)[: len(outputs)]
        if len(nudges) < len(outputs):
            nudges = ()
        grounds = [row for row in self.rows if row.name in self._grounds]
        return MatrixWiring(
            self.instrument,
            self.rows,
            tuple(row for row in self.rows if row.source is not None),
            tuple(row for row in self.rows if row.read is not None and row not in nudges),
            nudges,
            grounds[0] if grounds else None,
            self.columns,
        )

    # --- problems -----------------------------------------------------------------------------------

    def problems(self, instruments: Mapping[str, InstrumentSettings], roles: RolesOf) -> Iterator[str]:
        """Yield everything that is missing, doubled or impossible, with what it rules out.

        Parameters
        ----------
        instruments : mapping of str to InstrumentSettings
        roles : callable
            See `RolesOf`.
        """
        if self.instrument not in instruments:
            hint = closest(self.instrument, list(instruments))
            yield f"backend.matrix.instrument = {self.instrument!r}: there is no such instrument{hint}"
        elif not instruments[self.instrument].connects_crosspoints:
            yield (
                f"backend.matrix.instrument = {self.instrument!r}: a {instruments[self.instrument].model} is no "
                "switch matrix"
            )
        yield from self._problems
        for row in self.rows:
            where = f"backend.matrix.rows.{row.name}"
            if row.name not in self._grounds and not any(True for _ in row.places()):
                yield f"{where} is connected to nothing; give it source, read or nudge, or make it 'ground'"
            if row.source is not None and row.source in (row.read, row.nudge):
                yield (
                    f"{where}: {row.source} cannot be a source for inputs and read or nudge outputs at the same "
                    "time; use two channels, or leave read and nudge out: a source is read back anyway"
                )
            if row.source is not None and (row.read is not None or row.nudge is not None):
                yield f"{where} has a source and another channel, which would be joined; use two rows"
            elif row.read is not None and row.nudge is not None and row.read != row.nudge:
                yield f"{where} has two channels, {row.read} and {row.nudge}, which would be joined; use two rows"
            yield from roles(where, row)
            source = None if row.source is None else instruments.get(row.source.instrument)
            if source is not None and not source.confirms_levels:
                yield (
                    f"{where}: {source.name} confirms no level, and relays move only when every source has "
                    "confirmed 0 V; give its protocol an [identity], an acknowledgement, or ask in [source]"
                )
        if len(self._grounds) > 1:
            yield f"rows {' and '.join(self._grounds)} of backend.matrix are both 'ground'; one is enough"
        yield from self._unserved()

    def _unserved(self) -> Iterator[str]:
        names, topology = self._topology.names, self._topology
        inputs = [names[k] for k in topology.inputs.tolist() if k in self.columns]
        outputs = [names[k] for k in topology.outputs.tolist() if k in self.columns]
        if inputs and not any(row.source is not None for row in self.rows):
            yield (
                f"no row of backend.matrix has a source: input{_s(inputs)} {', '.join(inputs)} cannot be driven; "
                "add a row such as A = { source = 'instrument:channel' }"
            )
        if outputs and not any(row.read is not None for row in self.rows):
            yield (
                f"no row of backend.matrix has a reader: output{_s(outputs)} {', '.join(outputs)} cannot be "
                "measured; add a row such as B = { read = 'instrument:channel' }"
            )

    def _read_columns(self) -> Iterator[str]:
        names = self._topology.names
        nodes: dict[str, str] = {}
        for text, column in self._table.columns.items():
            where = f"backend.matrix.columns.{text}"
            node = names.index(text) if text in names else int(text) if text.isdecimal() else -1
            if not 0 <= node < self._topology.n_nodes:
                yield f"{where}: the network has no such node{closest(text, names)}"
            elif str(column) in nodes:
                other = nodes[str(column)]
                yield f"column {column} of the matrix is connected to two nodes, {other} and {names[node]}"
            elif node in self.columns:
                yield f"node {names[node]} is on two columns, {self.columns[node]} and {column}; use one of them"
            elif node == self._topology.ground:
                yield f"{where}: node {names[node]} is the ground of the network; connect it to the ground line"
            else:
                self.columns[node] = str(column)
                nodes[str(column)] = names[node]


def _row(name: str, given: RowSettings | str) -> MatrixRow:
    if isinstance(given, str):
        return MatrixRow(name)
    return MatrixRow(
        name, *(None if one is None else Place.parse(one) for one in (given.source, given.read, given.nudge))
    )


def _s(names: list[str]) -> str:
    return "" if len(names) == 1 else "s"
