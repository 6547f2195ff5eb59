"""pytest plugin: fixtures with simulated networks and virtual instruments, and tests of real benches.

pytest loads it wherever hwlearn is installed. So it imports nothing slow before a fixture is used, and changes
nothing in test runs that use neither its fixtures nor its marker. ``docs/ci.md`` describes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from hwlearn.lab.bench.bench import Bench
    from hwlearn_sim.fixtures import (
        BenchFactory,
        BoardFactory,
        FaultInjector,
        InstrumentFactory,
        SmuFactory,
        TwinFactory,
    )
    from hwlearn_sim.fixtures.hardware import HardwareBench

MARKER: Final = (
    "hardware: test of a real bench; skipped unless --bench FILE is given, which the fixture `bench` opens"
)
SKIPPED: Final = "tests a real bench: give its bench file with --bench FILE"

_BENCH: Final[pytest.StashKey[HardwareBench]] = pytest.StashKey()


# --- hooks --------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--bench FILE`` and ``--bench-set KEY=VALUE``."""
    group = parser.getgroup("hwlearn", "benches of hwlearn")
    group.addoption(
        "--bench",
        dest="hwlearn_bench",
        metavar="FILE",
        help="run the tests with the marker `hardware` on the bench of this bench file, or on one that comes "
        "with hwlearn, such as virtual-smu. Limits are those of the file; outputs are off after every test",
    )
    group.addoption(
        "--bench-set",
        dest="hwlearn_bench_set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the bench file, such as backend.kind=virtual-bench; repeatable",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; check the bench file, and that one process alone will use the bench."""
    config.addinivalue_line("markers", MARKER)
    name, changes = config.getoption("hwlearn_bench"), config.getoption("hwlearn_bench_set")
    if hasattr(config, "workerinput"):  # a process of pytest-xdist
        return
    if name is None:
        if changes:
            raise pytest.UsageError("--bench-set changes a key of a bench file; give that too: --bench FILE")
        return
    if getattr(config.option, "numprocesses", None) or getattr(config.option, "tx", None):
        raise pytest.UsageError(
            f"--bench {name}: a bench has one owner, and pytest-xdist would share it between processes; run the "
            "tests of the bench alone: pytest -m hardware -n 0 --bench FILE"
        )
    from hwlearn.errors import HwlearnError
    from hwlearn_sim.fixtures.hardware import HardwareBench

    given = config.invocation_params.dir / name
    try:
        config.stash[_BENCH] = HardwareBench(str(given) if given.is_file() else name, changes)
    except HwlearnError as error:
        raise pytest.UsageError(f"--bench {name}: {error}") from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the bench on which tests will act."""
    bench = config.stash.get(_BENCH, None)
    if bench is None:
        return None
    return f"bench of the tests marked `hardware`: {' '.join([bench.name, *bench.changes])}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests with the marker ``hardware`` unless a bench file is given."""
    if _BENCH not in config.stash:
        for item in items:
            if item.get_closest_marker("hardware") is not None:
                item.add_marker(pytest.mark.skip(reason=SKIPPED))


# --- fixtures -----------------------------------------------------------------------------------------


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The bench of ``--bench FILE``, opened as a `hwlearn.Bench`; the test is skipped without that option.

    Limits are those of the file. All outputs are switched off before and after each test, also if it fails, and
    after Ctrl-C. Unless $HWLEARN_RUNS is set, its trainings are recorded in the temporary folder of the test.
    """
    hardware = request.config.stash.get(_BENCH, None)
    if hardware is None:
        pytest.skip(SKIPPED)
    if not os.environ.get("HWLEARN_RUNS"):
        monkeypatch.setenv("HWLEARN_RUNS", str(tmp_path / "runs"))
    with hardware.opened() as opened:
        yield opened


@pytest.fixture
def kirchhoff_twin(_hwlearn_stack: ExitStack) -> TwinFactory:
    """Return a function that makes a `hwlearn_sim.KirchhoffTwin`, a simulated network, until the test ends.

    ``kirchhoff_twin(topology, limits, imperfections, conductances=..., seed=...)``; all are optional.
    """
    from hwlearn_sim.fixtures.factories import TwinFactory

    return TwinFactory(_hwlearn_stack)


@pytest.fixture
def virtual_bench(_hwlearn_stack: ExitStack) -> BenchFactory:
    """Return a function that serves a `hwlearn_sim.VirtualBench` until the test ends, and returns it.

    It takes what `VirtualBench` takes: a topology, a list of instruments, and their conductances.
    """
    from hwlearn_sim.fixtures.factories import BenchFactory

    return BenchFactory(_hwlearn_stack)


@pytest.fixture
def virtual_instrument(_hwlearn_stack: ExitStack) -> InstrumentFactory:
    """Return a function that serves one instrument on resistors until the test ends.

    ``smu = virtual_instrument("2400", ohms=2200)``; then ``smu.address`` for your program, ``smu.channels``,
    ``smu.outputs_on`` and ``smu.faults`` for the test.
    """
    from hwlearn_sim.fixtures.factories import InstrumentFactory

    return InstrumentFactory(_hwlearn_stack)


@pytest.fixture
def virtual_smu(_hwlearn_stack: ExitStack) -> SmuFactory:
    """Return a function that serves one source-measure unit until the test ends, and returns its VISA address.

    It takes what `VirtualBench.of` takes: the model, and the resistances in ohm at its channels.
    """
    from hwlearn_sim.fixtures.factories import SmuFactory

    return SmuFactory(_hwlearn_stack)


@pytest.fixture
def virtual_board(_hwlearn_stack: ExitStack) -> BoardFactory:
    """Return a function that serves a reference board with its real firmware until the test ends.

    ``board = virtual_board(topology, noise_V=1e-4)``; then ``board.address`` for your program, or ``board.open()``
    for a network through hwlearn's driver. It needs a C compiler.
    """
    from hwlearn_sim.fixtures.factories import BoardFactory

    return BoardFactory(_hwlearn_stack)


@pytest.fixture
def faults() -> Iterator[FaultInjector]:
    """Inject faults of connections, instruments and edges; those of connections and readings end with the test.

    ``faults.wire(smu, "dropped", after=2)``, ``faults.mute(smu)``, ``faults.power_loss(smu)``,
    ``faults.readings(smu, "compliance")``, ``faults.edges(twin, [3], "open", at_step=5)``.
    """
    from hwlearn_sim.fixtures.injector import FaultInjector

    injector = FaultInjector()
    yield injector
    injector.clear()


@pytest.fixture
def _hwlearn_stack() -> Iterator[ExitStack]:
    """What the factories of one test have made, closed in the opposite order when it ends."""
    with ExitStack() as stack:
        yield stack
