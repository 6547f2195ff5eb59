"""Keithley DAQ6510 data acquisition and multimeter system with 7700 multiplexer modules, in its SCPI command set.

Each command is sent alike by at least two independent public programs: the examples of Tektronix for the DAQ6510
(``FUNC``, ``ROUT:CHAN:DEL``, ``ROUT:SCAN:CRE``, ``ROUT:SCAN:COUN:SCAN`` and ``:STEP?``, ``TRAC:CLE``, ``*WAI``,
``INIT``, ``TRAC:DATA?``), the drivers for it in PythonEquipmentDrivers (reply to ``ROUT:SCAN?``, pairs of
``TRAC:DATA?`` with CHAN and READ, ranges, ``ROUT:OPEN:ALL``), in CMStkModLab (reply to ``SYST:CARD1:IDN?``, of a
module and of a pseudocard), in the loggers of nemocrys and of SRS (``SENS:VOLT:RANG``, the module), in a beam line
program (``SENS:VOLT:NPLC``, ``SENS:VOLT:INP MOHM10``) and in an RTD monitor (``SENS:FRES:AZER``), and the drivers
of PyMeasure for the DAQ6510 and the DMM6500, which has the same voltmeter (ranges, integration times, ``AZER?``,
``ROUT:TERM?``, queries of one channel, ``:SYST:ERR?``).

Not confirmed: the reply to ``SENS:VOLT:INP?`` (so the input resistance is set to 10 Mohm, and not read back), the
format of the list in the reply to ``ROUT:CLOS?`` (any number in it is taken for a closed channel), the reply to
``SYST:CARD1:IDN?`` for an empty slot (whatever does not begin with a model number is), and noise and resolution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from hwlearn.errors import SetupError
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.scanner.capability import Integration, ScannerCapability, ScanSettings
from hwlearn_drivers.scanner.models.keithley_2700 import expanded
from hwlearn_drivers.scanner.scanner import Scanner, channel_list, word
from hwlearn_drivers.transport.query_only import QueryOnly

_RESET_S: Final = 10.0
_CARD: Final = re.compile(r"(\d{4}),(.*)")

CAPABILITY: Final = ScannerCapability(
    ranges_V=(0.1, 1.0, 10.0, 100.0),
    integrations={nplc: Integration(0.0) for nplc in (0.01, 0.1, 1.0, 2.0, 5.0, 10.0)},
    sigmas=1.0,
    input_ohm=10e6,
    high_up_to_V=0.0,
    most_delay_s=60.0,
    delay_step_s=1e-3,
    cards={"7700": 20},
    slots=(1, 2),
)
"""The 1000 V range is not offered, because the module withstands 300 V (2700 User's Manual, section 2)."""


class KeithleyDaq6510(Scanner):
    """A DAQ6510. A scan stores its readings in ``defbuffer1``, each with its channel."""

    __slots__ = ()

    capabilities: ClassVar[Mapping[str, ScannerCapability]] = {"DAQ6510": CAPABILITY}

    @classmethod
    def place_of(cls, model: str, channel: str) -> tuple[int, int]:
        """Return slot and number of a channel such as ``"101"``: slot 1, channel 1 of the module."""
        found = re.fullmatch(r"([12])(\d\d)", channel)
        if found is None or not 1 <= int(found[2]) <= 20:
            raise SetupError(
                f"a {model} has no channel {channel!r}; write slot (1 or 2) and channel (01 to 20): '101'"
            )
        return int(found[1]), int(found[2])

    # --- modules ------------------------------------------------------------------------------------

    def _card_in(self, slot: int) -> str:
        return _card(self.query(f"SYST:CARD{slot}:IDN?"))

    @classmethod
    def read_cards(cls, link: QueryOnly, model: str) -> dict[int, str]:
        """Return the model of the module in each slot, with queries only; empty if there is none."""
        return {slot: _card(link.query(f"SYST:CARD{slot}:IDN?")) for slot in cls.capabilities[model].slots}

    @classmethod
    def read_closed(cls, link: QueryOnly, channels: Sequence[str]) -> list[str]:
        """Return which of these channels are closed, with queries only."""
        return _closed(link.query("ROUT:CLOS?"), channels)

    # --- settings -----------------------------------------------------------------------------------

    def _reset(self) -> None:
        self.transport.write("*CLS", "*RST")
        self.query("*OPC?", _RESET_S)
        self.check_errors("*RST")
        language = self.query("*LANG?").strip()
        if language != "SCPI":
            raise SetupError(
                f"{self.name} uses the command set {language!r}; send '*LANG SCPI' and restart the instrument"
            )
        terminals = self.query("ROUT:TERM?").strip().upper()
        if not terminals.startswith("REAR"):
            raise SetupError(
                f"{self.name} measures at its front terminals ({terminals}); press TERMINALS, so that its modules "
                "at the rear are measured"
            )

    def _configure(self, settings: ScanSettings, channels: Sequence[str]) -> None:
        listed = channel_list(channels)
        self.write(
            f'SENS:FUNC "VOLT:DC",{listed}',
            f"SENS:VOLT:RANG {number(settings.range_V)},{listed}",
            f"SENS:VOLT:NPLC {number(settings.nplc)},{listed}",
            f"SENS:VOLT:AZER {word(settings.autozero)},{listed}",
            f"SENS:VOLT:INP MOHM10,{listed}",
            f"ROUT:CHAN:DEL {number(settings.delay_s)},{listed}",
            f"ROUT:SCAN:CRE {listed}",
            "ROUT:SCAN:COUN:SCAN 1",
            "TRAC:CLE",
        )

    def _read_settings(self, channels: Sequence[str]) -> list[ScanSettings]:
        found = []
        for channel in channels:  # the reply for several channels was not confirmed for numbers
            range_V, nplc, zero, delay_s = (
                self.query_numbers(f"{header}? (@{channel})", 1)[0]
                for header in ("SENS:VOLT:RANG", "SENS:VOLT:NPLC", "SENS:VOLT:AZER", "ROUT:CHAN:DEL")
            )
            found.append(ScanSettings(range_V, nplc, bool(zero), False, delay_s))
        return found

    def _scan_list(self) -> list[str]:
        question = "ROUT:SCAN?"
        reply = self.query(question)
        listed = expanded(reply)
        if listed is None:
            self.transport.garbled(question, reply)
        return listed

    def _scan(self, timeout_s: float) -> dict[str, float]:
        expected = list(self._channels)
        if self.transport.out_of_sync:  # a device clear after INIT would end the scan
            self.transport.resynchronise()
        # *WAI: the reply comes when the scan is over
        self.transport.write("TRAC:CLE", "INIT", "*WAI")
        question = f'TRAC:DATA? 1,{len(expected)},"defbuffer1",CHAN,READ'
        reply = self.query(question, timeout_s)
        values = self.numbers(question, reply, 2 * len(expected))
        names = [str(int(channel)) for channel in values[::2]]
        if sorted(names) != sorted(expected):
            self.transport.garbled(question, reply)
        return dict(zip(names, values[1::2], strict=True))

    # --- off ----------------------------------------------------------------------------------------

    @classmethod
    def off_lines(cls) -> tuple[str, ...]:
        """Return the commands that abort a scan and open every channel."""
        return ("ABOR", "ROUT:OPEN:ALL")

    def _is_off(self) -> bool:
        return not _closed(self.query("ROUT:CLOS?"), self._known)


def _card(reply: str) -> str:
    """Return the model in a reply such as ``7700,20Ch Mux w/CJC,0.0.0a,123456``; empty without a real module.

    Examples
    --------
    >>> _card("7700,20Ch Mux w/CJC,0.0.0a,1243657"), _card("7700,Pseudo 20Ch Mux w/CJC,0.0.0a,0"), _card("")
    ('7700', '7700 pseudocard', '')
    """
    found = _CARD.match(reply.strip().strip('"'))
    if found is None:
        return ""
    return f"{found[1]} pseudocard" if "PSEUDO" in found[2].upper() else found[1]


def _closed(reply: str, channels: Sequence[str]) -> list[str]:
    """Return those of the channels that a reply such as ``(@101:103)`` names."""
    listed = expanded(reply)
    closed = set(re.findall(r"\d+", reply)) if listed is None else set(listed)
    return [channel for channel in channels if channel in closed]
