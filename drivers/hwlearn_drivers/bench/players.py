"""`Players`: the instruments of a bench by the roles that they play, for `TerminalNetwork`."""

from __future__ import annotations

from collections.abc import Mapping

from hwlearn.errors import SetupError
from hwlearn_drivers.bench.terminals import Behind, Place, Terminal, Wiring
from hwlearn_drivers.roles.instrument import (
    BenchInstrument,
    ClosesSwitches,
    DrivesOutputs,
    ReadsVoltages,
    SetsVoltages,
)


class Players:
    """Opened instruments and what each of them does at the terminals of a wiring.

    Parameters
    ----------
    wiring : Wiring
    instruments : mapping of str to BenchInstrument
        By name in the bench file.

    Attributes
    ----------
    instruments : tuple of BenchInstrument
    reads : tuple of tuple of str
        For each instrument, the channels that are read in every sample.
    volts_at, amperes_at : list of (int, int) or None
        For each terminal (inputs, outputs, internal nodes), instrument and position among its `reads` at which
        voltage and current are read.

    Raises
    ------
    SetupError
        If an instrument does not play the role of one of its channels.
    """

    def __init__(self, wiring: Wiring, instruments: Mapping[str, BenchInstrument]) -> None:
        self.wiring = wiring
        self._named = dict(instruments)
        self.instruments = tuple(instruments.values())
        self._index = {name: k for k, name in enumerate(instruments)}
        self._reads: list[list[str]] = [[] for _ in instruments]
        self.volts_at = [self._reading(one.read) for one in (*wiring.inputs, *wiring.outputs, *wiring.inner)]
        self.amperes_at = [self._current(one) for one in (*wiring.inputs, *wiring.outputs)]
        self.reads = tuple(map(tuple, self._reads))
        for terminal in (*wiring.inputs, *wiring.outputs):
            self._check(terminal)

    def place_of(self, instrument: int, position: int) -> str:
        """Return the name of a channel that is read, for messages."""
        return f"channel {self.reads[instrument][position]} of {self.instruments[instrument].name}"

    def reader_at(self, at: tuple[int, int] | None) -> ReadsVoltages | None:
        """Return the instrument that reads a channel, as `volts_at` and `amperes_at` name it."""
        found = None if at is None else self.instruments[at[0]]
        return found if isinstance(found, ReadsVoltages) else None

    def index(self, place: Place) -> int:
        """Return the number of the instrument of a place."""
        return self._index[place.instrument]

    def sets_voltages(self, place: Place) -> SetsVoltages:
        """Return the instrument of a place as voltage source."""
        found = self._named[place.instrument]
        if not isinstance(found, SetsVoltages):
            raise SetupError(f"{found.name} sets no voltages, but {place} is a source")
        return found

    def reader(self, place: Place) -> ReadsVoltages:
        """Return the instrument of a place as reader."""
        found = self._named[place.instrument]
        if not isinstance(found, ReadsVoltages):
            raise SetupError(f"{found.name} reads no voltages, but {place} is read")
        return found

    def drives_outputs(self, place: Place) -> DrivesOutputs:
        """Return the instrument of a place as nudge."""
        found = self._named[place.instrument]
        if not isinstance(found, DrivesOutputs):
            raise SetupError(f"{found.name} drives no outputs, but {place} is a nudge")
        return found

    def switches(self, place: Place) -> ClosesSwitches:
        """Return the instrument of a place as switch."""
        found = self._named[place.instrument]
        if not isinstance(found, ClosesSwitches):
            raise SetupError(f"{found.name} has no switches, but {place} is one")
        return found

    def _check(self, terminal: Terminal) -> None:
        if terminal.source is not None:
            self.sets_voltages(terminal.source)
        if isinstance(terminal.nudge, Place):
            self.drives_outputs(terminal.nudge)
        elif isinstance(terminal.nudge, Behind):
            self.sets_voltages(terminal.nudge.source)
            self.switches(terminal.nudge.switch)

    def _reading(self, place: Place | None) -> tuple[int, int] | None:
        """Return instrument and position at which a channel is read; None if there is no channel."""
        if place is None:
            return None
        self.reader(place)
        channels = self._reads[self.index(place)]
        if place.channel not in channels:
            channels.append(place.channel)
        return self.index(place), channels.index(place.channel)

    def _current(self, terminal: Terminal) -> tuple[int, int] | None:
        """Return where the current of the source at a terminal is measured; None if it is not."""
        place = terminal.nudge if isinstance(terminal.nudge, Place) else terminal.source
        if place is None:
            return None
        meter = self._named[place.instrument]
        if isinstance(meter, ReadsVoltages) and meter.measures_current(place.channel):
            return self._reading(place)
        return None
