"""Faults on five mixed benches: ``hwlearn train`` and ``hwlearn check`` while one instrument fails.

Each bench has three or four instruments of different kinds (`fault_desks`). One of them answers late, too late or
not at all, drops its connection (half of the times it also returns to its power-on settings), or is gone, at a
random reply from the opening to the end of the training; a DAQ device is unplugged, reset, or does not write; a
relay of the matrix does not move, or its contact is stuck. The command runs in this process, one in twenty in a
process of its own.

- ``foreign answers``: replies that a driver took for another query, by a judge that compares the wire log with
  what the instruments answered (`wire_judge`), and stored rows that differ from those of an undisturbed training;
- ``exit 1``: the command failed with exit code 1. Late replies that are waited for, stuck relays that never had to
  move, and faults during the opening after which the link was opened again, may end with 0, and with all rows;
- ``named``: the error names the instrument that failed, and none that did not. For a stuck contact it names the
  matrix, or the row or the node with the relay;
- ``others off``: every other instrument is off;
- ``closed under voltage``: relays that closed with a voltage across them;
- ``opened under voltage``: relays that opened with a current through them, though OFF could be sent to their
  source;
- ``cut off``: relays that opened with a current through them because the link to their source was broken: at that
  moment only this takes the voltage off the sample. It is counted::

    python tests/campaigns/mixed_benches.py --count 13
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from campaign import Campaign, every, none, shown
from fault_desks import DAQ_KINDS, KINDS, PLACES, RELAYS, SCANNERS, Desk, Ended, Undisturbed, undisturbed
from wire_judge import wrong_answers

PROCESS = 0.05
"""Share of the schedules whose command runs in a process of its own."""

TRIES = 4
"""The faulty instrument has a time-out of 0.2 s, which a busy computer may exceed before the fault."""

CHECK = 0.2
"""Share of the schedules with ``hwlearn check``; the others train."""


def cases() -> list[str]:
    """Return bench, instrument and fault of every case."""
    found = []
    for bench, places in PLACES.items():
        for place in places:
            kinds = DAQ_KINDS if place == "out" else KINDS
            found += [f"{bench}: {place} {kind}" for kind in kinds]
        if bench == "matrix":
            found += [f"{bench}: matrix {kind}" for kind in RELAYS]
    return found


@functools.cache
def _undisturbed(bench: str, scanner: str, command: str) -> Undisturbed:
    with tempfile.TemporaryDirectory() as folder:
        return undisturbed(bench, scanner, Path(folder), command)


def faults(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Run a command with one fault; again if a busy computer let it end before the fault."""
    for _ in range(TRIES):
        row = _once(case, rng)
        if row is not None:
            return row
    raise AssertionError(f"the command ended {TRIES} times before the fault")


def _once(case: str, rng: np.random.Generator) -> Mapping[str, float] | None:
    """Run a command with one fault, and judge what came of it; None if the fault did not happen."""
    bench, rest = case.split(": ")
    place, kind = rest.split(" ", 1)
    scanner = str(rng.choice(list(SCANNERS))) if bench == "scan" else "34970A"
    command = "check" if rng.random() < CHECK else "train"
    process = bench != "daq" and bool(rng.random() < PROCESS)  # DAQ devices exist in one process only
    clean = _undisturbed(bench, scanner, command)
    at = int(rng.integers(0, clean.replies[place]))
    with tempfile.TemporaryDirectory() as folder, Desk(bench, Path(folder), scanner, process) as desk:
        desk.arm(place, kind, at, rng)
        ended = desk.run(command)
        others = [one for one in PLACES[bench] if one != place or kind in RELAYS]
        left_on = desk.on(others)
        taken = wrong_answers(desk.log, desk.recorder)
        hot = desk.relays.hot_moves if bench == "matrix" else []
        named = _named(desk, ended, place, kind)
    if not desk.struck.is_set():
        return None
    opened = sum(one.amperes > 0 for one in hot)
    gone = place == "smu" and kind in ("gone", "reset")
    recovered = at < clean.opening[place]
    problem = (ended.code, ended.complaints[-600:], taken[:2], left_on)
    row = {
        "foreign answers": len(taken)
        + _other_rows(ended, clean)
        + (ended.code == 0 and len(ended.rows) != len(clean.rows)),
        "errors": ended.code != 0,
        "exit 1": ended.code == 1 or (ended.code == 0 and (kind == "late" or kind in RELAYS or recovered)),
        "named": ended.code == 0 or named,
        "others off": not left_on,
        "closed under voltage": sum(one.volts > 0 for one in hot),
        "opened under voltage": 0 if gone else opened,
        "cut off": opened if gone else 0,
        "processes": process,
    }
    if any(not CAMPAIGN.columns[name].each(value) for name, value in row.items()):
        print(f"\n{case} at {at}, {command}: {problem}", flush=True)
    return row


def _other_rows(ended: Ended, clean: Undisturbed) -> int:
    """Return how many stored rows are not those of the undisturbed training."""
    return sum(
        found.keys() != wanted.keys()
        or not all(np.allclose(found[key], wanted[key], rtol=1e-6, atol=1e-9, equal_nan=True) for key in found)
        for found, wanted in zip(ended.rows, clean.rows, strict=False)
    )


def _named(desk: Desk, ended: Ended, place: str, kind: str) -> bool:
    """Return whether the error names what failed and no other instrument."""
    said = ended.complaints
    if kind in RELAYS:
        return any(word in said for word in (desk.port("matrix"), "row A"))
    others = [desk.port(one) for one in PLACES[desk.bench] if one != place]
    return desk.port(place).lower() in said.lower() and not any(f":{one}" in said for one in others)


CAMPAIGN = Campaign(
    "mixed_benches",
    faults,
    cases(),
    {
        "foreign answers": none(),
        "errors": shown(),
        "exit 1": every(),
        "named": every(),
        "others off": every(),
        "closed under voltage": none(),
        "opened under voltage": none(),
        "cut off": shown(),
        "processes": shown(),
    },
    count=13,
)

if __name__ == "__main__":
    CAMPAIGN.main()
