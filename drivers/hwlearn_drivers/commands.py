"""``hwlearn devices``: lists ports, VISA resources and DAQ devices; identifies instruments at given addresses."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from hwlearn.cli.outcome import FAILED, JsonOption, command, print_json
from hwlearn.errors import HwlearnError, SetupError


@command
def devices(
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="ADDRESS", help="With --identify: addresses to query.")
    ] = None,
    identify: Annotated[
        bool, typer.Option("--identify", help="Send *IDN? to the given addresses, and to no others.")
    ] = False,
    visa_library: Annotated[str, typer.Option(help="VISA library to use.")] = "@py",
    baud: Annotated[int, typer.Option(min=1, help="Baud rate of serial addresses.")] = 115200,
    as_json: JsonOption = False,
) -> None:
    """List ports, VISA resources and DAQ devices without opening any; identify instruments at given addresses.

    Each bus has a line of its own, which says why it is empty if it cannot be looked at.

    An unexpected query can disturb instruments with another protocol, so only given addresses are opened.
    """
    if bool(addresses) != identify:
        raise SetupError("give addresses after --identify, for example: hwlearn devices --identify COM3")
    found = _identified(addresses, visa_library, baud) if addresses else _listed(visa_library)
    if as_json:
        for row in found:
            print_json(**row)
    else:
        _show(found, bool(addresses))
    if any("error" in row for row in found):
        raise typer.Exit(FAILED)


def _listed(visa_library: str) -> list[dict[str, Any]]:
    """Return a row for each port and resource, then one for each bus."""
    from hwlearn_drivers.daq.discovery import list_devices
    from hwlearn_drivers.instrument.buses import Bus, list_buses
    from hwlearn_drivers.instrument.discovery import serial_ports

    rows: list[dict[str, Any]] = []
    try:
        rows += [{"kind": "serial"} | asdict(port) for port in serial_ports()]
        buses = [Bus("serial", tuple(row["address"] for row in rows))]
    except Exception as error:  # the ways in which systems list their ports differ
        buses = [Bus("serial", problems=(f"cannot look: {error or type(error).__name__}",))]
    buses += list_buses(visa_library)
    rows += [{"kind": "VISA", "address": name} for bus in buses[1:] for name in bus.addresses]
    daq_devices, daq = list_devices()
    rows += [{"kind": "DAQ"} | asdict(device) for device in daq_devices]
    for bus in [*buses, daq]:
        row = {"kind": "bus", "bus": bus.name, "found": len(bus.addresses)}
        row |= {"note": bus.missing} if bus.missing else {}
        rows.append(row | ({"error": "; ".join(bus.problems)} if bus.problems else {}))
    return rows


def _identified(addresses: list[str], visa_library: str, baud: int) -> list[dict[str, Any]]:
    from hwlearn_drivers.address import normal_address
    from hwlearn_drivers.instrument.discovery import identify
    from hwlearn_drivers.transport.addresses import LinkOptions

    for address in addresses:  # a wrong one is refused before any is opened
        normal_address(address)
    rows: list[dict[str, Any]] = []
    for address in addresses:
        try:
            identity = identify(address, LinkOptions(baud, visa_library))
            rows.append({"address": address} | asdict(identity))
        except HwlearnError as error:
            rows.append({"address": address, "error": str(error)})
    return rows


def _show(rows: list[dict[str, Any]], identified: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    devices = [row for row in rows if row.get("kind") != "bus"]
    if devices:
        columns = list(dict.fromkeys(key for row in devices for key in row))
        table = Table(*columns, box=None, header_style="bold")
        for row in devices:
            table.add_row(*("" if row.get(key) is None else escape(str(row[key])) for key in columns))
        console.print(table)
    for row in rows:
        if row.get("kind") == "bus":
            said = [text for text in (row.get("note"), row.get("error")) if text]
            found = f"{row['found']} found" if row["found"] or not said else ""
            typer.echo(f"{row['bus']:<7} {'; '.join([*filter(None, [found]), *said])}")
    if not identified:
        typer.echo("LAN     not searched, because that sends messages; write the address in the bench file")
        console.print("[dim]no instrument was contacted; to identify one: hwlearn devices --identify ADDRESS")
