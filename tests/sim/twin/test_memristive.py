"""A network of memristive devices: programming by pulses, and training with stuck devices."""

import dataclasses

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.device_access import PulseLimits
from hwlearn.errors import SetupError
from hwlearn.lab.bench.bench import open_bench
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.twin.memristive import MemristiveTwin, Memristors

BOTH = pytest.mark.parametrize("memristors", [
    Memristors(device_spread=0.1, cycle_spread=0.05, read_noise=0.002),
    Memristors(model="vteam", law={"k_off": 5e4, "k_on": -5e4}, device_spread=0.1, read_noise=0.002),
])  # fmt: skip
INSIDE = (5e-6, 5e-5)


@pytest.fixture
def limits():
    return hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=INSIDE)


@pytest.fixture
def topology():
    return hl.Topology.random(10, 20, inputs=3, outputs=2, seed=5)


def targets(topology, seed=0):
    return np.exp(np.random.default_rng(seed).uniform(*np.log(INSIDE), topology.n_edges))


@BOTH
def test_programming_reaches_targets_on_true_devices(topology, limits, memristors):
    network = MemristiveTwin(topology, limits, memristors)
    for seed in range(3):
        requested = targets(topology, seed)
        programmed = network.program(requested)
        assert not programmed.failed.any()
        np.testing.assert_allclose(network.true_conductances, requested, rtol=0.013)
        np.testing.assert_allclose(programmed.reached, network.true_conductances, rtol=0.01)


def test_measurement_follows_device_conductances(topology, limits):
    network = MemristiveTwin(topology, limits, Memristors(), seed=1)
    network.program(targets(topology))
    x = np.array([[0.3, -0.2, 0.1]])
    model = hl.Kirchhoff(topology, network.true_conductances)
    np.testing.assert_allclose(network.measure(x).voltages, model.solve(x)[:, topology.outputs], atol=1e-12)
    before = network.measure(x).voltages
    access = network.devices
    access.read(4, 0.2)
    access.pulse(4, -1.3, 1e-4)
    moved = hl.Kirchhoff(topology, network.true_conductances).solve(x)[:, topology.outputs]
    assert np.abs(moved - before).max() > 1e-4
    np.testing.assert_allclose(network.measure(x).voltages, moved, atol=1e-12)
    np.testing.assert_allclose(network.true_outputs(x), moved, atol=1e-12)


def test_stuck_devices_fail_and_receive_no_more_pulses(topology, limits):
    network = MemristiveTwin(topology, limits, Memristors(stuck_fraction=0.15, read_noise=0.002), seed=2)
    first = network.program(targets(topology))
    stuck = network.write_report.stuck
    assert stuck.sum() == 3
    np.testing.assert_array_equal(first.failed, stuck)
    given = network.devices.pulses[stuck].copy()
    for seed in (1, 1, 0):
        again = network.program(targets(topology, seed))
        np.testing.assert_array_equal(again.failed, stuck)
        np.testing.assert_array_equal(network.devices.pulses[stuck], given)


def test_worn_devices_are_reported(topology, limits):
    network = MemristiveTwin(topology, limits, Memristors(endurance=60, read_noise=0.002), seed=2)
    for seed in range(40):
        failed = network.program(targets(topology, seed)).failed
    assert failed.all()
    assert network.write_report.worn.all()


def test_pulses_stay_within_limits(topology, limits):
    pulse_limits = PulseLimits(voltage=1.2, current=5e-5, width=(1e-6, 1e-5), pulses=200, read_voltage=0.1)
    network = MemristiveTwin(topology, limits, Memristors(limits=pulse_limits, read_noise=1e-6))
    requested = []
    give = network.devices._pulse

    def noted(k, volts, width):
        requested.append((abs(volts), width, abs(volts) * network.true_conductances[k]))
        give(k, volts, width)

    network.devices._pulse = noted
    for seed in range(5):
        network.program(targets(topology, seed))
    volts, widths, amperes = np.array(requested).T
    assert volts.max() <= 1.2 * (1 + 1e-9)
    assert widths.max() <= 1e-5 * (1 + 1e-9)
    assert widths.min() >= 1e-6 * (1 - 1e-9)
    assert amperes.max() <= 5e-5 * (1 + 1e-4)
    assert network.devices.pulses.max() <= 200


