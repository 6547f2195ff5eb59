"""`open_bench`: a bench whose trainings are recorded as runs and show their progress."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwlearn.errors import RunError, SetupError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.bench.companion import Companion, TrainingWishes
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.lab.progress.notebook import NotebookProgress, in_notebook
from hwlearn.learning.records import Callback

if TYPE_CHECKING:
    from hwlearn.lab.progress.terminal import LiveProgress
    from hwlearn.lab.runs.store import Run

log = logging.getLogger("hwlearn")


class RecordedTrainings(Companion[Bench]):
    """Records each training of a bench as a run, and shows its progress in a terminal or a notebook."""

    def __init__(self) -> None:
        self._runs: list[tuple[Run, int]] = []  # with their sessions; on instruments, since the bench was opened

    @contextmanager
    def training(self, bench: Bench, wishes: TrainingWishes) -> Iterator[Sequence[Callback]]:
        """See `Companion.training`; the folder of the run becomes ``bench.run_folder``."""
        with ExitStack() as stack:
            found: list[Callback] = []
            if _records(wishes):
                found.append(stack.enter_context(_recorded(bench, wishes, self._runs)))
            shown = _progress(bench, wishes)
            if shown is not None:
                stack.callback(shown.stop)
                found.append(shown)
            yield found

    def closed(self, bench: Bench) -> None:
        """Write into the runs since it was opened that the outputs are off."""
        runs, self._runs = self._runs, []
        for run, session in runs:
            with suppress(RunError):  # a full disk, or a folder that was moved
                run.note_outputs_off(session)


def open_bench(name_or_path: str | Path, overrides: Iterable[str] | Mapping[str, Any] = ()) -> Bench:
    """Read and check a bench; its network is opened on first use, and its trainings are recorded as runs.

    Parameters
    ----------
    name_or_path : str or Path
        A file such as ``"bench.toml"``, or the name of a bench that comes with the package, such as ``"iris"``.
    overrides : iterable of str, or mapping
        ``["train.epochs=10"]`` or ``{"train.epochs": 10}``.

    Returns
    -------
    Bench
        A context manager: ``bench.network``, ``bench.trainer()``, ``bench.train()``, ``bench.evaluate()``.

    Raises
    ------
    SetupError, TopologyError, DataError, LimitError
        If anything in the file, the graph, the data or the settings is wrong. No hardware was contacted.
    """
    return Bench(load_bench_file(name_or_path, overrides), RecordedTrainings())


def _records(wishes: TrainingWishes) -> bool:
    """Return whether a run is to be recorded.

    Raises
    ------
    SetupError
        If a run is wanted, but a callback records one, or the training continues another one.
    """
    if wishes.record is False:
        return False
    already = any(callback.records for callback in wishes.callbacks)
    if wishes.record is not None and already:
        raise SetupError("train: a callback records this training already; leave out record")
    if wishes.record is not None and wishes.start is not None:
        raise SetupError(
            "train: a training that continues from `start` cannot be recorded as a new run, which would lack its "
            "first steps; leave out record, or continue the stored run with: hwlearn resume"
        )
    return not already and wishes.start is None


@contextmanager
def _recorded(bench: Bench, wishes: TrainingWishes, runs: list[tuple[Run, int]]) -> Iterator[Callback]:
    """Record a training as a new run in this block, which is added to the runs if there are instruments."""
    from hwlearn.lab.runs.recorder import (
        RunRecorder,
        check_note,
        has_instruments,
    )  # slow to import, and not needed to open a bench
    from hwlearn.lab.runs.store import Run, runs_folder

    check_note(wishes.note)
    chosen = None if wishes.record is None or isinstance(wishes.record, bool) else Path(wishes.record)
    try:
        run = Run.create(bench, runs_folder(chosen))
    except RunError as error:
        raise RunError(
            f"{error}; give another folder, train(record=FOLDER), or train without a run: train(record=False)"
        ) from error
    bench.run_folder = run.folder
    log.info("this training is recorded in %s", run.folder)
    with RunRecorder(run, bench, wishes.note) as recorder:
        if has_instruments(bench):
            runs.append((run, recorder.session))
        try:
            yield recorder
        except BaseException as error:
            text = "interrupted" if isinstance(error, KeyboardInterrupt) else f"failed: {error}"
            with suppress(RunError):  # a full disk may be the failure itself
                run.set_meta(status=text)
            raise
        # the bench stays open: the fact `outputs` stays "on" until it is closed
        run.set_meta(seconds=run.seconds())


def _progress(bench: Bench, wishes: TrainingWishes) -> LiveProgress | NotebookProgress | None:
    """Return what shows the progress; None in a program whose output is not a terminal, unless it is wanted."""
    if wishes.progress is False:
        return None
    train, samples = bench.file.train, len(bench.data.train)
    batches = math.ceil(samples / (train.batch or samples))
    done = 0 if wishes.start is None else len(wishes.start.epochs or ())
    if in_notebook():
        return NotebookProgress(bench.file.name, train.epochs, batches, done, bench.data.scale)
    from rich.console import Console  # slow to import

    from hwlearn.lab.progress.terminal import LiveProgress, outputs_on

    console = Console(stderr=True)
    if not (wishes.progress or console.is_terminal):
        return None
    return LiveProgress(bench.file.name, train.epochs, batches, done, console, bench.data.scale, outputs_on(bench))
