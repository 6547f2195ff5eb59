"""Checks of a bench: all pass without faults, and each fault fails the check made for it."""

from dataclasses import replace

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import ComplianceError, NetworkError
from hwlearn.lab.checks import check_bench
from hwlearn.units import parse_quantity
from hwlearn_sim import KirchhoffTwin
from hwlearn_sim.twin.backend import SimBackend

NAMES = [
    "open",
    "limits",
    "programming",
    "zero reading",
    "noise floor",
    "current noise",
    "settling",
    "superposition",
    "reciprocity",
    "gradient health",
    "saturation",
]
LAB = [
    "backend.device_spread=0.2",
    "backend.conductance_bits=10",
    "backend.read_noise=1 mV",
    "backend.current_noise=10 nA",
    "backend.adc_bits=12",
    "backend.adc_range=1 V",
    "backend.dac_bits=12",
    "backend.dac_range=1 V",
]


def results(bench, seed=0):
    with bench:
        return {check.name: check for check in check_bench(bench, seed)}


def failed(checks):
    assert list(checks) == NAMES
    for check in checks.values():
        assert check.found
        assert bool(check.advice) == (check.result == "fail")
    return {name for name, check in checks.items() if check.result == "fail"}


@pytest.mark.parametrize("name", ["iris", "regression"])
@pytest.mark.parametrize("seed", range(8))
def test_benches_of_the_package_pass_all_checks(name, seed):
    assert not failed(results(hl.open_bench(name, [f"backend.seed={seed}"]), seed))


def test_ideal_twin_passes_all_checks(bench_path):
    assert not failed(results(hl.open_bench(bench_path)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("backend.stuck_fraction=0.1", "programming"),
        ("backend.adc_offset=20 mV", "zero reading"),
        ("backend.dac_gain=0.05", "reciprocity"),
        ("backend.adc_range=30 mV", "saturation"),
    ],
)
def test_fault_of_a_twin_fails_its_check(bench_path, fault, found, seed):
    changes = [*LAB, fault, f"backend.seed={seed}"]
    if found == "saturation":
        changes.append("backend.adc_bits=8")
    assert found in failed(results(hl.open_bench(bench_path, changes), seed))


def test_excess_noise_fails_the_noise_check(bench_path, mocker):
    measure = KirchhoffTwin._measure
    rng = np.random.default_rng(0)

    def noisy(self, inputs, drive):
        read = measure(self, inputs, drive)
        return replace(read, voltages=read.voltages + 4e-3 * rng.standard_normal(read.voltages.shape))

    mocker.patch.object(KirchhoffTwin, "_measure", noisy)
    assert failed(results(hl.open_bench(bench_path, LAB))) == {"noise floor", "gradient health"}


def unstated(monkeypatch, noise_V):
    """Let the twin add noise to its readings and state none, as a bench on SMUs does by default."""
    measure, rng = KirchhoffTwin._measure, np.random.default_rng(0)

    def noisy(self, inputs, drive):
        read = measure(self, inputs, drive)
        added = noise_V * rng.standard_normal(read.voltages.shape)
        return replace(read, voltages=read.voltages + added, voltage_sigma=0.0)

    monkeypatch.setattr(KirchhoffTwin, "_measure", noisy)
    monkeypatch.setattr(KirchhoffTwin, "resolution", 0.0, raising=False)
    monkeypatch.setattr(KirchhoffTwin, "simulation", None)  # a simulation knows that it has no noise


@pytest.mark.parametrize("noise_V", [1e-9, 1e-6, 1e-4, 3e-3])
def test_noise_that_is_not_stated_is_measured_and_said(bench_path, monkeypatch, noise_V):
    unstated(monkeypatch, noise_V)
    checks = results(hl.open_bench(bench_path))
    assert not failed(checks)
    noise = checks["noise floor"]
    assert noise.result == "not applicable"
    assert "not stated" in noise.found
    assert "backend.voltage_sigma" in noise.found
    stated = parse_quantity(noise.found.rpartition('= "')[2].rstrip('"'), "V")
    assert stated == pytest.approx(noise_V, rel=0.6)


def test_offset_is_still_found_where_noise_is_not_stated(bench_path, monkeypatch):
    unstated(monkeypatch, 1e-4)
    measure = KirchhoffTwin._measure

    def shifted(self, inputs, drive):
        read = measure(self, inputs, drive)
        return replace(read, voltages=read.voltages + 5e-3)

    monkeypatch.setattr(KirchhoffTwin, "_measure", shifted)
    assert "zero reading" in failed(results(hl.open_bench(bench_path)))


def test_readings_that_are_not_numbers_fail(bench_path, mocker):
    measure = KirchhoffTwin._measure

    def broken(self, inputs, drive):
        read = measure(self, inputs, drive)
        return replace(read, voltages=np.full_like(read.voltages, np.nan))

    mocker.patch.object(KirchhoffTwin, "_measure", broken)
    checks = results(hl.open_bench(bench_path, LAB))
    # the first such reading ends a check, so that the noise floor is not reported
    failing = {name for name, check in checks.items() if check.result == "fail"}
    assert failing >= {"zero reading", "superposition"}
    assert "must be finite" in checks["zero reading"].found


