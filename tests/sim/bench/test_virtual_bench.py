"""Virtual benches: several served instruments on one circuit, and the backend that opens them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, ComplianceError, SetupError
from hwlearn.network.edge_codes import EvenSteps
from hwlearn.network.limits import Limits
from hwlearn.network.network import TargetError
from hwlearn.network.nudges import ClampNudge
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.bench.smu_backend import VirtualSmuBackend, VirtualSmuSettings
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import PlacedCard, PlacedSmu

QUIET = Meters(noise=0.0)
CROSSBAR = Topology.crossbar(4, 3, inputs=[0, 1, 2], outputs=[0, 1])
LIMITS = Limits(0.5, 1.0, 0.2, 1e-3, (1e-6, 1e-4))


def test_all_models_share_one_circuit(connect):
    """The reading of each instrument agrees with `Kirchhoff` to its resolution."""
    topology = Topology(
        5, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (1, 3)], inputs=[1, 2], outputs=[3, 4], ground=0
    )
    g = np.array([1e-4, 2e-4, 1.5e-4, 3e-4, 1e-4, 5e-5])
    placed = [
        PlacedSmu("a", "2400", (1,)),
        PlacedSmu("b", "2450", (2,)),
        PlacedSmu("c", "2612B", (3,)),
        PlacedSmu("d", "B2902A", (4,)),
    ]
    with VirtualBench(topology, placed, conductances=g, meters=QUIET) as bench:
        a, b, c, d = (connect(bench.address(name)) for name in "abcd")
        a.send(b":SOUR:VOLT 0.3;:SENS:CURR:PROT 1e-2;:FORM:ELEM CURR;:OUTP 1\n")
        b.send(b":SOUR:VOLT -0.2;:SOUR:VOLT:ILIM 1e-2;:OUTP 1\n")
        c.send(b"format.asciiprecision=12 smua.source.func=0 smua.source.leveli=1e-5 smua.source.output=1\n")
        d.send(b":SOUR1:FUNC:MODE CURR;:SOUR1:CURR 0;:SENS1:VOLT:PROT 2;:OUTP1 1\n")
        for client in (a, b, c, d):
            assert client.query(b"*OPC?") == b"1"
        V = Kirchhoff(topology, g).solve([0.3, -0.2], injected=[1e-5, 0.0])
        into = Kirchhoff(topology, g).source_currents(V)[0]
        assert float(a.query(b":READ?")) == pytest.approx(into[0], abs=1e-9)
        assert float(b.query(b":READ?")) == pytest.approx(into[1], abs=5.01e-10)
        assert float(c.query(b"print(smua.measure.v())")) == pytest.approx(V[0, 3], abs=1e-7)
        assert float(d.query(b":MEAS:VOLT? (@1)")) == pytest.approx(V[0, 4], abs=1e-7)
        np.testing.assert_allclose(bench.plane.node_voltages(), V[0], rtol=1e-9, atol=1e-12)


def test_instruments_are_listed_with_addresses_and_nodes():
    placed = [
        PlacedSmu("one", "2612B", (0, 1)),
        PlacedSmu("two", "2400", (5,)),
        PlacedCard("card", EvenSteps(1e-6, 1e-4)),
    ]
    bench = VirtualBench(CROSSBAR, placed, conductances=1e-5)
    with pytest.raises(SetupError, match="not being served"):
        bench.address("one")
    with bench:
        listed = bench.instruments
        assert [(row["name"], row["model"], row["node"]) for row in listed] == [
            ("one", "2612B", [0, 1]), ("two", "2400", 5), ("card", "edge card", None)
        ]  # fmt: skip
        assert len({row["address"] for row in listed}) == 3
        with pytest.raises(SetupError, match="serves no instrument 'three'"):
            bench.address("three")
    bench.close()


def test_true_values_are_those_of_a_twin_with_same_seed():
    flaws = Imperfections(device_spread=0.2, stuck_fraction=0.2)
    bench = VirtualBench(
        CROSSBAR, [], conductances=2e-5, conductance=LIMITS.conductance, imperfections=flaws, seed=4
    )
    twin = KirchhoffTwin(CROSSBAR, LIMITS, flaws, seed=4)
    twin.program(np.full(CROSSBAR.n_edges, 2e-5))
    np.testing.assert_allclose(bench.true_conductances, twin.true_conductances, rtol=1e-12)
    x = [[0.1, -0.2, 0.3], [0.4, 0.0, -0.1]]
    np.testing.assert_allclose(bench.true_outputs(x), twin.true_outputs(x), rtol=1e-9)


def test_adding_an_instrument_does_not_change_noise_of_others():
    def reading(*more: PlacedSmu) -> bytes:
        bench = VirtualBench(CROSSBAR, [PlacedSmu("one", "2400", (0,)), *more], conductances=1e-5, seed=9)
        return bench.instrument("one").execute(b":OUTP 1;:READ?")

    assert reading() == reading() == reading(PlacedSmu("two", "2450", (1,)))


@pytest.mark.parametrize(
    ("placed", "error", "text"),
    [
        ([PlacedSmu("a", "2400", (0,)), PlacedSmu("a", "2450", (1,))], SetupError, "must be different"),
        ([PlacedSmu("a", "9000", (0,))], SetupError, "no virtual model '9000'"),
        ([PlacedSmu("a", "2400", (0, 1))], SetupError, "1 channel"),
        ([PlacedSmu("a", "2400", (99,))], CircuitError, "node 99"),
        (
            [PlacedCard("a", EvenSteps(1e-6, 1e-4)), PlacedCard("b", EvenSteps(1e-6, 1e-4), (3,))],
            SetupError,
            "another instrument",
        ),
    ],
)
def test_invalid_benches_are_refused(placed, error, text):
    with pytest.raises(error, match=text):
        VirtualBench(CROSSBAR, placed, conductances=1e-5)


def test_failed_start_leaves_nothing_open(rack):
    with VirtualBench(CROSSBAR, [PlacedSmu("a", "2400", (0,))], conductances=1e-5) as first:
        taken = int(first.address("a").split("::")[2])
        second = VirtualBench(
            CROSSBAR,
            [PlacedSmu("b", "2400", (0,)), PlacedSmu("c", "2400", (1,), port=taken)],
            conductances=1e-5,
        )
        with pytest.raises(SetupError, match="cannot be served"):
            second.start()


# --- the backend -----------------------------------------------------------------------------------------


@pytest.mark.share(2)
@pytest.mark.parametrize("model", ["2400", "2450", "2612B", "B2902A", ["B2902A", "2400"]])
def test_driver_readings_agree_with_true_values_for_every_model(model):
    settings = VirtualSmuSettings(model=model, noise=0.0, device_spread=0.1, seed=2)
    x = np.array([[0.1, 0.2, -0.3], [0.4, -0.4, 0.1]])
    with VirtualSmuBackend().open(settings, CROSSBAR, LIMITS) as network:
        programmed = network.program(np.full(CROSSBAR.n_edges, 3e-5))
        assert not programmed.failed.any()
        np.testing.assert_allclose(programmed.reached, 3e-5, rtol=0.03)
        step = 1e-5 if "2400" in model else 1e-6  # of a 2 V range
        readout = network.measure(x)
        np.testing.assert_allclose(readout.voltages, network.true_outputs(x), atol=step)
        assert readout.voltage_sigma == pytest.approx(step / np.sqrt(12))
        both = network.two_phase(x, TargetError(np.zeros((2, 2))), ClampNudge())
        assert (both.strength > 0).all()
        model_of = Kirchhoff(CROSSBAR, network.true_conductances)
        clamped = model_of.solve(x, clamped=both.plus.voltages)
        np.testing.assert_allclose(both.plus.output_currents, model_of.output_currents(clamped), atol=2e-8)


def test_closing_network_stops_bench(connect):
    network = VirtualSmuBackend().open(VirtualSmuSettings(edges=1e-5), CROSSBAR, LIMITS)
    address = network.bench.instruments[0]["address"]
    network.measure([[0.1, 0.1, 0.1]])
    plane = network.bench.plane
    network.close()
    assert not any(channel.operating_point.volts for channel in plane.channels()), "an output is still on"
    with pytest.raises(OSError, match="refused"):
        connect(address)


def test_drivers_report_compliance(wait_until):
    limits = Limits(0.5, 1.0, 0.2, 1e-6, (1e-6, 1e-4))
    with VirtualSmuBackend().open(VirtualSmuSettings(model="2612B", edges=1e-4), CROSSBAR, limits) as network:
        with pytest.raises(ComplianceError):
            network.measure([[0.5, -0.5, 0.5]])
        channels = network.bench.plane.channels
        wait_until(lambda: all(channel.operating_point.volts == 0 for channel in channels()))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_backend_works_over_pseudo_terminals():
    settings = VirtualSmuSettings(wire="pty", noise=0.0)
    with VirtualSmuBackend().open(settings, CROSSBAR, LIMITS) as network:
        x = [[0.1, 0.2, 0.3]]
        np.testing.assert_allclose(network.measure(x).voltages, network.true_outputs(x), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"model": "9000"}, "no virtual model '9000'"),
        ({"driver": {"nplcs": 3}}, "nplcs"),
        ({"model": []}, "no virtual model ''"),
    ],
)
def test_invalid_settings_are_refused(settings, text):
    with pytest.raises(SetupError, match=text):
        VirtualSmuBackend().open(VirtualSmuSettings(**settings), CROSSBAR, LIMITS)
