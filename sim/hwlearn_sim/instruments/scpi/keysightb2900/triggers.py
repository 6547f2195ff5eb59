"""Trigger model of a Keysight B2900: arm and trigger layers of the transient and the acquire action.

SCPI Command Reference, edition 2, p. 4-5, 4-20 and 4-150. A transient trigger changes the source, an acquire
trigger starts a measurement. Channels that are initiated together run together, trigger by trigger.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.keysightb2900.pulses import Pulsed
from hwlearn_sim.instruments.scpi.keysightb2900.readings import ReadingsB2900
from hwlearn_sim.instruments.scpi.keysightb2900.sense import SenseB2900
from hwlearn_sim.instruments.scpi.keysightb2900.sweeps import SourceB2900
from hwlearn_sim.instruments.scpi.parameters import Choice, Kind, Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu
from hwlearn_sim.instruments.scpi.trigger_run import Steps

MOST_POINTS: Final = 100_000
_ACTIONS: Final = {"ALL": "[:ALL]", "ACQ": ":ACQuire", "TRAN": ":TRANsient"}
_PINS: Final = tuple(f"EXT{number}" for number in range(1, 15))
_SOURCES: Final = Choice(("AINT", "BUS", "TIMer", "INT1", "INT2", "LAN", *_PINS))
_IMMEDIATE: Final = ("AINT", "TIM")


@dataclass(frozen=True, slots=True)
class _Layer:
    """Settings of one layer, arm or trigger, of one action."""

    count: Setting[int]
    delay: Setting[float]
    source: Setting[str]
    timer: Setting[float]
    bypass: Setting[str]

    def event(self, suffixes: Suffixes, *, first: bool) -> str | None:
        """Return the event that the layer waits for, or None."""
        source = self.source(suffixes)
        if source in _IMMEDIATE or (first and self.bypass(suffixes) == "ONCE"):
            return None
        return "bus" if source == "BUS" else source


class _Track:
    """One action of one channel during a run: when its triggers come."""

    def __init__(self, k: int, action: str, arm: _Layer, trigger: _Layer) -> None:
        self.k, self.action, self.suffixes = k, action, (k + 1,)
        self._arm, self._trigger = arm, trigger
        self.per_arm = trigger.count(self.suffixes)
        self.points = arm.count(self.suffixes) * self.per_arm
        self._armed_s = self._due_s = 0.0

    def events(self, point: int) -> Iterator[str]:
        """Yield the events that the action waits for before a trigger: of the arm layer, of the trigger layer."""
        arm = self._arm.event(self.suffixes, first=point == 0)
        if point % self.per_arm == 0 and arm is not None:
            yield arm
        trigger = self._trigger.event(self.suffixes, first=point == 0)
        if trigger is not None:
            yield trigger

    def due_s(self, point: int, now_s: float) -> float:
        """Return the time of the trigger: now, or as the timers say; plus the delays."""
        delay_s = self._trigger.delay(self.suffixes)
        if point % self.per_arm == 0:
            delay_s += self._arm.delay(self.suffixes)
            if point and self._arm.source(self.suffixes) == "TIM":
                now_s = max(now_s, self._armed_s + self._arm.timer(self.suffixes))
            self._armed_s = self._due_s = now_s
        elif self._trigger.source(self.suffixes) == "TIM":
            self._due_s += self._trigger.timer(self.suffixes)
            now_s = max(now_s, self._due_s)
        return now_s + delay_s


class TriggerModelB2900:
    """The ARM, TRIGger, INITiate, ABORt and IDLE commands.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    sense, source, readings : SenseB2900, SourceB2900, ReadingsB2900
        The parts that the model controls.
    """

    def __init__(self, smu: ScpiSmu, sense: SenseB2900, source: SourceB2900, readings: ReadingsB2900) -> None:
        self._smu, self._sense, self._source, self._readings = smu, sense, source, readings
        self._layers = {
            (layer, action): self._add_layer(layer, action)
            for layer in ("ARM", "TRIGger")
            for action in ("ACQ", "TRAN")
        }
        for layer in ("ARM", "TRIGger"):
            for what, kind in self._kinds().items():
                self._add_all(layer, what, kind)
            for action, header in _ACTIONS.items():
                smu.command(f"{layer}#{header}[:IMMediate]", partial(self._trigger_now, action), urgent=True)
                # the output triggers of the digital pins, to which nothing is connected
                smu.without_effect(f"{layer}#{header}:TOUTput[:STATe]", Choice(("0", "1", "OFF", "ON")), "0")
        for action, header in _ACTIONS.items():
            smu.command(f"INITiate[:IMMediate]{header}", partial(self._initiate_command, action))
            smu.command(f"ABORt{header}", self._abort, urgent=True)
            smu.command(f"IDLE{header}", query=lambda _, __: smu.after_run(lambda _, __: "1"))

    # --- settings -----------------------------------------------------------------------------------

    def _kinds(self) -> dict[str, Kind[Any]]:
        smu = self._smu
        return {
            "COUNt": Whole(1, MOST_POINTS),
            "DELay": smu.number(0, 1e5, 0.0, "S"),
            "SOURce[:SIGNal]": _SOURCES,
            "TIMer": smu.number(1e-5, 1e5, 1e-5, "S"),
            "BYPass": Choice(("ONCE", "OFF")),
        }

    def _add_layer(self, layer: str, action: str) -> _Layer:
        smu, base = self._smu, f"{layer}#{_ACTIONS[action]}[:LAYer]"
        seconds = smu.number(0, 1e5, 0.0, "S")
        return _Layer(
            smu.stored_setting(f"{base}:COUNt", Whole(1, MOST_POINTS), 1),
            smu.stored_setting(f"{base}:DELay", seconds, 0.0),
            smu.stored_setting(f"{base}:SOURce[:SIGNal]", _SOURCES, "AINT"),
            smu.stored_setting(f"{base}:TIMer", smu.number(1e-5, 1e5, 1e-5, "S"), 1e-5),
            smu.stored_setting(f"{base}:BYPass", Choice(("ONCE", "OFF")), "OFF"),
        )

    def _add_all(self, layer: str, what: str, kind: Kind[Any]) -> None:
        """Add the command ALL, which sets both actions of a layer."""

        def write(suffixes: Suffixes, arguments: list[str]) -> None:
            value = kind.read(checked_count(arguments, 1)[0])
            self._smu.check_suffixes(suffixes)
            for action in ("ACQ", "TRAN"):
                name = f"{layer}#{_ACTIONS[action]}[:LAYer]:{what}"
                self._smu.kept(name, value, 1).put(value, suffixes)

        self._smu.command(f"{layer}#[:ALL][:LAYer]:{what}", write)

    def _trigger_now(self, _: str, suffixes: Suffixes, arguments: list[str]) -> None:
        """Give a trigger, whatever the layer waits for."""
        checked_count(arguments, 0, 1)
        self._smu.check_suffixes(suffixes)
        self._smu.run.fire("immediate")

    # --- runs ---------------------------------------------------------------------------------------

    def _abort(self, _: Suffixes, arguments: list[str]) -> None:
        self._smu.run.abort()
        self._readings.channels_of(arguments)

    def _initiate_command(self, action: str, _: Suffixes, arguments: list[str]) -> None:
        self.initiate(self._readings.channels_of(arguments), action)

    def initiate(self, chosen: list[int], action: str = "ALL") -> None:
        """Run the trigger model of channels, from 0, as far as it goes without an event."""
        if self._smu.run.waiting:
            raise VirtualInstrumentError(-213)
        tracks = [
            _Track(k, one, self._layers["ARM", one], self._layers["TRIGger", one])
            for one in ("TRAN", "ACQ")
            for k in chosen
            if action in ("ALL", one)
        ]
        if sum(track.points for track in tracks if track.action == "ACQ") > MOST_POINTS:
            raise VirtualInstrumentError(-221)
        levels = {k: self._source.levels(k) for k in chosen}
        for k in chosen:
            self._readings.begin(k)
            self._readings.switch_on(k)
        self._smu.run.start(self._run(chosen, tracks, levels))

    def _run(self, chosen: list[int], tracks: list[_Track], levels: dict[int, list[float]]) -> Steps:
        with ExitStack() as stack:
            steps = {k: stack.enter_context(self._source.stepping(k, levels[k])) for k in chosen}
            pulsed = {k: Pulsed(self._smu.channels[k], self._source.pulse(k)) for k in chosen}
            for point in range(max(track.points for track in tracks)):
                active = [track for track in tracks if point < track.points]
                yield from self._wait(active, point)
                self._act(active, point, steps, pulsed)
        for k in chosen:
            self._readings.switch_off(k)

    def _wait(self, active: list[_Track], point: int) -> Steps:
        """Wait for the events of all active tracks, those of the arm layers first."""
        queues = [list(track.events(point)) for track in active]
        for place in range(2):
            for event in sorted({queue[place] for queue in queues if place < len(queue)}):
                yield frozenset({event, "immediate"})

    def _act(
        self, active: list[_Track], point: int, steps: dict[int, Iterator[None]], pulsed: dict[int, Pulsed]
    ) -> None:
        """Change the sources and measure, in the order of the delays; a source changes before a measurement."""
        clock = self._smu.clock
        now_s = clock.seconds
        due = sorted(
            ((track.due_s(point, now_s), track.action != "TRAN", track.k) for track in active),
        )
        changed_s: dict[int, float] = {}
        for due_s, measures, k in due:
            if not measures:
                earliest_s = pulsed[k].end_s + self._source.wait_s(k) if point else due_s
                clock.advance(max(0.0, due_s - clock.seconds, earliest_s - clock.seconds))
                changed_s[k] = max(due_s, clock.seconds)
                self._change(k, changed_s[k], steps[k], pulsed[k])
                continue
            start_s = max(due_s, changed_s.get(k, 0.0) + self._sense.wait_s(k) if k in changed_s else due_s)
            clock.advance(max(0.0, start_s - clock.seconds))
            measure = partial(self._sense.measure, k)
            reading = pulsed[k].measured(start_s, self._sense.integration_s(k), measure)
            self._readings.store(k, reading)
            self._readings.protect(k)
        for k in changed_s:
            clock.advance(max(0.0, pulsed[k].end_s - clock.seconds))
            pulsed[k].finish()

    def _change(self, k: int, due_s: float, steps: Iterator[None], pulsed: Pulsed) -> None:
        pulsed.begin(due_s)
        next(steps)
        pulsed.note_peak()
