"""Networks of transistors train through the loop: limits, the twin, gradients, bias of nudges."""

import numpy as np
import pytest
from transistor_circuits import DEVICE

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC
from hwlearn.errors import CircuitError, LimitError, NetworkError, SetupError
from hwlearn.learning.nudge_bias import nudge_bias
from hwlearn.learning.observer import nudged_outputs
from hwlearn.learning.rules import Rule
from hwlearn.learning.rules.rule import GradientRequest
from hwlearn_sim import Imperfections, KirchhoffTwin

LIMITS = hl.Limits(1.0, 2.0, 0.2, 0.1, ("1 uS", "10 mS"), values={"gate voltage": ("0.4 V", "8 V")})
X = np.array([[0.1, 0.45], [0.4, 0.1], [0.3, 0.3]])
Y = np.array([[0.12, 0.2], [0.2, 0.1], [0.17, 0.15]])
MIXED = [DEVICE if k % 4 else OHMIC for k in range(24)]


def grid(elements=DEVICE) -> hl.Topology:
    return hl.Topology.grid(4, 4, inputs=[0, 3], outputs=[10, 13], ground=15).with_elements(elements)


def values_of(topology: hl.Topology, rng: np.random.Generator) -> np.ndarray:
    return LIMITS.ranges(topology).drawn(rng)


def gradient(rule: Rule, network: KirchhoffTwin, model: hl.Kirchhoff) -> np.ndarray:
    return rule.gradient(GradientRequest(network, model, X, Y, hl.MSE())).values


# --- limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [(8.01, "8.01 V at edge 5 .*gate voltage, 400 mV to 8 V"), (0.39, "390 mV at edge 5"), (np.nan, "edge 5")],
)
def test_gate_voltage_outside_its_limits_is_refused_before_the_wire(value, words, mocker):
    twin = KirchhoffTwin(grid(MIXED), LIMITS)
    reached = mocker.spy(twin, "_program")
    targets = LIMITS.ranges(twin.topology).middle()
    targets[5] = value
    with pytest.raises(LimitError, match=words):
        twin.program(targets)
    targets[5], targets[4] = 5.0, 0.5  # a conductance of 0.5 S
    with pytest.raises(LimitError, match=r"500 mS at edge 4 .*limits\.conductance = 1 uS to 10 mS"):
        twin.program(targets)
    assert reached.call_count == 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"gate": ("0.4 V", "8 V")}, "give numbers in the unit of the element"),
        ({"gate voltage": ("0.4 S", "8 V")}, "'0.4 S' is not in V"),
        ({"gate voltage": (8.0, 0.4)}, "the smaller first"),
        ({"gate voltage": 8.0}, "two values"),
        ({"gate voltage": (0.4, True)}, "not a quantity"),
        ({"threshold": (0.0, 1.0)}, r"no range of the gate voltage .*limits\.gate_voltage"),
        ({"gate voltage": (0.0, 12.0)}, "accept 0 to 10 V"),
    ],
)
def test_limits_that_cannot_be_right_are_refused(values, words):
    with pytest.raises(LimitError, match=words):
        KirchhoffTwin(grid(), hl.Limits(1.0, 2.0, 0.2, 0.1, values=values))


def test_conductances_of_transistors_are_refused_by_name():
    trainer = hl.Trainer(KirchhoffTwin(grid(), LIMITS), hl.Analytic(), hl.MSE(), hl.Adam())
    history = trainer.fit(X, Y, 0)
    assert np.allclose(history.values, 4.2)
    for owner in (history, trainer.model):
        with pytest.raises(CircuitError, match="gate voltage in V, no conductance; use values"):
            _ = owner.conductances


# --- the twin -------------------------------------------------------------------------------------------


def test_twin_with_spread_is_the_circuit_of_different_transistors():
    flaws = Imperfections(device_spread={"vto": 10e-3, "kp": 5e-3})
    large = hl.Topology.grid(20, 20, ground=399).with_elements(DEVICE)
    thresholds, strengths = np.array(
        [(one.vto, one.kp) for one in KirchhoffTwin(large, LIMITS, flaws).true_elements]
    ).T
    assert (thresholds - DEVICE.vto).std() == pytest.approx(10e-3, rel=0.1)  # 760 devices: 2.6 % at one sigma
    assert (strengths / DEVICE.kp).std() == pytest.approx(5e-3, rel=0.1)
    assert abs(np.corrcoef(thresholds, strengths)[0, 1]) < 0.15
    twin = KirchhoffTwin(grid(MIXED), LIMITS, flaws, seed=1)
    values = values_of(twin.topology, np.random.default_rng(1))
    twin.program(values)
    circuit = hl.Kirchhoff(grid(twin.true_elements), values)
    assert np.array_equal(twin.measure(X).voltages, circuit.solve(X)[:, [10, 13]])
    only_one = KirchhoffTwin(grid(MIXED), LIMITS, Imperfections(device_spread={"kp": 5e-3}), seed=1).true_elements
    assert [one.kp for one in only_one if one != OHMIC] == [one.kp for one in twin.true_elements if one != OHMIC]


