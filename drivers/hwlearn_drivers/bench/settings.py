"""`BenchSettings`: the ``[backend]`` table of a bench whose terminals are connected to any instruments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hwlearn.quantities import (
    FROM_LIST,
    Count,
    FilePath,
    NonNegativeSeconds,
    Positive,
    PositiveAmperes,
    PositiveOhms,
    PositiveSeconds,
    PositiveSiemens,
    PositiveVolts,
    Seconds,
    Section,
)
from hwlearn_drivers.bench.registry import InstrumentTable
from hwlearn_drivers.roles.settings import InstrumentName
from hwlearn_drivers.transport.addresses import PURE_PYTHON

NodeNumber = Annotated[int, Field(ge=0)]
PulseWidth = Annotated[Seconds, Field(ge=1e-3, le=10.0)]
ChannelName = Annotated[str, Field(pattern=r"^[^:\s]+:\S+$")]
"""``instrument:channel``."""


class ResistorSettings(Section):
    """A nudge by a voltage source behind a known resistor and a switch.

    Attributes
    ----------
    source, switch : str
        Instrument and channel, such as ``"dac1:8"``.
    resistance : quantity
    """

    source: ChannelName
    resistance: PositiveOhms
    switch: ChannelName


class TerminalSettings(Section):
    """What is connected to one node.

    Attributes
    ----------
    node : int or str
        Number or name of an input or output, or of another node that is read.
    source : str, optional
        The voltage source of an input: ``"instrument:channel"``.
    read : str, optional
        What reads the node; required for an output.
    nudge : str or ResistorSettings, optional
        What drives an output: a channel that is a current source or a clamp, or a source behind a resistor.
    """

    node: NodeNumber | str
    source: ChannelName | None = None
    read: ChannelName | None = None
    nudge: ResistorSettings | ChannelName | None = None


class RowSettings(Section):
    """What is connected to one row of a switch matrix.

    Attributes
    ----------
    source : str, optional
        A voltage source, for inputs: ``"instrument:channel"``.
    read : str, optional
        A reader, for one output after the other. A source-measure unit that only reads floats at 0 A.
    nudge : str, optional
        A current source or clamp, for one output. A channel that is also ``read`` reads that output.
    """

    source: ChannelName | None = None
    read: ChannelName | None = None
    nudge: ChannelName | None = None


class MatrixSettings(Section):
    """The table ``[backend.matrix]``: which instrument connects which row to which column.

    Attributes
    ----------
    instrument : str
        Name of the switch matrix.
    rows : mapping of str to RowSettings or "ground"
        Rows by the names that the matrix has for them.
    columns : mapping of str to int or str
        Node (name or number) -> column. These nodes are not in ``terminals``.
    read_inputs : bool
        Also read each input on a column through the matrix in every sample, and compare it with what was set.
    """

    instrument: InstrumentName
    rows: dict[str, RowSettings | Literal["ground"]]
    columns: dict[str, Annotated[int, Field(ge=0)] | str]
    read_inputs: bool = False


class DevicePulseSettings(Section):
    """The table ``[backend.devices.pulses]``: limits of pulses. Without it, no pulse is ever applied.

    Attributes
    ----------
    voltage : quantity
        Maximum magnitude of a pulse across its device.
    current : quantity
        Maximum expected current of a pulse through its device.
    width : two quantities
        Shortest and longest pulse. The host times them: they last longer than stated by the time of a message.
    most : int
        Maximum number of pulses for any one device while the bench is open.
    tolerance : float
        Largest relative error of a device that counts as programmed.
    """

    voltage: PositiveVolts
    current: PositiveAmperes
    width: Annotated[tuple[PulseWidth, PulseWidth], FROM_LIST]
    most: Count = 10_000
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.01


class DeviceSettings(Section):
    """The table ``[backend.devices]``: edges that are single devices, reached through the matrix.

    Attributes
    ----------
    read_voltage : quantity
        Maximum read voltage; also that of readings that the driver makes on its own.
    scheme : {"half", "third", "ground"}
        Voltages of the other lines in a pulse; see `hwlearn_drivers.bench.matrix.devices.DeviceScheme`.
    positive : {"first", "second"}
        Node of each edge that is positive in a pulse that raises the conductance; of a crossbar, the row is first.
    headroom : float
        Safety factor on the last known conductance for expected currents.
    unknown_conductance : quantity, optional
        Assumed for a device that was never read. Default: the upper end of ``limits.conductance``.
    pulses : DevicePulseSettings, optional
    """

    read_voltage: PositiveVolts = 0.1
    scheme: Literal["half", "third", "ground"] = "half"
    positive: Literal["first", "second"] = "first"
    headroom: Annotated[float, Field(ge=1.0)] = 2.0
    unknown_conductance: PositiveSiemens | None = None
    pulses: DevicePulseSettings | None = None


class ProgrammerSettings(Section):
    """The instruments that set the conductances, or the gate voltages.

    Attributes
    ----------
    programmer : str or tuple of str
        Name of the instrument that sets all edges; or names of several, each of which sets the edges whose values
        have its unit: a card of potentiometers the resistors, a card of DACs the gates of transistors.
    """

    programmer: InstrumentName | Annotated[tuple[InstrumentName, ...], FROM_LIST, Field(min_length=1)]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all of them."""
        return (self.programmer,) if isinstance(self.programmer, str) else self.programmer


