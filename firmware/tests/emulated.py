"""The AVR binary in its emulator, alone and in parallel with the native board."""

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
    """Return ``emu/refboard_emu.py``, which is not part of a package."""
    path = FIRMWARE / "emu" / "refboard_emu.py"
    spec = importlib.util.spec_from_file_location("refboard_emu", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["refboard_emu"] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def emulated_board(record: Record | None = PLAIN, **settings: Any) -> Any:
    """Return a powered board with this record in its EEPROM; skip the test if it cannot be built."""
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
    """Two memories that are written in parallel and read from the first."""

    def __init__(self, *memories: Any) -> None:
        self._memories = memories

    def __getitem__(self, key: Any) -> Any:
        return self._memories[0][key]

    def __setitem__(self, key: Any, value: Any) -> None:
        for memory in self._memories:
            memory[key] = value


class Pair(Rig):
    """A native and an emulated board in parallel; an assertion fails if they differ."""

    def __init__(self, library: Path, record: Record | None = PLAIN) -> None:
        self.emulated = emulated_board(None, eeprom_write_us=0)
        self._sent: list[bytes] = []
        super().__init__(library, record)

    def _same(self, what: str, native: Any, emulated: Any) -> None:
        assert native == emulated, f"{what}: native {native!r}, emulated {emulated!r}, after {self._sent[-6:]!r}"

    def power_on(self) -> None:
        """Switch on both boards."""
        super().power_on()
        self.emulated.power_on()
        self._sent = []

    @property
    def eeprom(self) -> Any:
        """EEPROMs of both boards."""
        return _Both(super().eeprom, self.emulated.eeprom)

    def send(self, data: bytes) -> None:
        """Send bytes to both boards."""
        self._sent.append(data)
        super().send(data)
        self.emulated.receive(data)

    def fetch(self) -> bytes:
        """Return the pending bytes, which must be equal."""
        reply = super().fetch()
        self._same("reply", reply, self.emulated.transmit())
        return reply

    def advance(self, seconds: float) -> None:
        """Advance the time of both boards."""
        self._sent.append(b"(%d us)" % round(seconds * 1e6))
        super().advance(seconds)
        self.emulated.advance_us(round(seconds * 1e6))

    def transfer(self, switches: int, rows: Sequence[Sequence[float]]) -> None:
        """Connect the same network to both boards."""
        super().transfer(switches, rows)
        self.emulated.set_transfer(switches, rows)

    @property
    def dacs(self) -> list[int]:
        """Present DAC codes of both boards."""
        codes = super().dacs
        self._same("DACs", codes, self.emulated.dac_codes())
        return codes

    @property
    def switches(self) -> int:
        """Mask of the closed nudge switches of both boards."""
        closed = super().switches
        self._same("switches", closed, self.emulated.switches())
        return closed

    @property
    def edges(self) -> list[int]:
        """Codes of the potentiometers of both boards."""
        codes = super().edges
        self._same("edges", codes, self.emulated.edge_codes().tolist())
        return codes

    def allow(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Start to count updates outside the ranges on both boards."""
        super().allow(ranges)
        self.emulated.allow([low for low, _ in ranges], [high for _, high in ranges])

    def violations(self) -> int:
        """Return the number of updates of either board outside the allowed ranges since the last call."""
        return super().violations() + int(self.emulated.violations)

    def no_fault(self) -> None:
        """Check that the AVR violated no data sheet and lost no byte."""
        count, newest = self.emulated.faults
        assert count == 0, newest
        assert self.emulated.overruns == 0, "the UART lost bytes"
