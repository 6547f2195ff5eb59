"""`BoardSession`: limits and settings of a bench on the reference board, and the commands that set them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hwlearn.errors import SetupError
from hwlearn.units import format_quantity
from hwlearn_drivers.board.protocol import MILLION
from hwlearn_drivers.board.record import BoardRecord

READ_BACK: Final = "SOUR:LIM:VOLT?;NUDG?;EDGE?;:SYST:WDOG?;:SEQ:SETT?;AVER?"
"""Query whose expected reply is `BoardSession.read_back`."""

_HEADERS: Final = ("SOUR:LIM:VOLT", "SOUR:LIM:NUDG", "SOUR:LIM:EDGE", "SYST:WDOG", "SEQ:SETT", "SEQ:AVER")


@dataclass(frozen=True, slots=True)
class BoardSession:
    """Limits and settings of a bench, valid until the board restarts.

    Attributes
    ----------
    volts_uV, nudge_uV : int
        Limits in microvolts; they can only narrow the board's own limits.
    edge_low, edge_high : int
        Lowest and highest code of an edge.
    settle_us, averages : int
        Wait before each reading in microseconds, and number of readings averaged into one.
    watchdog_ms : int
        Time without an executed command in milliseconds after which the board switches its outputs off.
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
            With both limits.
        """
        for name, limit, own in (
            ("limits.voltage", self.volts_uV, record.volts_uV),
            ("limits.nudge", self.nudge_uV, record.nudge_uV),
        ):
            if limit > own:
                raise SetupError(
                    f"{name} = {format_quantity(limit / MILLION, 'V', 7)} is wider than the board's own limit of "
                    f"{format_quantity(own / MILLION, 'V', 7)} ({board}); set it to that or less"
                )

    def differences(self, read_back: str) -> list[str]:
        """Return each limit and setting whose value in a reply to `READ_BACK` is not the one that was set."""
        found = read_back.split(";")
        if len(found) != len(_HEADERS):
            return [f"limits and settings read {read_back!r}"]
        return [
            f"{header} was set to {value} and is {other}"
            for header, value, other in zip(_HEADERS, self._values, found, strict=True)
            if value != other
        ]

    @property
    def commands(self) -> tuple[str, ...]:
        """Commands that set the limits and settings."""
        return tuple(f"{header} {value}" for header, value in zip(_HEADERS, self._values, strict=True))

    @property
    def read_back(self) -> str:
        """Expected reply to `READ_BACK`."""
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
