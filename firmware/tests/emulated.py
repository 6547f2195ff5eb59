"""The AVR binary in its emulator, alone and side by side with the native board."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .record import BANKS, PLAIN, Record
from .rig import FIRMWARE, Rig


@cache
def module() -> ModuleType:
    """Load ``emu/refboard_emu.py``, which belongs to no package."""
    path = FIRMWARE / "emu" / "refboard_emu.py"
    spec = importlib.util.spec_from_file_location("refboard_emu", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["refboard_emu"] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def emulated_board(record: Record | None = PLAIN, **settings: Any) -> Any:
    """Make a board with this record in its EEPROM, and switch it on; skip where it cannot be built."""
    emu = module()
    try:
        board = emu.EmulatedBoard(**settings)
    except emu.EmulatorMissing as missing:
        pytest.skip(str(missing))
    if record is not None:
        data = record.encode()
        board.eeprom[BANKS[0] : BANKS[0] + len(data)] = data
    board.power_on()
    return board


class _Both:
    """Two memories that are written alike, and read from the first."""

    def __init__(self, *memories: Any) -> None:
        self._memories = memories

    def __getitem__(self, key: Any) -> Any:
        return self._memories[0][key]

    def __setitem__(self, key: Any, value: Any) -> None:
        for memory in self._memories:
            memory[key] = value


class Pair(Rig):
    """A native board that does everything together with an emulated one; where they differ, an assertion fails."""

    def __init__(self, library: Path, record: Record | None = PLAIN) -> None:
        self.emulated = emulated_board(None, eeprom_write_us=0)
        self._sent: list[bytes] = []
        super().__init__(library, record)

    def _same(self, what: str, native: Any, emulated: Any) -> None:
        assert native == emulated, f"{what}: native {native!r}, emulated {emulated!r}, after {self._sent[-6:]!r}"

    def power_on(self) -> None:
        """Switch both on."""
        super().power_on()
        self.emulated.power_on()
        self._sent = []

    @property
    def eeprom(self) -> Any:
        """Both EEPROMs."""
        return _Both(super().eeprom, self.emulated.eeprom)

    def send(self, data: bytes) -> None:
        """Let both receive the bytes."""
        self._sent.append(data)
        super().send(data)
        self.emulated.receive(data)

    def fetch(self) -> bytes:
        """Take what both have said: the same."""
        said = super().fetch()
        self._same("answer", said, self.emulated.transmit())
        return said

    def advance(self, seconds: float) -> None:
        """Let time pass for both."""
        self._sent.append(b"(%d us)" % round(seconds * 1e6))
        super().advance(seconds)
        self.emulated.advance_us(round(seconds * 1e6))

    def transfer(self, switches: int, rows: Sequence[Sequence[float]]) -> None:
        """Put the same network on both."""
        super().transfer(switches, rows)
        self.emulated.set_transfer(switches, rows)

    @property
    def dacs(self) -> list[int]:
        """The codes that stand at the DACs of both."""
        codes = super().dacs
        self._same("DACs", codes, self.emulated.dac_codes())
        return codes

    @property
    def switches(self) -> int:
        """The closed nudge switches of both."""
        closed = super().switches
        self._same("switches", closed, self.emulated.switches())
        return closed

    @property
    def edges(self) -> list[int]:
        """The codes of the potentiometers of both."""
        codes = super().edges
        self._same("edges", codes, self.emulated.edge_codes().tolist())
        return codes

    def allow(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Watch both from now on."""
        super().allow(ranges)
        self.emulated.allow([low for low, _ in ranges], [high for _, high in ranges])

    def violations(self) -> int:
        """How many loads of either broke the allowed ranges since this was last asked."""
        return super().violations() + int(self.emulated.violations)

    def no_fault(self) -> None:
        """Check that the AVR did nothing that a data sheet forbids, and lost no byte."""
        count, newest = self.emulated.faults
        assert count == 0, newest
        assert self.emulated.overruns == 0, "the UART lost bytes"
