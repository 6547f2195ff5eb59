"""Campaigns: many random trials of one promise, counted by case in a table.

A campaign is a script in this folder that repeats one figure with large counts, for minutes or hours::

    python tests/campaigns/kills.py --count 300

Without ``--count`` it runs the count that the figure asks for. It prints one row for each case, names the trials
that broke a promise, and ends with exit code 1 if there are any. Ctrl-C prints what was counted so far. Seeds come
from the commit, so that each commit tries other values, or from ``--seed``; ``--case`` and ``--trial`` repeat a
single trial.

CI runs a share of each campaign, at most a minute, as a slow test::

    @pytest.mark.slow
    def test_kills_lose_nothing():
        CAMPAIGN.run(count=4).check()
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
for _shared in ("drivers", "benchmarks", "circuit"):  # what tests share: racks of instruments, circuits
    if str(HERE.parent / _shared) not in sys.path:
        sys.path.append(str(HERE.parent / _shared))

NOTES = 8
"""So many broken trials are named; the others are only counted."""

Trial = Callable[[str, np.random.Generator], Mapping[str, float]]
"""One trial: takes a case and its random numbers, returns a value for each column."""


@dataclass(frozen=True)
class Column:
    """What one column asks of its values, one value per trial. Make it with the functions below."""

    asked: str
    summary: Callable[[np.ndarray], float]
    holds: Callable[[np.ndarray], bool]
    each: Callable[[float], bool] = lambda value: True
    """Whether the value of a single trial is acceptable; for naming the trials that are not."""


def every() -> Column:
    """Return a column of 0 and 1 that must be 1 in every trial."""
    return Column("every", np.sum, lambda values: bool(np.all(values == 1)), lambda value: value == 1)


def none() -> Column:
    """Return a column of counts that must all be 0."""
    return Column("0", np.sum, lambda values: bool(np.all(values == 0)), lambda value: value == 0)


def at_most(limit: float) -> Column:
    """Return a column whose largest value must not be above a limit; NaN is above it."""
    return Column(
        f"<= {limit:g}", np.max, lambda values: bool(np.all(values <= limit)), lambda value: value <= limit
    )


def mean_within(low: float, high: float, alarm: float = 0.0) -> Column:
    """Return a column whose mean must lie between two values.

    ``alarm`` is for shares, whose few trials scatter: the mean may miss the range by as much as a mean of such
    trials (Student's t, their own scatter) does with this probability, for example 1e-4.
    """

    def holds(values: np.ndarray) -> bool:
        margin = 0.0
        if alarm:
            from scipy.stats import t

            margin = t.ppf(1 - alarm / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
        return bool(low - margin <= values.mean() <= high + margin)

    return Column(f"{low:g} to {high:g}", np.mean, holds)


def shown() -> Column:
    """Return a column that is summed and printed; nothing is asked of it."""
    return Column("", np.sum, lambda values: True)


def median() -> Column:
    """Return a column whose median is printed; nothing is asked of it."""
    return Column("", np.median, lambda values: True)


@dataclass
class Table:
    """The values of a campaign's trials, by case and column."""

    columns: Mapping[str, Column]
    values: dict[str, list[Mapping[str, float]]]
    broken: list[str] = field(default_factory=list)
    """Trials that raised or broke a promise, with the command that repeats them."""
    raised: dict[str, int] = field(default_factory=dict)

    def of(self, case: str, column: str) -> np.ndarray:
        """Return the values of a column in every finished trial of a case."""
        return np.array([row[column] for row in self.values[case]], float)

    def missed(self) -> list[str]:
        """Return the cells that are not what was asked, a case without trials among them."""
        found = [f"{case}: {count} trials raised" for case, count in self.raised.items()]
        for case, rows in self.values.items():
            if not rows:
                found.append(f"{case}: no trial finished")
                continue
            found += [
                f"{case}: {name} {column.summary(self.of(case, name)):.6g}, asked {column.asked}"
                for name, column in self.columns.items()
                if not column.holds(self.of(case, name))
            ]
        return found

    def check(self) -> None:
        """Raise AssertionError with the table and the broken trials if a cell is not what was asked."""
        missed = self.missed()
        assert not missed, "\n".join([*missed, *self.broken[:NOTES], str(self)])

    def __str__(self) -> str:
        head = ["", "trials", *self.columns]
        rows = [["asked", "", *(column.asked for column in self.columns.values())]]
        for case, done in self.values.items():
            cells = [
                f"{column.summary(self.of(case, name)):.6g}" if done else "-"
                for name, column in self.columns.items()
            ]
            rows.append([case, str(len(done) + self.raised.get(case, 0)), *cells])
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(cells))
            for cells in ((*zip(row, widths, strict=True),) for row in [head, *rows])
        )


