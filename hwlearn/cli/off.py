"""``hwlearn off``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from hwlearn.cli.outcome import BenchArgument, CommandFailed, JsonOption, SetOption, command, one_line, print_json

if TYPE_CHECKING:
    from hwlearn.network.switched_off import SwitchedOff


@command
def off(bench: BenchArgument, changes: SetOption = None, as_json: JsonOption = False) -> None:
    """Switch off every output of a bench at once, whoever uses it. Only writes: no instrument is queried first.

    Where only the process that uses an instrument can reach it, that process is asked to switch off. If it does
    not confirm within one second, it is ended. After OFF was sent to all of them, each instrument that can answer
    is asked whether its outputs are off.
    """
    from hwlearn.lab.bench.backends import UnusableBackend, find_backend, switch_off
    from hwlearn.lab.bench_file.file import read_tables
    from hwlearn.network.backend import SwitchesOff
    from hwlearn.network.switched_off import SwitchOffError

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
        after = _afterwards(backend, settings, name, done) if complete else {}  # bad news must not wait
        if as_json:
            instruments = [{**asdict(one), "now": after.get(one.instrument)} for one in done]
            print_json(bench=name, backend=kind, off=complete, instruments=instruments)
            return
        for one in done:
            typer.echo(one_line(f"{one.instrument}: {_SENT[one.way]}{one.note and f' ({one.note})'}"))
            if one.outputs:
                typer.echo(one_line(f"  switched off: {_listed(one.outputs)}"))
            if one.instrument in after:
                typer.echo(one_line(f"  it says now: {after[one.instrument]}"))
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

_MOST_NAMES = 16


def _listed(names: tuple[str, ...]) -> str:
    """Return names of outputs in one line; the first and the last of very many."""
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{len(names)} outputs, {names[0]} to {names[-1]}"


def _afterwards(backend: object, settings: Any, name: str, done: list[SwitchedOff]) -> dict[str, str]:
    """Return what instruments say after OFF, by address; nothing of it can fail the command."""
    from hwlearn.errors import HwlearnError
    from hwlearn.lab.bench.backends import read_status
    from hwlearn.network.backend import ReportsState

    if not done or not isinstance(backend, ReportsState):
        return {}
    try:
        reports = read_status(backend, settings, f"bench {name}")
    except (HwlearnError, KeyboardInterrupt):
        return {}
    addresses = {one.instrument for one in done}
    found = {}
    for report in reports:
        if report.instrument in addresses and report.reported_by == "instrument":
            on = [output.name for output in report.outputs if output.on]
            found[report.instrument] = f"ON: {', '.join(on)}" if on else "every output is off"
    return found