class BenchSettings(Section):
    """All keys of the table; quantities are text with a unit, or numbers in SI units.

    Attributes
    ----------
    instruments : tuple of InstrumentSettings
        ``[[backend.instruments]]``; the keys depend on the model.
    terminals : tuple of TerminalSettings
        ``[[backend.terminals]]``: one for each input and each output that is not on a column of a matrix.
    matrix : MatrixSettings, optional
        A switch matrix that connects few instruments to the other terminals.
    superpose : bool
        Whether samples with more voltages than the matrix has source rows are composed from measurements of single
        inputs, after ``hwlearn check`` has shown that superposition holds.
    superposition : path
        The file in which the check leaves its result.
    edges : ProgrammerSettings, "devices", quantity or tuple of quantities
        Instruments that program the edges, single devices that are reached through the matrix, or the
        conductance of fixed resistors.
    devices : DeviceSettings, optional
        For ``edges = "devices"``.
    slew_V_per_s, ramp_step, settle
        See `hwlearn_drivers.instrument.pace.Pace`. A scanner has a settling time of its own for each channel.
    input_tolerance : quantity, optional
        Largest deviation of an input that is read back from what was set. Default: 2 % of ``limits.voltage``,
        ten standard uncertainties of the reading and one step of the source.
    baud : int, optional
        Of all serial ports, unless an instrument has its own.
    timeout, visa_library
        See `hwlearn_drivers.transport.addresses.LinkOptions`.
    wire_log : path, optional
        File that records every message.
    replay : path, optional
        A file that ``wire_log`` has recorded: its messages stand in for the instruments.
    dry_run : bool
        Print commands instead of sending them.
    """

    kind: Literal["bench"] = "bench"
    instruments: Annotated[tuple[InstrumentTable, ...], FROM_LIST, Field(min_length=1)]
    terminals: Annotated[tuple[TerminalSettings, ...], FROM_LIST] = ()
    matrix: MatrixSettings | None = None
    superpose: bool = False
    superposition: FilePath = Path("superposition.toml")
    edges: (
        Literal["devices"]
        | ProgrammerSettings
        | Annotated[tuple[PositiveSiemens, ...], FROM_LIST]
        | PositiveSiemens
    )
    devices: DeviceSettings | None = None
    slew_V_per_s: Positive = 10.0
    ramp_step: PositiveVolts = 0.05
    settle: NonNegativeSeconds = 0.01
    input_tolerance: PositiveVolts | None = None
    timeout: PositiveSeconds = 3.0
    baud: Count | None = None
    visa_library: str = PURE_PYTHON
    wire_log: FilePath | None = None
    replay: FilePath | None = None
    dry_run: bool = False