@dataclass(frozen=True)
class Campaign:
    """Random trials of one promise.

    ``name`` is the script's name, ``count`` the trials of each case that the figure asks for. A trial that raises
    counts as broken. With ``draw``, the command has an option ``--figure FILE``.
    """

    name: str
    trial: Trial
    cases: Sequence[str]
    columns: Mapping[str, Column]
    count: int
    draw: Callable[[Table, Path], None] | None = None

    def run(
        self,
        count: int | None = None,
        seed: int | None = None,
        cases: Sequence[str] | None = None,
        only: int | None = None,
        progress: Callable[[str], None] = lambda line: None,
    ) -> Table:
        """Run trials, case by case in turn, and return the table; KeyboardInterrupt ends it early."""
        seed = commit_seed() if seed is None else seed
        with default_signals():
            return self._run(self.count if count is None else count, seed, cases, only, progress)

    def _run(
        self,
        count: int,
        seed: int,
        cases: Sequence[str] | None,
        only: int | None,
        progress: Callable[[str], None],
    ) -> Table:
        cases = self.cases if cases is None else cases
        table = Table(self.columns, {case: [] for case in cases})
        numbers = range(count) if only is None else [only]
        try:
            for number in numbers:
                for case in cases:
                    self._once(table, seed, case, number)
                    broken = len(table.broken)
                    progress(f"{self.name}: trial {number + 1} of {numbers[-1] + 1}, {case}, {broken} broken")
        except KeyboardInterrupt:
            progress(f"{self.name}: interrupted\n")
        return table

    def _once(self, table: Table, seed: int, case: str, number: int) -> None:
        # a string's own hash changes with every process
        rng = np.random.default_rng([seed, zlib.crc32(f"{self.name} {case}".encode()), number])
        try:
            row = self.trial(case, rng)
            table.values[case].append({name: row[name] for name in self.columns})
            wrong = [
                f"{name} {row[name]:.6g}" for name, column in self.columns.items() if not column.each(row[name])
            ]
        except Exception as error:
            table.raised[case] = table.raised.get(case, 0) + 1
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            repeat = f"python tests/campaigns/{self.name}.py --seed {seed} --case '{case}' --trial {number}"
            table.broken.append(f"{repeat}: {', '.join(wrong)}")

    def main(self) -> None:
        """Run the campaign as a command; exits with 1 if a cell is not what was asked."""
        parser = argparse.ArgumentParser(prog=f"{self.name}.py")
        parser.add_argument("--count", type=int, default=self.count, help=f"trials of each case, {self.count}")
        parser.add_argument("--seed", type=int, help="default: from the commit")
        parser.add_argument("--case", action="append", choices=self.cases, help="only this case; repeatable")
        parser.add_argument("--trial", type=int, help="only the trial with this number")
        if self.draw is not None:
            parser.add_argument("--figure", type=Path, help="file for a picture of the table")
        given = parser.parse_args()
        seed = commit_seed() if given.seed is None else given.seed
        began = time.monotonic()
        print(f"{self.name}: {given.count} trials of each case, seed {seed}")
        table = self.run(given.count, seed, given.case, given.trial, _progress)
        _progress("")
        print(table)
        print(f"{time.monotonic() - began:.0f} s")
        if self.draw is not None and given.figure is not None:
            self.draw(table, given.figure)
        for line in table.broken[:NOTES]:
            print(line)
        missed = table.missed()
        for line in missed:
            print("MISSED", line)
        sys.exit(1 if missed else 0)


@contextmanager
def default_signals() -> Iterator[None]:
    """Give programs that trials start the signals of a terminal.

    Behind ``nohup`` or ``&`` of a script, SIGHUP, SIGINT and SIGQUIT are ignored, and every child inherits that.
    """
    wanted = {"SIGINT": signal.default_int_handler, "SIGQUIT": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name, handler in wanted.items():
            number = getattr(signal, name, None)  # not on every system
            if number is not None and signal.getsignal(number) == signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def commit_seed() -> int:
    """Return a seed from the current commit; 0 outside a git checkout."""
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, timeout=10)
    except OSError:
        return 0
    return int(answer.stdout[:8], 16) if answer.returncode == 0 else 0


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
