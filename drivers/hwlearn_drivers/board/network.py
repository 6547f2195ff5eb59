"""`BoardNetwork`: a resistor network on the reference board, measured in batches by sequences of the board."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import LimitError, NetworkError, SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import ErrorSignal, Network, Programmed, Readout, TargetError, TwoPhase
from hwlearn.network.nudges import Nudge, OutputDrive, ResistorNudge
from hwlearn.units import format_quantity
from hwlearn_drivers.board import protocol as wire
from hwlearn_drivers.board.board import Board
from hwlearn_drivers.board.edges import BoardEdges
from hwlearn_drivers.board.wiring import BoardWiring
from hwlearn_drivers.transport.wire_log import WireLog

_SAME_KAPPA = 0.01  # relative
_GUARD_SIGMAS = 6 * math.sqrt(2)  # margin for the board's own check, which reads the free output again
_ROUNDING_V = 2 * (wire.DAC_STEP_V + wire.ADC_STEP_V)


class BoardNetwork(Network):
    """A network on a board that drives its inputs, reads its outputs and nudges them through known resistors.

    All outputs of the board are off between two requests, because every sequence ends with them off. If a
    measurement ends in any way but success (an error, Ctrl-C), the outputs are switched off first.

    Parameters
    ----------
    limits : Limits
        Hard limits of the bench.
    board : Board
        Board whose session has limits no wider than these.
    wiring : BoardWiring
    edges : BoardEdges
    voltage_sigma : float, optional
        Specified standard uncertainty of one reading in volts; by default that of the converter's step.
    wire_log : WireLog, optional
        Closed with the network.

    Raises
    ------
    SetupError
        If the board has no calibration record, or the read noise is too high for ``limits.nudge``.
    """

    def __init__(
        self,
        limits: Limits,
        board: Board,
        wiring: BoardWiring,
        edges: BoardEdges,
        voltage_sigma: float | None = None,
        wire_log: WireLog | None = None,
    ) -> None:
        self.board, self.edges = board, edges
        self._wiring, self._wire_log = wiring, wire_log
        self._drives = False
        self._codes = wire.BoardCodes.of(board.calibrated())
        self._kappa = self._codes.siemens[wiring.outputs]
        self.voltage_sigma = wire.ADC_STEP_V / math.sqrt(12) if voltage_sigma is None else voltage_sigma
        through_V = math.hypot(self.voltage_sigma, wire.DAC_STEP_V / math.sqrt(12))
        self._current_sigma = float(self._kappa.max()) * through_V
        # largest distance from a free reading that the board accepts after its own free reading
        self._farthest_V = limits.nudge - _GUARD_SIGMAS * self.voltage_sigma - _ROUNDING_V
        if self._farthest_V <= 0:
            raise SetupError(
                f"limits.nudge = {format_quantity(limits.nudge, 'V')} is below the read noise, with a "
                f"voltage_sigma of {format_quantity(self.voltage_sigma, 'V')}; widen the limit or average more"
            )
        super().__init__(wiring.topology, limits, ("resistor",), resolution=wire.ADC_STEP_V)

    @property
    def instruments(self) -> tuple[str, ...]:
        """Maker, model, serial number and firmware that the board reports, and its address."""
        return (self.board.identity.text(self.board.transport.name),)

    # --- phases -------------------------------------------------------------------------------------

    @property
    def settle_s(self) -> float | None:
        """Wait in seconds between a change of the sources and a reading."""
        session = self.board.session
        return None if session is None else session.settle_us / wire.MILLION

    @property
    def drives_outputs(self) -> bool:
        """Whether a sequence is running: between two requests every output is off."""
        return self._drives

    @property
    def nudge_siemens(self) -> FloatArray:
        """Conductances (n_out,) in siemens of the resistors behind the nudge outputs."""
        return self._kappa.copy()

    @property
    def dac_step_V(self) -> float:
        """Step in volts of the input converters."""
        return wire.DAC_STEP_V

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        if drive is not None:
            readout, _, refused = self._measure_sides(inputs, drive, None)
            if refused.any():
                raise LimitError(
                    f"the board did not nudge sample {int(np.flatnonzero(refused)[0])}: its drive is more than "
                    f"limits.nudge = {format_quantity(self.limits.nudge, 'V')} from the free output, or the "
                    "output is outside the converter's range"
                )
            return readout
        words = self._input_codes(inputs)
        with self._driving():
            status, readings = self.board.sequence("SEQ:FREE? ", words, 1, 1)
            self._check(status)
        return self._readout(readings[:, 0])

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray]:
        self._check_kappa(plus.siemens)
        sides = [plus] if minus is None else [plus, minus]
        nudges = [self._nudge_codes(side.values) for side in sides]
        words = np.concatenate([self._input_codes(inputs), *nudges], axis=1)
        with self._driving():
            self.board.set_sides(len(sides))
            status, readings = self.board.sequence("SEQ:NUDG? ", words, len(sides), 1 + len(sides))
            self._check(status)
        refused = self._not_nudged(status)
        found = [
            self._readout(readings[:, k], np.where(refused[:, None], wire.FLOATING, nudges[k]))
            for k in range(len(sides))
        ]
        return found[0], None if minus is None else found[1], refused

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        """Let the board compute the nudges if it can, and if its limits imply all limits of the bench."""
        if not isinstance(error, TargetError) or not isinstance(nudge, ResistorNudge) or nudge.strength == "auto":
            return None
        eta_steps = round(nudge.strength * wire.ETA_STEPS)
        targets = self._target_codes(error.targets, len(inputs))
        if not 1 <= eta_steps <= wire.MOST_ETA or targets is None or not self._implied(inputs):
            return None
        self._check_kappa(np.full(self.topology.n_outputs, nudge.kappa))
        sides = 2 if symmetric else 1
        words = np.concatenate([self._input_codes(inputs), targets], axis=1)
        eta = eta_steps / wire.ETA_STEPS
        with self._driving():
            self.board.set_sides(sides)
            status, readings = self.board.sequence(f"SEQ:TWOP? {eta:.6f},", words, 1 + sides, 1 + sides)
            self._check(status)
        refused = self._not_nudged(status)
        steps = wire.nudge_steps(eta_steps, readings[:, 0], targets)
        floats = refused[:, None] | (targets == wire.FLOATING)

        def side(phase: int, sign: int) -> Readout:
            codes = self._codes.map.dac_codes(readings[:, 0] + sign * steps)
            return self._readout(readings[:, phase], np.where(floats, wire.FLOATING, codes))

        free = self._readout(readings[:, 0])
        return TwoPhase(
            free,
            side(1, 1),
            side(2, -1) if symmetric else None,
            error(free.voltages),
            np.where(refused, 0.0, eta),
        )

    def _max_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        """Limit the distance between nudge DAC and free output, as the board does."""
        most = np.full(len(free), np.inf)
        size = np.abs(error).max(axis=1)
        return np.asarray(np.divide(self._farthest_V, size, out=most, where=size > 0))

    def _implied(self, inputs: FloatArray) -> bool:
        """Return whether the limits of voltage and nudge, which the board checks, imply those of drop and current.

        Free outputs are between the driven terminals, and a nudge DAC is within ``limits.nudge`` of one.
        """
        low, high = inputs.min(axis=1, initial=0.0), inputs.max(axis=1, initial=0.0)
        limits = self.limits
        lowest = np.maximum(low - limits.nudge, -limits.voltage)
        highest = np.minimum(high + limits.nudge, limits.voltage)
        spread = float(np.max(highest - lowest, initial=0.0))
        return spread <= limits.drop and spread * float(self._kappa.max()) <= limits.current

    # --- codes and volts ----------------------------------------------------------------------------

    def _input_codes(self, inputs: FloatArray) -> wire.Integers:
        """Return the input codes (S, 8); unused channels stay at 0 V."""
        volts = np.zeros((len(inputs), wire.N_INPUTS))
        volts[:, self._wiring.inputs] = inputs
        return _valid_codes(self._codes.inputs.dac_codes(volts), "an input")

    def _nudge_codes(self, values: FloatArray) -> wire.Integers:
        """Return the nudge codes (S, 4) of volts (S, n_out)."""
        volts = np.full((len(values), wire.N_OUTPUTS), np.nan)
        volts[:, self._wiring.outputs] = values
        floats = np.isnan(volts)
        codes = _valid_codes(self._codes.nudges.dac_codes(np.where(floats, 0.0, volts)), "a nudge")
        return np.where(floats, wire.FLOATING, codes)

    def _target_codes(self, targets: FloatArray, samples: int) -> wire.Integers | None:
        """Return targets as ADC codes (S, 4); None if a target has no code."""
        wanted = np.asarray(targets, dtype=np.float64)
        if wanted.shape != (samples, self.topology.n_outputs) or not np.isfinite(wanted).all():
            return None
        volts = np.zeros((samples, wire.N_OUTPUTS))
        volts[:, self._wiring.outputs] = wanted
        codes = self._codes.outputs.adc_codes(volts)
        if codes.size and not (codes.min() >= 0 and codes.max() < wire.FLOATING):
            return None
        codes[:, np.isin(np.arange(wire.N_OUTPUTS), self._wiring.outputs, invert=True)] = wire.FLOATING
        return codes

    def _readout(self, readings: wire.Codes, nudges: wire.Integers | None = None) -> Readout:
        """Return one phase from readings (S, 4) and the nudge codes (S, 4) that were applied."""
        here = self._wiring.outputs
        volts = self._codes.outputs.adc_volts(readings)[:, here]
        currents = np.zeros_like(volts)
        if nudges is not None:
            behind = self._codes.nudges.dac_volts(nudges)[:, here]
            currents = np.where(nudges[:, here] == wire.FLOATING, 0.0, self._kappa * (behind - volts))
        return Readout(
            volts,
            output_currents=currents,
            saturated=~wire.in_range(readings[:, here]),
            voltage_sigma=self.voltage_sigma,
            current_sigma=self._current_sigma,
        )

    # --- status of a sequence -----------------------------------------------------------------------

    def _not_nudged(self, status: wire.Codes) -> BoolArray:
        return np.asarray((status & wire.NOT_NUDGED) != 0)

    def _check(self, status: wire.Codes) -> None:
        lost = np.flatnonzero(status & (wire.NOT_MEASURED | wire.SILENT))
        if lost.size:
            silent = bool(status[lost[0]] & wire.SILENT)
            raise NetworkError(
                f"{self.board.name} measured up to sample {int(lost[0])}, then "
                + ("its ADC did not answer; check the board" if silent else "the sequence was ended")
            )

    def _check_kappa(self, siemens: FloatArray | None) -> None:
        """Refuse a drive whose conductances are not those of the board's nudge resistors."""
        if siemens is None or not (np.abs(siemens / self._kappa - 1) <= _SAME_KAPPA).all():
            requested = "none" if siemens is None else format_quantity(float(siemens[0]), "S")
            raise NetworkError(
                f"the nudge resistors of {self.board.name} are {format_quantity(float(self._kappa.mean()), 'S')}, "
                f'not {requested}; set train.kappa = "{format_quantity(float(self._kappa.mean()), "S")}"'
            )

    # --- the board ----------------------------------------------------------------------------------

    def _program(self, conductances: FloatArray) -> Programmed:
        with self._driving():
            return self.edges.program(conductances)

    @contextmanager
    def _driving(self) -> Iterator[None]:
        """Allow commands, and switch all outputs off unless they succeed."""
        try:
            if self.board.transport.halted:
                self.board.rearm()
            self._drives = True
            yield
        except BaseException:
            self.board.halt()
            raise
        finally:
            self._drives = False

    def _reconnect(self) -> None:
        """Reconnect to the same board with all outputs off, and restore limits, settings and edges.

        Raises
        ------
        LinkError
            If the board does not answer.
        UnknownInstrumentError
            If another board answers, or the calibration record has changed.
        NetworkError
            If the edges do not return to their previous codes.
        """
        self.board.reconnect()
        self.edges.restore()

    def _close(self) -> None:
        try:
            self.board.close()
        finally:
            if self._wire_log is not None:
                self._wire_log.close()


def _valid_codes(codes: wire.Integers, what: str) -> wire.Integers:
    """Refuse codes outside the range of a DAC."""
    if codes.size and not (codes.min() >= 0 and codes.max() < wire.FLOATING):
        sample, channel = np.argwhere((codes < 0) | (codes >= wire.FLOATING))[0]
        raise LimitError(
            f"{what} of sample {sample} is outside the range of DAC channel {channel}; nothing was applied"
        )
    return codes
