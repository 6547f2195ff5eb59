"""``hwlearn devices``: lists serial ports and VISA resources; identifies instruments at given addresses."""

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
    baud: Annotated[int, typer.Option(help="Baud rate of serial addresses.")] = 115200,
    as_json: JsonOption = False,
) -> None:
    """List serial ports and VISA resources without opening any; identify instruments at given addresses.

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
    from hwlearn_drivers.instrument.discovery import bus_resources, serial_ports

    rows: list[dict[str, Any]] = [{"kind": "serial"} | asdict(port) for port in serial_ports()]
    try:
        rows += [{"kind": "VISA", "address": name} for name in bus_resources(visa_library)]
    except HwlearnError as error:
        rows.append({"kind": "VISA", "address": visa_library, "error": str(error)})
    return rows


def _identified(addresses: list[str], visa_library: str, baud: int) -> list[dict[str, Any]]:
    from hwlearn_drivers.instrument.discovery import identify
    from hwlearn_drivers.transport.addresses import LinkOptions

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
    from rich.table import Table

    if not rows:
        Console().print("no serial port and no instrument on USB or GPIB found")
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*("" if row.get(key) is None else str(row[key]) for key in columns))
    Console().print(table)
    if not identified:
        Console().print("[dim]no instrument was contacted; to identify one: hwlearn devices --identify ADDRESS")
