"""`write_verify`: programs devices with pulses whose strength follows the error, and verifies them by reading."""

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
from hwlearn.write_verify.read_noise import ReadNoise, averaged
from hwlearn.write_verify.report import WriteReport
from hwlearn.write_verify.responses import CLEAR, Responses
from hwlearn.write_verify.settings import WriteSettings
from hwlearn.write_verify.steps import StepModel

_BASELINE_READS: Final = 8
_MOST_READS: Final = 16
_NOISE_ROUNDS: Final = (6, 20)
_GUARD: Final = 1.5
_DISTURBED: Final = 4.0
_SECOND_TIME: Final = 0.6  # of the tolerance, for a device that left it before
_MOST_PASSES: Final = 25
_SPARE_ROUNDS: Final = 50


def write_verify(
    access: DeviceAccess,
    targets: ArrayLike,
    settings: WriteSettings | None = None,
    *,
    leave_out: ArrayLike | None = None,
    resume: WriteReport | None = None,
    progress: Callable[[WriteReport], None] | None = None,
) -> WriteReport:
    """Program devices to target conductances with pulses, and read them after each pulse.

    Parameters
    ----------
    access : DeviceAccess
        The devices; their limits are never exceeded.
    targets : array_like, shape (E,)
        Target conductances in siemens, as measured at the read voltage.
    settings : WriteSettings, optional
        Tolerance, pulses and read voltage.
    leave_out : array_like of bool, shape (E,), optional
        Devices that get no pulse and are reported as failed.
    resume : WriteReport, optional
        Earlier report to continue from. The pulse model of each device is kept, and stuck and worn devices get no
        pulse. If the targets are the same, the number of pulses continues too.
    progress : callable, optional
        Called with the current report after each round of pulses. It may raise to stop; the last report can be
        resumed.

    Returns
    -------
    WriteReport

    Raises
    ------
    LimitError
        If the schedule or the read voltage exceeds the limits; nothing was applied.
    SetupError
        If the targets are invalid; nothing was applied.
    DeviceError
        If a reading is not finite, the read noise is too high for the tolerance, or most devices move against
        their pulses.

    Notes
    -----
    Each round reads every device and applies one pulse to each device that is not at its target. The sign of the
    error gives the polarity. The strength rises step by step until the device responds (incremental step pulse
    programming). Then it is chosen so that the step equals the error, from a slope of log(step) over strength that
    is estimated online.

    A device has reached its target when the mean of enough readings lies within tolerance by 1.5 standard errors
    and the device has moved before. A device that starts at its target is therefore moved away and back. Devices
    at their target are read in every round and in passes at the end, and corrected if pulses at neighbouring
    devices moved them.

    A device is stuck if it does not move, within 5 standard errors of averaged readings, after 3 pulses of full
    strength of either polarity. There are at most ``E * most_pulses`` pulses and ``most_pulses + 75`` rounds.
    """
    checked = _checked_targets(targets, access.n_edges)
    if resume is not None and len(resume.targets) != access.n_edges:
        raise SetupError(f"the report to resume has {len(resume.targets)} devices, the access {access.n_edges}")
    left_out = _mask(leave_out, access.n_edges)
    return _Writer(access, checked, settings or WriteSettings(), left_out, resume).run(progress)