def test_ideal_twin_is_the_engine_and_spread_is_hidden_from_the_model():
    top = grid(MIXED)
    values = values_of(top, np.random.default_rng(2))
    ideal = KirchhoffTwin(top, LIMITS)
    assert np.array_equal(ideal.program(values).reached, values)
    V = hl.Kirchhoff(top, values).solve(X)[:, top.outputs]
    assert np.array_equal(ideal.measure(X).voltages, V)
    chips = [
        KirchhoffTwin(top, LIMITS, Imperfections(device_spread={"vto": 10e-3, "kp": 5e-3}), seed=seed)
        for seed in (1, 1, 2)
    ]
    read = [chip.program(values) and chip.measure(X).voltages for chip in chips]
    assert np.array_equal(read[0], read[1])
    assert all(1e-6 < np.abs(one - other).max() < 5e-3 for one, other in ((read[0], V), (read[0], read[2])))
    assert chips[0].topology == top  # the model is made of the declared elements


def test_gate_voltages_are_quantised_and_written_with_noise():
    top = grid(MIXED)
    flaws = Imperfections(value_bits={"gate voltage": 4}, write_noise={"gate voltage": 1e-2})
    twin = KirchhoffTwin(top, LIMITS, flaws, seed=1)
    values = values_of(top, np.random.default_rng(3))
    reached = twin.program(values).reached
    gates = np.array([element is DEVICE for element in MIXED])
    codes = (reached[gates] - 0.4) / (7.6 / 15)
    assert np.abs(codes - np.rint(codes)).max() < 1e-9
    assert np.abs(reached - values)[gates].max() <= 7.6 / 30 + 1e-9
    assert np.array_equal(reached[~gates], values[~gates])
    assert np.array_equal(twin.true_values[~gates], values[~gates])
    assert 0.004 < (twin.true_values - reached)[gates].std() < 0.02


@pytest.mark.parametrize(
    ("flaws", "words"),
    [
        ({"device_spread": 0.1}, "device_spread as one number is of conductances"),
        ({"device_spread": {"beta": 0.1}}, "'beta'"),
        ({"write_noise": {"gate": 0.1}}, "'gate'"),
        ({"drift_per_sqrt_hour": 0.1}, "drift_per_sqrt_hour"),
        ({"conductance_bits": 8}, "conductance_bits"),
    ],
)
def test_imperfections_that_transistors_do_not_have_are_refused(flaws, words):
    with pytest.raises(SetupError, match=words):
        KirchhoffTwin(grid(), LIMITS, Imperfections(**flaws))


# --- learning -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elements", [DEVICE, MIXED], ids=["transistors", "mixed"])
def test_gradient_through_the_loop_is_that_of_central_differences(elements):
    twin = KirchhoffTwin(grid(elements), LIMITS)
    values = values_of(twin.topology, np.random.default_rng(4))
    twin.program(values)
    found = gradient(hl.Analytic(), twin, hl.Kirchhoff(twin.topology, values))
    numeric = np.zeros(24)
    for k in range(24):
        # gates cannot be moved below their limits, so the step is one of the twin's circuit
        step = 1e-4 * values[k] * np.eye(24)[k]
        costs = [
            0.5 * ((hl.Kirchhoff(twin.topology, values + sign * step).solve(X)[:, [10, 13]] - Y) ** 2).sum(axis=1)
            for sign in (1, -1)
        ]
        numeric[k] = (costs[0] - costs[1]).mean() / (2 * step[k])
    assert np.abs(found - numeric).max() < 1e-6 * np.abs(numeric).max()


RULES = {
    "analytic": hl.Analytic(),
    "coupled learning": hl.CoupledLearning(0.5, symmetric=False),
    "coupled learning, nodes": hl.CoupledLearning(0.5, symmetric=False, readout="nodes"),
    "equilibrium propagation": hl.EquilibriumPropagation(),
    "resistor": hl.GEP(hl.ResistorNudge(kappa=1e-3)),
    "computed": hl.GEP("current", nudged="computed"),
}


