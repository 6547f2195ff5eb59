"""``hwlearn resume``."""

from __future__ import annotations

from typing import Annotated

import typer

from hwlearn.cli.outcome import JsonOption, RunsOption, closing_network, command
from hwlearn.errors import RunError


@command
def resume(
    run: Annotated[str, typer.Argument(help="A run folder, or the first characters of a run's name.")],
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Continue a stopped or killed run from its last stored update."""
    from hwlearn.cli.session import run_session
    from hwlearn.lab.runs.recorder import RunRecorder
    from hwlearn.lab.runs.store import Run, runs_folder

    found = Run.open(run, runs_folder(runs))
    if found.meta("status") in ("finished", "no improvement") and found.meta("result") is not None:
        raise RunError(f"run {found.name} is complete ({found.meta('status')}); there is nothing to resume")
    bench = found.bench()
    if bench.topology.fingerprint != found.meta("topology"):
        raise RunError(f"run {found.name} was made with another topology than its bench file now describes")
    # lock the run before its hardware is opened
    with RunRecorder(found, bench) as recorder, closing_network(bench):
        bench.open()
        code = run_session(bench, recorder, as_json, found.progress())
    raise typer.Exit(code)
