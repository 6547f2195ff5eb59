"""``hwlearn runs``."""

from __future__ import annotations

from typing import Any

from hwlearn.cli.outcome import JsonOption, RunsOption, command, print_json


@command
def runs(runs: RunsOption = None, as_json: JsonOption = False) -> None:
    """List the runs with their bench, status and final score."""
    from rich.console import Console
    from rich.table import Table

    from hwlearn.cli.display import score_text
    from hwlearn.errors import RunError
    from hwlearn.lab.runs.store import Run, runs_folder
    from hwlearn.learning.records import Score

    folder = runs_folder(runs)
    table = Table(box=None, header_style="bold")
    table.add_column("run", overflow="fold", no_wrap=True)  # whole names, to be copied
    for heading in ("bench", "backend", "status", "epochs", "score"):
        table.add_column(heading)
    rows: list[dict[str, Any]] = []
    for run in Run.all(folder):
        try:
            result = run.meta("result")
            row = {
                "run": str(run.folder),
                "bench": run.meta("bench"),
                "backend": run.meta("backend"),
                "status": run.status,
                "epochs": len(run.epochs()),
                "steps": run.steps(),
                "result": result,
            }
        except RunError as error:
            row = {"run": str(run.folder), "status": f"unreadable: {error}", "result": None}
        rows.append(row)
        score = row["result"]
        result_text = "" if score is None else score_text(Score(**score["measured"]))
        cells = [row.get(key, "") for key in ("bench", "backend", "status", "epochs")]
        table.add_row(run.name, *(str(cell) for cell in cells), result_text)
    if as_json:
        for row in rows:
            print_json(**row)
    elif rows:
        Console().print(table)
    else:
        Console().print(f"no runs in {folder}; make one with: hwlearn train iris")
