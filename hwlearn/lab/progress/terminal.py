"""The progress of a training in one line of a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Column
from rich.text import Text

from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.data.scaling import OutputScale
from hwlearn.learning.records import Callback, Epoch, Step
from hwlearn.learning.scoring import Score

_WIDE, _WIDEST = 100, 120  # columns from which the cost, and then the rate, is shown as well


def score_text(score: Score, scale: OutputScale | None = None) -> str:
    """Return a score as text: ``"accuracy 96.7 %"`` or ``"rms error 0.410 mV"``, with a scale also in its unit."""
    if scale is None or score.accuracy is not None or score.rms_error_V is None:
        return str(score)
    return f"{score} = {scale.error_text(score.rms_error_V)}"


def outputs_on(bench: Bench) -> Callable[[], bool] | None:
    """Return what says whether outputs of an open bench are on; None if it has none, as a calculated network."""
    network = bench.network
    if bench.file.is_dry_run or not network.instruments:
        return None
    # outputs of which nothing is known count as on, until the network is closed
    return lambda: not network.closed and network.drives_outputs is not False


class _OutputsOn(ProgressColumn):
    """Says that outputs are on, while they are."""

    max_refresh = None

    def __init__(self, outputs_on: Callable[[], bool]) -> None:
        super().__init__(Column(no_wrap=True))
        self._outputs_on = outputs_on

    def render(self, task: Task) -> Text:
        """Return the words, as wide when outputs are off, so that the line does not move."""
        return Text("OUTPUTS ON" if self._outputs_on() else "          ", style="bold red")


class LiveProgress(Callback):
    """Shows epoch, score and time left in one line, and the cost and the measurement rate where there is space.

    Parameters
    ----------
    name : str
        The bench.
    epochs, batches : int
        Epochs of the training, and batches of each.
    done : int
        Epochs that are done already.
    console : Console, optional
        The terminal unless given.
    scale : OutputScale, optional
        Scale of the targets, to show errors in the user's own unit.
    outputs_on : callable, optional
        Whether outputs are on at this moment; called ten times a second.
    """

    def __init__(
        self,
        name: str,
        epochs: int,
        batches: int,
        done: int = 0,
        console: Console | None = None,
        scale: OutputScale | None = None,
        outputs_on: Callable[[], bool] | None = None,
    ) -> None:
        self._scale = scale
        self._console = Console() if console is None else console
        self._epochs, self._batches = epochs, batches
        alarm = () if outputs_on is None else (_OutputsOn(outputs_on),)
        self._progress = ProgressBar(
            *alarm,
            # where space is short, the name and the bar become shorter, not the columns that may not wrap
            TextColumn(
                "{task.description}",
                style="bold",
                markup=False,
                table_column=Column(max_width=16, overflow="ellipsis"),
            ),
            BarColumn(bar_width=10),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("epochs  {task.fields[score]}"),
            TimeRemainingColumn(elapsed_when_finished=True, table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[time]}  [dim]{task.fields[more]}"),
            console=self._console,
        )
        self._task = self._progress.add_task(name, total=epochs, completed=done, score="", more="", time="left")
        self._progress.start()

    def on_step(self, step: Step) -> None:
        """Move the bar within an epoch."""
        self._progress.update(self._task, completed=(step.number + 1) / self._batches)

    def on_epoch(self, epoch: Epoch) -> None:
        """Show the scores of the epoch."""
        width, score = self._console.width, epoch.validation or epoch.train
        rate = epoch.measurements / epoch.seconds if epoch.seconds > 0 else 0.0
        more = [f"cost {score.cost:.3g}"] if width >= _WIDE else []
        if width >= _WIDEST:
            more.append(f"{rate:,.0f} measurements/s")
        self._progress.update(
            self._task,
            completed=epoch.number + 1,
            score=score_text(score, self._scale),
            more="  ".join(more),
            time="in total" if epoch.number + 1 == self._epochs else "left",
        )

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
