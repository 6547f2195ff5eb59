"""The progress of a sweep in one line of a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hwlearn.lab.sweeps.table import Outcome


class SweepProgress:
    """Shows how many points are done and the time left; shows nothing without a bar.

    Parameters
    ----------
    bar : rich.progress.Progress, optional
    name : str
        The bench.
    """

    def __init__(self, bar: Any, name: str) -> None:
        self._bar, self._name = bar, name
        self._failed = 0

    def begin(self, counts: Mapping[Any, int], retry_failed: bool = False) -> Callable[[Outcome], None]:
        """Start with so many points of each status; return what receives each point that is done."""
        self._failed = 0 if retry_failed else counts["failed"]
        task = None
        if self._bar is not None:
            done, total = counts["finished"] + self._failed, sum(counts.values())
            task = self._bar.add_task(self._name, total=total, completed=done, failed=self._text())

        def on_outcome(outcome: Outcome) -> None:
            self._failed += outcome.error is not None
            if self._bar is not None:
                self._bar.update(task, advance=1, failed=self._text())

        return on_outcome

    def _text(self) -> str:
        return f"{self._failed} failed  " if self._failed else ""


@contextmanager
def progress_bar(name: str, wanted: bool | None = None) -> Iterator[SweepProgress]:
    """Show a line on stderr in this block; unless ``wanted`` says so, only if it is a terminal."""
    from rich.console import Console  # slow to import

    console = Console(stderr=True)
    if wanted is False or not (wanted or console.is_terminal):
        yield SweepProgress(None, name)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("points  {task.fields[failed]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("left"),
    )
    # the time left is that of the points of the last half hour: trainings take seconds to minutes
    with Progress(*columns, console=console, speed_estimate_period=1800) as bar:
        yield SweepProgress(bar, name)
