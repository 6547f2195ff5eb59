"""Rows of the table: each task, its peer, and the required ratio without and with numba."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ratios import contests
from ratios.accuracy import held_out
from ratios.contests import Contest
from ratios.growth import FAMILIES, Family, exponent
from ratios.memory import in_a_process

TOLERANCE = 1e-9
SIZES = (1_000, 10_000, 100_000, 1_000_000)

Measured = dict[str, float]


@dataclass(frozen=True)
class Row:
    """A task and its peer.

    Attributes
    ----------
    key, work, peer : str
        Name on the command line, task and peer in the table.
    measure : callable
        Returns the measured values, including ``quantity``.
    minimum, fast_minimum : float, optional
        Required minimum of the quantity, without and with numba.
    maximum : float, optional
        Required maximum of the quantity.
    quantity : str
        "ratio", "exponent" or "points" (of accuracy, in hundredths).
    least : float, optional
        Required minimum of our own value.
    by_numba : bool
        Whether numba can affect the result.
    slow : bool
        Whether the measurement takes more than a few seconds.
    elsewhere : str, optional
        The test that checks the requirement, if that is not `test_engine_ratios`.
    """

    key: str
    work: str
    peer: str
    measure: Callable[[], Measured]
    minimum: float | None = None
    fast_minimum: float | None = None
    maximum: float | None = None
    quantity: str = "ratio"
    least: float | None = None
    by_numba: bool = True
    slow: bool = False
    elsewhere: str | None = None

    def required(self, *, fast: bool) -> float | None:
        """Return the required minimum or maximum of the quantity."""
        return self.maximum if self.maximum is not None else self.fast_minimum if fast else self.minimum

    def shortfall(self, found: Measured, *, fast: bool) -> str | None:
        """Return the missed requirement as text; None if all are met."""
        required = self.required(fast=fast)
        if not found.get("difference", 0.0) <= TOLERANCE:  # NaN included
            return f"answers differ by {found['difference']:.1e} relative; at most {TOLERANCE:.0e} is allowed"
        if self.least is not None and found["ours"] < self.least:
            return f"ours is {found['ours']:.4g}; at least {self.least:g} is required"
        if required is None:
            return None
        reached = found[self.quantity]
        bound, fine = ("most", reached <= required) if self.maximum is not None else ("least", reached >= required)
        return None if fine else f"{self.quantity} {reached:.3g}; at {bound} {required:g} is required"


def _numba() -> bool:
    """Return whether numba may be used in this process; see `ratios.alone`."""
    return sys.modules.get("numba", True) is not None


def _speed(make: Callable[[], Contest], rounds: int) -> Measured:
    contest = make()
    apart = contest.disagreement()
    # with one thread, processor time equals the time on an idle machine; with numba ours has more threads
    ours = time.perf_counter if _numba() else time.process_time
    times = contest.times(rounds, (time.process_time, ours))
    return {
        "theirs": min(times.theirs),
        "ours": min(times.ours),
        "ratio": times.ratio,
        "median_ratio": times.median_ratio,
        "difference": apart,
    }


def _memory(size: int, samples: int) -> Measured:
    numba = _numba()
    theirs = in_a_process("badcrossbar", size, samples, numba=numba)
    ours = in_a_process("hwlearn", size, samples, numba=numba)
    return {
        "theirs": theirs["above"],
        "ours": ours["above"],
        "ratio": theirs["above"] / ours["above"],
        "their_peak": theirs["peak"],
        "our_peak": ours["peak"],
    }


def _growth(family: Family) -> Measured:
    edges, seconds = family.costs(SIZES)
    measured = {f"{int(n)} edges": float(s) for n, s in zip(edges, seconds, strict=True)}
    return {"exponent": exponent(edges, seconds), **measured}


def _accuracy(bench: str, peer: str) -> Measured:
    ours, theirs = (sum(found) / len(found) for found in (held_out(bench), held_out(peer)))
    return {"theirs": theirs, "ours": ours, "points": 100 * (ours - theirs)}


def _crossbar(side: int, samples: int, problems: int, rounds: int, slow: bool) -> Row:
    vectors = "1 vector" if samples == 1 else f"{samples} vectors"
    return Row(
        f"crossbar-{side}x{samples}",
        f"crossbar {side} x {side}, wires 1 ohm, {vectors}",
        "badcrossbar",
        partial(_speed, partial(contests.against_badcrossbar, side, samples, problems), rounds),
        70 if samples == 1 else 2.5,
        120 if samples == 1 else 15,
        slow=slow,
    )


def _wired(key: str, work: str, contest: Callable[[int, int], Contest], minimum: float, fast: float) -> Row:
    return Row(
        f"wired-{key}",
        f"`Kirchhoff`, crossbar 64 x 64, wires 2 ohm, 30 vectors: {work}",
        "our general solver",
        partial(_speed, partial(contest, 64, 30), 15),
        minimum,
        fast,
    )


_TRAINING = "grid 128 x 128, 16 samples: forward and exact gradient"
_SUBSET = "grid 100 x 100, {}: re-solve while the same 1 % of the edges changes"

ROWS = (
    _crossbar(64, 1, 8, 15, False),
    _crossbar(128, 1, 4, 9, True),
    _crossbar(256, 1, 3, 5, True),
    _crossbar(64, 64, 4, 15, False),
    _crossbar(128, 64, 4, 9, True),
    _crossbar(256, 64, 2, 4, True),
    Row(
        "crossbar-ngspice",
        "crossbar 64 x 64, wires 1 ohm, 1 vector",
        "ngspice .op",
        partial(_speed, partial(contests.against_ngspice, 64), 3),
        500,
        500,
        slow=True,
    ),
    _wired("solve", "re-solve after all devices have changed", contests.wired_solve, 2, 10),
    _wired("gradient", "exact gradient of a circuit that is solved", contests.wired_gradient, 8, 8),
    Row(
        "grid-pyrkm",
        _TRAINING,
        "16 pyrkm Circuit.solve, forward only",
        partial(_speed, partial(contests.against_pyrkm, 128, 16), 5),
        10,
        by_numba=False,
        slow=True,
    ),
    Row(
        "grid-textbook",
        _TRAINING,
        "SciPy's splu, symmetric mode, both directions",
        partial(_speed, partial(contests.against_textbook, 128, 16), 7),
        by_numba=False,
        slow=True,
    ),
    Row(
        "subset-1",
        _SUBSET.format("1 sample"),
        "a factor from scratch each time",
        partial(_speed, partial(contests.against_scratch, 100, 0.01, 1), 15),
        5,
        by_numba=False,
    ),
    Row(
        "subset-16",
        _SUBSET.format("16 samples"),
        "a factor from scratch each time",
        partial(_speed, partial(contests.against_scratch, 100, 0.01, 16), 15),
        by_numba=False,
        slow=True,
    ),
    Row(
        "memory-256x64",
        "memory, crossbar 256 x 256, 64 vectors: peak above the start",
        "badcrossbar",
        partial(_memory, 256, 64),
        2,
        2,
        slow=True,
    ),
    *(
        Row(
            f"growth-{family.key}",
            f"cost of 10^3 to 10^6 edges, {family.name}",
            "itself",
            partial(_growth, family),
            maximum=family.most,
            quantity="exponent",
            by_numba=family.by_numba,
            slow=True,
        )
        for family in FAMILIES
    ),
    Row(
        "digits-diode",
        "bench `digits-diode`, 3 seeds: held-out accuracy",
        "bench `digits`, ohmic",
        partial(_accuracy, "digits-diode", "digits"),
        1.5,
        quantity="points",
        least=0.965,
        by_numba=False,
        slow=True,
        elsewhere="tests/figures/test_digits_diode.py",
    ),
)


def measure(key: str) -> Measured:
    """Measure one row in this process."""
    return next(row for row in ROWS if row.key == key).measure()
