"""`BenchInstrument` and the roles that it may play: `SetsVoltages`, `ReadsVoltages`, `ConnectsCrosspoints`, ...

A class implements `BenchInstrument` and the interface of each role that its channels can play. Channels have the
names by which the bench file calls them (``"0"``, ``"101"``, ``"a"``, ``"ao0"``); an instrument is opened with the
`ChannelUse` of the bench and knows which channels play which role.

Rules for every implementation:

- OFF comes first and is write-only: `halt` sends it without a query and without waiting for other threads.
- Every value is checked against range and bench limits before anything is sent. Nothing is clipped.
- Errors that the instrument reports are read after every group of settings (a setting with ``check=True``).
- A late reply is never taken for the reply to a later query (`Transport` does this).
- Methods that are not part of OFF are called by one thread at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from hwlearn.arrays import IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.roles.values import ChannelReadings, Crosspoint, SourceRange


class BenchInstrument(ABC):
    """An opened instrument of a bench, with every output off.

    `hwlearn_drivers.roles.on_source.OnSource` implements most of this for a `Source`.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name in the bench file, with model and address, for messages."""

    @property
    @abstractmethod
    def provenance(self) -> str:
        """Maker, model, serial number and address, as the instrument reports them."""

    # --- off ----------------------------------------------------------------------------------------

    @abstractmethod
    def halt(self, reopen: bool = True) -> None:
        """Send OFF, without a query or waiting for other threads; block commands until `rearm`.

        Parameters
        ----------
        reopen : bool
            Whether to open the link once more and send OFF again if that fails.

        Raises
        ------
        OutputsMayBeOnError
            If OFF could not be sent; the message names, in capitals, the outputs that may be on.
        """

    @abstractmethod
    def rearm(self) -> None:
        """Allow commands again after `halt`; the outputs stay off.

        Raises
        ------
        HaltedError
            If somebody else asked for OFF; only `reconnect` allows commands again.
        LinkError
            If the link dropped; `reconnect` checks the identity.
        """

    @property
    @abstractmethod
    def halted_because(self) -> str | None:
        """Why something else in this process switched it off; None if nothing did."""

    @abstractmethod
    def allow_again(self) -> None:
        """Forget why it was switched off, because a person reconnects it."""

    # --- link ---------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def needs_reconnect(self) -> bool:
        """Whether its link is closed, or was opened again only to send OFF."""

    @abstractmethod
    def reconnect(self) -> None:
        """Send OFF, check that the same instrument answers, and set it up again.

        Raises
        ------
        OutputsMayBeOnError, LinkError, UnknownInstrumentError
        """

    @abstractmethod
    def start_again(self) -> None:
        """Send OFF and set everything up again, after somebody else changed settings."""

    @abstractmethod
    def close(self) -> None:
        """Send OFF and close the link; closing twice is harmless.

        Raises
        ------
        OutputsMayBeOnError
            If OFF could not be sent or is not confirmed; the link is closed nevertheless.
        """

    # --- state --------------------------------------------------------------------------------------

    def check_state(self) -> None:
        """Compare what the instrument reports of its outputs with what was set; called after each batch.

        An instrument that reports nothing does nothing.

        Raises
        ------
        OutputStateError
            If they differ: somebody else changed it. Names channel, node, what was set and what was found.
        """
        return


class SetsVoltages(BenchInstrument):
    """An instrument with voltage sources: SMU or DAC channels, analog outputs of a DAQ device."""

    @abstractmethod
    def source_range(self, channel: str) -> SourceRange:
        """Return what a channel can set. Its ends may be wider than the limits of the bench."""

    def nearest(self, channel: str, volts: float) -> float:
        """Return the voltage that a channel really sets for these volts: its nearest step within the limits."""
        return volts

    @abstractmethod
    def prepare_sources(self) -> None:
        """Set the limits of every source channel in use, then 0 V; outputs with a switch stay off."""

    @abstractmethod
    def switch_sources_on(self) -> None:
        """Switch every source channel in use on, at 0 V; nothing to do where 0 V is off."""

    @abstractmethod
    def set_voltages(self, volts: Mapping[str, float], check: bool) -> None:
        """Set channels to volts, with as few messages as the instrument allows.

        Parameters
        ----------
        volts : mapping of str to float
            Channel -> volts; other channels keep theirs.
        check : bool
            Read back the state before it and the errors after it, as far as the instrument has them. False between
            the first and the last step of a ramp.

        Raises
        ------
        LimitError
            If a value is outside the range of the channel or the limits of the bench; nothing was sent.
        OutputStateError
            If the state before it was not what was set.
        InstrumentError
            If the instrument rejects a value.
        """


class ReadsVoltages(BenchInstrument):
    """An instrument that reads voltages: SMU channels, voltmeters, scanners, ADC channels."""

    @property
    @abstractmethod
    def voltage_sigma(self) -> float:
        """Standard uncertainty of one reading in volts; 0 if it is not stated."""

    @property
    def sigma_is_from_data_sheet(self) -> bool:
        """Whether `voltage_sigma` is the figure of the data sheet, because the bench file states none."""
        return False

    @property
    def current_sigma(self) -> float:
        """Standard uncertainty of one current reading in amperes; 0 if it is not stated."""
        return 0.0

    @property
    def resolution_V(self) -> float:
        """Smallest voltage difference that a reading can resolve; by default its standard uncertainty."""
        return self.voltage_sigma

    @abstractmethod
    def measures_current(self, channel: str) -> bool:
        """Whether `read` also measures the current of a channel."""

    @abstractmethod
    def read(self, channels: Sequence[str]) -> ChannelReadings:
        """Read channels that have the role `Role.READ`: all at once, or one after the other, each settled.

        The sources hold their levels until it returns.

        Raises
        ------
        OutputStateError
            If the instrument reports, with the reading, another state than the one that was set.
        LinkError, InstrumentError
        """


class DrivesOutputs(BenchInstrument):
    """An instrument whose channels drive outputs themselves: a source-measure unit.

    A channel floats as a current source at 0 A with a voltage limit. Which drives it can make is told by
    `InstrumentSettings.drive_kinds`.
    """

    @abstractmethod
    def prepare_outputs(self) -> None:
        """Let every nudge channel in use float: first the limits, then 0 A; the outputs stay off."""

    @abstractmethod
    def switch_outputs_on(self) -> None:
        """Switch every nudge channel in use on, floating."""

    @abstractmethod
    def change_drives(self, clamps: Mapping[str, bool]) -> dict[str, float]:
        """Make channels voltage sources (True) or current sources (False), where they are not.

        The new level is the present reading, so that no node voltage jumps.

        Returns
        -------
        dict of str to float
            Level, volts or amperes, of each channel that was changed.
        """

    @abstractmethod
    def set_outputs(self, levels: Mapping[str, float], check: bool) -> None:
        """Set levels in volts (clamps) or amperes; as `SetsVoltages.set_voltages`."""


class ClosesSwitches(BenchInstrument):
    """An instrument with switches that connect the resistors of nudges. OFF opens all of them."""

    @abstractmethod
    def set_switches(self, closed: Mapping[str, bool]) -> None:
        """Open (False) or close (True) switches; those that open do so before others close.

        Raises
        ------
        InstrumentError
            If the instrument rejects it.
        """


class ConnectsCrosspoints(BenchInstrument):
    """A switch matrix: each of its relays connects a row with a column. OFF opens every relay.

    Whoever moves relays first sets every source that is connected to a row to 0 V or to 0 A.
    """

    @property
    @abstractmethod
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""

    @abstractmethod
    def channel(self, crosspoint: Crosspoint) -> str:
        """Return the name that the instrument has for a crosspoint, such as ``1A03``.

        Raises
        ------
        SetupError
            If there is no such row or column; names those that there are.
        """

    @abstractmethod
    def change(self, opening: Collection[Crosspoint], closing: Collection[Crosspoint]) -> None:
        """Open some crosspoints and close others, break before make; all others stay as they are.

        Every relay of ``opening`` has settled before the first one of ``closing`` moves, and every relay of
        ``closing`` has settled when this returns. Relays that are already as wanted are not moved. Then the
        instrument is asked which crosspoints are closed.

        Parameters
        ----------
        opening, closing : collection of Crosspoint
            None may be in both.

        Raises
        ------
        SetupError
            If a row or column does not exist, or a crosspoint is in both; nothing was sent.
        InstrumentError
            If the instrument rejects a command; which relays moved is then unknown until OFF.
        OutputStateError
            If other crosspoints are closed than were set, such as with a stuck relay: names each crosspoint, what
            it connects, how it was set and how it was found.
        """

    @abstractmethod
    def closed(self) -> frozenset[Crosspoint]:
        """Query which crosspoints are closed."""

    @property
    @abstractmethod
    def relay_moves(self) -> int:
        """Number of relays that were opened or closed by `change` since the matrix was opened."""


class ProgramsEdges(BenchInstrument):
    """An instrument that sets conductances, or gate voltages."""

    @abstractmethod
    def open_edges(self, topology: Topology, limits: Limits, edges: IntArray | None = None) -> Edges:
        """Return those edges of the network whose numbers are given; closing them leaves the instrument open.

        None stands for all edges.

        Raises
        ------
        SetupError
            If it has too few places, or cannot set every conductance that the limits allow.
        """