def test_nonlinear_element_fails_superposition(bench_path, mocker):
    measure = KirchhoffTwin._measure

    def nonlinear(self, inputs, drive):
        read = measure(self, inputs, drive)
        return replace(read, voltages=read.voltages + 2 * read.voltages**2)

    mocker.patch.object(KirchhoffTwin, "_measure", nonlinear)
    assert "superposition" in failed(results(hl.open_bench(bench_path, LAB)))


def test_swapped_cables_fail_reciprocity(bench_path, mocker):
    measure = KirchhoffTwin._measure

    def swapped(self, inputs, drive):
        read = measure(self, inputs, drive)
        return replace(read, source_currents=read.source_currents[:, [1, 0, 3, 2]])

    mocker.patch.object(KirchhoffTwin, "_measure", swapped)
    assert failed(results(hl.open_bench(bench_path, LAB))) == {"reciprocity", "gradient health"}


@pytest.mark.parametrize("change", ["backend.current_readout=false", "backend.nudges=['current']"])
def test_check_without_the_readings_it_needs_is_not_applicable(bench_path, change):
    checks = results(hl.open_bench(bench_path, [*LAB, change]))
    assert checks["reciprocity"].result == "not applicable"
    assert {c.result for name, c in checks.items() if name not in ("reciprocity", "current noise")} == {"pass"}


def test_error_of_the_network_fails_the_check(bench_path, mocker):
    mocker.patch.object(KirchhoffTwin, "_measure", side_effect=ComplianceError("the source at n0 tripped"))
    checks = results(hl.open_bench(bench_path))
    assert {c.found for c in checks.values() if c.result == "fail"} == {"the source at n0 tripped"}
    assert len(checks) == len(NAMES) - 1  # zero reading and noise floor are one measurement


def test_unreachable_hardware_fails_the_first_check(bench_path, mocker):
    mocker.patch.object(SimBackend, "open", side_effect=NetworkError("no reply"))
    (check,) = check_bench(hl.open_bench(bench_path))
    assert (check.name, check.result, check.found) == ("open", "fail", "no reply")


def test_checks_stay_within_the_limits(bench_path, mocker):
    bench = hl.open_bench(bench_path, ["limits.current=30 uA", "limits.nudge=20 mV", "data.amplitude=10 mV"])
    applied = []
    measure = KirchhoffTwin._measure

    def watched(self, inputs, drive):
        # a clamp moves an output away from its floating voltage
        if drive is not None:
            free = measure(self, inputs, None).voltages
            applied.append(np.nanmax(np.abs(drive.values - free)))
        return measure(self, inputs, drive)

    mocker.patch.object(KirchhoffTwin, "_measure", watched)
    checks = results(bench)
    assert max(applied) <= bench.limits.nudge
    assert not {name for name in failed(checks) if "reciprocity" in name}


def test_figures_are_as_stated_on_a_bench_that_keeps_them(bench_path):
    checks = results(hl.open_bench(bench_path, LAB))
    for name in ("noise floor", "current noise"):
        assert checks[name].result == "pass"
        assert "rms, as stated: " in checks[name].found
    assert checks["settling"].found.endswith("settle = 50 us as stated")


@pytest.mark.parametrize("seed", range(3))
def test_settling_time_that_is_too_short_fails_its_check(bench_path, seed):
    slow = ["backend.settle=50 us", "backend.settle_tau=50 us", f"backend.seed={seed}"]
    found = results(hl.open_bench(bench_path, [*LAB, *slow]), seed)["settling"]
    assert found.result == "fail"
    assert "as stated" not in found.found
    enough = ["backend.settle=1 ms", "backend.settle_tau=50 us", f"backend.seed={seed}"]
    assert results(hl.open_bench(bench_path, [*LAB, *enough]), seed)["settling"].result == "pass"


def test_current_noise_above_the_stated_one_fails_and_without_one_is_measured(bench_path, mocker):
    measure = KirchhoffTwin._measure
    rng = np.random.default_rng(0)

    def noisy(self, inputs, drive):
        read = measure(self, inputs, drive)
        if drive is None or read.output_currents is None:
            return read
        noise = 1e-7 * rng.standard_normal(read.output_currents.shape)
        return replace(read, output_currents=read.output_currents + noise)

    mocker.patch.object(KirchhoffTwin, "_measure", noisy)
    assert results(hl.open_bench(bench_path, LAB))["current noise"].result == "fail"
    found = results(hl.open_bench(bench_path))["current noise"]
    assert found.result == "not applicable"
    assert "rms; not stated" in found.found
    assert "backend.current_sigma" in found.found
