"""Garbled replies of source-measure units: a named error, or exactly the numbers that were in the reply.

A driver talks to an idle instrument; one of its replies is changed as bad cables, other firmware and other
programs change them. The operation then returns numbers of that reply, or raises one of the package's errors::

    python tests/campaigns/replies.py --examples 20000
"""

from __future__ import annotations

import argparse
import io
import logging
import math
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, seed, settings

from hwlearn.errors import HwlearnError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu import ChannelLimit
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.reading import Reading, VoltageSweep
from hwlearn_drivers.smu.registry import family_of
from hwlearn_drivers.transport.links.dry_run import DryLink
from hwlearn_drivers.transport.transport import Transport

MODELS = ("2400", "2450", "2612B", "B2902A")
OPERATIONS: dict[str, Callable[[SmuChannel], Any]] = {
    "read": lambda channel: channel.read(),
    "change level": lambda channel: channel.change_level(0.25),
    "voltage source": lambda channel: channel.voltage_source(0.5, 1e-3),
    "current source": lambda channel: channel.current_source(1e-4, 1.0),
    "off and on": lambda channel: (channel.off(), channel.on()),
    "limited": lambda channel: channel.limited(),
    "check state": lambda channel: channel.check_state(),
    "sweep": lambda channel: channel.sweep([0.1, 0.2, 0.3]),
    "integration time": lambda channel: setattr(channel, "nplc", 0.1),
}
SPECIAL = (
    *(b"+9.910000E+37", b"9.91e37", b"9.909999530030929e+37", b"-9.9E37", b"9.9e+37", b"nan", b"NaN", b"inf"),
    *(b"-INF", b"1e999", b"", b" ", b"1_0", b"0x10", b"1,2", b"1;2", b"OVERFLOW", b"--", b"\xb5", b"\xff\xfe"),
    *(b"\x00", b"nil", b"true", b"1d3", b"+", b"1e", b"50", b"-50", b'"', b"'", b"#13abc"),
    *(digit.encode() for digit in "\u0661\u00b2"),
)
"""What stands in the place of a field."""
BYTES = b"0123456789+-.eE,;\t\"' #naifNAIFx\x00\x80\xff\r\n"

mutations = st.one_of(
    st.tuples(st.just("field"), st.integers(0, 9), st.sampled_from(SPECIAL)),
    st.tuples(st.just("insert"), st.integers(0, 80), st.sampled_from([bytes([b]) for b in BYTES])),
    st.tuples(st.just("replace"), st.integers(0, 80), st.sampled_from([bytes([b]) for b in BYTES])),
    st.tuples(st.just("delete"), st.integers(0, 80), st.just(b"")),
    st.tuples(st.just("cut"), st.integers(0, 80), st.just(b"")),
    st.tuples(
        st.just("prefix"), st.just(0), st.sampled_from([b"0", b"0;", b"1,", b"\t", b"0\n", b"TSP>", b"OK\n"])
    ),
    st.tuples(st.just("suffix"), st.just(0), st.sampled_from([b",0", b";0", b"\t0", b"\n0", b" V", b"\r"])),
    st.tuples(st.just("twice"), st.just(0), st.sampled_from([b"", b";", b",", b"\t", b"\n"])),
    st.tuples(st.just("whole"), st.just(0), st.sampled_from(SPECIAL)),
)


