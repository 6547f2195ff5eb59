"""``hwlearn check``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from hwlearn.cli.outcome import (
    FAILED,
    BenchArgument,
    CommandFailed,
    DryRunOption,
    JsonOption,
    SetOption,
    WireLogOption,
    closing_network,
    command,
    print_json,
    wire_keys,
)
from hwlearn.errors import MAY_BE_ON


@command
def check(
    bench: BenchArgument,
    changes: SetOption = None,
    wire_log: WireLogOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check whether a bench is ready for training: programming, offsets, noise, superposition, reciprocity."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from hwlearn.lab.bench.bench import open_bench
    from hwlearn.lab.checks import check_bench

    opened = open_bench(bench, [*(changes or []), *wire_keys(wire_log, dry_run)])
    failed, unsafe = 0, ""
    table = Table("check", "result", "found", "what to do", box=None, header_style="bold")
    colours = {"pass": "green", "fail": "red", "not applicable": "dim"}
    try:
        with closing_network(opened):  # opening the bench is the first check
            for done in check_bench(opened):
                failed += done.result == "fail"
                unsafe = unsafe or (done.found if MAY_BE_ON in done.found else "")
                if as_json:
                    print_json(**asdict(done))
                colour = colours[done.result]
                table.add_row(
                    done.name, f"[{colour}]{done.result}[/{colour}]", escape(done.found), escape(done.advice)
                )
    finally:
        if table.row_count and not as_json:
            Console().print(table)
    if unsafe:
        raise CommandFailed(unsafe)
    raise typer.Exit(FAILED if failed else 0)
