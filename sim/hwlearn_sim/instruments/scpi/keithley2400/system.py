"""SYSTem, DISPlay, STATus and FORMat commands of a Keithley 2400 (2400 User's Manual, section 18)."""

from __future__ import annotations

from typing import Final

from hwlearn_sim.instruments.capability import LINE_HZ
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Kind, T, Text, Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

_AUTOZERO: Final = Choice(("ON", "OFF", "ONCE", "1", "0"), {"ON": "1", "OFF": "0", "ONCE": "0"})
_REGISTERS: Final = Choice(("ASCii", "HEXadecimal", "OCTal", "BINary"))


class System2400:
    """Commands that concern neither the source nor the meter.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    """

    def __init__(self, smu: ScpiSmu) -> None:
        self._smu = smu
        self.register_format = smu.stored_setting("FORMat:SREGister", _REGISTERS, "ASC")
        smu.without_effect("FORMat:SOURce2", _REGISTERS, "ASC")
        self._add_measuring()
        self._add_control()
        self._add_display()

    def _add_measuring(self) -> None:
        smu = self._smu
        smu.channel_setting(
            "SYSTem:RSENse",
            Flag(),
            lambda channel: channel.settings.four_wire,
            VirtualChannel.set_four_wire,
        )
        # virtual meters have no drift, and ideal leads need no guard
        smu.without_effect("SYSTem:AZERo[:STATe]", _AUTOZERO, "ON")
        smu.without_effect("SYSTem:AZERo:CACHing[:STATe]", Flag(), False)
        smu.nothing("SYSTem:AZERo:CACHing:REFResh")
        smu.nothing("SYSTem:AZERo:CACHing:RESet")
        smu.without_effect("SYSTem:GUARd", Choice(("OHMS", "CABLe")), "CABL")
        smu.without_effect("SYSTem:RCMode", Choice(("SINGle", "MULTiple")), "SING")
        smu.refused("SYSTem:CCHeck")
        automatic = smu.kept("automatic line frequency", True, lasting=True)

        def set_frequency(channel: VirtualChannel, hertz: int) -> None:
            automatic.put(False)
            channel.line_Hz = float(hertz)

        def set_automatic(_: Suffixes, on: bool) -> None:
            automatic.put(on)
            if on:
                smu.channels[0].line_Hz = LINE_HZ

        frequency = Choice(("50", "60"))
        smu.channel_setting(
            "SYSTem:LFRequency",
            frequency,
            lambda channel: f"{channel.line_Hz:.0f}",
            lambda channel, text: set_frequency(channel, int(text)),
        )
        smu.setting("SYSTem:LFRequency:AUTO", Flag(), lambda _: automatic(), set_automatic)

    def _add_control(self) -> None:
        smu = self._smu
        smu.simple_command("SYSTem:PRESet", smu.reset, urgent=True)
        # local and remote: every message of a client is executed, as on the GPIB
        for name in ("LOCal", "REMote", "RWLock"):
            smu.nothing(f"SYSTem:{name}")
        smu.without_effect(
            "SYSTem:POSetup", Choice(("RST", "PRESet", "SAV0", "SAV1", "SAV2", "SAV3", "SAV4")), "RST"
        )
        smu.nothing("SYSTem:MEMory:INITialize")
        smu.simple_query("SYSTem:MEP[:STATe]", lambda: "0")
        smu.without_effect("SYSTem:MEP:HOLDoff", Flag(), False)
        smu.refused("SYSTem:KEY")  # a key press does what the key does; the front panel is not modelled
        smu.without_effect("SYSTem:BEEPer:STATe", Flag(), True)
        smu.nothing("SYSTem:BEEPer[:IMMediate]", most=2)
        smu.simple_query("SYSTem:TIME", lambda: f"{smu.clock.seconds:.6f}")
        smu.simple_command("SYSTem:TIME:RESet", smu.clock.reset)
        smu.simple_query("STATus:QUEue[:NEXT]", smu.next_error)
        smu.simple_command("STATus:QUEue:CLEar", smu.errors.clear)
        for name in ("ENABle", "DISable"):
            smu.refused(f"STATus:QUEue:{name}", -113)

    def _add_display(self) -> None:
        smu = self._smu
        smu.without_effect("DISPlay:ENABle", Flag(), True)
        smu.without_effect("DISPlay:DIGits", Whole(4, 7, 6), 6)
        smu.nothing("DISPlay:CNDisplay")
        self._add_window("TEXT:DATA", Text(), "")
        self._add_window("TEXT:STATe", Flag(), False)

    def _add_window(self, what: str, kind: Kind[T], initial: T) -> None:
        """Add a setting of the two windows of the display."""
        smu, pattern = self._smu, f"DISPlay[:WINDow#]:{what}"
        kept = smu.kept(pattern, initial, 1)

        def checked(suffixes: Suffixes) -> Suffixes:
            if not 1 <= suffixes[0] <= 2:
                raise VirtualInstrumentError(-114)
            return suffixes

        def write(suffixes: Suffixes, arguments: list[str]) -> None:
            kept.put(kind.read(checked_count(arguments, 1)[0]), checked(suffixes))

        def query(suffixes: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return kind.write(kept(checked(suffixes)))

        smu.command(pattern, write, query)
        smu.effects[pattern] = "stored"
