"""Keysight (Agilent, HP) 34970A, 34972A, 34980A and DAQ970A data acquisition units with their internal voltmeter.

Sources: 34970A User's Guide, chapters 4 and 5 (channel lists and scan lists, ``ROUTe:SCAN``,
``ROUTe:CHANnel:DELay``, ``ZERO:AUTO``, ``FORMat:READing``, ``SYSTem:CTYPe?``, ``TRIGger``, ``ABORt``; integration
times with their resolutions); chapter 8 of the 34970A/34972A User's Guide (noise, input resistance; its
specifications are three standard deviations). The same commands are sent by the independent programs FluidLab
(``multiplexer.agilent_34970a``), DAQmon and a PyMeasure driver (``VOLT:DC:RANG``, ``VOLT:DC:NPLC``,
``INP:IMP:AUTO``, ``SYST:CTYP?``).

The User's Guide states the additional noise error with a footnote for less than one power line cycle that was not
confirmed; `Integration.noise` is None there.

34980A: Programmer's Reference Help (``ROUTe:SCAN``, ``ROUTe:CHANnel:DELay``, ``VOLTage:DC:IMPedance:AUTO``,
``<function>:ZERO:AUTO``, ``FORMat:READing``, ``TRIGger:COUNt``), Mainframe User's Guide pages 88 and 123
(integration times, format), data sheet (input resistance) and Service Guide page 12 (modules); ``SYST:CTYP?`` and
``ROUT:OPEN:ALL`` also in the driver of QCoDeS. Its noise was not found, so it is not stated.

DAQ970A: DAQ970A/DAQ973A Programming Guide, pages 139 (``FORMat:READing``), 149 (``*IDN?``), 205
(``ROUTe:CHANnel:DELay``), 215 (``ROUTe:SCAN``, ``ABORt``) and 240 (whole power line cycles), data sheet page 10
(ranges). The driver of PyICe for it sends ``CONF:VOLT:DC``, ``VOLT:DC:NPLC``, ``INP:IMP:AUTO``, ``ZERO:AUTO``,
``VOLT:DC:RANG?``, ``ROUT:SCAN``, reads the list in the reply to ``ROUT:SCAN?`` and the card in the second field of
that to ``SYST:CTYP? 100``. A public test program for it states both replies to ``SYST:CTYP?``, of a card
(``Keysight Technologies,DAQM901A,MY58022244,01.02``) and of an empty slot (``Keysight Technologies,0,0,0``), and
opens all channels with ``SYST:CPON ALL``; another one sends ``TRIG:SOUR`` and ``TRIG:COUN``. Whether the scan list
is in a block was not found, so both forms are read. Its noise and resolution were not found, so they are not
stated; nor were integration times below one power line cycle, so they are not offered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Final

from hwlearn.errors import SetupError
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.scanner.capability import Integration, ScannerCapability, ScanSettings
from hwlearn_drivers.scanner.scanner import Scanner, channel_list, word
from hwlearn_drivers.transport.query_only import QueryOnly

_RESET_S: Final = 10.0
_CARD_FIELDS: Final = 4
_EMPTY: Final = "0"

_INTEGRATIONS: Final = {
    0.02: Integration(1e-4),
    0.2: Integration(1e-5),
    1.0: Integration(3e-6, 1e-5),
    2.0: Integration(2.2e-6, 1e-5),
    10.0: Integration(1e-6, 0.0),
    20.0: Integration(8e-7, 0.0),
    100.0: Integration(3e-7, 0.0),
    200.0: Integration(2.2e-7, 0.0),
}
"""Two power line cycles are not in the table of the noise; they have at most the noise of one."""

CAPABILITY_34970A: Final = ScannerCapability(
    ranges_V=(0.1, 1.0, 10.0, 100.0, 300.0),
    integrations=_INTEGRATIONS,
    sigmas=3.0,
    input_ohm=10e6,
    high_up_to_V=10.0,
    most_delay_s=60.0,
    delay_step_s=1e-3,
    cards={"34901A": 20, "34902A": 16, "34908A": 40},
    slots=(1, 2, 3),
)
"""Channels 21 and 22 of a 34901A measure currents."""

CAPABILITY_34980A: Final = replace(
    CAPABILITY_34970A,
    integrations={nplc: Integration(one.resolution) for nplc, one in _INTEGRATIONS.items()},
    cards={"34921A": 40, "34922A": 70, "34924A": 70},
    slots=tuple(range(1, 9)),
)
"""Channels 41 to 44 of a 34921A measure currents. A 34923A or 34925A may be set to one wire, which is not read."""


CAPABILITY_DAQ970A: Final = replace(
    CAPABILITY_34970A,
    integrations={nplc: Integration(0.0) for nplc in (1.0, 2.0, 10.0, 20.0, 100.0, 200.0)},
    cards={"DAQM901A": 20, "DAQM902A": 16, "DAQM908A": 40},
)
"""Channels 21 and 22 of a DAQM901A measure currents."""


class KeysightDaq(Scanner):
    """A data acquisition unit. A scan reads its list in rising order of the channels."""

    __slots__ = ()

    list_in_block = True

    zero_header: ClassVar[str]
    """Of the automatic zero readings."""

    input_header: ClassVar[str]
    """Of the high input resistance."""

    digits: ClassVar[int]
    """Of the number of a channel behind that of the slot."""

    slot_factor: ClassVar[int]
    """What the number of a slot is multiplied by in a query of its card."""

    @classmethod
    def place_of(cls, model: str, channel: str) -> tuple[int, int]:
        """Return slot and number of a channel such as ``"101"``: slot 1, channel 1 of the card."""
        capability = cls.capabilities[model]
        found = re.fullmatch(rf"([1-9])(\d{{{cls.digits}}})", channel)
        most = max(capability.cards.values())
        if found is None or int(found[1]) not in capability.slots or not 1 <= int(found[2]) <= most:
            first, last = (f"{number:0{cls.digits}d}" for number in (1, most))
            raise SetupError(
                f"a {model} has no channel {channel!r}; write slot (1 to {capability.slots[-1]}) and channel "
                f"({first} to {last}): '1{first}'"
            )
        return int(found[1]), int(found[2])

    @classmethod
    def _card_query(cls, slot: int) -> str:
        return f"SYST:CTYP? {slot * cls.slot_factor}"

    def _card_in(self, slot: int) -> str:
        question = self._card_query(slot)
        reply = self.query(question)
        card = _card(reply)
        if card is None:
            self.transport.garbled(question, reply)
        return card

    @classmethod
    def read_cards(cls, link: QueryOnly, model: str) -> dict[int, str]:
        """Return the model of the card in each slot, with queries only; empty if there is none."""
        found = {}
        for slot in cls.capabilities[model].slots:
            reply = link.query(cls._card_query(slot))
            card = _card(reply)
            if card is None:
                link.garbled(cls._card_query(slot), reply)
            found[slot] = card
        return found

    @classmethod
    def read_closed(cls, link: QueryOnly, channels: Sequence[str]) -> list[str]:
        """Return which of these channels are closed, with queries only."""
        question = f"ROUT:CLOS? {channel_list(channels)}"
        reply = link.query(question)
        flags = [flag.strip() for flag in reply.split(",")]
        if len(flags) != len(channels) or not {"0", "1"}.issuperset(flags):
            link.garbled(question, reply)
        return [channel for channel, flag in zip(channels, flags, strict=True) if flag == "1"]

    def _reset(self) -> None:
        self.transport.write("*CLS", "*RST")
        self.query("*OPC?", _RESET_S)
        self.check_errors("*RST")

    def _configure(self, settings: ScanSettings, channels: Sequence[str]) -> None:
        listed = channel_list(channels)
        self.write(
            f"CONF:VOLT:DC {number(settings.range_V)},{listed}",
            f"VOLT:DC:NPLC {number(settings.nplc)},{listed}",
            f"{self.zero_header} {word(settings.autozero)},{listed}",
            f"{self.input_header} {word(settings.high_impedance)},{listed}",
            f"ROUT:CHAN:DEL {number(settings.delay_s)},{listed}",
            f"ROUT:SCAN {listed}",
            "TRIG:SOUR IMM",
            "TRIG:COUN 1",
            "FORM:READ:CHAN ON",
            "FORM:READ:UNIT OFF",
            "FORM:READ:TIME OFF",
            "FORM:READ:ALAR OFF",
        )

    def _read_settings(self, channels: Sequence[str]) -> list[ScanSettings]:
        listed = channel_list(channels)
        ranges, cycles, zeros, inputs, delays = (
            self.query_numbers(f"{header}? {listed}", len(channels))
            for header in ("VOLT:DC:RANG", "VOLT:DC:NPLC", self.zero_header, self.input_header, "ROUT:CHAN:DEL")
        )
        return [
            ScanSettings(range_V, nplc, bool(zero), bool(high), delay_s)
            for range_V, nplc, zero, high, delay_s in zip(ranges, cycles, zeros, inputs, delays, strict=True)
        ]

    def _scan_list(self) -> list[str]:
        question = "ROUT:SCAN?"
        return self._listed(question, self.transport.query_block(question).decode("ascii", "replace"))

    def _listed(self, question: str, text: str) -> list[str]:
        """Return the channels of a list such as ``(@101,102)``."""
        found = re.fullmatch(r"\(@([\d,]*)\)", text.strip())
        if found is None:
            self.transport.garbled(question, text)
        return [channel for channel in found[1].split(",") if channel]

    def _scan(self, timeout_s: float) -> dict[str, float]:
        question = "READ?"
        reply = self.query(question, timeout_s)
        expected = list(self._channels)
        values = self.numbers(question, reply, 2 * len(expected))
        if [str(int(channel)) for channel in values[1::2]] != expected:
            self.transport.garbled(question, reply)
        return dict(zip(expected, values[::2], strict=True))

    def _is_off(self) -> bool:
        known = self._known
        return not known or not any(self.query_numbers(f"ROUT:CLOS? {channel_list(known)}", len(known)))


class Keysight34970A(KeysightDaq):
    """A 34970A or 34972A."""

    __slots__ = ()

    capabilities: ClassVar[Mapping[str, ScannerCapability]] = {
        "34970A": CAPABILITY_34970A,
        "34972A": CAPABILITY_34970A,
    }
    zero_header = "ZERO:AUTO"
    input_header = "INP:IMP:AUTO"
    digits = 2
    slot_factor = 100

    @classmethod
    def off_lines(cls) -> tuple[str, ...]:
        """Return the commands that abort a scan and reset every card, which opens its channels."""
        return ("ABOR", "SYST:CPON ALL")


class KeysightDaq970A(Keysight34970A):
    """A DAQ970A."""

    __slots__ = ()

    capabilities: ClassVar[Mapping[str, ScannerCapability]] = {"DAQ970A": CAPABILITY_DAQ970A}

    def _scan_list(self) -> list[str]:
        question = "ROUT:SCAN?"
        reply = self.query(question)
        return self._listed(question, re.sub(r"^#\d\d+(?=\()", "", reply))


class Keysight34980A(KeysightDaq):
    """A 34980A."""

    __slots__ = ()

    capabilities: ClassVar[Mapping[str, ScannerCapability]] = {"34980A": CAPABILITY_34980A}
    zero_header = "VOLT:DC:ZERO:AUTO"
    input_header = "VOLT:DC:IMP:AUTO"
    digits = 3
    slot_factor = 1

    @classmethod
    def off_lines(cls) -> tuple[str, ...]:
        """Return the commands that abort a scan and open every channel of every card."""
        return ("ABOR", "ROUT:OPEN:ALL")


def _card(reply: str) -> str | None:
    """Return the model in a reply such as ``HEWLETT-PACKARD,34901A,0,1.0``; None if it is no such reply."""
    fields = [field.strip().upper() for field in reply.strip().strip('"').split(",")]
    if len(fields) != _CARD_FIELDS:
        return None
    return "" if fields[1] == _EMPTY else fields[1]
