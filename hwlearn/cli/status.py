"""``hwlearn status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from hwlearn.cli.outcome import (
    FAILED,
    BenchArgument,
    JsonOption,
    SetOption,
    WireLogOption,
    command,
    one_line,
    print_json,
    wire_keys,
)

if TYPE_CHECKING:
    from hwlearn.network.reports import InstrumentReport


@command
def status(
    bench: BenchArgument,
    changes: SetOption = None,
    wire_log: WireLogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read which outputs of a bench are on, with levels and limits. It reads and never sets.

    An instrument that another process uses is not read: that process is asked what it has set. The exit code is 1
    if an instrument could not be read.
    """
    from hwlearn.lab.status import bench_status

    found = bench_status(bench, [*(changes or []), *wire_keys(wire_log, False)])
    if as_json:
        instruments = [one.fields() for one in found.instruments]
        print_json(
            bench=found.bench,
            backend=found.backend,
            complete=found.is_complete,
            instruments=instruments,
            calibration=found.calibration,
        )
    else:
        if not found.reports:
            typer.echo(one_line(f"backend {found.backend!r} does not report the state of its instruments"))
        elif not found.instruments:
            typer.echo("no instrument was read; in a dry run none is contacted")
        for one in found.instruments:
            for line in report_lines(one):
                typer.echo(one_line(line))
        typer.echo(one_line(f"calibration: {found.calibration}"))
    raise typer.Exit(0 if found.is_complete else FAILED)


def report_lines(report: InstrumentReport) -> list[str]:
    """Return what is known of an instrument: one line, then one for each output and each fact."""
    head = " ".join(filter(None, [report.instrument, report.identity and f"({report.identity})"]))
    what = {
        "instrument": "",
        "owner": "",
        "simulation": "simulated; ",
        "none": "NOT READ: ",
    }[report.reported_by]
    lines = [f"{head}: {what}{report.note}" if what or report.note else head]
    lines += [f"  {output.text()}" for output in report.outputs]
    return [*lines, *(f"  {name}: {text}" for name, text in report.facts.items())]
