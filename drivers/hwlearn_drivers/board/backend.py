"""Backend ``board``: opens a bench on the reference board."""

from __future__ import annotations

import time
from contextlib import ExitStack

from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits
from hwlearn.network.reports import InstrumentReport
from hwlearn.network.switched_off import SwitchedOff
from hwlearn_drivers.board.board import OFF, Board
from hwlearn_drivers.board.dry import DryBoard
from hwlearn_drivers.board.edges import BoardEdges
from hwlearn_drivers.board.held import BLOCK_QUIET_S
from hwlearn_drivers.board.inspection import input_names, inspect_board, nudge_names
from hwlearn_drivers.board.network import BoardNetwork
from hwlearn_drivers.board.protocol import MILLION, microvolts
from hwlearn_drivers.board.session import BoardSession
from hwlearn_drivers.board.settings import BoardSettings
from hwlearn_drivers.board.wiring import BoardWiring
from hwlearn_drivers.claims.shutdown import off_or_raise, off_target
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.inspection import inspect_all, inspection
from hwlearn_drivers.transport.addresses import LinkOptions, prepare_link
from hwlearn_drivers.transport.connector import Connector, reads_connection
from hwlearn_drivers.transport.wire_log import WireLog, optional_log


class BoardBackend:
    """Opens the board of a ``[backend]`` table with all outputs off."""

    Settings = BoardSettings

    @staticmethod
    def open(settings: BoardSettings, topology: Topology, limits: Limits) -> BoardNetwork:
        """Open the board with all outputs off, set the limits in its firmware, and return its network.

        Raises
        ------
        SetupError
            If the settings do not fit the network, a limit is wider than the board's own, or the board has no
            calibration record.
        InUseError
            If another process, or another network of this one, uses the board.
        LinkError, UnknownInstrumentError, InstrumentError
            If the board is not connected, is another instrument, has older firmware, or refuses a setting.
        """
        wiring = BoardWiring.of(topology, settings.inputs, settings.outputs, settings.edges)
        with ExitStack() as stack:
            wire_log = None if settings.wire_log is None else stack.enter_context(WireLog(settings.wire_log))
            board = Board.open(_connector(settings, wire_log).transport(settings.address, DryBoard), settings.baud)
            stack.callback(board.close)
            edges = BoardEdges(board, limits, wiring.edges)
            board.begin(
                BoardSession(
                    int(microvolts(limits.voltage)),
                    int(microvolts(limits.nudge)),
                    *edges.codes,
                    settle_us=round(settings.settle * MILLION),
                    averages=settings.averages,
                    watchdog_ms=round(settings.watchdog * 1000),
                )
            )
            network = BoardNetwork(limits, board, wiring, edges, settings.voltage_sigma, wire_log)
            stack.pop_all()  # from here on the network closes the board and the log
            return network

    @staticmethod
    def prepare_off(settings: BoardSettings) -> None:
        """Import and look up what `off` needs; the board is not contacted.

        Raises
        ------
        SetupError, LinkError
            If the address has no known form or its host is unknown.
        """
        prepare_link(settings.address, _options(settings))

    @staticmethod
    def halt_open(reason: str) -> None:
        """Switch off every instrument that this process has open; see `open_outputs.halt_open`."""
        open_outputs.halt_open(reason)

    @staticmethod
    def off(settings: BoardSettings) -> list[SwitchedOff]:
        """Send OFF twice, whoever uses the board: another program may have left an incomplete block.

        Nothing is queried before OFF.

        Returns
        -------
        list of SwitchedOff
            How OFF reached the board.

        Raises
        ------
        OutputsMayBeOnError
            If it could not be sent.
        """
        target = off_target(
            settings.address,
            lambda check: _send_off(settings, check),
            settings.dry_run,
            (*input_names(), *nudge_names()),
        )
        return off_or_raise(
            [target],
            "EVERY DAC AND NUDGE SWITCH",
            f"its own watchdog switches them off {settings.watchdog:g} s after the last executed command; "
            "otherwise disconnect its supply",
        )

    @staticmethod
    def status(settings: BoardSettings) -> list[InstrumentReport]:
        """Return DACs, nudge switches, limits, watchdog and edges, read with queries that change nothing else.

        Every query restarts the watchdog of the board. A board that another process uses is not read.
        """
        if settings.dry_run:
            return []
        used = [("input", settings.inputs), ("nudge", settings.outputs)]
        nodes = {
            f"{kind} {channel}": f"{'output' if kind == 'nudge' else kind} {k}"
            for kind, channels in used
            for k, channel in enumerate(channels or ())
        }
        with optional_log(settings.wire_log) as wire_log:
            how = _connector(settings, wire_log)
            return inspect_all([inspection(settings.address, lambda: inspect_board(settings.address, nodes, how))])


def _send_off(settings: BoardSettings, check: bool) -> bool:
    transport = _connector(settings, None).for_off().transport(settings.address, DryBoard)
    try:
        transport.halt(OFF)
        if not settings.dry_run:
            time.sleep(BLOCK_QUIET_S)
        transport.halt(OFF)
        return check and reads_connection(transport)
    finally:
        transport.close()


def _connector(settings: BoardSettings, wire_log: WireLog | None) -> Connector:
    return Connector(_options(settings), wire_log, settings.dry_run)


def _options(settings: BoardSettings) -> LinkOptions:
    return LinkOptions(
        settings.baud, settings.visa_library, settings.timeout, acknowledgement=settings.acknowledgement
    )