@pytest.mark.parametrize("scheme", ["V/2", "V/3"])
def test_half_select_disturb_is_corrected_by_write_verify(limits, scheme):
    top = hl.Topology.crossbar(4, 4, inputs=[0, 1], outputs=[2, 3])
    # a half-select pulse changes these devices by a few per cent of the remaining distance
    memristors = Memristors(scheme=scheme, law={"set_scale": 0.08, "reset_scale": 0.08}, read_noise=0.002)
    network = MemristiveTwin(top, limits, memristors)
    requested = targets(top)
    assert not network.program(requested).failed.any()
    np.testing.assert_allclose(network.true_conductances, requested, rtol=0.013)


def test_half_selection_without_crossbar_is_refused(topology, limits):
    with pytest.raises(SetupError, match="crossbar"):
        MemristiveTwin(topology, limits, Memristors(scheme="V/2"))


@pytest.mark.parametrize("flaw", [{"device_spread": 0.1}, {"stuck": {0: 1e-5}}, {"conductance_bits": 8}])
def test_device_imperfections_are_refused(topology, limits, flaw):
    with pytest.raises(SetupError, match=next(iter(flaw))):
        MemristiveTwin(topology, limits, Memristors(), Imperfections(**flaw))


@pytest.mark.parametrize(
    "wrong", [{"law": {"g_mni": 1e-6}}, {"tolerance": 0.0}, {"most_pulses": 0}, {"law": {"g_min": -1.0}}]
)
def test_invalid_memristors_are_refused(wrong):
    with pytest.raises(SetupError):
        Memristors(**wrong)


def test_state_loss_is_visible_during_measurement(topology, limits):
    network = MemristiveTwin(topology, limits, Memristors(retention_s=1.0), settle_s=1e-3)
    network.program(targets(topology))
    before = network.true_conductances
    network.measure(np.zeros((100, 3)))
    low = Memristors().typical.g_min
    np.testing.assert_allclose(network.true_conductances - low, (before - low) * np.exp(-0.1), rtol=1e-6)


def test_twin_without_memristors_has_no_device_access(topology, limits):
    assert KirchhoffTwin(topology, limits).devices is None


# --- from a bench file --------------------------------------------------------------------------------

TABLE = {"model": "soft-bounds", "device_spread": 0.1, "cycle_spread": 0.05, "read_noise": 0.002}


def bench_with(tmp_path, bench_text, **table):
    path = tmp_path / "bench.toml"
    path.write_text(bench_text.replace('["1 uS", "100 uS"]', '["5 uS", "60 uS"]'), encoding="utf-8")
    return open_bench(path, {"backend.memristor": {**TABLE, **table}})


def test_training_succeeds_with_stuck_devices(tmp_path, bench_text):
    bench = bench_with(tmp_path, bench_text, stuck_fraction=0.1).with_({"train.epochs": 60})
    with bench:
        start = bench.network.program(np.full(30, 2e-5))
        untrained = bench.evaluate().measured.rms_error_V
        bench.train()
        trained = bench.evaluate().measured.rms_error_V
    assert start.failed.sum() == 3
    assert untrained > 8e-3
    # programming errors of 1 % at 400 mV input cause output errors of a few mV
    assert trained < min(4e-3, untrained / 3)


def test_bench_file_accepts_quantities(tmp_path, bench_text):
    law = {"g_min": "2 uS", "set_voltage": "900 mV", "width_s": "1 us"}
    bench = bench_with(tmp_path, bench_text, law=law, pulse_width=["1 us", "50 us"], retention="3600 s")
    memristors = bench.settings.memristor.memristors()
    assert memristors.typical.g_min == pytest.approx(2e-6)
    assert memristors.typical.set_voltage == pytest.approx(0.9)
    assert memristors.limits.width == pytest.approx((1e-6, 5e-5))
    assert memristors.retention_s == 3600
    assert dataclasses.replace(memristors, model="vteam", law={}).typical.r_on == 1e4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": "soft"}, "soft-bounds"),
        ({"law": {"g_mni": 1e-6}}, "g_mni"),
        ({"pulse_widths": [1e-6, 1e-5]}, "memristor"),
        ({"pulse_width": [1e-5, 1e-6]}, "width"),
    ],
)
def test_invalid_memristor_table_is_refused_in_one_line(tmp_path, bench_text, wrong, said):
    with pytest.raises(SetupError, match=said) as refused:
        bench_with(tmp_path, bench_text, **wrong)
    assert "\n" not in str(refused.value)
