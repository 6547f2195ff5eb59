"""`TerminalNetwork`: a resistor network whose terminals are connected to any instruments.

One file because a reader follows one measurement, from the request over the ramp to the checked readings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError, NetworkError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn.units import format_quantity
from hwlearn_drivers.bench.opened import OpenedBench
from hwlearn_drivers.bench.players import Players
from hwlearn_drivers.bench.readout import Tolerances, readout_of
from hwlearn_drivers.bench.setpoints import Targets
from hwlearn_drivers.bench.terminals import Wiring
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.instrument.pace import Pace
from hwlearn_drivers.roles.instrument import (
    BenchInstrument,
    ClosesSwitches,
)
from hwlearn_drivers.roles.values import ChannelReadings
from hwlearn_drivers.transport.wire_log import WireLog

log = logging.getLogger("hwlearn_drivers")

_SAME_OHM = 1e-3  # relative: nudge conductances of a drive and of the bench


class TerminalNetwork(OpenedBench):
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

    has_any_values = True  # what sets them is checked by the edges

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
        self._players = Players(wiring, instruments)
        kinds = frozenset.intersection(*(terminal.kinds for terminal in wiring.outputs))
        super().__init__(
            topology, limits, kinds, self._players, edges, Pace() if pace is None else pace, 0.0, wire_log
        )
        self._tolerances = Tolerances(self._players, self._setpoints, topology, limits, input_tolerance)
        self.resolution = self._tolerances.resolution_V

    # --- Network interface --------------------------------------------------------------------------

    @property
    def noise_is_from_data_sheet(self) -> bool:
        """Whether the uncertainty of every output is that of the data sheet of its reader."""
        return self._tolerances.sigma_is_from_data_sheet

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

    def _switched_on(self) -> None:
        self._each(self._open_switches)

    def _open_switches(self, one: BenchInstrument, k: int) -> None:
        if isinstance(one, ClosesSwitches) and self._setpoints.switches[k]:
            one.set_switches(dict.fromkeys(self._setpoints.switches[k], False))

    # --- one batch ----------------------------------------------------------------------------------

    def _read_batch(self, targets: list[Targets]) -> Readout:
        rows = []
        for s, target in enumerate(targets):
            self._match(target, s)
            self._ramp(target.levels)
            time.sleep(self.pace.settle_s)
            rows.append(self._read_all(target, s))
        self._check_states()
        self.edges.check()
        return readout_of(rows, targets, self._players, self._setpoints, self._tolerances)

    def _match(self, target: Targets, sample: int) -> None:
        """Change what drives each output where needed, at its present voltage, so that no node voltage jumps.

        Raises
        ------
        NetworkError
            If a reading of the present voltages cannot be right; no switch has closed.
        """
        points = self._setpoints
        self._each(lambda one, k: points.open_switches(one, k, target.closed))
        self._each(lambda one, k: points.change_drives(one, k, target.clamped))
        closing = points.closing(target.closed)
        if closing.any():
            found = self._read_instruments(self._players)
            if fault := self._tolerances.implausible(found, sample):
                raise fault
            volts, _ = self._tolerances.output_volts(found)
            start = points.behind_switches(closing, volts)
            self._each(lambda one, k: points.move(one, k, start, check=True))
            points.moved(start)
            self._each(lambda one, k: points.close_switches(one, k, closing))
        points.changed(target)

    def _read_all(self, target: Targets, sample: int) -> list[ChannelReadings | None]:
        """Read every channel; raise if a source is at its limit, or a reading or an input cannot be right."""
        found = self._read_instruments(self._players)
        fault = self._tolerances.fault(found, target, sample)
        if fault is not None:
            self._check_states()  # the cause may be an output that somebody switched off
            raise fault
        return found

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
