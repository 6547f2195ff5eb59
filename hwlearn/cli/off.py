"""``hwlearn off``."""

from __future__ import annotations

from dataclasses import asdict

import typer

from hwlearn.cli.outcome import BenchArgument, CommandFailed, JsonOption, SetOption, command, one_line, print_json


@command
def off(bench: BenchArgument, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Switch off every output of a bench at once, whoever uses it. Only writes: no instrument is queried first.

    Where only the process that uses an instrument can reach it, that process is asked to switch off. If it does
    not confirm within one second, it is ended.
    """
    from hwlearn.lab.bench.backends import UnusableBackend, find_backend, switch_off
    from hwlearn.lab.bench_file.file import read_tables
    from hwlearn.network.backend import SwitchesOff
    from hwlearn.network.switched_off import SwitchedOff, SwitchOffError

    # an error in any other table must not prevent the shutdown
    name, _, tables = read_tables(bench, changes or [])
    table = tables.get("backend", {})
    try:
        backend, settings = find_backend(table, f"bench {name}")
    except (UnusableBackend, KeyboardInterrupt) as error:
        reason = str(error) or f"bench {name}: interrupted"
        raise CommandFailed(f"OUTPUTS MAY BE ON: OFF was not sent: {reason}") from error
    kind = table["kind"]
    if not isinstance(backend, SwitchesOff):
        if as_json:
            print_json(bench=name, backend=kind, off=False)
        else:
            typer.echo(f"backend {kind!r} has no outputs to switch off")
        return

    def show(done: list[SwitchedOff], complete: bool) -> None:
        if as_json:
            print_json(bench=name, backend=kind, off=complete, instruments=[asdict(one) for one in done])
            return
        for one in done:
            typer.echo(one_line(f"{one.instrument}: {_SENT[one.way]}{one.note and f' ({one.note})'}"))
        if complete:
            typer.echo("OFF was sent to every output")

    try:
        done = switch_off(backend, settings, f"bench {name}")
    except SwitchOffError as error:
        show(list(error.done), complete=False)
        raise CommandFailed(str(error)) from error
    show(done, complete=True)


_SENT = {
    "direct": "OFF was sent directly",
    "owner": "OFF was sent by the process that uses it",
    "direct and owner": "OFF was sent directly, and by the process that uses it",
    "owner ended": "OFF was sent directly, after the process that used it was ended",
}
