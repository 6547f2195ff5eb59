"""``hwlearn resume``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hwlearn.cli.outcome import JsonOption, NoteOption, RunsOption, closing_network, command
from hwlearn.cli.unattended.session import CommandSession, LogFileOption, OnEndOption, OnFailureOption, unattended
from hwlearn.errors import RunError

if TYPE_CHECKING:
    from hwlearn.lab.runs.contents import RunContents
    from hwlearn.lab.runs.store import Run

_GO_ON: Final = (
    "undo the changes, start a new run with `hwlearn train`, or add --as-stored to continue with the settings and "
    "files as the run has stored them"
)
_NO_WAY: Final = "undo the changes, or start a new run with `hwlearn train`"


@command
def resume(
    run: Annotated[str, typer.Argument(help="A run folder, or the first characters of a run's name.")],
    as_stored: Annotated[
        bool,
        typer.Option(
            "--as-stored",
            help="Continue with the settings and files that the run has stored, although bench.toml, the data "
            "file, the netlist or the calibration record changed since.",
        ),
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            metavar="N",
            help="Train until the run has N epochs in total, also if it is finished. Its rate continues on the "
            "schedule of N epochs.",
        ),
    ] = None,
    note: NoteOption = None,
    log_file: LogFileOption = None,
    on_end: OnEndOption = None,
    on_failure: OnFailureOption = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Continue a stopped or killed run from its last stored update, or extend a finished one by --epochs.

    It is refused if the settings, the data, the split, the calibration or the network changed since.
    """
    with unattended("resume", log_file, on_end, on_failure) as session:
        code = _resumed(session, _Request(run, as_stored, epochs, note, runs, as_json))
        raise typer.Exit(code)


@dataclass(frozen=True)
class _Request:
    run: str
    as_stored: bool
    epochs: int | None
    note: str | None
    runs: str | None
    as_json: bool


def _resumed(session: CommandSession, request: _Request) -> int:
    """Continue a run and return the exit code."""
    from hwlearn.cli.session import run_session
    from hwlearn.lab.runs.inputs import changed_data, changed_files, changed_settings, refuse_changes
    from hwlearn.lab.runs.recorder import RunRecorder
    from hwlearn.lab.runs.store import BENCH_FILE, Run, refuse_continuing, runs_folder

    epochs, as_stored = request.epochs, request.as_stored
    found = Run.open(request.run, runs_folder(request.runs))
    session.folder = found.folder
    with found.contents() as contents:
        refuse_continuing(found, contents)
        if epochs is None:
            _refuse_complete(found, contents)
        else:
            _refuse_epochs(found, contents, epochs)
        contents.verify()
        facts = contents.facts
    session.bench = str(facts.get("bench"))
    changes = list(changed_files(found.folder, facts, originals=not as_stored))
    settings = [] if as_stored else list(changed_settings(facts["settings"], found.folder / BENCH_FILE))
    refuse_changes(found.name, settings + changes, _NO_WAY if as_stored else _GO_ON)
    bench = found.bench()
    refuse_changes(found.name, list(changed_data(bench, facts)), _NO_WAY)
    if epochs is not None:
        bench = bench.with_(train__epochs=epochs)
    # lock the run before its hardware is opened
    with RunRecorder(found, bench, request.note) as recorder, closing_network(bench):
        bench.open()
        if epochs is not None:
            recorder.extend(epochs, rewrite=not as_stored)
        code = run_session(bench, recorder, request.as_json, found.progress())
    session.status = str(found.meta("status"))
    return code


def _refuse_complete(run: Run, contents: RunContents) -> None:
    status = contents.meta("status")
    if status in ("finished", "no improvement") and contents.meta("result") is not None:
        more = "; to extend it, add --epochs N" if status == "finished" else ""
        raise RunError(f"run {run.name} is complete ({status}); there is nothing to resume{more}")


def _refuse_epochs(run: Run, contents: RunContents, epochs: int) -> None:
    done = contents.count_epochs()
    if epochs <= done:
        raise RunError(
            f"run {run.name} has {done} epochs already; --epochs is the number in total, at least {done + 1}"
        )
    if contents.meta("status") == "no improvement":
        raise RunError(
            f"run {run.name} ended because its score did not improve within train.patience epochs, so more epochs "
            "would end at once; start a new run with another train.patience"
        )
