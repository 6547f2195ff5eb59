"""`HealthWatch`: follows the gradients of a training and gives the figures of each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.learning.health.contrasts import (
    AGREEMENT,
    CONTRAST_ERROR,
    ONE_SIDED,
    ONE_SIDED_ERROR,
    SCALE,
    agreement_figures,
    bias_of,
    one_sided_figures,
    scale_figures,
)
from hwlearn.learning.health.figure import NOT_APPLICABLE, NOT_MEASURED, Figure
from hwlearn.learning.health.readings import MIDPOINT, POWER, RESIDUAL, SETPOINT, nudge_figures, residual_figure
from hwlearn.learning.health.sample import SAMPLES, HealthSample, StatedErrors
from hwlearn.learning.health.settings import HealthSettings
from hwlearn.learning.health.updates import AGREEMENT as UPDATE
from hwlearn.learning.health.updates import ERROR as UPDATE_ERROR
from hwlearn.learning.health.updates import UpdateWatch
from hwlearn.learning.rules.gep import GEP, usable_samples
from hwlearn.learning.rules.rule import Gradient, GradientRequest, Rule
from hwlearn.network.network import Readout, TwoPhase

BIAS: Final = "bias"

NAMES: Final = (
    SCALE, AGREEMENT, CONTRAST_ERROR, ONE_SIDED, ONE_SIDED_ERROR, SETPOINT, MIDPOINT, POWER, RESIDUAL, UPDATE,
    UPDATE_ERROR, BIAS,
)  # fmt: skip
"""Figures of an epoch in the order of their record, without the shares."""

MOST_SATURATED: Final = 0.5
"""Share of saturated samples above which the gradient that is missing can exceed the one that is left."""

MOST_BIAS: Final = 1.0
"""Length of the bias over that of the gradient above which a step can go uphill, whatever the devices explain."""

SPACING: Final = 10
"""Batches between two comparisons with what the model predicts, which cost about as much as a batch."""

COMPARED: Final = (AGREEMENT, CONTRAST_ERROR, BIAS)
"""Figures of such a comparison, which stay until the next one."""

_NOT_APPLICABLE, _NOT_MEASURED = -1.0, -2.0  # of the third column of the state


class HealthWatch:
    """Figures of the gradients of one training.

    Parameters
    ----------
    rule : Rule
    settings : HealthSettings
    """

    def __init__(self, rule: Rule, settings: HealthSettings) -> None:
        self._rule, self._settings = rule, settings
        self._updates = UpdateWatch()
        self._figures: dict[str, Figure] = {}
        self._counts = np.zeros(3, dtype=np.int64)  # samples, saturated, skipped
        self._since, self._compared = SPACING, -1  # batches since the last comparison with the model; its epoch

    def add(
        self, request: GradientRequest, gradient: Gradient, rows: IntArray, epoch: int, is_first: bool
    ) -> None:
        """Examine a gradient before its update.

        Parameters
        ----------
        request : GradientRequest
        gradient : Gradient
        rows : ndarray of int, shape (S,)
            Rows of the training set.
        epoch : int
        is_first : bool
            Whether it is the first batch of the epoch: its first samples are examined, the others counted.
        """
        saturated = _saturated(gradient.free, gradient.phases)
        self._counts += (len(rows), 0 if saturated is None else int(saturated.sum()), gradient.skipped)
        if is_first:
            found = self._examined(request, gradient, rows, epoch)
            self._figures |= {figure.name: figure for figure in found}
        self._since += 1

    def record(self) -> dict[str, Any]:
        """Return the figures of the epoch as its record has them, and begin the next one."""
        samples, saturated, skipped = self._counts.tolist()
        share = max(1, samples)
        found = {name: self._figures.get(name, Figure(name, NOT_MEASURED)) for name in NAMES}
        self._figures = {name: figure for name, figure in self._figures.items() if name in COMPARED}
        self._counts = np.zeros(3, dtype=np.int64)
        return {
            **{name: _rounded(figure.value) for name, figure in found.items() if name != BIAS},
            "saturated_share": _rounded(saturated / share),
            "skipped_share": _rounded(skipped / share),
            BIAS: _rounded(found[BIAS].value),
            "compared_epoch": self._compared if self._compared >= 0 else NOT_MEASURED,
            "limits": {name: _rounded(one.limit) for name, one in found.items() if one.limit is not None}
            | {"saturated_share": MOST_SATURATED},
            "alarms": [name for name, one in found.items() if one.exceeded]
            + (["saturated_share"] if saturated > MOST_SATURATED * samples else []),
        }

    # --- state --------------------------------------------------------------------------------------

    def state(self) -> dict[str, np.ndarray]:
        """Return the arrays from which it continues."""
        rows = [self._figures.get(name, Figure(name, NOT_MEASURED)) for name in NAMES]
        figures = np.array([_numbers(figure) for figure in rows])
        return {
            "figures": figures,
            "counts": self._counts.copy(),
            "since": np.array([self._since, self._compared]),
        } | {f"update_{name}": array for name, array in self._updates.state().items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from a state; an empty one begins anew."""
        if not arrays:
            return
        self._counts = arrays["counts"].astype(np.int64)
        if "since" in arrays:
            self._since, self._compared = (int(number) for number in arrays["since"])
        self._figures = {
            name: _figure(name, *row) for name, row in zip(NAMES, arrays["figures"].tolist(), strict=True)
        }
        self._updates.restore(
            {name.removeprefix("update_"): each for name, each in arrays.items() if name.startswith("update_")}
        )

    # --- figures ------------------------------------------------------------------------------------

    def _examined(self, request: GradientRequest, gradient: Gradient, rows: IntArray, epoch: int) -> list[Figure]:
        """Return the figures of the first samples of a batch."""
        some = slice(0, SAMPLES)
        bench = StatedErrors.of(request.network, request.model, self._settings.device_error)
        x, free = request.inputs[some], gradient.free
        found: list[Figure] = []
        if free is not None:
            good: BoolArray = np.ones(len(x), dtype=np.bool_)
            if free.saturated is not None:
                good &= ~free.saturated[some].any(axis=1)
            volts = free.voltages[some][good]
            if good.any() and request.model.topology.n_outputs == volts.shape[1]:
                sigma = free.voltage_sigma
                V = request.model.solve(x[good])
                found.append(residual_figure(request.model, V, volts, sigma, bench))
                chosen = rows[some][good]
                found += self._updates.figures(request.model, V, chosen, x[good], volts, sigma, bench)
        found += self._nudged(request, gradient, epoch, bench)
        nudged = free if gradient.phases is None else gradient.phases.plus
        return found if nudged is None else bench.with_known_limits(found, nudged)

    def _nudged(
        self, request: GradientRequest, gradient: Gradient, epoch: int, bench: StatedErrors
    ) -> list[Figure]:
        """Return the figures of a rule that nudges."""
        rule, phases = self._rule, gradient.phases
        if not isinstance(rule, GEP) or phases is None:
            return Figure.missing(
                SCALE, AGREEMENT, CONTRAST_ERROR, ONE_SIDED, ONE_SIDED_ERROR, SETPOINT, MIDPOINT, POWER, BIAS
            )
        some = slice(0, SAMPLES)
        sample = _sample(rule, request, request.inputs[some], phases.rows(some), bench, gradient.nodes)
        if sample is None:
            return []
        one_sided = phases.minus is None
        is_compared = self._since >= SPACING
        contrasts: list[Figure] = []
        if is_compared:
            contrasts, self._since, self._compared = agreement_figures(sample), 0, epoch
        if one_sided:
            contrasts += self._other_side(request, epoch, bench)
        elif self._is_time(epoch):
            contrasts += one_sided_figures(sample, is_used=False)
        else:
            contrasts += Figure.missing(ONE_SIDED, ONE_SIDED_ERROR, reason=NOT_MEASURED)
        found = [*scale_figures(sample), *contrasts, *nudge_figures(sample)]
        if is_compared:
            value = bias_of(contrasts, sample) if rule.readout != "edges" else NOT_APPLICABLE
            found.append(Figure(BIAS, value, MOST_BIAS))
        return found

    def _other_side(self, request: GradientRequest, epoch: int, bench: StatedErrors) -> list[Figure]:
        """Measure both signs of a rule that uses one, if it is time for that."""
        rule = self._rule
        assert isinstance(rule, GEP)
        if not self._is_time(epoch) or rule.nudged == "computed" or rule.readout == "edges":
            return Figure.missing(ONE_SIDED, ONE_SIDED_ERROR, reason=NOT_MEASURED)
        some = slice(0, SAMPLES)
        x = request.inputs[some]
        nudge, _ = rule.bound_nudge(request.model, x)
        phases = request.network.two_phase(x, request.cost.signal(request.targets[some]), nudge, True)
        sample = _sample(rule, request, x, phases, bench)
        if sample is None:
            return Figure.missing(ONE_SIDED, ONE_SIDED_ERROR, reason=NOT_MEASURED)
        return one_sided_figures(sample, is_used=True)

    def _is_time(self, epoch: int) -> bool:
        """Return whether one sign of the nudge is compared with both in this epoch."""
        return self._settings.every > 0 and epoch % self._settings.every == 0


