"""The fixtures that the package offers to other programs' tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TESTS = """
import pytest
import pyvisa

from hwlearn.circuit.topology import Topology
from hwlearn_sim import PlacedSmu

addresses = []


def ask(address, *messages):
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(address, read_termination="\\n", write_termination="\\n") as smu:
        for message in messages[:-1]:
            smu.write(message)
        reply = smu.query(messages[-1])
    manager.close()
    return reply


def test_reading_depends_on_resistance(virtual_smu):
    for ohms in (1e3, 2e3):
        addresses.append(virtual_smu("2400", ohms=ohms, noise=0.0))
        reply = ask(addresses[-1], ":SOUR:VOLT 0.05;:FORM:ELEM CURR", ":MEAS:CURR?")
        assert float(reply) == pytest.approx(0.05 / ohms)
    assert addresses[0] != addresses[1]


def test_instruments_are_gone_after_their_test():
    with pytest.raises(Exception):
        ask(addresses[0], "*IDN?")


def test_bench_of_ones_own(virtual_bench):
    divider = Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)
    bench = virtual_bench(divider, [PlacedSmu("a", "2450", (1,)), PlacedSmu("b", "2450", (2,))], conductances=1e-3)
    assert "MODEL 2450" in ask(bench.address("b"), "*IDN?")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="starts a shell command")
def test_fixtures_serve_instruments_until_the_test_ends(tmp_path):
    (tmp_path / "test_driver.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "hwlearn_sim.pytest_plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "test_driver.py"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
