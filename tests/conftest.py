"""Networks shared by many tests, ngspice, and a table of measured figures at the end of a test run."""

import gc
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # one thread per worker: more would compete for the same cores. numpy reads this when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from shares import pytest_addoption as pytest_addoption
from shares import pytest_collection as pytest_collection
from shares import pytest_collection_modifyitems as pytest_collection_modifyitems
from shares import pytest_configure as pytest_configure
from shares import seeds as seeds

import hwlearn as hl
from hwlearn.lab.runs import database
from hwlearn_sim import Imperfections, KirchhoffTwin

LOW, HIGH = 1e-6, 1e-4
PNG_HEAD = b"\x89PNG"
FSYNC, SYNCHRONOUS = os.fsync, dict(database.SYNCHRONOUS)

BENCH = """
[network]
kind = "random"
nodes = 14
edges = 30
inputs = 4
outputs = 3
seed = 5

[limits]
voltage = "500 mV"
drop = "1 V"
nudge = "200 mV"
current = "1 mA"
conductance = ["1 uS", "100 uS"]

[backend]
kind = "sim"

[data]
source = "teacher"
samples = 6
amplitude = "400 mV"

[train]
nudge = "current"
rate = 0.08
epochs = 5
batch = 4
"""


@pytest.fixture(scope="session", autouse=True)
def _signals_work() -> Iterator[None]:
    """Restore the default handling of SIGINT and SIGHUP, which a parent process may have switched off.

    Programs that tests start inherit it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}
    numbers = {getattr(signal, name): handler for name, handler in handlers.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _own_claims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Claim instruments in a folder of this test run: claims work, and other runs are not in the way.

    Programs that tests start inherit it.
    """
    before = os.environ.get("HWLEARN_CLAIMS")
    os.environ["HWLEARN_CLAIMS"] = str(tmp_path_factory.mktemp("claims"))
    yield
    if before is None:
        del os.environ["HWLEARN_CLAIMS"]
    else:
        os.environ["HWLEARN_CLAIMS"] = before


@pytest.fixture(scope="session", autouse=True)
def _own_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Record trainings in a folder of this test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWLEARN_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waits_for_the_disk() -> Iterator[None]:
    """Do not wait for the disk: tests interrupt programs, not the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr(database, "SYNCHRONOUS", dict.fromkeys(SYNCHRONOUS, "OFF"))
        yield


@pytest.fixture
def waits_for_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the disk as a program does."""
    monkeypatch.setattr(os, "fsync", FSYNC)
    monkeypatch.setattr(database, "SYNCHRONOUS", SYNCHRONOUS)


@pytest.fixture(scope="session")
def bench_text() -> str:
    """The small bench: a random network that learns on an ideal twin."""
    return BENCH


@pytest.fixture
def wide_limits() -> hl.Limits:
    """Limits far above the values in tests."""
    return hl.Limits(voltage=100.0, drop=200.0, nudge=50.0, current=10.0, conductance=(LOW, HIGH))


@pytest.fixture
def bench_limits() -> hl.Limits:
    """Limits of the benches in the package."""
    return hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(LOW, HIGH))


@pytest.fixture
def lab_flaws() -> Imperfections:
    """Imperfections of the reference experiment."""
    return Imperfections(
        device_spread=0.2,
        read_noise_V=1e-3,
        current_noise_A=1e-8,
        adc_bits=12,
        adc_range_V=1.0,
        dac_bits=12,
        dac_range_V=1.0,
        conductance_bits=10,
    )


@pytest.fixture
def reference() -> Callable[[int], tuple[hl.Topology, np.ndarray, np.ndarray]]:
    """Return the reference experiment of a seed: topology, inputs (8, 5), realisable targets (8, 3)."""

    def make(seed: int) -> tuple[hl.Topology, np.ndarray, np.ndarray]:
        topology = hl.Topology.random(24, 55, inputs=5, outputs=3, seed=100 + seed)
        rng = np.random.default_rng(seed)
        # leave an octave at both ends, so that devices with errors can reach the targets too
        teacher = np.exp(rng.uniform(np.log(2 * LOW), np.log(HIGH / 2), topology.n_edges))
        x = rng.uniform(-0.5, 0.5, (8, 5))
        return topology, x, hl.Kirchhoff(topology, teacher).solve(x)[:, topology.outputs]

    return make


@pytest.fixture
def small() -> tuple[hl.Topology, np.ndarray, np.ndarray, np.ndarray]:
    """A random network: topology, conductances, inputs (6, 4), targets (6, 3)."""
    topology = hl.Topology.random(14, 30, inputs=4, outputs=3, seed=5)
    rng = np.random.default_rng(11)
    g = np.exp(rng.uniform(np.log(1e-5), np.log(HIGH), topology.n_edges))
    return topology, g, rng.uniform(-0.4, 0.4, (6, 4)), rng.uniform(-0.2, 0.2, (6, 3))


@pytest.fixture
def ideal_twin(small, wide_limits) -> KirchhoffTwin:
    """A programmed twin of the small network without imperfections."""
    twin = KirchhoffTwin(small[0], wide_limits)
    twin.program(small[1])
    return twin


@pytest.fixture
def without_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are composed but not rendered, which takes longer than most of the tests that make them."""

    def head_only(figure: object, file: object, **options: object) -> None:
        if hasattr(file, "write"):
            file.write(PNG_HEAD)
        else:
            Path(str(file)).write_bytes(PNG_HEAD)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", head_only)


@pytest.fixture(scope="session")
def ngspice(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, float]]:
    """Run a netlist in batch mode and return its output: node -> volts, ``source#branch`` -> amperes."""
    program = shutil.which("ngspice")
    if program is None:
        pytest.skip("ngspice is not installed")
    folder: Path = tmp_path_factory.mktemp("ngspice")

    def run(netlist: str) -> dict[str, float]:
        file = folder / "network.cir"
        file.write_text(netlist, encoding="utf-8")
        done = subprocess.run([program, "-b", file.name], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        table = done.stdout.partition("Voltage")[2].partition("models")[0]
        return {name: float(value) for name, value in re.findall(r"^\s+(\S+)\s+(-?\d\S+)$", table, re.MULTILINE)}

    return run


@pytest.fixture
def figure(record_property) -> Callable[[str], None]:
    """Return a function that adds a measured value and its requirement to the table at the end of the run."""
    return lambda text: record_property("figure", text)


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests out of garbage collections, which would take a second each."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter) -> None:
    # taken from the reports, which include those of tests in other processes
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    figures = [text for report in reports for name, text in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("measured figures")
        for line in figures:
            terminalreporter.write_line(line)
