"""The commands ``hwlearn sim ...``: serve virtual instruments and boards to other programs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from hwlearn.cli.outcome import JsonOption, SetOption, at_work, command, print_json
from hwlearn.errors import CircuitError, SetupError
from hwlearn.storage.toml_text import toml_value
from hwlearn.units import format_quantity
from hwlearn_sim.plane.sources import CurrentSource, Open, Source, VoltageSource

if TYPE_CHECKING:
    from hwlearn.circuit.topology import Topology
    from hwlearn.lab.bench_file.file import BenchFile
    from hwlearn.network.limits import Limits
    from hwlearn_sim.bench.bench import VirtualBench

app = typer.Typer(
    name="sim",
    help="Virtual instruments on one simulated circuit.",
    no_args_is_help=True,
    add_completion=False,
)

_FRAMES_PER_S = 4


@app.callback()
def _root() -> None:
    """Virtual instruments on one simulated circuit."""


@app.command("serve")
@command
def serve(
    bench: Annotated[
        str | None,
        typer.Argument(
            help="A bench file (TOML), or the name of a shipped bench; with --protocol: declared-board."
        ),
    ] = None,
    changes: SetOption = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Serve one board that obeys this declared text protocol, on the circuit of the bench."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Serve the bench's circuit with virtual instruments until Ctrl-C; show their addresses and channels.

    If one of the instruments fails, all of them are stopped with exit code 1.

    If the backend of the bench is not a virtual one, the defaults of ``virtual-smu`` are used: a 2450 at every
    terminal, and an edge card. With --protocol, a board is connected instead: its sources to the inputs in order,
    its readers to the outputs and then to the inputs. The tables for a bench file with this wiring are shown.
    """
    from hwlearn.lab.bench_file.file import load_bench_file

    if bench is None and protocol is None:
        raise SetupError(
            "name a bench, or a protocol with --protocol myboard.toml; all options: hwlearn sim serve --help"
        )
    file = load_bench_file("declared-board" if bench is None else bench, changes or [])
    topology, limits = file.network.build(file.folder), file.limits.build()
    tables: list[dict[str, Any]] = []
    if protocol is not None:
        from hwlearn_sim.bench.rehearsal import rehearsed_board

        virtual, tables = rehearsed_board(protocol, topology, limits)
    else:
        virtual = _bench_of(file, topology, limits)
    with at_work(), virtual:
        try:
            if as_json:
                more = {"terminals": tables} if tables else {}
                print_json(instruments=virtual.instruments, edge_laws=virtual.edge_laws, **more)
                while True:
                    time.sleep(0.25)  # on Windows, Ctrl-C does not interrupt an endless wait
                    virtual.check_served()
            else:
                if protocol is not None:
                    typer.echo(_bench_tables(protocol, virtual.instruments[0]["address"], tables))
                watch(virtual, Console())
        except KeyboardInterrupt:
            return


def _bench_of(file: BenchFile, topology: Topology, limits: Limits) -> VirtualBench:
    from hwlearn.lab.bench.backends import find_backend
    from hwlearn_sim.bench.board_backend import VirtualBoardSettings
    from hwlearn_sim.bench.mixed import VirtualMixedSettings
    from hwlearn_sim.bench.smu_backend import VirtualSmuSettings

    settings = find_backend(file.tables["backend"], file.where)[1]
    if not isinstance(settings, VirtualSmuSettings | VirtualBoardSettings | VirtualMixedSettings):
        settings = VirtualSmuSettings()
    return settings.bench(topology, limits)


def _bench_tables(protocol: str, address: str, terminals: list[dict[str, Any]]) -> str:
    """Return the tables of a bench file that open the board."""
    instrument = {"name": "board", "model": "declared", "address": address, "protocol": protocol}
    tables = [("backend.instruments", instrument), *(("backend.terminals", one) for one in terminals)]
    lines = [
        f"[[{name}]]\n" + "\n".join(f"{key} = {toml_value(value)}" for key, value in table.items())
        for name, table in tables
    ]
    return '[backend]\nkind = "bench"\n' + "\n".join(lines) + "\n"


def watch(bench: VirtualBench, console: Console, seconds: float | None = None) -> None:
    """Show addresses, channels and node voltages, updated several times per second.

    Parameters
    ----------
    bench : VirtualBench
        A bench that is being served.
    console : Console
        Console to draw on.
    seconds : float, optional
        Duration. Default: until interrupted.

    Raises
    ------
    HwlearnError
        If an instrument failed.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    with Live(picture(bench), console=console, auto_refresh=False) as live:
        while ends is None or time.monotonic() < ends:
            time.sleep(1 / _FRAMES_PER_S)
            bench.check_served()
            live.update(picture(bench), refresh=True)


def picture(bench: VirtualBench) -> Group:
    """Return the table of addresses, channels and node voltages that `watch` shows."""
    wires = Table("instrument", "model", "address", "edges", box=None, padding=(0, 2, 0, 0))
    for listed in bench.instruments:
        wires.add_row(listed["name"], listed["model"], listed["address"], bench.edge_laws.get(listed["name"], ""))
    try:
        state = _channels(bench)
    except CircuitError as error:  # between two settings, a node may be connected by blocking diodes only
        state = Group(f"[bold red]{error}[/bold red]")
    return Group(wires, "", state, "[dim]Ctrl-C to stop[/dim]")


def _channels(bench: VirtualBench) -> Group:
    """Return the table of channels, and the node voltages."""
    names = bench.plane.topology.names
    channels = Table("channel", "node", "source", "volts", "amperes", "", box=None, padding=(0, 2, 0, 0))
    for channel in bench.plane.channels():
        at = channel.operating_point
        channels.add_row(
            channel.label,
            names[channel.node],
            _setpoint(channel.source),
            format_quantity(at.volts, "V"),
            format_quantity(at.amperes, "A"),
            "[bold red]LIMIT[/bold red]" if at.limited else "",
        )
    volts = bench.plane.node_voltages()
    nodes = "   ".join(f"{name} {format_quantity(float(v), 'V')}" for name, v in zip(names, volts, strict=True))
    return Group(channels, "", f"[dim]{nodes}[/dim]")


def _setpoint(source: Source) -> str:
    if isinstance(source, VoltageSource):
        return f"{format_quantity(source.volts, 'V')}, at most {format_quantity(source.limit_A, 'A')}"
    if isinstance(source, CurrentSource):
        return f"{format_quantity(source.amperes, 'A')}, at most {format_quantity(source.limit_V, 'V')}"
    assert isinstance(source, Open)
    return "open"
