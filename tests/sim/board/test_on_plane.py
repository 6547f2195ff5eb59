"""The board on the analog plane obeys Kirchhoff's laws, also together with other instruments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import EvenSteps
from hwlearn.network.limits import Limits
from hwlearn_sim import KirchhoffTwin, PlacedBoard, PlacedCard, PlacedSmu, VirtualBench
from hwlearn_sim.board.circuit import BoardCircuit, with_nudges
from hwlearn_sim.board.parts import EDGE_LAW, BoardParts
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.plane.plane import AnalogPlane

CROSSBAR = Topology.crossbar(8, 4)
STEP = 80e-6


def codes_of(volts: list[float]) -> list[int]:
    return [round(v * 65536 / 5) + 0x8000 for v in volts]


# --- the transfer matrix -------------------------------------------------------------------------------

graphs = st.sampled_from(
    [
        CROSSBAR,
        Topology.crossbar(8, 4, outputs=[0, 1, 2]),
        Topology.crossbar(5, 3, inputs=[0, 2, 3], outputs=[1], ground=4),
        Topology.random(14, 30, inputs=4, outputs=3, seed=5),
    ]
)


@given(graphs, st.integers(0, 15), st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40), deadline=None)
def test_transfer_matrix_agrees_with_plane(graph, switches, seed):
    rng = np.random.default_rng(seed)
    kappa = 1e-4 * (1 + 0.01 * rng.standard_normal(graph.n_outputs))
    plane = AnalogPlane(with_nudges(graph, kappa), np.exp(rng.uniform(-11.5, -7.6, graph.n_edges)))
    circuit = BoardCircuit(plane, "board")
    volts = rng.uniform(-2.5, 2.5, 16)
    matrix = circuit.transfer(switches)
    assert matrix is not None
    circuit.drive(switches, volts)
    np.testing.assert_allclose(matrix @ volts, circuit.output_volts(), atol=1e-12)


def test_no_transfer_matrix_if_a_dac_can_reach_its_limit(talk):
    one = talk()
    one.send("EDGE:DATA ", [0] * 32)
    one.write("SOUR:VOLT 0,2.4", "SOUR:VOLT 1,-2.4")
    assert one.bench.true_conductances[0] == pytest.approx(1 / 130)
    assert any(channel.operating_point.limited for channel in one.bench.plane.channels())
    expected = one.bench.plane.node_voltages()[one.bench.topology.outputs]
    np.testing.assert_allclose(one.volts(), expected, atol=STEP)
    ideal = one.bench.true_outputs([[2.4, -2.4, 0, 0, 0, 0, 0, 0]])[0]
    one.write("SOUR:VOLT 1,0")
    assert abs(one.volts()[0] - ideal[0]) > 0.01


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        (Topology.crossbar(9, 3), "9 inputs, the reference board 8"),
        (Topology.crossbar(4, 5), "5 outputs, the reference board 4"),
        (Topology.crossbar(11, 3, inputs=[0]), "33 edges, the reference board 32"),
    ],
)
def test_network_larger_than_board_is_refused(graph, text):
    with pytest.raises(SetupError, match=text):
        VirtualBench(graph, [PlacedBoard("board")], conductances=1e-5)


# --- alone -----------------------------------------------------------------------------------------------


def test_board_measures_free_and_nudged_outputs(talk):
    one = talk(flaws=Imperfections(device_spread=0.1), seed=3)
    assert one.bench.true_conductances != pytest.approx(float(EDGE_LAW.siemens(np.array(128))), rel=0.01)
    volts = [0.5, -0.25, 0.125, 1.0, -1.0, 0.75, 0.0, 0.3]
    nudges = [0.25, -0.1, 0.3, 0.0]
    one.write(*(f"SOUR:VOLT {k},{v}" for k, v in enumerate([*volts, *nudges])))
    free = one.bench.true_outputs([volts])[0]
    np.testing.assert_allclose(one.volts(), free, atol=2 * STEP)
    one.write("ROUT:CLOS 5")  # outputs 0 and 2
    kappa = one.bench.plane.topology.fixed_conductances
    Z = Kirchhoff(CROSSBAR, one.bench.true_conductances).output_impedance()
    closed = np.diag([1.0, 0.0, 1.0, 0.0] * kappa)
    nudged = np.linalg.solve(np.eye(4) + Z @ closed, free + Z @ closed @ nudges)
    np.testing.assert_allclose(one.volts(), nudged, atol=3 * STEP)
    assert np.abs(nudged - free).max() > 10 * STEP
    np.testing.assert_allclose(one.bench.plane.node_voltages()[CROSSBAR.outputs], nudged, atol=3 * STEP)


def test_devices_are_those_of_a_twin_with_same_seed(talk):
    flaws = Imperfections(device_spread=0.2, stuck_fraction=0.2)
    one = talk(flaws=flaws, seed=4)
    one.send("EDGE:DATA ", list(range(60, 92)))
    twin = KirchhoffTwin(CROSSBAR, Limits(2, 4, 0.5, 1e-2, (1.05e-5, 5e-4)), flaws, seed=4, edge_law=EDGE_LAW)
    twin.program(EDGE_LAW.siemens(np.arange(60, 92)))
    np.testing.assert_allclose(one.bench.true_conductances, twin.true_conductances, rtol=1e-12)


def test_noise_repeats_with_seed_and_has_stated_size(talk):
    def readings(seed: int) -> np.ndarray:
        one = talk(seed=seed, noise_V=1e-3)
        words = one.codes(one.send("SEQ:FREE? ", [0x8000] * 8 * 150))
        return np.reshape(words, (150, 5))[:, 1:]

    first = readings(1)
    np.testing.assert_array_equal(first, readings(1))
    assert (first != readings(2)).any()
    assert first.std() * 5.12 / 65536 == pytest.approx(1e-3, rel=0.15)  # 600 readings: 5 sigma


# --- the calibration record ----------------------------------------------------------------------------


def test_calibrated_record_contains_converter_errors_but_nominal_edges():
    parts = BoardParts.drawn(np.random.default_rng(0), gain=2e-3, offset_V=3e-3)
    known, nominal = parts.record("A-1", True), parts.record("A-1", False)
    assert {edge for record in (known, nominal) for edge in record.edges} == {(100_000_000, 1300)}
    assert [dac.offset_uV for dac in known.dacs] == pytest.approx(1e6 * parts.dac_offset, abs=0.5)
    assert known.nudge_pS == pytest.approx((1e12 * parts.kappa).tolist(), abs=1)
    assert all((c.gain_ppm, c.offset_uV) == (0, 0) for c in (*nominal.dacs, *nominal.adcs))
    # the record inverts the error of the ADC to 1 ppm and 1 uV
    read = 1.0 * (1 + parts.adc_gain) + parts.adc_offset
    back = [read[k] * (1 + adc.gain_ppm * 1e-6) + adc.offset_uV * 1e-6 for k, adc in enumerate(known.adcs)]
    assert back == pytest.approx([1.0] * 8, abs=2e-6)


@pytest.mark.parametrize("calibrated", [True, False])
def test_calibrated_board_sources_and_measures_true_volts(talk, calibrated):
    one = talk(gain=5e-3, offset_V=5e-3, calibrated=calibrated, seed=1)
    x = [1.5, -1.0, 0.5, 0.25, -0.25, 0.0, 1.0, 2.0]
    one.write(*(f"SOUR:VOLT {k},{v}" for k, v in enumerate(x)))
    driven = np.abs(one.bench.plane.node_voltages()[:8] - x).max()
    read = np.abs(one.volts() - one.bench.plane.node_voltages()[CROSSBAR.outputs]).max()
    assert (driven < STEP, read < STEP) == (calibrated, calibrated)


# --- with other instruments ------------------------------------------------------------------------------


def test_board_and_smu_share_one_circuit(talk):
    """The board reads the sum of its own drive and the current of another source."""
    one = talk(PlacedSmu("smu", "2450", (int(CROSSBAR.outputs[1]),)))
    smu = one.bench.instrument("smu")
    smu.execute(b":OUTP:SMOD HIMP")  # the normal off state would hold 0 V with a small current
    one.write("SOUR:VOLT 0,1")
    alone = one.volts()
    smu.execute(b":SOUR:FUNC CURR;:SOUR:CURR 2e-5;:SOUR:CURR:VLIM 5;:OUTP 1")
    model = Kirchhoff(CROSSBAR, one.bench.true_conductances)
    Z = model.output_impedance()
    np.testing.assert_allclose(one.volts(), alone + 2e-5 * Z[:, 1], atol=2 * STEP)
    assert 2e-5 * Z[1, 1] > 20 * STEP
    smu.execute(b":SOUR:CURR 0")
    one.write("SOUR:VOLT 0,-0.5")
    expected = model.solve([[-0.5, *[0] * 7]])[0, CROSSBAR.outputs[1]]
    assert float(smu.execute(b":MEAS:VOLT?").split(b",")[0]) == pytest.approx(expected, abs=STEP)
    smu.execute(b":OUTP 0")
    np.testing.assert_allclose(one.volts(), model.solve([[-0.5, *[0] * 7]])[0, 8:], atol=STEP)


def test_sequences_include_current_of_other_source(talk):
    one = talk(PlacedSmu("smu", "2450", (int(CROSSBAR.outputs[0]),)))
    one.bench.instrument("smu").execute(b":SOUR:FUNC CURR;:SOUR:CURR 1e-5;:SOUR:CURR:VLIM 5;:OUTP 1")
    x = [[1.0, 0, 0, 0, 0, 0, 0, 0], [0, -1.0, 0.5, 0, 0, 0, 0, 0]]
    words = np.reshape(one.codes(one.send("SEQ:FREE? ", [c for row in x for c in codes_of(row)])), (2, 5))
    model = Kirchhoff(CROSSBAR, one.bench.true_conductances)
    expected = model.solve(x, injected=[[1e-5, 0, 0, 0]] * 2)[:, CROSSBAR.outputs]
    np.testing.assert_array_equal(words[:, 0], 0)
    np.testing.assert_allclose((words[:, 1:] - 32000) * 5.12 / 65536, expected, atol=2 * STEP)
    np.testing.assert_allclose(one.bench.plane.node_voltages()[:8], 0, atol=1e-12, err_msg="a sequence ends safe")


def test_edge_with_two_programmers_is_refused():
    with pytest.raises(SetupError, match="another instrument already programs"):
        VirtualBench(
            CROSSBAR, [PlacedBoard("board"), PlacedCard("card", EvenSteps(1e-6, 1e-4), (3,))], conductances=1e-5
        )


def test_bench_with_two_boards_is_refused():
    with pytest.raises(SetupError, match="already programs"):
        VirtualBench(CROSSBAR, [PlacedBoard("a"), PlacedBoard("b")], conductances=1e-5)
