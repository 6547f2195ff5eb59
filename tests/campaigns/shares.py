"""Full counts or a share of them: ``--full``, ``--turns`` and ``--thorough``, and the seeds of a share.

The conftest.py of `tests` and of `firmware/tests` import the hooks and the fixture from here.
"""

import contextlib
import gc
import subprocess
import zlib
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
    """Set how many examples property tests try, before their modules are imported."""
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


_EACH_TIME = "firmware/tests/"
"""Its slow tests run for every commit: they search for undefined behaviour in C."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that only ``--full`` runs, and those whose turn it is not."""
    turns, commit, full = config.getoption("--turns"), _commit(), config.getoption("--full")

    def runs(item: pytest.Item) -> bool:
        marks = {mark.name for mark in item.iter_markers()}
        if "full" in marks and not full:
            return False
        if not marks & {"slow", "hypothesis"} or item.nodeid.startswith(_EACH_TIME):
            return True
        return (zlib.crc32(item.nodeid.encode()) + commit) % turns == 0

    config.hook.pytest_deselected(items=[item for item in items if not runs(item)])
    items[:] = [item for item in items if runs(item)]


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
