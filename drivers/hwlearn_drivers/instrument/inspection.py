"""Reports of several instruments in parallel: read where they are not in use, else asked from their owners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from hwlearn.errors import HwlearnError, InUseError, SetupError
from hwlearn.network.reports import InstrumentReport
from hwlearn_drivers.address import normal_address
from hwlearn_drivers.claims.ask import ask_for_reports
from hwlearn_drivers.claims.claim import owner_of
from hwlearn_drivers.claims.keys import AddressKey, address_key
from hwlearn_drivers.claims.owner import Owner


@dataclass(frozen=True, slots=True)
class Inspection:
    """An instrument that is to be reported.

    Attributes
    ----------
    name : str
        Its address, for messages.
    key : AddressKey or None
        Of its claim; None if it has none.
    read : callable
        Opens the instrument, reads it with queries that change nothing, and closes it.
    """

    name: str
    key: AddressKey | None
    read: Callable[[], InstrumentReport]


def inspection(address: str, read: Callable[[], InstrumentReport]) -> Inspection:
    """Return the inspection of the instrument at an address; a wrong address is found when it is read."""
    try:
        name = normal_address(address)
        return Inspection(name, address_key(name), read)
    except SetupError:
        return Inspection(address, None, read)


def inspect_all(inspections: Sequence[Inspection]) -> list[InstrumentReport]:
    """Return a report of each instrument, in order; one that cannot be read has a note that says why."""
    if not inspections:
        return []
    with ThreadPoolExecutor(max_workers=len(inspections)) as pool:
        return list(pool.map(_inspected, inspections))


def _inspected(one: Inspection) -> InstrumentReport:
    try:
        owner = owner_of(one.key)
        return one.read() if owner is None else _of_owner(one, owner)
    except InUseError as error:  # since a moment ago
        return InstrumentReport(one.name, "none", note=f"{error}; try again")
    except (HwlearnError, OSError) as error:
        return InstrumentReport(one.name, "none", note=str(error))


def _of_owner(one: Inspection, owner: Owner) -> InstrumentReport:
    """Return what the process that uses an instrument has set; nothing is sent to the instrument."""
    assert one.key is not None
    found = ask_for_reports(owner)
    if found is None:
        note = f"it is in use by {owner}, which did not answer; the instrument was not read"
        return InstrumentReport(one.name, "none", note=note)
    if one.key.text not in found:
        return InstrumentReport(one.name, "none", note=f"{owner} has claimed it, and has not opened it yet")
    report = InstrumentReport.from_fields(found[one.key.text])
    return replace(report, note=f"in use by {owner}: as it was set there last; the instrument was not read")