def mutated(reply: bytes, mutation: tuple[str, int, bytes]) -> bytes:
    """Return a changed reply, without the newline at its end."""
    kind, at, data = mutation
    where = at % max(1, len(reply))
    if kind == "field":
        fields = re.split(rb"([,;\t])", reply)
        fields[2 * (at % ((len(fields) + 1) // 2))] = data
        return b"".join(fields)
    return {
        "insert": reply[:where] + data + reply[where:],
        "replace": reply[:where] + data + reply[where + 1 :],
        "delete": reply[:where] + reply[where + 1 :],
        "cut": reply[:where],
        "prefix": data + reply,
        "suffix": reply + data,
        "twice": reply + data + reply,
        "whole": data,
    }[kind]


class GarblingLink(DryLink):
    """A link to an idle instrument; after `arm` it changes one reply and keeps it in ``changed``."""

    __slots__ = ("_mutation", "_wait", "changed")

    def __init__(self, model: str) -> None:
        answers = DryAnswers(model)

        def answer(message: bytes) -> bytes | None:
            reply = answers(message)
            if reply is None or self._mutation is None:
                return reply
            self._wait -= 1
            if self._wait >= 0:
                return reply
            self.changed, self._mutation = mutated(reply, self._mutation), None
            return self.changed

        super().__init__(model, answer, io.StringIO())
        self._mutation: tuple[str, int, bytes] | None = None
        self._wait = 0
        self.changed: bytes | None = None

    def arm(self, mutation: tuple[str, int, bytes], wait: int) -> None:
        """Change the reply after the next ``wait`` ones."""
        self._mutation, self._wait = mutation, wait

    def _receive(self, timeout_s: float) -> bytes:
        self._mutation = None  # nothing else is changed while the driver finds out what is wrong
        return super()._receive(timeout_s)


def example(model: str, operation: str, mutation: tuple[str, int, bytes], wait: int) -> str:
    """Run one operation with one changed reply; return how it ended."""
    link = GarblingLink(model)
    transport = Transport(model, lambda: link, timeout_s=0.01)
    smu = family_of(model)(transport, Identity("MAKER", model, "1", "1"), {1: ChannelLimit(2.0, 1e-3)})
    channel = smu.channel(1)
    channel.voltage_source(0.5, 1e-3)
    channel.on()
    link.arm(mutation, wait)
    open_outputs.unwatch(smu)  # no instrument is there to be switched off
    try:
        result = OPERATIONS[operation](channel)
    except HwlearnError as error:
        failed = error
    else:
        failed = None
    if failed is not None:
        assert str(failed).isprintable(), f"{failed!r} is not one line of text"
        return type(failed).__name__
    if link.changed is None:
        return "not reached"
    numbers = [0.0, *_numbers(link.changed)]
    if isinstance(result, Reading):
        for value in (result.volts, result.amperes):  # the network refuses values that are not finite
            assert value in numbers or not math.isfinite(value), (result, link.changed)
    if isinstance(result, VoltageSweep):
        assert len(result.volts) == len(result.amperes) == 3
        assert all(x in numbers or not math.isfinite(x) for x in (*result.volts, *result.amperes)), (
            result,
            link.changed,
        )
    return "accepted"


def _numbers(reply: bytes) -> list[float]:
    found = []
    for field in re.split(r"[,;\t\n]", reply.decode("latin-1")):
        try:
            found.append(float(field))
        except ValueError:
            continue
    return found


def search(examples: int, start: int) -> dict[str, int]:
    """Search with hypothesis; return how many examples ended how."""
    ended: dict[str, int] = {}

    @seed(start)
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        derandomize=False,
    )  # fmt: skip
    @given(st.sampled_from(MODELS), st.sampled_from(list(OPERATIONS)), mutations, st.integers(0, 4))
    def one(model, operation, mutation, wait):
        how = example(model, operation, mutation, wait)
        ended[how] = ended.get(how, 0) + 1

    one()
    return ended


def main() -> None:
    """Run the search and print how its examples ended."""
    parser = argparse.ArgumentParser(prog=Path(__file__).name, description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    logging.disable()
    began = time.monotonic()
    for how, count in sorted(search(given_.examples, given_.seed).items(), key=lambda item: -item[1]):
        print(f"{count:8}  {how}")
    print(f"{time.monotonic() - began:.0f} s; no traceback, no number that was not in the reply")


if __name__ == "__main__":
    sys.exit(main())
