"""`TerminalNetwork` on virtual source-measure units, against the circuit and against `SmuNetwork`."""

import time

import numpy as np
import pytest
from smu_rack import LIMITS, QUIET, Rack

import hwlearn as hl
from hwlearn.errors import ComplianceError, SetupError
from hwlearn.network.edge_codes import EvenSteps
from hwlearn_drivers.bench.backend import BenchBackend
from hwlearn_drivers.errors import OutputStateError
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.placed import PlacedCard, PlacedSmu


@pytest.fixture(scope="module")
def graph():
    return hl.Topology.random(9, 20, inputs=3, outputs=2, seed=4)


@pytest.fixture(scope="module")
def teacher(graph):
    return np.random.default_rng(8).uniform(2e-5, 1e-4, graph.n_edges)


INPUTS = np.random.default_rng(2).uniform(-0.3, 0.3, (4, 3))


class SmuBench:
    """Virtual SMUs and an edge card, opened with the backend ``bench``."""

    def __init__(self, graph, **settings):
        a, b, c = graph.inputs.tolist()
        y, z = graph.outputs.tolist()
        placed = [
            PlacedSmu("one", "2400", (a,)),
            PlacedSmu("two", "2612B", (b, y)),
            PlacedSmu("three", "B2902A", (c,)),
            PlacedSmu("four", "2450", (z,)),
            PlacedCard("card", EvenSteps(*LIMITS.conductance, 1024)),
        ]
        self.virtual = VirtualBench(graph, placed, conductances=1e-4, meters=QUIET, seed=4).start()
        models = {"one": "2400", "two": "2612B", "three": "B2902A", "four": "2450"}
        instruments = [
            {"name": name, "model": model, "address": self.virtual.address(name), "voltage_sigma": "20 uV"}
            for name, model in models.items()
        ]
        linear = [f"{siemens} S" for siemens in LIMITS.conductance]
        card = {"model": "edge-card", "address": self.virtual.address("card"), "linear": linear, "positions": 1024}
        terminals = [
            {"node": a, "source": "one:a", "read": "one:a"},
            {"node": b, "source": "two:a", "read": "two:a"},
            {"node": c, "source": "three:1", "read": "three:1"},
            {"node": y, "read": "two:b", "nudge": "two:b"},
            {"node": z, "read": "four:a", "nudge": "four:a"},
        ]
        table = {
            "instruments": [*instruments, {"name": "card1", **card}],
            "terminals": terminals,
            "edges": {"programmer": "card1"},
            "settle": 0,
            "slew_V_per_s": 1e5,
            "ramp_step": "1 V",
        }
        self.settings = BenchBackend.Settings(**(table | settings))
        try:
            self.network = BenchBackend.open(self.settings, graph, LIMITS)
        except BaseException:
            self.virtual.close()
            raise

    def goes_off(self):
        """Wait until every output is off: OFF has no reply and may not have been processed yet."""
        deadline = time.monotonic() + 10
        smus = [self.virtual.instrument(name) for name in ("one", "two", "three", "four")]
        while any(channel.settings.output for smu in smus for channel in smu.channels):
            assert time.monotonic() < deadline

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.network.close()
        finally:
            self.virtual.close()


def test_readings_equal_those_of_the_smu_network(graph, teacher):
    """The same request gives the same readings, currents included, as the backend ``smu`` on the same circuit."""
    drives = [
        None,
        hl.OutputDrive.clamp([[0.1, np.nan], [0.0, 0.1], [-0.1, 0.05], [0.2, 0.2]]),
        hl.OutputDrive.current([[1e-6, np.nan], [0.0, 2e-6], [-1e-6, 1e-6], [2e-6, 2e-6]]),
        None,
    ]
    found = []
    for made in (SmuBench(graph), Rack(graph)):
        with made:
            made.network.program(teacher)
            found.append([made.network.measure(INPUTS, drive) for drive in drives])
            assert {"clamp", "current"} == made.network.nudges
    for mixed, smus in zip(*found, strict=True):
        np.testing.assert_allclose(mixed.voltages, smus.voltages, atol=2e-6)
        np.testing.assert_allclose(mixed.output_currents, smus.output_currents, atol=1e-9)
        np.testing.assert_allclose(mixed.source_currents, smus.source_currents, atol=1e-9)


def test_compliance_names_the_terminal_and_switches_off(graph):
    with SmuBench(graph) as made:
        made.network.program(np.full(graph.n_edges, 2e-4))
        with pytest.raises(ComplianceError, match=r"two.*node.*limit"):
            made.network.measure(INPUTS, hl.OutputDrive.current(np.full((4, 2), 1e-3)))
        made.goes_off()


def test_a_channel_that_somebody_switched_off_stays_off(graph, teacher):
    with SmuBench(graph) as made:
        made.network.program(teacher)
        made.network.measure(INPUTS)
        made.virtual.instrument("four").channels[0].settings.output = False
        with pytest.raises(OutputStateError, match="2450"):
            made.network.measure(INPUTS)
        with pytest.raises(OutputStateError):
            made.network.measure(INPUTS)
        made.network.reconnect()
        made.network.measure(INPUTS)


def test_wiring_problems_are_named_together_before_anything_is_opened(graph):
    a, b, c = graph.inputs.tolist()
    y, _ = graph.outputs.tolist()
    table = {
        "instruments": [{"name": "one", "model": "2400", "address": "TCPIP::127.0.0.1::9::SOCKET"}],
        "terminals": [
            {"node": a, "source": "one:a"},
            {"node": b, "source": "one:a"},
            {"node": c, "read": "oen:b"},
            {"node": y, "read": "one:b"},
        ],
        "edges": "47 uS",
    }
    with pytest.raises(SetupError) as caught:
        BenchBackend.open(BenchBackend.Settings(**table), graph, LIMITS)
    text = str(caught.value)
    for part in (
        "one:a is connected to two nodes",
        "there is no instrument 'oen', did you mean 'one'?",
        "has no channel 'b'",
        f"input {graph.names[c]} has no source",
        f"output {graph.names[graph.outputs[1]]} has no reader",
    ):
        assert part in text


def test_status_reads_what_a_bench_has_left_on(graph, teacher):
    """The process that uses the instruments is asked; afterwards the instruments themselves, with queries."""
    with SmuBench(graph) as made:
        made.network.program(teacher)
        made.network.measure(INPUTS)
        made.network.close()
        reports = BenchBackend.status(made.settings)
    assert [report.reported_by for report in reports] == ["instrument"] * 5
    assert not any(output.on for report in reports for output in report.outputs)
    assert {output.node for report in reports for output in report.outputs} >= {str(graph.inputs[0])}
    assert "20 edges with codes" in reports[4].facts["edges"]
