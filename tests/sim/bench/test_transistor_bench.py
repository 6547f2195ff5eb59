"""Transistors behind virtual source-measure units and their sockets, with an edge card of DACs at the gates."""

import numpy as np
import pytest
from transistor_circuits import DEVICE

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC
from hwlearn.errors import CircuitError, LimitError, SetupError
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.bench.mixed import VirtualMixedBackend
from hwlearn_sim.bench.smu_backend import VirtualSmuBackend

LIMITS = hl.Limits(1.0, 2.0, 0.2, 0.02, values={"gate voltage": ("400 mV", "8 V")})
TOP = hl.Topology.grid(3, 3, [0, 2], [5, 7], 8).with_elements(DEVICE)
X = np.array([[0.1, 0.4], [0.35, 0.1]])
SPREAD = {"vto": "10 mV", "kp": "0.5 %"}


def opened(topology=TOP, **keys):
    backend = VirtualSmuBackend()
    settings = backend.Settings.model_validate({"model": "2612B", "positions": 4096, "seed": 3, **keys})
    return backend.open(settings, topology, LIMITS)


def test_gates_are_programmed_measured_and_trained_through_the_drivers():
    with opened(device_spread=SPREAD, noise=0.0) as network:
        rng = np.random.default_rng(1)
        values = rng.uniform(1.0, 7.0, TOP.n_edges)
        reached = network.program(values).reached
        assert np.abs(reached - values).max() <= 0.5001 * 7.6 / 4095
        twin = KirchhoffTwin(TOP, LIMITS, Imperfections(device_spread={"vto": 10e-3, "kp": 5e-3}), seed=3)
        twin.program(reached)
        assert np.abs(network.true_outputs(X) - twin.true_outputs(X)).max() < 1e-9  # equal seeds, equal devices
        assert np.abs(network.measure(X).voltages - twin.measure(X).voltages).max() < 1e-4
        with pytest.raises(LimitError, match=r"9 V at edge 0 .*gate voltage, 400 mV to 8 V"):
            network.program(np.full(TOP.n_edges, 9.0))
        targets = hl.Kirchhoff(TOP, rng.uniform(2.0, 6.0, TOP.n_edges)).solve(X)[:, TOP.outputs]
        rule = hl.CoupledLearning(0.5, symmetric=False)
        history = hl.Trainer(network, rule, hl.MSE(), hl.Adam(0.04)).fit(X, targets, 10)
        errors = [epoch.train.rms_error_V for epoch in history.epochs]
        assert min(errors) < 0.5 * errors[0]


CARD = {"name": "gates", "model": "edge-card", "gate": ["400 mV", "8 V"], "positions": 4096}
MIXED_BENCH = {
    "instruments": [{"name": name, "model": "2612B"} for name in ("in", "out")] + [CARD],
    "terminals": [{"node": TOP.names[node], "source": f"in:{k + 1}"} for k, node in enumerate((0, 2))]
    + [
        {"node": TOP.names[node], "read": f"out:{k + 1}", "nudge": f"out:{k + 1}"} for k, node in enumerate((5, 7))
    ],
    "edges": {"programmer": "gates"},
    "noise": 0.0,
    "seed": 3,
}


def test_mixed_bench_programs_gates_and_measures_the_same_circuit():
    backend = VirtualMixedBackend()
    with backend.open(backend.Settings.model_validate(MIXED_BENCH), TOP, LIMITS) as network:
        reached = network.program(np.random.default_rng(1).uniform(1.0, 7.0, TOP.n_edges)).reached
        V = hl.Kirchhoff(TOP, reached).solve(X)[:, TOP.outputs]
        assert np.abs(network.measure(X).voltages - V).max() < 1e-4
        moved = network.measure(X, hl.OutputDrive.clamp(V + 0.01))
        assert np.abs(moved.voltages - V - 0.01).max() < 1e-4
        assert (moved.output_currents > 1e-6).all()


