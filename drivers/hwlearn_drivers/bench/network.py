"""`TerminalNetwork`: a resistor network whose terminals are connected to any instruments.

One file because a reader follows one measurement, from the request over the ramp to the checked readings.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError, NetworkError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network, Programmed, Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn.units import format_quantity
from hwlearn_drivers.bench.players import Players
from hwlearn_drivers.bench.readout import Tolerances, readout_of
from hwlearn_drivers.bench.setpoints import Setpoints, Targets
from hwlearn_drivers.bench.wiring import Wiring
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.errors import HaltedError, LinkError, OutputsMayBeOnError, OutputStateError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.stays_off import StaysOff
from hwlearn_drivers.instrument.threads import InstrumentThreads
from hwlearn_drivers.roles.instrument import (
    BenchInstrument,
    ClosesSwitches,
    DrivesOutputs,
    ReadsVoltages,
    SetsVoltages,
)
from hwlearn_drivers.roles.values import ChannelReadings
from hwlearn_drivers.smu.pace import Pace
from hwlearn_drivers.transport.wire_log import WireLog

log = logging.getLogger("hwlearn_drivers")

_SAME_OHM = 1e-3  # relative: nudge conductances of a drive and of the bench


class TerminalNetwork(Network):
    """A network on a mixed bench: each terminal has a source, a reader and a nudge of any instrument.

    Inputs are voltage sources. Outputs float in the free phase: a source-measure unit sources 0 A, the switch of a
    nudge resistor is open. All sources move together along a straight line, with the slew rate and the step of the
    pace. Instruments are addressed in parallel; a scanner reads its channels one after the other while the sources
    hold their levels. If a measurement does not succeed (error, compliance, Ctrl-C), OFF is sent to every
    instrument, also if one of them does not answer.

    Inputs that have a reader are read back with every sample and compared with what was set. What the instruments
    report of their outputs is compared at the end of each batch. If somebody else changed them, or switched the
    outputs off, every measurement raises OutputStateError until `reconnect`.

    Parameters
    ----------
    topology : Topology
    limits : Limits
    wiring : Wiring
    instruments : mapping of str to BenchInstrument
        By name in the bench file.
    edges : Edges
        Sets the conductances.
    pace : Pace, optional
        Its uncertainties are not used: each reader states its own.
    input_tolerance : float, optional
        Largest deviation in volts of an input that is read back; default: see `Tolerances`. Infinite: no check.
    wire_log : WireLog, optional
        Closed with the network.

    Raises
    ------
    SetupError
        If an instrument does not play the role of one of its channels.
    """

    def __init__(
        self,
        topology: Topology,
        limits: Limits,
        wiring: Wiring,
        instruments: Mapping[str, BenchInstrument],
        edges: Edges,
        pace: Pace | None = None,
        input_tolerance: float | None = None,
        wire_log: WireLog | None = None,
    ) -> None:
        self.pace = Pace() if pace is None else pace
        self.edges = edges
        self._wire_log = wire_log
        self._players = Players(wiring, instruments)
        self._instruments = self._players.instruments
        self._setpoints = Setpoints(self._players, limits)
        self._tolerances = Tolerances(self._players, self._setpoints, topology, limits, input_tolerance)
        self._threads = InstrumentThreads([(one, [k]) for k, one in enumerate(self._instruments)])
        self._on = False
        self._stays_off = StaysOff(lambda: [one.halted_because for one in self._instruments])
        kinds = frozenset.intersection(*(terminal.kinds for terminal in wiring.outputs))
        super().__init__(topology, limits, kinds, resolution=self._tolerances.resolution_V)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Maker, model, serial number and address of every instrument, as reported."""
        return tuple(one.provenance for one in self._instruments)

    # --- Network interface --------------------------------------------------------------------------

    @property
    def has_fixed_edges(self) -> bool:
        """Whether the edges are fixed resistors."""
        return self.edges.fixed

    @property
    def drives_outputs(self) -> bool:
        """Whether this process has left outputs on."""
        return self._on

    @property
    def noise_is_from_data_sheet(self) -> bool:
        """Whether the uncertainty of every output is that of the data sheet of its reader."""
        return self._tolerances.sigma_is_from_data_sheet

    @property
    def settle_s(self) -> float:
        """Wait in seconds between a change of the sources and a reading."""
        return self.pace.settle_s

    @property
    def dac_step_V(self) -> float | None:
        """Largest step in volts of an input; None if one of them is continuous or unknown."""
        return self._setpoints.input_step_V

    @property
    def nudge_siemens(self) -> FloatArray | None:
        """Conductances (n_out,) of the nudge resistors; None unless every output has one."""
        return self._setpoints.kappa

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        try:
            targets = self._targets(inputs, drive)
        except HwlearnError:  # refused: nothing was applied
            raise
        except BaseException:
            self._halt()
            raise
        with self._driving():
            self._switch_on()
            return self._read_batch(targets)

    def _targets(self, inputs: FloatArray, drive: OutputDrive | None) -> list[Targets]:
        """Return what the sources are to do in each sample; refuse what they cannot do."""
        self._check_kappa(drive)
        targets = [
            self._setpoints.targets(x, None if drive is None else drive.values[s], drive)
            for s, x in enumerate(inputs)
        ]
        self._setpoints.check(targets)
        return targets

    def _program(self, conductances: FloatArray) -> Programmed:
        with self._driving():
            self._stays_off.check()
            if not self._on:
                self._rearm()  # the board of the edges may have sources too
            return self.edges.program(conductances)

    def _switch_off(self) -> None:
        self._halt()

    def _close(self) -> None:
        failed: list[str] = []
        try:
            open_outputs.halt_all(self._instruments)
        except OutputsMayBeOnError as error:
            log.critical("%s", error)  # closing each instrument tries again, and raises if it fails
        self._on = False
        try:
            self._threads.close()
        finally:
            self.edges.close()
            for one in self._instruments:
                try:
                    one.close()
                except OutputsMayBeOnError as error:
                    failed.append(str(error))
            if self._wire_log is not None:
                self._wire_log.close()
        if failed:
            raise OutputsMayBeOnError(" | ".join(failed))

    # --- on and off ---------------------------------------------------------------------------------

    @contextmanager
    def _driving(self) -> Iterator[None]:
        """Send OFF to every instrument unless the block succeeds."""
        try:
            yield
        except (OutputStateError, HaltedError) as error:
            self._halt()
            raise self._stays_off.because(error) from error
        except BaseException:
            self._halt()
            raise

    def _switch_on(self) -> None:
        """Switch on: every limit is set first; then sources at 0 V, then outputs that float."""
        self._stays_off.check()
        if self._on:
            return
        self._threads.wait()
        self._rearm()
        self._setpoints.reset()
        self._each(_prepare)
        self._each(lambda one, _: one.switch_sources_on() if isinstance(one, SetsVoltages) else None)
        self._each(lambda one, _: one.switch_outputs_on() if isinstance(one, DrivesOutputs) else None)
        self._each(self._open_switches)
        self._on = True

    def _open_switches(self, one: BenchInstrument, k: int) -> None:
        if isinstance(one, ClosesSwitches) and self._setpoints.switches[k]:
            one.set_switches(dict.fromkeys(self._setpoints.switches[k], False))

    def _rearm(self) -> None:
        """Allow commands again after OFF; the outputs stay off."""
        for one in self._instruments:
            one.rearm()

    def _halt(self) -> None:
        self._on = False
        open_outputs.halt_all(self._instruments)

    def _reconnect(self) -> None:
        """Reconnect the instruments whose link dropped. All outputs are switched off first.

        If somebody else changed settings or switched off, all instruments are set up again.

        Raises
        ------
        OutputsMayBeOnError, LinkError
            If an instrument cannot be reached.
        UnknownInstrumentError
            If a different instrument answers.
        """
        for one in self._instruments:
            one.allow_again()
        self._halt()
        self._threads.wait()
        for one in self._instruments:
            if one.needs_reconnect:
                one.reconnect()
            elif self._stays_off.needed:
                one.start_again()
        for one in self._instruments:
            try:
                one.rearm()
            except HaltedError:
                raise
            except LinkError:  # it was out of step, and did not get into step again
                one.reconnect()
                one.rearm()
        self._stays_off.end()
        self.edges.reconnect()

    # --- one batch ----------------------------------------------------------------------------------

    def _read_batch(self, targets: list[Targets]) -> Readout:
        rows = []
        for s, target in enumerate(targets):
            self._match(target)
            self._ramp(target.levels)
            time.sleep(self.pace.settle_s)
            rows.append(self._read_all(target, s))
        self._check_states()
        self.edges.check()
        return readout_of(rows, targets, self._players, self._setpoints, self._tolerances)

    def _match(self, target: Targets) -> None:
        """Change what drives each output where needed, at its present voltage, so that no node voltage jumps."""
        points = self._setpoints
        self._each(lambda one, k: points.open_switches(one, k, target.closed))
        self._each(lambda one, k: points.change_drives(one, k, target.clamped))
        closing = points.closing(target.closed)
        if closing.any():
            volts, _ = self._tolerances.output_volts(self._read_instruments())
            start = points.behind_switches(closing, volts)
            self._each(lambda one, k: points.move(one, k, start, check=True))
            points.moved(start)
            self._each(lambda one, k: points.close_switches(one, k, closing))
        points.changed(target)

    def _ramp(self, levels: FloatArray) -> None:
        """Move all sources together along a straight line; if both ends are within the limits, every step is.

        The first and the last step read back state and errors.
        """
        points = self._setpoints
        start = points.levels.copy()
        levels = np.where(np.isnan(levels), start, levels)  # a source behind an open switch stays
        change = levels - start
        if not change.any():
            return
        farthest = float(np.max(np.abs(change) * points.volts_per_unit))
        steps = max(1, math.ceil(farthest / self.pace.ramp_step_V - 1e-9))
        step_s = self.pace.ramp_step_V / self.pace.slew_V_per_s
        for step in range(1, steps + 1):
            due = time.monotonic() + step_s
            last = step == steps
            target = levels if last else start + change * (step / steps)

            def move(
                one: BenchInstrument, k: int, target: FloatArray = target, ends: bool = last or step == 1
            ) -> None:
                points.move(one, k, target, ends)

            self._each(move)
            points.moved(target)
            if not last:
                time.sleep(max(0.0, due - time.monotonic()))

    def _read_all(self, target: Targets, sample: int) -> list[ChannelReadings | None]:
        """Read every channel; raise if a source is at its limit, or a reading or an input cannot be right."""
        found = self._read_instruments()
        fault = self._tolerances.fault(found, target, sample)
        if fault is not None:
            self._check_states()  # the cause may be an output that somebody switched off
            raise fault
        return found

    def _read_instruments(self) -> list[ChannelReadings | None]:
        found: list[ChannelReadings | None] = [None] * len(self._instruments)

        def read(one: BenchInstrument, k: int) -> None:
            channels = self._players.reads[k]
            if channels and isinstance(one, ReadsVoltages):
                found[k] = one.read(channels)

        self._each(read)
        return found

    def _check_states(self) -> None:
        self._each(lambda one, _: one.check_state())

    def _each(self, act: Callable[[BenchInstrument, int], None]) -> None:
        """Call ``act`` for every instrument and its number, in parallel."""
        self._threads.each_instrument(lambda one, numbers: act(one, numbers[0]))

    def _check_kappa(self, drive: OutputDrive | None) -> None:
        """Refuse a drive whose conductances are not those of the nudge resistors."""
        if drive is None or drive.siemens is None:
            return
        own = self._setpoints.kappa
        if own is None or not (np.abs(drive.siemens / own - 1) <= _SAME_OHM).all():
            there = "absent" if own is None else ", ".join(format_quantity(float(one), "S") for one in own)
            wanted = format_quantity(float(drive.siemens[0]), "S")
            equal = own is not None and float(np.ptp(own)) <= _SAME_OHM * float(own.max())
            advice = f'; set train.kappa = "{float(own[0])!r} S"' if equal and own is not None else ""
            raise NetworkError(f"the nudge resistors of this bench are {there}, not {wanted}{advice}")


def _prepare(one: BenchInstrument, _: int) -> None:
    if isinstance(one, SetsVoltages):
        one.prepare_sources()
    if isinstance(one, DrivesOutputs):
        one.prepare_outputs()
