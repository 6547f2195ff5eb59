"""The fixtures, the marker and the option that the package offers to other programs' tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.storage.toml_text import toml_text

pytest_plugins = ["pytester"]

CACHE = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
PLUGIN = ("-p", "hwlearn_sim.pytest_plugin", "-p", "no:cacheprovider")

FIXTURES = """
import numpy as np
import pytest
import pyvisa

import hwlearn as hl
from hwlearn.circuit.topology import Topology
from hwlearn.errors import HwlearnError, SetupError
from hwlearn_sim import PlacedSmu
from hwlearn_sim.placed import PlacedScanner

addresses = []


def ask(address, *messages, timeout=None):
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(str(address), read_termination="\\n", write_termination="\\n") as smu:
        smu.timeout = timeout or 5000
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


def test_bench_of_ones_own(virtual_bench, faults):
    divider = Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)
    bench = virtual_bench(divider, [PlacedSmu("a", "2450", (1,)), PlacedSmu("b", "2450", (2,))], conductances=1e-3)
    assert "MODEL 2450" in ask(bench.address("b"), "*IDN?")
    with pytest.raises(SetupError, match="name one of: a, b"):
        faults.mute(bench)
    faults.edges(bench, 0)
    assert bench.true_conductances.tolist() == [0.0, 1e-3]


def test_outputs_of_an_instrument_are_seen(virtual_instrument):
    smu = virtual_instrument("2612B", ohms=(1e3, 2e3), noise=0.0)
    assert smu.outputs_on == ()
    ask(smu, "smub.source.levelv = 0.5", "smub.source.output = 1", "print(smub.measure.i())")
    assert smu.outputs_on == (2,)
    assert smu.channels[1].operating_point.amperes == pytest.approx(0.5 / 2e3)


def test_any_instrument_can_be_placed(virtual_instrument):
    scanner = virtual_instrument(PlacedScanner("dmm", "34970A", {101: 1}, {1: "34901A"}), ohms=50.0)
    assert "34970A" in ask(scanner, "*IDN?")


def test_faults_of_connection_and_instrument(virtual_instrument, faults):
    smu = virtual_instrument("2400", ohms=1e3, noise=0.0)
    faults.wire(smu, "dropped", after=1)
    assert "2400" in ask(smu, "*IDN?")
    with pytest.raises(pyvisa.VisaIOError):
        ask(smu, "*IDN?", timeout=100)
    assert [fault.kind for _, fault in faults.occurred(smu)] == ["dropped"] and faults.waiting(smu) == 0
    ask(smu, ":SOUR:VOLT 0.05", ":OUTP ON", "*IDN?")
    assert smu.outputs_on == (1,)
    faults.power_loss(smu)
    assert smu.outputs_on == () and float(ask(smu, ":SOUR:VOLT?")) == 0
    faults.readings(smu, "over-range")
    assert float(ask(smu, ":SOUR:VOLT 0.05;:FORM:ELEM CURR", ":MEAS:CURR?")) == 9.9e37  # what a 2400 shows then
    with pytest.raises(SetupError, match="at least 0 and 1"):
        faults.wire(smu, "dropped", count=0)


def test_twins(kirchhoff_twin, faults):
    twin = kirchhoff_twin(conductances=1e-5)
    whole = twin.measure(np.full((1, 3), 0.5)).voltages
    assert twin.measure(np.full((1, 3), 0.5)).voltages.shape == (1, 3)
    faults.edges(twin, [0], at_step=2)
    faults.edges(twin, 1)
    twin.program(np.full(12, 2e-5))
    assert twin.true_conductances[:3].tolist() == [2e-5, 0.0, 2e-5]
    twin.program(np.full(12, 2e-5))
    assert twin.true_conductances[:3].tolist() == [0.0, 0.0, 2e-5]
    with pytest.raises(SetupError, match="must be 3 or more"):
        faults.edges(twin, [4], at_step=1)
"""

BOARD = """
import numpy as np


def test_board(virtual_board, faults):
    board = virtual_board(noise_V=0.0)
    network = board.open(averages=2)
    network.program(np.full(32, 1e-4))
    read = network.measure(np.full((1, 8), 1.0))
    assert np.allclose(read.voltages, 1.0, atol=2e-3) and board.board.is_safe
    faults.edges(board, range(0, 32, 4))  # all devices of the first column
    assert abs(network.measure(np.full((1, 8), 1.0)).voltages[0, 0]) < 2e-3
    faults.power_loss(board)
    assert board.board.is_safe
"""

HARDWARE = """
import pytest

pytestmark = pytest.mark.hardware


def test_reads(bench):
    assert bench.limits.voltage == 0.5
    read = bench.network.measure(bench.data.inputs[:1])
    assert read.voltages.shape == (1, bench.topology.n_outputs)


def test_fails_with_outputs_on(bench):
    bench.network.measure(bench.data.inputs[:1])
    print("LIVE", flush=True)
    assert False, "as a test does"
