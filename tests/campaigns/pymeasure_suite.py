"""PyMeasure's own tests of its 2400 driver, on the virtual 2400.

Give the path to a checkout of PyMeasure (https://github.com/pymeasure/pymeasure)::

    python tests/campaigns/pymeasure_suite.py ../pymeasure

First, ``test_keithley2400_with_device.py`` is run against a virtual 2400 on a pseudo-terminal with 25 kohm. Then
every message of ``test_keithley2400.py`` is sent to a virtual 2400: a query must be answered, and no message may
cause an error, except those that the manual forbids. Ends with exit code 1 if something fails.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn_sim import PlacedSmu, VirtualBench
from hwlearn_sim.instruments.instrument import VirtualInstrument
from hwlearn_sim.instruments.models import make_smu
from hwlearn_sim.plane.plane import AnalogPlane

DIVIDER = Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)
TESTS = Path("tests") / "instruments" / "keithley"

FORBIDDEN = {
    ":SENSE:CURRENT:RANGE 0.5": (824, "p. 18-62, note 3: a range beyond the compliance range"),
    ":SENSE:VOLTAGE:RANGE 0.5": (823, "p. 18-62, note 1: the measuring range of the sourced quantity"),
}
"""Messages that the 2400 User's Manual forbids after a reset, with the error and the page."""


def main(arguments: list[str] | None = None) -> int:
    """Run both parts for the checkout on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder of PyMeasure's source")
    checkout = parser.parse_args(arguments).checkout
    passed, failed = device_tests(checkout)
    print(f"tests with a device: {passed} of {passed + failed} pass")
    good, broken = replay(checkout / TESTS / "test_keithley2400.py")
    print(f"messages of the protocol tests: {good} of {good + len(broken)} are answered or accepted")
    for message, what in broken.items():
        print(f"  {message}: {what}")
    unexpected = [message for message in broken if message not in FORBIDDEN]
    return 1 if failed or not passed or unexpected else 0


def device_tests(checkout: Path) -> tuple[int, int]:
    """Run the tests with a device; return how many passed and how many failed."""
    smu = PlacedSmu("smu", "2400", (1,), wire="pty")
    with VirtualBench(DIVIDER, [smu], conductances=[1 / 25e3, 1e-3]) as bench:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--device-address", bench.address("smu"),
             str(TESTS / "test_keithley2400_with_device.py")],
            cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout.resolve())},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    if not counts:
        print(done.stdout, done.stderr, sep="\n")
    return counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)


def replay(file: Path) -> tuple[int, dict[str, str]]:
    """Send every message of the protocol tests; return how many are right, and what is wrong with the others."""
    good, broken = 0, {}
    for messages in sequences(file):
        smu = fresh()
        for message, answered in messages:
            reply = smu.execute(message.encode())
            code, text = smu.errors.next()
            if code or bool(reply) != answered:
                broken[message] = f"{code} {text}" if code else f"reply {reply!r}"
            else:
                good += 1
    return good, broken


def fresh() -> VirtualInstrument:
    """Return a virtual 2400 with its output on, on 1 kohm."""
    smu = make_smu(PlacedSmu("smu", "2400", (1,)), AnalogPlane(DIVIDER, [1e-3, 1e-3]), np.random.default_rng(0))
    smu.execute(b":OUTP 1")
    return smu


def sequences(file: Path) -> Iterator[list[tuple[str, bool]]]:
    """Yield the messages of each ``expected_protocol`` and whether each is answered."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "expected_protocol":
            pairs = call.args[1]
            assert isinstance(pairs, ast.List)
            resolved = [names.get(one.id, one) if isinstance(one, ast.Name) else one for one in pairs.elts]
            yield [_pair(ast.literal_eval(one)) for one in resolved]


def _pair(pair: tuple[str | bytes, object]) -> tuple[str, bool]:
    message, reply = pair
    return message.decode() if isinstance(message, bytes) else message, reply is not None


if __name__ == "__main__":
    sys.exit(main())
