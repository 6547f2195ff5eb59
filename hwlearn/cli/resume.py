"""``hwlearn resume``."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from hwlearn.cli.outcome import JsonOption, RunsOption, closing_network, command
from hwlearn.errors import RunError

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
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Continue a stopped or killed run from its last stored update.

    It is refused if the settings, the data, the split, the calibration or the network changed since.
    """
    from hwlearn.cli.session import run_session
    from hwlearn.lab.runs.inputs import changed_data, changed_files, changed_settings, refuse_changes
    from hwlearn.lab.runs.recorder import RunRecorder
    from hwlearn.lab.runs.store import BENCH_FILE, Run, refuse_continuing, runs_folder

    found = Run.open(run, runs_folder(runs))
    with found.contents() as contents:
        refuse_continuing(found, contents)
        if contents.meta("status") in ("finished", "no improvement") and contents.meta("result") is not None:
            raise RunError(f"run {found.name} is complete ({contents.meta('status')}); there is nothing to resume")
        contents.verify()
        facts = contents.facts
    changes = list(changed_files(found.folder, facts, originals=not as_stored))
    settings = [] if as_stored else list(changed_settings(facts["settings"], found.folder / BENCH_FILE))
    refuse_changes(found.name, settings + changes, _NO_WAY if as_stored else _GO_ON)
    bench = found.bench()
    refuse_changes(found.name, list(changed_data(bench, facts)), _NO_WAY)
    # lock the run before its hardware is opened
    with RunRecorder(found, bench) as recorder, closing_network(bench):
        bench.open()
        code = run_session(bench, recorder, as_json, found.progress())
    raise typer.Exit(code)
