"""`BoardSession`: what a bench asks of the reference board until it restarts, and the commands that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hwlearn.errors import SetupError
from hwlearn.units import format_quantity
from hwlearn_drivers.board.protocol import MILLION
from hwlearn_drivers.board.record import BoardRecord

READ_BACK: Final = "SOUR:LIM:VOLT?;NUDG?;EDGE?;:SYST:WDOG?;:SEQ:SETT?;AVER?"
"""The question that `BoardSession.read_back` answers."""


@dataclass(frozen=True, slots=True)
class BoardSession:
    """What a bench asks of the board until it restarts.

    Attributes
    ----------
    volts_uV, nudge_uV : int
        Limits, in microvolts; they only narrow the board's own.
    edge_low, edge_high : int
        Codes that an edge may take.
    settle_us, averages : int
        Wait before each reading, and readings averaged into one.
    watchdog_ms : int
        The board makes itself safe after so long without a message.
    """

    volts_uV: int
    nudge_uV: int
    edge_low: int = 0
    edge_high: int = 255
    settle_us: int = 200
    averages: int = 1
    watchdog_ms: int = 2000

    def check(self, record: BoardRecord, board: str) -> None:
        """Refuse limits that are wider than the board's own.

        Raises
        ------
        SetupError
            Naming both.
        """
        for name, asked, own in (
            ("limits.voltage", self.volts_uV, record.volts_uV),
            ("limits.nudge", self.nudge_uV, record.nudge_uV),
        ):
            if asked > own:
                raise SetupError(
                    f"{name} = {format_quantity(asked / MILLION, 'V', 7)} is wider than the board's own limit of "
                    f"{format_quantity(own / MILLION, 'V', 7)} ({board}); set it to that or less"
                )

    @property
    def commands(self) -> tuple[str, ...]:
        """What the board is told."""
        headers = ("SOUR:LIM:VOLT", "SOUR:LIM:NUDG", "SOUR:LIM:EDGE", "SYST:WDOG", "SEQ:SETT", "SEQ:AVER")
        return tuple(f"{header} {value}" for header, value in zip(headers, self._values, strict=True))

    @property
    def read_back(self) -> str:
        """What it then answers to `READ_BACK`."""
        return ";".join(self._values)

    @property
    def _values(self) -> tuple[str, ...]:
        return (
            f"{self.volts_uV / MILLION:.6f}",
            f"{self.nudge_uV / MILLION:.6f}",
            f"{self.edge_low},{self.edge_high}",
            str(self.watchdog_ms),
            str(self.settle_us),
            str(self.averages),
        )