MIXED = TOP.with_elements([OHMIC if k % 3 == 0 else DEVICE for k in range(TOP.n_edges)])
MIXED_LIMITS = hl.Limits(1.0, 2.0, 0.2, 0.02, ("20 uS", "1 mS"), values={"gate voltage": ("400 mV", "8 V")})
POTS = {"name": "pots", "model": "edge-card", "linear": ["20 uS", "1 mS"], "positions": 4096}


def with_cards(*cards, programmer=("gates", "pots"), **keys):
    backend = VirtualMixedBackend()
    table = {**MIXED_BENCH, "instruments": [*MIXED_BENCH["instruments"][:2], *cards], **keys}
    return backend, backend.Settings.model_validate({**table, "edges": {"programmer": list(programmer)}})


def test_resistors_and_gates_of_one_network_are_set_by_a_card_each():
    backend, settings = with_cards(CARD, POTS, device_spread={"vto": "10 mV", "kp": "0.5 %", "conductance": "2 %"})
    ranges = MIXED_LIMITS.ranges(MIXED)
    values = ranges.at(np.random.default_rng(1).uniform(0.3, 0.9, MIXED.n_edges), False)
    with backend.open(settings, MIXED, MIXED_LIMITS) as network:
        done = network.program(values)
        assert np.abs((done.reached - values) / (ranges.high - ranges.low)).max() <= 0.5001 / 4095
        spread = Imperfections(device_spread={"vto": 10e-3, "kp": 5e-3, "conductance": 0.02})
        twin = KirchhoffTwin(MIXED, MIXED_LIMITS, spread, seed=3)
        twin.program(done.reached)
        assert np.abs(network.measure(X).voltages - twin.true_outputs(X)).max() < 1e-4
        goals = ranges.at(np.random.default_rng(2).uniform(0.2, 0.9, MIXED.n_edges), False)
        targets = hl.Kirchhoff(MIXED, goals).solve(X)[:, MIXED.outputs]
        history = hl.Trainer(network, hl.Analytic(), hl.MSE(), hl.Adam(0.04)).fit(X, targets, 15)
        errors = [epoch.train.rms_error_V for epoch in history.epochs]
        assert min(errors) < 0.3 * errors[0]


@pytest.mark.parametrize(
    ("topology", "cards", "names", "words"),
    [
        (MIXED, [CARD], ["gates"], "a card sets values of one kind; .* name a card for each kind"),
        (MIXED, [CARD, {**CARD, "name": "more"}], ["gates", "more"], "gates sets the values in V already"),
        (MIXED, [CARD, POTS], ["gates", "gates"], "none of gates, gates sets a conductance in S"),
        (TOP, [CARD, POTS], ["gates", "pots"], "'pots': it sets values in S, which no edge has; remove it"),
        (MIXED, [CARD, POTS], ["gates", "pot"], "'pot': there is no such instrument, did you mean 'pots'"),
    ],
)
def test_cards_that_do_not_fit_a_mixed_network_are_refused(topology, cards, names, words):
    backend, settings = with_cards(*cards, programmer=names)
    with pytest.raises(SetupError, match=words):
        backend.open(settings, topology, MIXED_LIMITS)


def test_what_a_card_cannot_set_is_refused():
    mixed = TOP.with_elements([OHMIC, *[DEVICE] * (TOP.n_edges - 1)])
    with pytest.raises(SetupError, match=r"conductance and gate voltage; use .* 'virtual-bench' with a card"):
        opened(mixed)
    backend = VirtualMixedBackend()
    resistors = {**MIXED_BENCH, "instruments": [*MIXED_BENCH["instruments"][:2], {**CARD, "gate": None}]}
    settings = backend.Settings.model_validate(resistors)
    with pytest.raises(SetupError, match=r"sets values in S .*the edges have a gate voltage"):
        backend.open(settings, TOP, LIMITS)
    with pytest.raises(CircuitError, match="fixed edges cannot have elements of three terminals"):
        opened(edges=1e-4)
