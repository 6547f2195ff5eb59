"""Keithley 2700, 2701 and 2750 multimeter/switch systems with a 7700 multiplexer module.

Sources: User's Manuals of the three models (sections 2 and 7: ``ROUTe:CLOSe:STATe?``, ``ROUTe:OPEN:ALL``, channel
lists, ``ROUTe:SCAN`` and its query, ``ROUTe:SCAN:TSOurce``, at least two channels; sections 3 and 4: ranges,
channels 1 to 20 of a 7700, ``FUNC``, ``VOLT:RANG`` and ``VOLT:NPLC`` of channels; section 14:
``FORMat:ELEMents``). The scans, ``TRIG:DEL``, ``SYST:AZER:STAT``, ``VOLT:IDIV`` (ON is 10 Mohm, OFF more than
10 Gohm) and ``ROUT:SCAN:LSEL`` are sent alike by independent programs: PyXperiment, which also queries them, and
the plug-in of PyMoDAQ; ``*OPT?`` and ``ROUT:OPEN:ALL`` also by PyMeasure.

The noise is in a table of the data sheet that was not found, so it is not stated. The 1000 V range is not offered,
because the module withstands 300 V. ``SYST:AZER``, ``VOLT:IDIV`` and ``TRIG:DEL`` are settings of the whole
voltmeter, not of a channel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from hwlearn.errors import SetupError
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.scanner.capability import Integration, ScannerCapability, ScanSettings
from hwlearn_drivers.scanner.scanner import Scanner, channel_list, word
from hwlearn_drivers.transport.query_only import QueryOnly

_RESET_S: Final = 10.0
_EMPTY: Final = "NONE"
_RESOLUTION: Final = 1e-6
"""Of the range: 0.1 uV of 100 mV."""


def _capability(slots: int) -> ScannerCapability:
    return ScannerCapability(
        ranges_V=(0.1, 1.0, 10.0, 100.0),
        integrations={nplc: Integration(_RESOLUTION) for nplc in (0.01, 0.1, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)},
        sigmas=1.0,
        input_ohm=10e6,
        high_up_to_V=10.0,
        most_delay_s=60.0,
        delay_step_s=1e-3,
        cards={"7700": 20},
        slots=tuple(range(1, slots + 1)),
        least_channels=2,
    )


class Keithley2700(Scanner):
    """A multimeter/switch system. A scan reads the channels of its list, and reports each with its number."""

    __slots__ = ()

    capabilities: ClassVar[Mapping[str, ScannerCapability]] = {
        "2700": _capability(2),
        "2701": _capability(2),
        "2750": _capability(5),
    }

    @classmethod
    def place_of(cls, model: str, channel: str) -> tuple[int, int]:
        """Return slot and number of a channel such as ``"101"``: slot 1, channel 1 of the module."""
        capability = cls.capabilities[model]
        found = re.fullmatch(r"([1-9])(\d\d)", channel)
        most = max(capability.cards.values())
        if found is None or int(found[1]) not in capability.slots or not 1 <= int(found[2]) <= most:
            raise SetupError(
                f"a {model} has no channel {channel!r}; write slot (1 to {capability.slots[-1]}) and channel "
                f"(01 to {most}): '101'"
            )
        return int(found[1]), int(found[2])

    # --- modules ------------------------------------------------------------------------------------

    def _card_in(self, slot: int) -> str:
        reply = self.query("*OPT?")
        cards = _cards(reply, self.capability)
        if cards is None:
            self.transport.garbled("*OPT?", reply)
        return cards[slot]

    @classmethod
    def read_cards(cls, link: QueryOnly, model: str) -> dict[int, str]:
        """Return the model of the module in each slot, with queries only; empty if there is none."""
        reply = link.query("*OPT?")
        cards = _cards(reply, cls.capabilities[model])
        if cards is None:
            link.garbled("*OPT?", reply)
        return cards

    @classmethod
    def read_closed(cls, link: QueryOnly, channels: Sequence[str]) -> list[str]:
        """Return which of these channels are closed, with queries only."""
        question = f"ROUT:CLOS:STAT? {channel_list(channels)}"
        reply = link.query(question)
        flags = [flag.strip() for flag in reply.split(",")]
        if len(flags) != len(channels) or not {"0", "1"}.issuperset(flags):
            link.garbled(question, reply)
        return [channel for channel, flag in zip(channels, flags, strict=True) if flag == "1"]

    # --- settings -----------------------------------------------------------------------------------

    def _reset(self) -> None:
        self.transport.write("*CLS", "*RST")
        self.query("*OPC?", _RESET_S)
        self.check_errors("*RST")

    def _configure(self, settings: ScanSettings, channels: Sequence[str]) -> None:
        listed = channel_list(channels)
        self.write(
            "INIT:CONT OFF",
            "TRAC:CLE",
            f"FUNC 'VOLT',{listed}",
            f"VOLT:RANG {number(settings.range_V)},{listed}",
            f"VOLT:NPLC {number(settings.nplc)},{listed}",
            f"SYST:AZER:STAT {word(settings.autozero)}",
            f"VOLT:IDIV {word(not settings.high_impedance)}",
            "TRIG:SOUR IMM",
            "TRIG:COUN 1",
            f"TRIG:DEL {number(settings.delay_s)}",
            f"SAMP:COUN {len(channels)}",
            "FORM:ELEM READ,CHAN",
            f"ROUT:SCAN {listed}",
            "ROUT:SCAN:TSO IMM",
            "ROUT:SCAN:LSEL INT",
        )

    def _read_settings(self, channels: Sequence[str]) -> list[ScanSettings]:
        zero, divider, delay_s = (
            self.query_numbers(f"{header}?", 1)[0] for header in ("SYST:AZER:STAT", "VOLT:IDIV", "TRIG:DEL")
        )
        found = []
        for channel in channels:  # the manual states the query for one channel
            (range_V,) = self.query_numbers(f"VOLT:RANG? (@{channel})", 1)
            (nplc,) = self.query_numbers(f"VOLT:NPLC? (@{channel})", 1)
            found.append(ScanSettings(range_V, nplc, bool(zero), not divider, delay_s))
        return found

    def _scan_list(self) -> list[str]:
        selected = self.query("ROUT:SCAN:LSEL?").strip()
        if selected != "INT":
            raise self._changed(f"its scan is {selected}, INT was set")
        question = "ROUT:SCAN?"
        reply = self.query(question)
        listed = expanded(reply)
        if listed is None:
            self.transport.garbled(question, reply)
        return listed

    def _scan(self, timeout_s: float) -> dict[str, float]:
        question = "READ?"
        reply = self.query(question, timeout_s)
        values = self.numbers(question, reply, 2 * len(self._channels))
        names = [str(int(channel)) for channel in values[1::2]]
        if sorted(names) != sorted(self._channels):
            self.transport.garbled(question, reply)
        return dict(zip(names, values[::2], strict=True))

    # --- off ----------------------------------------------------------------------------------------

    @classmethod
    def off_lines(cls) -> tuple[str, ...]:
        """Return the commands that abort a scan, leave scanning and open every channel."""
        return ("INIT:CONT OFF", "ABOR", "ROUT:SCAN:LSEL NONE", "ROUT:OPEN:ALL")

    def _is_off(self) -> bool:
        known = self._known
        return not known or not any(self.query_numbers(f"ROUT:CLOS:STAT? {channel_list(known)}", len(known)))


def _cards(reply: str, capability: ScannerCapability) -> dict[int, str] | None:
    """Return the modules in a reply such as ``7700, NONE``; None if it is no such reply."""
    found = [card.strip().upper() for card in reply.split(",")]
    if len(found) != len(capability.slots) or not all(re.fullmatch(r"\w+", card) for card in found):
        return None
    return {slot: "" if card == _EMPTY else card for slot, card in zip(capability.slots, found, strict=True)}


def expanded(reply: str) -> list[str] | None:
    """Return the channels of a list such as ``(@101:103,105)``; None if it is no such list.

    Examples
    --------
    >>> expanded("(@101:103,205)")
    ['101', '102', '103', '205']
    """
    found = re.fullmatch(r"\(@((?:\d{3}(?::\d{3})?(?:,(?=\d))?)*)\)", re.sub(r"\s", "", reply))
    if found is None:
        return None
    channels: list[str] = []
    for item in filter(None, found[1].split(",")):
        first, _, last = item.partition(":")
        channels += [str(channel) for channel in range(int(first), int(last or first) + 1)]
    return channels
