"""The error queue of Keithley instruments that run TSP scripts."""

from __future__ import annotations

from hwlearn_drivers.instrument.instrument import Instrument


def next_tsp_error(instrument: Instrument) -> tuple[int, str] | None:
    """Take the oldest error from ``errorqueue``; None if it is empty.

    Raises
    ------
    GarbledReplyError
        If a reply is not an error.
    """
    (count,) = instrument.query_numbers("print(errorqueue.count)", 1)
    if not count:
        return None
    question = "print(errorqueue.next())"
    answer = instrument.query(question)
    code, *rest = answer.split("\t")
    try:
        return int(float(code)), rest[0] if rest else ""
    except (ValueError, OverflowError):
        instrument.transport.garbled(question, answer)
