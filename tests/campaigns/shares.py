"""Full counts or a share of them: ``--full``, ``--turns``, ``--thorough`` and ``share``, and the seeds of a share.

The conftest.py of `tests` and of `firmware/tests` import the hooks and the fixture from here.
"""

import contextlib
import gc
import itertools
import math
import subprocess
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import numpy as np
import pytest

_USUAL = 100
"""Examples of a property test that names no number, as of hypothesis itself."""

_PART = 4
"""Of the examples of a property test, one in so many is tried by default; every run tries others."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, unless another conftest.py has done so."""
    with contextlib.suppress(ValueError):
        parser.addoption(
            "--full", action="store_true", help="run slow figures with all their seeds, not with a share of them"
        )
        parser.addoption(
            "--turns",
            type=int,
            default=1,
            metavar="N",
            help="of the slow tests and the property tests, run one in N, others for each commit",
        )
        parser.addoption(
            "--thorough", action="store_true", help="try all examples of property tests, not a quarter of them"
        )


def pytest_configure(config: pytest.Config) -> None:
    """Declare ``share``; set how many examples property tests try, before their modules are imported."""
    config.addinivalue_line(
        "markers", "share(n): n of the test's cases run by default, others for each commit; the rest are slow"
    )
    part = 1 if config.getoption("--thorough") else _PART
    hypothesis.settings.register_profile("share", max_examples=_USUAL // part, deadline=None)
    hypothesis.settings.load_profile("share")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Leave what collecting tests makes out of garbage collections, which it would make ten times as long."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def examples(number: int) -> int:
    """Return how many examples of this number a property test tries: all with ``--thorough``, else a quarter."""
    return number * hypothesis.settings.default.max_examples // _USUAL


_SHARED = pytest.StashKey[bool]()

_EACH_TIME = "firmware/tests/"
"""Its slow tests run for every commit: they search for undefined behaviour in C."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark cases outside a share as slow; deselect what only ``--full`` runs, and tests whose turn it is not."""
    turns, commit, full = config.getoption("--turns"), _commit(), config.getoption("--full")
    if not config.stash.get(_SHARED, False):  # two conftest.py have this hook
        config.stash[_SHARED] = True
        mark_rest(items, commit)

    def runs(item: pytest.Item) -> bool:
        marks = {mark.name for mark in item.iter_markers()}
        if "full" in marks and not full:
            return False
        if not marks & {"slow", "hypothesis"} or item.nodeid.startswith(_EACH_TIME):
            return True
        return (zlib.crc32(item.nodeid.encode()) + commit) % turns == 0

    config.hook.pytest_deselected(items=[item for item in items if not runs(item)])
    items[:] = [item for item in items if runs(item)]


def mark_rest(items: list[pytest.Item], commit: int) -> None:
    """Mark the cases of each test with ``share(n)`` as slow, except for ``n`` of them."""
    tests = defaultdict(list)
    for item in items:
        if item.get_closest_marker("share") and not item.get_closest_marker("slow"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for cases in tests.values():
        mark = cases[0].get_closest_marker("share")
        assert mark is not None
        chosen = cases_of_share(len(cases), mark.args[0], commit)
        for index, case in enumerate(cases):
            if index not in chosen:
                case.add_marker("slow")


def cases_of_share(total: int, share: int, commit: int) -> set[int]:
    """Return the indices of a share of the cases: spread over all, and others for each commit.

    Steps of about the golden section, without a common divisor with the total, meet no case twice; they spread
    over the values of each parameter, and over kinds that alternate from seed to seed.
    """
    step = next(step for step in itertools.count(max(1, round(0.618 * total))) if math.gcd(step, total) == 1)
    return {(commit + turn * step) % total for turn in range(min(share, total))}


def _commit() -> int:
    """Return a number of the commit; 0 outside a git checkout."""
    try:
        asked = ["git", "rev-parse", "HEAD"]
        found = subprocess.run(asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(found.stdout[:8], 16)


@dataclass(frozen=True)
class Seeds:
    """The seeds of a figure: all of them with ``--full``, else a share, which begins elsewhere for each commit."""

    full: bool
    commit: int

    def __call__(self, full: int, share: int) -> range:
        """Return ``full`` seeds from 0, or ``share`` others."""
        # far from 0, where the default run and the full figure have theirs
        start = 0 if self.full else 100_000 * (1 + self.commit % 10_000)
        return range(start, start + (full if self.full else share))

    def first(self, full: int, share: int) -> range:
        """Return ``full`` seeds from 0, or the first ``share`` of them: a required value holds for these seeds."""
        return range(full if self.full else share)

    def margin(self, values: np.ndarray) -> float:
        """Return by how much the mean of a share's independent values may miss a bound that holds for many.

        Student's t of their own scatter, with a false alarm in one of 10,000 shares; 0 with ``--full``.
        """
        if self.full:
            return 0.0
        from scipy.stats import t

        return float(t.ppf(1 - 1e-4, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)

    def fraction(self, required: float, trials: int) -> float:
        """Return the lowest fraction of successes in this many trials that does not contradict a required one.

        The binomial distribution falls below it in one of 10,000 shares; with ``--full``, ``required`` itself.
        """
        if self.full:
            return required
        from scipy.stats import binom

        return float(binom.ppf(1e-4, trials, required)) / trials


@pytest.fixture(scope="session")
def seeds(request: pytest.FixtureRequest) -> Seeds:
    """The seeds of slow figures."""
    return Seeds(request.config.getoption("--full"), _commit())
