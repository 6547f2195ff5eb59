"""``hwlearn off``."""

from __future__ import annotations

import typer

from hwlearn.cli.outcome import BenchArgument, JsonOption, SetOption, at_work, command, print_json


@command
def off(bench: BenchArgument, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Switch off every output of a bench at once. Only writes: no instrument is queried first."""
    from hwlearn.lab.bench.backends import find_backend, reported_errors
    from hwlearn.lab.bench_file.file import read_tables
    from hwlearn.network.backend import SwitchesOff

    # an error in any other table must not prevent the shutdown
    name, _, tables = read_tables(bench, changes or [])
    table = tables.get("backend", {})
    backend, settings = find_backend(table, f"bench {name}")
    has_outputs = isinstance(backend, SwitchesOff)
    if isinstance(backend, SwitchesOff):
        with at_work(), reported_errors(f"bench {name}: OFF failed"):
            backend.off(settings)
    if as_json:
        print_json(bench=name, backend=table["kind"], off=has_outputs)
    elif not has_outputs:
        typer.echo(f"backend {table['kind']!r} has no outputs to switch off")
    else:
        typer.echo("OFF was sent to every output")