"""

KILLED = """
import sys
import time

import pytest


@pytest.mark.hardware
def test_waits(bench):
    bench.network.measure(bench.data.inputs[:1])
    print("LIVE", file=sys.__stderr__, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def served(tmp_path):
    """Return a bench file of real drivers, and the virtual bench that it names."""
    file = load_bench_file("virtual-smu")
    settings = find_backend(file.tables["backend"], file.where)[1]
    limits = file.limits.build()
    with settings.bench(file.network.build(file.folder), limits) as bench:
        table = {"kind": "smu", **settings.driver_settings(bench, limits)}
        path = tmp_path / "real.toml"
        path.write_text(toml_text({**file.tables, "backend": table}), encoding="utf-8")
        yield path, bench


def live(bench):
    """Return the instruments whose output is on."""
    names = [name for name in bench.names if name.startswith("smu")]
    return [name for name in names if any(c.settings.output for c in bench.instrument(name).channels)]


def was_on(bench):
    return any(True in channel.switched for channel in bench.instrument("smu1").channels)


def test_fixtures_serve_instruments_until_the_test_ends(pytester):
    pytester.makepyfile(FIXTURES)
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=7)


@pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler is not installed")
def test_board_runs_its_firmware(pytester, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", CACHE)  # has the compiled firmware; the home is another one here
    pytester.makepyfile(BOARD)
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=1)


def test_hardware_tests_are_skipped_and_say_how_to_run_them(pytester):
    pytester.makepyfile(HARDWARE)
    done = pytester.runpytest_inprocess(*PLUGIN, "-rs", "--strict-markers")
    done.assert_outcomes(skipped=2)
    done.stdout.fnmatch_lines(["*tests a real bench: give its bench file with --bench FILE*"])
    assert "hardware: test of a real bench" in pytester.runpytest_inprocess(*PLUGIN, "--markers").stdout.str()
    listed = pytester.runpytest_inprocess(*PLUGIN, "--fixtures").stdout.str()
    for name in ("kirchhoff_twin", "virtual_bench", "virtual_instrument", "virtual_board", "faults", "bench"):
        assert f"\n{name} -- " in listed


def test_outputs_are_off_after_a_test_failed(pytester, served):
    path, bench = served
    pytester.makepyfile(HARDWARE)
    done = pytester.runpytest_inprocess(*PLUGIN, "--bench", str(path))
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*bench of the tests marked `hardware`: *real.toml"])
    assert was_on(bench)
    assert live(bench) == []


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_outputs_are_off_after_ctrl_c(pytester, served):
    path, bench = served
    command = [sys.executable, "-m", "pytest", *PLUGIN, "-s", "--bench", path, pytester.makepyfile(KILLED)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=pytester.path, text=True, **pipes) as process:
        assert process.stderr.readline() == "LIVE\n"
        assert live(bench)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in out
    assert live(bench) == []


def test_nothing_is_measured_after_outputs_could_not_be_switched_off(pytester, served):
    path, bench = served
    pytester.makepyfile(
        test_lost="""
import pytest

pytestmark = pytest.mark.hardware


def test_loses_its_cable(bench):
    bench.network.measure(bench.data.inputs[:1])
    pytest.served.close()


def test_next(bench):
    raise AssertionError("not reached")
"""
    )
    pytest.served = bench
    try:
        done = pytester.runpytest_inprocess(*PLUGIN, "--bench", str(path))
    finally:
        del pytest.served
    done.assert_outcomes(passed=1, errors=2)
    done.stdout.fnmatch_lines(["*MAY BE ON*", "*is not opened again, because an earlier test could not leave it*"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--bench", "missing.toml"], "*--bench missing.toml: *missing.toml*"),
        (["--bench", "virtual-smu", "-n", "2"], "*a bench has one owner*pytest -m hardware -n 0 --bench FILE*"),
    ],
)
def test_wrong_options_are_refused_in_one_line(arguments, line, pytester):
    pytester.makepyfile(HARDWARE)
    plugins = ["-p", "xdist"] if "-n" in arguments else []
    done = pytester.runpytest_inprocess(*PLUGIN, *plugins, *arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([line])


def test_plugin_costs_little_where_it_is_not_used():
    """pytest imports it in every run; 20 ms are asked, measured on an idle computer."""
    script = """
import json, sys, time
import pytest, argparse
began = time.process_time()
import hwlearn_sim.pytest_plugin
seconds = time.process_time() - began
print(json.dumps([seconds, sorted({"numpy", "scipy", "pydantic", "pyvisa", "hwlearn.lab"} & set(sys.modules))]))
"""
    found = [json.loads(subprocess.check_output([sys.executable, "-c", script])) for _ in range(3)]
    assert min(seconds for seconds, _ in found) < 0.02
    assert all(loaded == [] for _, loaded in found)