class _Writer:
    """State of one run of write-verify."""

    def __init__(
        self,
        access: DeviceAccess,
        targets: FloatArray,
        settings: WriteSettings,
        left_out: BoolArray,
        resume: WriteReport | None,
    ) -> None:
        n = access.n_edges
        self._access, self._targets, self._allowed = access, targets, settings.tolerance * targets
        self._schedule, self._most_pulses = settings.schedule_within(access.limits), int(settings.most_pulses)
        self._voltage = settings.read_voltage_within(access.limits)
        self._reached, self._stuck, self._worn, self._failed = (np.zeros(n, dtype=bool) for _ in range(4))
        self._answered_before = np.zeros(n, dtype=bool)
        self._pulses, self._disturbed = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._steps = StepModel.unknown(n, self._schedule.step)
        if resume is not None:
            self._steps = StepModel(resume.strength, resume.log_step, resume.slope, self._schedule.step)
            self._stuck, self._worn = resume.stuck.copy(), resume.worn.copy()
            self._answered_before = resume.answered
            if np.array_equal(resume.targets, targets):
                self._pulses, self._disturbed = resume.pulses.copy(), resume.disturbed.copy()
        self._failed |= left_out & ~self._stuck & ~self._worn
        self._reopened = np.zeros(n, dtype=bool)  # left its target after it had reached it
        self._arrived, self._arrived_sigma = np.zeros(n), np.zeros(n)  # readings when the target was reached

    # --- the loop -----------------------------------------------------------------------------------

    def run(self, progress: Callable[[WriteReport], None] | None) -> WriteReport:
        self._measure_noise()
        self._responses = Responses(self._now, self._now_sigma, self._answered_before)
        edges, up, strength, before = self._no_pulses()
        passes = 0
        for number in range(self._most_pulses + _MOST_PASSES + _SPARE_ROUNDS):
            if number in _NOISE_ROUNDS:  # the devices are nearer to their targets than before
                self._measure_noise()
            self._read_round()
            self._evaluate(edges, up, strength, before)
            self._reopen_disturbed()
            self._accept()
            active = self._active()
            if not active.size:
                passes += 1
                if self._verified(final=passes >= _MOST_PASSES):
                    break
                active = self._active()
            edges, up, strength, before = self._apply_pulses(active)
            if progress is not None:
                progress(self._report(finished=False))
        else:
            self._failed[self._active()] = True
        return self._report(finished=True)

    def _measure_noise(self) -> None:
        """Measure conductances and read noise; refuse noise that is too high to verify the targets."""
        readings = np.array([self._access.read_all(self._voltage) for _ in range(_BASELINE_READS)])
        self._noise = ReadNoise.of(readings)
        self._now = readings.mean(axis=0)
        self._now_sigma = self._noise.sigma(self._now) / math.sqrt(_BASELINE_READS)
        # with similar conductances, absolute and relative noise cannot be separated: the better case is used
        better = self._noise.sigma(self._now) * np.minimum(1.0, self._targets / np.maximum(self._now, 1e-300))
        self._refuse_noise(np.minimum(self._noise.sigma(self._targets), better))
        # the standard error of the mean of n readings must be at most a fifth of the tolerance
        needed = np.ceil((5 * self._noise.sigma(self._targets) / self._allowed) ** 2)
        self._reads = np.clip(needed, 1, _MOST_READS).astype(np.int64)

    def _refuse_noise(self, sigma: FloatArray) -> None:
        too_noisy = sigma / math.sqrt(_MOST_READS) > 0.5 * self._allowed
        if np.mean(too_noisy) > 0.5:
            k = int(np.flatnonzero(too_noisy)[0])
            raise DeviceError(
                f"the read noise is {format_quantity(float(sigma[k]), 'S')} at {self._access.edge_name(k)}, too "
                f"high to verify {format_quantity(float(self._allowed[k]), 'S')} with {_MOST_READS} readings; "
                "widen the tolerance, or read with a higher voltage or for longer"
            )

    def _active(self) -> IntArray:
        return np.flatnonzero(~(self._reached | self._stuck | self._worn | self._failed))

    def _no_pulses(self) -> tuple[IntArray, BoolArray, FloatArray, FloatArray]:
        none = np.zeros(0, dtype=np.int64)
        return none, none.astype(bool), none.astype(float), none.astype(float)

    # --- reading ------------------------------------------------------------------------------------

    def _read_round(self) -> None:
        """Read every device once, and active devices near their target as often as the tolerance requires."""
        self._now = self._access.read_all(self._voltage)
        self._now_sigma = self._noise.sigma(self._now)
        active = self._active()
        near = np.abs(self._now[active] - self._targets[active]) < 5 * self._allowed[active]
        self._read_more(active[near])

    def _read_more(self, edges: IntArray, times: int | None = None) -> None:
        """Replace the readings of some edges by the mean of new readings."""
        wanted = self._reads[edges] if times is None else np.full(len(edges), times)
        for number in np.unique(wanted):
            chosen = edges[wanted == number]
            self._now[chosen] = averaged(self._access, chosen, int(number), self._voltage)
            self._now_sigma[chosen] = self._noise.sigma(self._now[chosen], chosen) / math.sqrt(number)

    def _error(self, edges: IntArray) -> FloatArray:
        return np.asarray(self._targets[edges] - self._now[edges])

    # --- response to the last pulses ----------------------------------------------------------------

    def _evaluate(self, edges: IntArray, up: BoolArray, strength: FloatArray, before: FloatArray) -> None:
        if not edges.size:
            return
        step = np.where(up, 1.0, -1.0) * (self._now[edges] - before)
        sigma = math.sqrt(2) * self._noise.sigma(self._now[edges], edges)
        self._responses.check_polarity(edges, step / sigma)
        self._steps.learn(edges, up, np.minimum(strength, 1.0), step, sigma)
        polarity = up.astype(np.int64)
        self._responses.note(edges, polarity, self._now[edges], self._now_sigma[edges])
        full, full_polarity = edges[strength >= 1.0], polarity[strength >= 1.0]
        due = self._responses.count_full(full, full_polarity)
        silent = full[due]
        self._read_more(silent, _MOST_READS)
        self._responses.conclude(silent, full_polarity[due], self._now[silent], self._now_sigma[silent])
        stuck, worn, out_of_reach = self._responses.verdicts(edges)
        self._stuck[stuck] = self._worn[worn] = self._failed[out_of_reach] = True

    # --- devices at their target --------------------------------------------------------------------

    def _accept(self) -> None:
        active = self._active()
        allowed = np.where(self._reopened[active], _SECOND_TIME, 1.0) * self._allowed[active]
        within = np.abs(self._error(active)) + _GUARD * self._now_sigma[active] <= allowed
        there = active[within & self._responses.answered[active]]
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
        """Read all devices that have reached their target again; return whether all are still there."""
        there = np.flatnonzero(self._reached)
        self._read_more(there)
        doubtful = there[np.abs(self._error(there)) + self._now_sigma[there] > self._allowed[there]]
        self._read_more(doubtful, _MOST_READS)  # one outlier must not reopen a device
        away = doubtful[np.abs(self._error(doubtful)) > self._allowed[doubtful]]
        self._reopen(away)
        if final:
            self._failed[away] = True
        return final or not away.size

    def _reopen(self, edges: IntArray) -> None:
        self._reached[edges], self._reopened[edges] = False, True
        uncertainty = np.hypot(self._now_sigma[edges], self._arrived_sigma[edges])
        self._disturbed[edges] += np.abs(self._now[edges] - self._arrived[edges]) > _DISTURBED * uncertainty
        # it moved without a pulse: later steps are measured from here
        self._responses.start_at(edges, self._now[edges], self._now_sigma[edges])

    # --- pulses -------------------------------------------------------------------------------------

    def _apply_pulses(self, active: IntArray) -> tuple[IntArray, BoolArray, FloatArray, FloatArray]:
        """Apply one pulse to each active device; return devices, polarities, strengths and readings before."""
        spent = (self._pulses[active] >= self._most_pulses) | (
            self._access.pulses[active] >= self._access.limits.pulses
        )
        self._failed[active[spent]] = True
        edges = active[~spent]
        error = self._error(edges)
        up = error > 0
        turned = self._responses.dead[up.astype(np.int64), edges]
        up = up ^ turned
        # the first step of a device must be clearly visible
        least = np.where(
            self._responses.answered[edges], 0.3 * self._allowed[edges], 2 * CLEAR * self._now_sigma[edges]
        )
        wanted = np.where(turned, np.inf, np.maximum(np.abs(error), least))
        strength = self._steps.strength_for(edges, up, wanted)
        given = np.zeros(len(edges), dtype=bool)
        for i, k in enumerate(edges):
            given[i] = self._pulse(int(k), bool(up[i]), strength, i)
        return edges[given], up[given], strength[given], self._now[edges[given]]

    def _pulse(self, edge: int, up: bool, strengths: FloatArray, i: int) -> bool:
        """Apply one pulse, weaker if the current limit requires it; return whether a pulse was allowed."""
        most = self._max_strength(edge, up)
        if most is None:
            self._failed[edge] = True
            return False
        if strengths[i] > most:
            self._responses.restricted[edge] = True
            strengths[i] = most
        self._access.pulse(edge, *self._schedule.pulse(up, float(strengths[i])))
        self._pulses[edge] += 1
        if most < 1.0 and strengths[i] >= most:
            strengths[i] = 1.0  # counts as full strength
        return True

    def _max_strength(self, edge: int, up: bool) -> float | None:
        """Return the maximum strength within the current limit; None if even the weakest pulse exceeds it."""

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
            answered=self._responses.answered.copy(),
            strength=self._steps.strength.copy(),
            log_step=self._steps.log_step.copy(),
            slope=self._steps.slope.copy(),
            finished=finished,
        )


def _checked_targets(targets: ArrayLike, n_edges: int) -> FloatArray:
    try:
        checked = np.array(targets, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SetupError(f"targets must be numbers, shape ({n_edges},)") from error
    if checked.shape != (n_edges,):
        raise SetupError(f"targets must have shape ({n_edges},), one for each device, got {checked.shape}")
    wrong = np.flatnonzero(~(np.isfinite(checked) & (checked > 0)))
    if wrong.size:
        k = int(wrong[0])
        raise LimitError(f"target {checked[k]} S of device {k} is invalid; it must be positive and finite")
    return checked


def _mask(leave_out: ArrayLike | None, n_edges: int) -> BoolArray:
    if leave_out is None:
        return np.zeros(n_edges, dtype=bool)
    mask = np.asarray(leave_out)
    if mask.shape != (n_edges,) or mask.dtype != np.bool_:
        raise SetupError(f"leave_out must be {n_edges} truth values, one for each device")
    return mask
