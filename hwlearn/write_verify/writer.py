"""Write-verify: targets to devices, by pulses whose strength follows the error, within limits and bounded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.device_access.access import DeviceAccess, DeviceError
from hwlearn.errors import LimitError, SetupError
from hwlearn.units import format_quantity
from hwlearn.write_verify.answers import CLEAR, Answers
from hwlearn.write_verify.read_noise import ReadNoise, averaged
from hwlearn.write_verify.report import WriteReport
from hwlearn.write_verify.schedule import PulseSchedule
from hwlearn.write_verify.steps import StepModel

_BASELINE_READS: Final = 8
_MOST_READS: Final = 16
_NOISE_ROUNDS: Final = (6, 20)
_GUARD: Final = 1.5
_DISTURBED: Final = 4.0
_SECOND_TIME: Final = 0.6  # of the tolerance: who was found outside once comes back well inside
_MOST_PASSES: Final = 25
_SPARE_ROUNDS: Final = 50


def write_verify(
    access: DeviceAccess,
    targets: ArrayLike,
    *,
    tolerance: float = 0.01,
    schedule: PulseSchedule | None = None,
    most_pulses: int = 200,
    read_voltage: float | None = None,
    leave_out: ArrayLike | None = None,
    resume: WriteReport | None = None,
    progress: Callable[[WriteReport], None] | None = None,
) -> WriteReport:
    """Program devices to target conductances with pulses, reading after each.

    Parameters
    ----------
    access : DeviceAccess
        The devices; its limits are never passed.
    targets : array_like, shape (E,)
        Siemens, as seen at the read voltage.
    tolerance : float
        Largest relative error of a device that has reached its target.
    schedule : PulseSchedule, optional
        Pulses to use; by default up to the limits' voltage and over the limits' widths.
    most_pulses : int
        Most pulses for any one device towards these targets.
    read_voltage : float, optional
        Volts of each reading; by default the most that the limits allow.
    leave_out : array_like of bool, shape (E,), optional
        Devices that get no pulse and are reported as failed.
    resume : WriteReport, optional
        Goes on from an earlier report: what was learned about each device is kept, stuck and worn devices are
        left alone, and for the same targets pulses are counted on.
    progress : callable, optional
        Called with the state so far after each round of pulses. It may raise to stop: the report that it was
        given last can be resumed.

    Returns
    -------
    WriteReport

    Raises
    ------
    LimitError
        If the schedule or the read voltage leaves the limits; nothing was applied.
    SetupError
        If targets, tolerance or number of pulses make no sense; nothing was applied.
    DeviceError
        If a reading is no finite number, readings scatter too much for the tolerance, or most devices move
        against their pulses.

    Notes
    -----
    Each round reads every device and gives one pulse to each that is not at its target: polarity by the sign of
    the error; strength rising step by step until the device answers (incremental step pulse programming), then
    such that the step should equal the error, by a slope of log(step) against strength that is estimated online.
    A device has reached its target when the mean of enough readings lies within tolerance by 1.5 standard errors,
    and has shown that it moves: one that was found at its target is moved away and back. Devices at their target
    are read on, every round and in passes at the end, and corrected when pulses at their neighbours moved them.
    Stuck is who does not move, by 5 standard errors of averaged readings, under 3 pulses of full strength of
    *either* polarity. Pulses are bounded by ``E * most_pulses``, rounds by ``most_pulses + 75``.
    """
    asked = _checked_targets(targets, access.n_edges)
    if not 0 < tolerance < 1:
        raise SetupError(f"tolerance is {tolerance}; it must lie between 0 and 1")
    if int(most_pulses) != most_pulses or most_pulses < 1:
        raise SetupError(f"most_pulses is {most_pulses}; it must be a whole number of at least 1")
    plan = PulseSchedule.within(access.limits) if schedule is None else schedule
    plan.check(access.limits)
    voltage = access.limits.read_voltage if read_voltage is None else read_voltage
    access.limits.check_read("every device", voltage)
    if resume is not None and len(resume.targets) != access.n_edges:
        raise SetupError(f"the report to resume is of {len(resume.targets)} devices, these are {access.n_edges}")
    out = _mask(leave_out, access.n_edges)
    return _Writer(access, asked, tolerance, plan, int(most_pulses), voltage, out, resume).run(progress)


class _Writer:
    """The state of one run of write-verify."""

    def __init__(
        self,
        access: DeviceAccess,
        targets: FloatArray,
        tolerance: float,
        schedule: PulseSchedule,
        most_pulses: int,
        voltage: float,
        left_out: BoolArray,
        resume: WriteReport | None,
    ) -> None:
        n = access.n_edges
        self._access, self._targets, self._allowed = access, targets, tolerance * targets
        self._schedule, self._most_pulses, self._voltage = schedule, most_pulses, voltage
        self._reached, self._stuck, self._worn, self._failed = (np.zeros(n, dtype=bool) for _ in range(4))
        self._answered_before = np.zeros(n, dtype=bool)
        self._pulses, self._disturbed = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._steps = StepModel.unknown(n, schedule.step)
        if resume is not None:
            self._steps = StepModel(resume.strength, resume.log_step, resume.slope, schedule.step)
            self._stuck, self._worn = resume.stuck.copy(), resume.worn.copy()
            self._answered_before = resume.answered
            if np.array_equal(resume.targets, targets):
                self._pulses, self._disturbed = resume.pulses.copy(), resume.disturbed.copy()
        self._failed |= left_out & ~self._stuck & ~self._worn
        self._reopened = np.zeros(n, dtype=bool)  # was found away from its target after it had reached it
        self._arrived, self._arrived_sigma = np.zeros(n), np.zeros(n)  # readings when it reached it

    # --- the loop -----------------------------------------------------------------------------------

    def run(self, progress: Callable[[WriteReport], None] | None) -> WriteReport:
        self._measure_noise()
        self._answers = Answers(self._now, self._now_sigma, self._answered_before)
        edges, up, strength, before = self._nobody()
        passes = 0
        for number in range(self._most_pulses + _MOST_PASSES + _SPARE_ROUNDS):
            if number in _NOISE_ROUNDS:  # nearer to their targets by now
                self._measure_noise()
            self._read_round()
            self._take_in(edges, up, strength, before)
            self._reopen_disturbed()
            self._accept()
            active = self._active()
            if not active.size:
                passes += 1
                if self._verified(final=passes >= _MOST_PASSES):
                    break
                active = self._active()
            edges, up, strength, before = self._give_pulses(active)
            if progress is not None:
                progress(self._report(finished=False))
        else:
            self._failed[self._active()] = True
        return self._report(finished=True)

    def _measure_noise(self) -> None:
        """Find out where the devices stand, and refuse readings that can verify no target."""
        readings = np.array([self._access.read_all(self._voltage) for _ in range(_BASELINE_READS)])
        self._noise = ReadNoise.of(readings)
        self._now = readings.mean(axis=0)
        self._now_sigma = self._noise.sigma(self._now) / math.sqrt(_BASELINE_READS)
        # devices that all stand alike do not tell how their noise follows the conductance: the better case counts
        better = self._noise.sigma(self._now) * np.minimum(1.0, self._targets / np.maximum(self._now, 1e-300))
        self._refuse_noise(np.minimum(self._noise.sigma(self._targets), better))
        # that the mean of n readings lies within tolerance shall be told to a fifth of it
        needed = np.ceil((5 * self._noise.sigma(self._targets) / self._allowed) ** 2)
        self._reads = np.clip(needed, 1, _MOST_READS).astype(np.int64)

    def _refuse_noise(self, sigma: FloatArray) -> None:
        blurred = sigma / math.sqrt(_MOST_READS) > 0.5 * self._allowed
        if np.mean(blurred) > 0.5:
            k = int(np.flatnonzero(blurred)[0])
            raise DeviceError(
                f"one reading scatters by {format_quantity(float(sigma[k]), 'S')} at {self._access.edge_name(k)}, "
                f"too much to verify {format_quantity(float(self._allowed[k]), 'S')} with {_MOST_READS} readings; "
                "widen the tolerance, or read with a higher voltage or longer"
            )

    def _active(self) -> IntArray:
        return np.flatnonzero(~(self._reached | self._stuck | self._worn | self._failed))

    def _nobody(self) -> tuple[IntArray, BoolArray, FloatArray, FloatArray]:
        none = np.zeros(0, dtype=np.int64)
        return none, none.astype(bool), none.astype(float), none.astype(float)

    # --- reading ------------------------------------------------------------------------------------

    def _read_round(self) -> None:
        """Read every device once, and the active ones near their target as often as the tolerance needs."""
        self._now = self._access.read_all(self._voltage)
        self._now_sigma = self._noise.sigma(self._now)
        active = self._active()
        near = np.abs(self._now[active] - self._targets[active]) < 5 * self._allowed[active]
        self._read_more(active[near])

    def _read_more(self, edges: IntArray, times: int | None = None) -> None:
        """Replace what is known of some edges by the mean of new readings."""
        wanted = self._reads[edges] if times is None else np.full(len(edges), times)
        for number in np.unique(wanted):
            chosen = edges[wanted == number]
            self._now[chosen] = averaged(self._access, chosen, int(number), self._voltage)
            self._now_sigma[chosen] = self._noise.sigma(self._now[chosen], chosen) / math.sqrt(number)

    def _error(self, edges: IntArray) -> FloatArray:
        return np.asarray(self._targets[edges] - self._now[edges])

    # --- what the last pulses did -------------------------------------------------------------------

    def _take_in(self, edges: IntArray, up: BoolArray, strength: FloatArray, before: FloatArray) -> None:
        if not edges.size:
            return
        step = np.where(up, 1.0, -1.0) * (self._now[edges] - before)
        sigma = math.sqrt(2) * self._noise.sigma(self._now[edges], edges)
        self._answers.check_polarity(edges, step / sigma)
        self._steps.learn(edges, up, np.minimum(strength, 1.0), step, sigma)
        way = up.astype(np.int64)
        self._answers.note(edges, way, self._now[edges], self._now_sigma[edges])
        full, way_full = edges[strength >= 1.0], way[strength >= 1.0]
        due = self._answers.count_full(full, way_full)
        silent = full[due]
        self._read_more(silent, _MOST_READS)
        self._answers.conclude(silent, way_full[due], self._now[silent], self._now_sigma[silent])
        stuck, worn, out_of_reach = self._answers.verdicts(edges)
        self._stuck[stuck] = self._worn[worn] = self._failed[out_of_reach] = True

    # --- who is there, and who no more --------------------------------------------------------------

    def _accept(self) -> None:
        active = self._active()
        allowed = np.where(self._reopened[active], _SECOND_TIME, 1.0) * self._allowed[active]
        within = np.abs(self._error(active)) + _GUARD * self._now_sigma[active] <= allowed
        there = active[within & self._answers.answered[active]]
        self._reached[there] = True
        self._arrived[there], self._arrived_sigma[there] = self._now[there], self._now_sigma[there]

    def _reopen_disturbed(self) -> None:
        there = np.flatnonzero(self._reached)
        off = np.abs(self._error(there)) > self._allowed[there] + 2 * self._now_sigma[there]
        suspects = there[off]
        self._read_more(suspects, _MOST_READS)
        moved = np.abs(self._error(suspects)) > self._allowed[suspects] + self._now_sigma[suspects]
        self._reopen(suspects[moved])

    def _verified(self, *, final: bool) -> bool:
        """Read all that have reached their target once more; return whether all are still there."""
        there = np.flatnonzero(self._reached)
        self._read_more(there)
        doubtful = there[np.abs(self._error(there)) + self._now_sigma[there] > self._allowed[there]]
        self._read_more(doubtful, _MOST_READS)  # an unlucky reading alone accuses nobody
        away = doubtful[np.abs(self._error(doubtful)) > self._allowed[doubtful]]
        self._reopen(away)
        if final:
            self._failed[away] = True
        return final or not away.size

    def _reopen(self, edges: IntArray) -> None:
        self._reached[edges], self._reopened[edges] = False, True
        doubt = np.hypot(self._now_sigma[edges], self._arrived_sigma[edges])
        self._disturbed[edges] += np.abs(self._now[edges] - self._arrived[edges]) > _DISTURBED * doubt
        # it moved by itself: what is measured from now on starts here
        self._answers.start_at(edges, self._now[edges], self._now_sigma[edges])

    # --- pulses -------------------------------------------------------------------------------------

    def _give_pulses(self, active: IntArray) -> tuple[IntArray, BoolArray, FloatArray, FloatArray]:
        """Give each active device one pulse; return devices, polarities, strengths and readings before."""
        spent = (self._pulses[active] >= self._most_pulses) | (
            self._access.pulses[active] >= self._access.limits.pulses
        )
        self._failed[active[spent]] = True
        edges = active[~spent]
        error = self._error(edges)
        up = error > 0
        turned = self._answers.dead[up.astype(np.int64), edges]
        up = up ^ turned
        # who has not moved yet shall be seen to move
        least = np.where(
            self._answers.answered[edges], 0.3 * self._allowed[edges], 2 * CLEAR * self._now_sigma[edges]
        )
        wanted = np.where(turned, np.inf, np.maximum(np.abs(error), least))
        strength = self._steps.strength_for(edges, up, wanted)
        given = np.zeros(len(edges), dtype=bool)
        for i, k in enumerate(edges):
            given[i] = self._pulse(int(k), bool(up[i]), strength, i)
        return edges[given], up[given], strength[given], self._now[edges[given]]

    def _pulse(self, edge: int, up: bool, strengths: FloatArray, i: int) -> bool:
        """Give one pulse, weaker where the current limit wants it; return whether any was allowed."""
        most = self._most_strength(edge, up)
        if most is None:
            self._failed[edge] = True
            return False
        if strengths[i] > most:
            self._answers.held_back[edge] = True
            strengths[i] = most
        self._access.pulse(edge, *self._schedule.pulse(up, float(strengths[i])))
        self._pulses[edge] += 1
        if most < 1.0 and strengths[i] >= most:
            strengths[i] = 1.0  # as strong as it may be
        return True

    def _most_strength(self, edge: int, up: bool) -> float | None:
        """Return the strongest that the current limit allows this device; None if not even the weakest."""

        def allowed(strength: float) -> bool:
            amplitude, _ = self._schedule.pulse(up, strength)
            return self._access.expected_current(edge, amplitude) <= self._access.limits.current

        if allowed(1.0):
            return 1.0
        if not allowed(0.0):
            return None
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if allowed(middle) else (low, middle)
        return low

    # --- the report ---------------------------------------------------------------------------------

    def _report(self, *, finished: bool) -> WriteReport:
        return WriteReport(
            targets=self._targets.copy(),
            conductances=self._now.copy(),
            reached=self._reached.copy(),
            stuck=self._stuck.copy(),
            worn=self._worn.copy(),
            failed=self._failed.copy(),
            pulses=self._pulses.copy(),
            disturbed=self._disturbed.copy(),
            answered=self._answers.answered.copy(),
            strength=self._steps.strength.copy(),
            log_step=self._steps.log_step.copy(),
            slope=self._steps.slope.copy(),
            finished=finished,
        )


def _checked_targets(targets: ArrayLike, n_edges: int) -> FloatArray:
    try:
        asked = np.array(targets, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SetupError(f"targets must be numbers, shape ({n_edges},)") from error
    if asked.shape != (n_edges,):
        raise SetupError(f"targets must have shape ({n_edges},), one a device, got {asked.shape}")
    wrong = np.flatnonzero(~(np.isfinite(asked) & (asked > 0)))
    if wrong.size:
        raise LimitError(f"target {asked[wrong[0]]} S of device {wrong[0]} is no conductance; it must be positive")
    return asked


def _mask(leave_out: ArrayLike | None, n_edges: int) -> BoolArray:
    if leave_out is None:
        return np.zeros(n_edges, dtype=bool)
    mask = np.asarray(leave_out)
    if mask.shape != (n_edges,) or mask.dtype != np.bool_:
        raise SetupError(f"leave_out must be {n_edges} truth values, one a device")
    return mask
