"""OFF of a whole device, also of one in use elsewhere: every analog output at 0 V, the switches open."""

from __future__ import annotations

from collections.abc import Sequence

from hwlearn_drivers.daq.calls.calls import DaqCalls
from hwlearn_drivers.daq.errors import ReservedError
from hwlearn_drivers.daq.facts import DeviceFacts, overlapping
from hwlearn_drivers.errors import InstrumentError, LinkError


def write_off_all(calls: DaqCalls, facts: DeviceFacts, lines: Sequence[str], open_level: bool) -> None:
    """Write 0 V to every analog output, then the open level to these lines; release both.

    If another task holds them, the device is reset, which ends the tasks of every process. A reset leaves the
    outputs of some families as they are, so 0 V is written after it.

    Raises
    ------
    LinkError, InstrumentError
        If a part of it could not be written; the other part was.
    """
    try:
        _write(calls, facts, lines, open_level)
    except ReservedError:
        calls.reset()
        _write(calls, facts, lines, open_level)


def _write(calls: DaqCalls, facts: DeviceFacts, lines: Sequence[str], open_level: bool) -> None:
    failed: list[LinkError | InstrumentError] = []
    if facts.outputs:
        try:
            _write_zeros(calls, facts)
        except (LinkError, InstrumentError) as error:
            failed.append(error)
    there = [line for line in lines if line in facts.lines]
    if there:
        try:
            task = calls.line_task(there, off=True)
            try:
                calls.write(task, [open_level] * len(there), ", ".join(there), off=True)
            finally:
                calls.close(task)
        except (LinkError, InstrumentError) as error:
            failed.append(error)
    if failed:
        raise failed[0]


def _write_zeros(calls: DaqCalls, facts: DeviceFacts) -> None:
    widest = max(abs(end) for one in facts.output_ranges for end in one)
    chosen = overlapping(facts.output_ranges, widest)
    if chosen is None:
        raise LinkError(f"{calls.called}: no output range holds 0 V; switch it off by hand")
    task, _ = calls.output_task(facts.outputs, chosen, off=True)
    try:
        calls.write(task, [0.0] * len(facts.outputs), "every output", off=True)
    finally:
        calls.close(task)
