"""The benches of transistor networks that ship: their data, circuits and initial gates."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import SetupError


@pytest.mark.parametrize(
    ("name", "samples", "transistors"), [("digits", 1797, 1280), ("ionosphere", 351, 147), ("xor", 4, 32)]
)
def test_benches_have_the_published_sizes(name, samples, transistors):
    with hl.open_bench(f"{name}-nmos") as bench:
        low, high = bench.file.train.initial
        gates = bench.trainer().model.values
        assert len(bench.data.inputs) == samples
        assert len(gates) == transistors
        assert ((gates >= low) & (gates <= high)).all()
        assert np.ptp(gates) > 0.5 * (high - low)


def test_ionosphere_has_the_published_classes_and_voltages():
    with hl.open_bench("ionosphere-nmos") as bench:
        data, top = bench.data, bench.topology
    assert data.classes == ("bad", "good")
    assert np.bincount(data.targets).tolist() == [126, 225]
    assert np.abs(data.inputs).max() == pytest.approx(0.8)
    fan_in = np.bincount(top.edges[:, 1], minlength=41)
    assert sorted(fan_in[34:39].tolist()) == [13, 13, 14, 14, 14]
    assert fan_in[39:].tolist() == [39, 40]


def test_digits_are_pixels_from_0_to_1_volt():
    with hl.open_bench("digits-nmos") as bench:
        assert bench.data.inputs.min() == 0.0
        assert bench.data.inputs.max() == 1.0


def test_own_network_of_digits_has_hidden_nodes_and_at_most_1300_transistors():
    with hl.open_bench("digits-hidden-nmos") as bench:
        top, gates = bench.topology, bench.trainer().model.values
    assert len(gates) == 1284 <= 1300
    roles = {node: name.rstrip("0123456789") for node, name in enumerate(top.names)}
    assert sorted(roles.values()) == ["hidden"] * 9 + ["line"] * 20 + ["pixel"] * 64
    joined = [(roles[a], roles[b]) for a, b in top.edges.tolist()]
    counts = {pair: joined.count(pair) for pair in set(joined)}
    assert counts == {("pixel", "line"): 960, ("pixel", "hidden"): 144, ("hidden", "line"): 180}
    assert set(top.edges[:, 0]) >= set(top.inputs.tolist())


@pytest.mark.parametrize(
    "name", ["digits", "digits-diode", "digits-nmos", "digits-hidden-nmos", "ionosphere-nmos"]
)
def test_noise_of_training_inputs_stays_within_the_limits(name):
    """A training whose noise exceeds a limit would be refused in some epoch."""
    bench, rng = hl.open_bench(name), np.random.default_rng(0)
    rows = bench.data.inputs[bench.data.train]
    for _ in range(5):
        shown = rows if bench.data.jitter is None else bench.data.jitter(rows, rng)
        assert np.abs(shown).max() <= bench.limits.voltage
        assert np.ptp(shown, axis=1).max() <= 0.95 * bench.limits.drop


def test_initial_gate_voltages_are_refused_for_resistors_and_in_falling_order():
    with pytest.raises(SetupError, match=r"initial = .1, 2.* is of gate voltages, but an edge has a conductance"):
        hl.open_bench("iris", {"train.initial": [1.0, 2.0]})
    with pytest.raises(SetupError, match="smaller voltage first"):
        hl.open_bench("xor-nmos", {"train.initial": [2.0, 1.0]})


@pytest.mark.slow
def test_xor_is_learned_by_transistors(figure, seeds):
    """Twenty initial gates, of which a share is three; of seeds 0 to 19, 15 succeed."""
    used = seeds.first(20, 3)
    errors = []
    for seed in used:
        with hl.open_bench("xor-nmos", {"train.seed": seed}) as bench:
            bench.train()
            difference = bench.data.pairs.differences(bench.network.true_outputs(bench.data.inputs))
            errors.append(1e3 * np.sqrt(((difference - bench.data.targets) ** 2).mean()))
    good = int((np.array(errors) <= 3).sum())
    figure(f"xor-nmos, {len(used)} seeds: {good} within 3 mV (required 14 of 20); errors {np.round(errors, 2)} mV")
    assert good >= (14 if len(used) == 20 else 1)
