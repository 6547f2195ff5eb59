"""Virtual Keithley 2600 SourceMeters with their script language (TSP).

Attributes, constants and defaults: Series 2600B Reference Manual. Which settings are modelled, stored without
effect or refused: docs/virtual-instruments-tsp.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import Final

import numpy as np

from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.tsp import libraries
from hwlearn_sim.instruments.tsp.capabilities import ModelRow
from hwlearn_sim.instruments.tsp.digital_port import DigitalPort
from hwlearn_sim.instruments.tsp.front_panel import FrontPanel
from hwlearn_sim.instruments.tsp.instrument import TspInstrument
from hwlearn_sim.instruments.tsp.node import FIRMWARE, error_object
from hwlearn_sim.instruments.tsp.script.objects import Effect, Namespace, Value, function, runtime_error
from hwlearn_sim.instruments.tsp.script.sandbox import Sandbox, ScriptLimits
from hwlearn_sim.instruments.tsp.setups import Setups
from hwlearn_sim.instruments.tsp.smu import TspSmu
from hwlearn_sim.instruments.tsp.status import Status, masked_register
from hwlearn_sim.instruments.tsp.trigger.blocks import TriggerBlocks
from hwlearn_sim.instruments.tsp.trigger.events import MOST_ACTIONS, Events

_MOST_OF_ENDLESS: Final = 20_000  # actions per message of a sweep that has no last step


class VirtualKeithley2600(TspInstrument):
    """A Keithley 2600 connected to nodes of the plane.

    Parameters
    ----------
    row : ModelRow
        The model.
    channels : sequence of VirtualChannel
        Its channels, with this model's capability: ``smua`` and, if there are two, ``smub``.
    clock : Clock
        The instrument's clock.
    serial : str
        Serial number.
    limits : ScriptLimits, optional
        Limits of one chunk of script.
    """

    factory_scripts = ("factory",)

    def __init__(
        self,
        row: ModelRow,
        channels: Sequence[VirtualChannel],
        clock: Clock,
        serial: str = "4000001",
        limits: ScriptLimits | None = None,
    ) -> None:
        identity = f"Keithley Instruments Inc., Model {row.model}, {serial}, {FIRMWARE}"
        super().__init__(identity, row.model, serial, clock, limits)
        self.channels = list(channels)
        self._ended_sweeps: set[str] = set()
        self._bus = Events(clock)
        names = ("smua", "smub")[: len(self.channels)]
        self.smus = [
            TspSmu(name, channel, self._bus, row.area, row.has_trigger_model)
            for name, channel in zip(names, self.channels, strict=True)
        ]
        self._trigger = TriggerBlocks(self._bus)
        self._port = DigitalPort(self._bus)
        self._panel = FrontPanel(self._bus, len(names))
        self._status = Status(
            {smu.name: smu.condition for smu in self.smus},
            self._sweeping,
            {smu.name: partial(attrgetter("overrun"), smu.trigger) for smu in self.smus}
            | self._trigger.overruns()
            | {"digio": self._port.overrun},
        )
        self.status.more = self._status.summary
        self.start()

    @property
    def generators(self) -> list[np.random.Generator]:
        """Sources of the noise of its channels."""
        return [channel.generator for channel in self.channels]

    def reset(self) -> None:
        """Restore the power-on settings; the outputs are switched off first. Script variables are kept."""
        for channel in self.channels:
            channel.reset()
        for smu in self.smus:
            smu.restore_defaults()
        self._bus.clear()
        for part in (self._trigger, self._port, self._panel, self._replies):
            part.restore_defaults()

    def settings(self) -> dict[str, Effect]:
        """Return what the instrument does with each of its settings, by their full names."""
        found: dict[str, Effect] = {}
        for name, part in self._globals.items():
            if isinstance(part, Namespace):
                found.update(part.settings())
            elif name in libraries.REFUSED_FUNCTIONS:
                found[name] = "refused"
        return found

    # --- messages -----------------------------------------------------------------------------------

    def _obeys(self, text: str) -> bool:
        if text.upper() == "*TRG":
            self._bus.post(self._trigger.command)
        elif text == "abort":
            self._abort()
        else:
            return False
        return True

    def _begin(self) -> None:
        self._bus.begin_message()

    def _use(self, sandbox: Sandbox) -> None:
        self._bus.extend = sandbox.extend

    def _settle(self) -> None:
        """Let the sweeps that were initiated run, until they end or wait for an event."""
        if not self._bus.active:
            return
        sweeping = {smu.name for smu in self.smus if smu.trigger.sweeping}
        try:
            self._bus.run(self._most_actions())
        except VirtualInstrumentError as error:
            self._record_error(error)
        self._ended_sweeps = sweeping - {smu.name for smu in self.smus if smu.trigger.sweeping}

    def _most_actions(self) -> int:
        return _MOST_OF_ENDLESS if any(smu.trigger.endless for smu in self.smus) else MOST_ACTIONS

    def _abort(self) -> None:
        for smu in self.smus:
            smu.trigger.abort()

    def _sweeping(self) -> list[str]:
        """Return the channels that sweep. A sweep that has ended by itself is reported once more.

        The virtual sweep ends within its message. A program that waits for its begin and for its end sees both.
        """
        ended, self._ended_sweeps = self._ended_sweeps, set()
        return [smu.name for smu in self.smus if smu.trigger.sweeping or smu.name in ended]

    # --- variables of scripts -----------------------------------------------------------------------

    def _variables(self) -> dict[str, Value]:
        replies = self._replies
        variables: dict[str, Value] = {
            "localnode": self._node.root,
            "status": self._status_object(),
            "display": self._panel.display,
            "beeper": self._panel.beeper,
            "format": replies.root,
            "errorqueue": error_object(self.errors),
            "trigger": self._trigger.root,
            "digio": self._port.root,
            "setup": Setups(self.smus, self.reset).root,
            "bit": libraries.bit_library(),
            "timer": libraries.timer_library(self.clock),
            "fs": libraries.file_library(),
            "printnumber": function(replies.print_numbers, 1, 100),
            "printbuffer": function(replies.print_buffer, 3, 20),
            "reset": function(lambda system=None: self.reset(), 0, 1),
            "delay": libraries.delay_function(self._bus.pass_time),
            "waitcomplete": function(self._wait_complete, 0, 1),
            "opc": function(lambda: self.status.complete([])),
        }
        variables |= {smu.name: smu.root for smu in self.smus}
        variables |= {name: libraries.RefusedPart(name, why) for name, why in libraries.REFUSED.items()}
        for name, why in libraries.REFUSED_FUNCTIONS.items():
            variables[name] = libraries.refused_function(name, why)
        return variables

    def _status_object(self) -> Namespace:
        part = self._status.root

        def request(mask: int) -> None:
            self.status.request_enable = mask & ~64

        def enable(mask: int) -> None:
            self.status.standard.enable = mask

        standard = Namespace("status.standard", {"OPC": 1.0, "QYE": 4.0, "DDE": 8.0, "EXE": 16.0, "CME": 32.0})
        standard.attribute("event", lambda: float(self.status.standard.take()))
        standard.attribute("condition", lambda: float(self.status.standard.events))
        masked_register(standard, "enable", lambda: self.status.standard.enable, enable)
        masked_register(part, "request_enable", lambda: self.status.request_enable, request)
        part.attribute("condition", lambda: float(self.status.byte()))
        part.add(standard=standard, reset=function(self._reset_status))
        part.refuse(
            "is not modelled: the virtual instrument has no TSP-Link", "node_enable", "node_event", "system"
        )
        return part

    def _reset_status(self) -> None:
        self._status.reset()
        self.status.request_enable = self.status.standard.enable = 0
        self.status.clear()

    def _wait_complete(self, group: Value = None) -> None:
        with self._bus.operation():
            self._bus.run(self._most_actions())
        if self._bus.active:
            waiting = ", ".join(smu.name for smu in self.smus if smu.trigger.sweeping) or "a measurement"
            raise runtime_error(f"waitcomplete never ends: {waiting} waits for an event that does not come")