def _sample(
    rule: GEP,
    request: GradientRequest,
    inputs: np.ndarray,
    phases: TwoPhase,
    bench: StatedErrors,
    nodes: tuple[FloatArray, FloatArray] | None = None,
) -> HealthSample | None:
    """Return the samples that were nudged; None if there are none. ``nodes``: of the gradient of their batch."""
    usable = usable_samples(phases)
    if not usable.any():
        return None
    if nodes is not None:
        count = int(usable.sum())
        nodes = nodes[0][:count], nodes[1][:count]
    return HealthSample(rule, request.model, inputs[usable], phases.rows(usable), bench, nodes)


def _saturated(free: Readout | None, phases: TwoPhase | None) -> BoolArray | None:
    """Return the samples (S,) with a reading at the end of its range; None if that is not reported."""
    readouts = [free] if phases is None else [phases.free, phases.plus, phases.minus]
    found = [one.saturated.any(axis=1) for one in readouts if one is not None and one.saturated is not None]
    return np.any(found, axis=0) if found else None


def _rounded(value: float | str) -> float | str:
    """Return a number with the six digits that its record has."""
    return value if isinstance(value, str) else float(f"{value:.6g}")


def _numbers(figure: Figure) -> tuple[float, float, float]:
    """Return a figure as value, limit and kind."""
    limit = np.nan if figure.limit is None else figure.limit
    if isinstance(figure.value, str):
        return np.nan, limit, _NOT_APPLICABLE if figure.value == NOT_APPLICABLE else _NOT_MEASURED
    return figure.value, limit, 0.0


def _figure(name: str, value: float, limit: float, kind: float) -> Figure:
    """Return the figure of three numbers."""
    most = None if np.isnan(limit) else limit
    if kind == 0:
        return Figure(name, value, most)
    return Figure(name, NOT_APPLICABLE if kind == _NOT_APPLICABLE else NOT_MEASURED, most)
