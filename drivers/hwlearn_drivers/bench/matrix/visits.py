"""`Visit`: what is read in one setting of the readers of a matrix bench, and `make_visits`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hwlearn_drivers.bench.players import Players
from hwlearn_drivers.bench.terminals import MatrixRow, MatrixWiring, Place, Terminal, Wiring
from hwlearn_drivers.roles.instrument import BenchInstrument, ReadsVoltages
from hwlearn_drivers.roles.values import Crosspoint


@dataclass(frozen=True, eq=False, slots=True)
class Visit:
    """One setting of the readers: which row is connected to which output, and what is read.

    Attributes
    ----------
    crosspoints : frozenset of Crosspoint
        Closed for readers and nudges; those of the inputs come in addition.
    players : Players
        The sources (rows, then inputs with a source of their own) as its inputs, the outputs with the reader that
        they have in this visit, and inputs that are read back as its internal nodes.
    outputs : tuple of int
        Numbers of the outputs that are read.
    inputs : tuple of int
        Numbers of the inputs that are read back through the matrix, in the order of the internal nodes.
    """

    crosspoints: frozenset[Crosspoint]
    players: Players
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]


def make_visits(
    wiring: Wiring, instruments: Mapping[str, BenchInstrument], read_inputs: bool = False
) -> list[Visit]:
    """Return the visits in which every output is read once, in an order in which only readers move.

    Each reader visits the same number of neighbouring outputs. Outputs that have a reader of their own, or a nudge
    that also reads, are read in the first visit. Inputs are read back in the last visits.

    Parameters
    ----------
    wiring : Wiring
        With a matrix.
    instruments : mapping of str to BenchInstrument
        By name in the bench file.
    read_inputs : bool
        Whether inputs on columns are read back too.
    """
    matrix = wiring.matrix
    assert matrix is not None
    sources = tuple(_sources(wiring, matrix, instruments))
    bound = _bound(wiring, matrix)
    still = {j: place for j, one in enumerate(wiring.outputs) if (place := _own_reader(one, bound.get(j)))}
    walks = [*_walks([(True, j) for j in range(len(wiring.outputs)) if j not in still], matrix.readers)]
    if read_inputs:
        on_columns = [(False, i) for i, one in enumerate(wiring.inputs) if one.column is not None]
        walks += _walks(on_columns, matrix.readers)
    nudging = frozenset(Crosspoint(row.name, str(wiring.outputs[j].column)) for j, row in bound.items())
    visits = []
    for step, met in enumerate(walks):
        reads = {j: place for j, place in still.items() if step == 0}
        inner, crosspoints, back = [], set(nudging), []
        for row, (is_output, k) in met.items():
            terminal = (wiring.outputs if is_output else wiring.inputs)[k]
            crosspoints.add(Crosspoint(row.name, str(terminal.column)))
            assert row.read is not None
            if is_output:
                reads[k] = row.read
            else:
                back.append(k)
                inner.append(Terminal(terminal.node, terminal.name, read=row.read))
        outputs = tuple(
            replace(one, read=reads.get(j), nudge=bound[j].nudge if j in bound else one.nudge, source=None)
            for j, one in enumerate(wiring.outputs)
        )
        here = Wiring(sources, outputs, tuple(inner), wiring.uses)
        visits.append(Visit(frozenset(crosspoints), Players(here, instruments), tuple(sorted(reads)), tuple(back)))
    return visits


def source_players(wiring: Wiring, instruments: Mapping[str, BenchInstrument]) -> Players:
    """Return the sources alone, as in a visit in which no output is read."""
    matrix = wiring.matrix
    assert matrix is not None
    outputs = tuple(replace(one, read=None, nudge=None) for one in wiring.outputs)
    return Players(Wiring(tuple(_sources(wiring, matrix, instruments)), outputs, (), wiring.uses), instruments)


def _bound(wiring: Wiring, matrix: MatrixWiring) -> dict[int, MatrixRow]:
    """Return the row that each output on a column is always connected to, because it nudges it."""
    on_columns = [j for j, one in enumerate(wiring.outputs) if one.column is not None]
    return dict(zip(on_columns, matrix.nudges, strict=False))


def _own_reader(terminal: Terminal, nudge: MatrixRow | None) -> Place | None:
    """Return the reader of an output that no row visits; None if a row has to."""
    return terminal.read if terminal.column is None else None if nudge is None else nudge.read


def _walks(
    walked: Sequence[tuple[bool, int]], readers: Sequence[MatrixRow]
) -> Iterator[dict[MatrixRow, tuple[bool, int]]]:
    """Yield what each reader meets in each visit; one that is done stays where it is, without being read again."""
    if not walked:
        yield {}
        return
    each = -(-len(walked) // len(readers))
    for step in range(each):
        yield {
            row: walked[k * each + step]
            for k, row in enumerate(readers)
            if k * each + step < min((k + 1) * each, len(walked))
        }


def _sources(
    wiring: Wiring, matrix: MatrixWiring, instruments: Mapping[str, BenchInstrument]
) -> Iterator[Terminal]:
    """Yield source rows, then inputs with a source of their own; a source that measures is read back."""
    for row in matrix.sources:
        assert row.source is not None
        meter = instruments[row.source.instrument]
        is_read = isinstance(meter, ReadsVoltages) and meter.measures_current(row.source.channel)
        yield Terminal(-1, row.name, source=row.source, read=row.source if is_read else None, row=row.name)
    yield from (one for one in wiring.inputs if one.column is None)