@pytest.mark.share(2)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_lowers_the_error_of_a_mismatched_chip(rule):
    flaws = Imperfections(device_spread={"vto": 10e-3, "kp": 5e-3}, read_noise_V=1e-5, current_noise_A=1e-9)
    twin = KirchhoffTwin(grid(MIXED), LIMITS, flaws, seed=5, node_readout=rule.endswith("nodes"))
    teacher = LIMITS.ranges(twin.topology).at(np.random.default_rng(8).uniform(0.2, 0.8, 24), True)
    targets = hl.Kirchhoff(twin.topology, teacher).solve(X)[:, [10, 13]]
    history = hl.Trainer(twin, RULES[rule], hl.MSE(), hl.Adam(0.04, scale="log")).fit(X, targets, 15)
    errors = [epoch.train.rms_error_V for epoch in history.epochs]
    assert min(errors) < 0.4 * errors[0]


def test_node_readings_give_the_contrast_of_the_observer_on_an_ideal_twin():
    top = grid()
    values = values_of(top, np.random.default_rng(6))
    twin = KirchhoffTwin(top, LIMITS, node_readout=True)
    twin.program(values)
    model = hl.Kirchhoff(top, values)
    outputs, nodes = (
        gradient(hl.CoupledLearning(0.3, readout=readout), twin, model) for readout in ("outputs", "nodes")
    )
    assert np.abs(outputs - nodes).max() < 1e-8 * np.abs(nodes).max()
    with pytest.raises(NetworkError, match="reads only its outputs"):
        gradient(hl.CoupledLearning(0.3, readout="nodes"), KirchhoffTwin(top, LIMITS), model)


def test_bias_of_nudges_vanishes_on_resistors_and_stays_on_transistors():
    rng = np.random.default_rng(7)
    resistors = grid(OHMIC)
    moves = [1e-3, 1e-2, 1e-1]
    e = rng.standard_normal((3, 2))
    model = hl.Kirchhoff(resistors, 10 ** rng.uniform(-5, -3, 24))
    for one in nudge_bias(model, X, e, moves):
        assert one.length == pytest.approx(1, abs=1e-9)
        assert one.cosine == pytest.approx(1, abs=1e-9) or one.nudge == "clamp"
    one_sided = [one.cosine for one in nudge_bias(model, X, e, moves, symmetric=False) if one.nudge == "current"]
    assert 1 > one_sided[0] > one_sided[1] > one_sided[2]
    top = grid()
    model = hl.Kirchhoff(top, values_of(top, rng))
    found = [one for one in nudge_bias(model, X, e, moves) if one.nudge == "current"]
    assert all(1e-6 < 1 - one.cosine < 0.1 and abs(one.length - 1) > 0.05 for one in found)


def test_optimizer_moves_gates_linearly_and_conductances_on_their_scale():
    top = grid(MIXED)
    ranges = LIMITS.ranges(top)
    gates = np.array([element is DEVICE for element in MIXED])
    optimizer = hl.Sign(0.1, scale="log")
    optimizer.start(np.where(gates, 4.0, 1e-4), ranges)
    start = optimizer.shadow
    moved = optimizer.step(-np.ones(24), np.ones(24, dtype=bool))
    assert np.allclose(moved[gates] - start[gates], 0.76)
    assert np.allclose(moved[~gates] / start[~gates], 10 ** (0.1 * 4))
    for _ in range(40):
        optimizer.step(np.ones(24), np.ones(24, dtype=bool))
    assert np.allclose(optimizer.shadow, np.where(gates, 0.4, 1e-6), rtol=1e-12)


@pytest.mark.parametrize("trusts_model", [True, False])
def test_observer_weighs_readings_against_an_impedance_that_is_not_symmetric(trusts_model):
    rng = np.random.default_rng(9)
    model = hl.Kirchhoff(grid(), values_of(grid(), rng))
    Z = model.output_impedance(X)
    assert np.abs(Z - Z.swapaxes(1, 2)).max() > 1e-4 * np.abs(Z).max()
    moved, current = 1e-2 * rng.standard_normal((3, 2)), 1e-4 * rng.standard_normal((3, 2))
    plus, minus = (
        hl.Readout(sign * moved / 2, output_currents=sign * current / 2, voltage_sigma=1e-3) for sign in (1, -1)
    )
    high, low = nudged_outputs(model, X, plus, plus, minus, 0.0 if trusts_model else 1e6)
    expected = np.einsum("sij,sj->si", Z, current) if trusts_model else moved
    assert np.abs(high - low - expected).max() < 1e-6 * np.abs(expected).max()
