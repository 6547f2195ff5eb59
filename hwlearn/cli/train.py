"""``hwlearn train``."""

from __future__ import annotations

from typing import Annotated

import typer

from hwlearn.cli.outcome import (
    BenchArgument,
    DryRunOption,
    JsonOption,
    NoteOption,
    RunsOption,
    SetOption,
    WireLogOption,
    closing_network,
    command,
    wire_keys,
)
from hwlearn.cli.unattended.session import LogFileOption, OnEndOption, OnFailureOption, unattended


@command
def train(
    bench: BenchArgument,
    changes: SetOption = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the training and of simulated devices.")] = None,
    runs: RunsOption = None,
    wire_log: WireLogOption = None,
    dry_run: DryRunOption = False,
    note: NoteOption = None,
    log_file: LogFileOption = None,
    on_end: OnEndOption = None,
    on_failure: OnFailureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network. Every measured batch is saved before the next one begins.

    Ctrl-C stops after the current measurement, keeps all data and switches the outputs off.
    """
    from hwlearn.cli.session import run_session
    from hwlearn.lab.bench.bench import open_bench
    from hwlearn.lab.runs.recorder import RunRecorder
    from hwlearn.lab.runs.store import Run, runs_folder

    overrides = [*(changes or []), *wire_keys(wire_log, dry_run)]
    with unattended("train", log_file, on_end, on_failure) as session:
        session.bench = bench
        opened = open_bench(bench, overrides)
        session.bench = opened.file.name
        if seed is not None:
            opened = opened.with_([f"train.seed={seed}", *opened.seed_keys(seed)])
        with closing_network(opened):
            opened.open()  # a bench that cannot be opened must not leave an empty run
            run = Run.create(opened, runs_folder(runs))
            session.folder = run.folder
            with RunRecorder(run, opened, note) as recorder:
                code = run_session(opened, recorder, as_json)
        session.status = str(run.meta("status"))
        raise typer.Exit(code)
