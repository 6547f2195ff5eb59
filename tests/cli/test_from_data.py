"""``hwlearn calibrate --from-data``: a device model from measured pulses, as a table for a bench file."""

import json
import tempfile
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hwlearn.errors import DataError
from hwlearn.lab import device_fits
from hwlearn_sim.devices import SoftBoundsLaw
from hwlearn_sim.devices.fits import plugins as fit_plugins
from hwlearn_sim.twin.backend import SimBackend

LAW = SoftBoundsLaw(g_min=2e-6, g_max=8e-5, set_step=0.1, reset_step=0.08)
NOISE, CYCLES = 0.01, 0.05


@cache
def fitted(content):
    """Fit soft bounds to the content of a file; several tests need the same fit, which takes a second."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "device.csv"
        path.write_bytes(content)
        return fit_plugins.soft_bounds(path)


def known_fit(path):
    return fitted(path.read_bytes())


class Point:
    """A fake installed entry point."""

    def __init__(self, name, load):
        self.name, self.load = name, load


@pytest.fixture
def plugins(monkeypatch):
    """The device fits that the simulator registers; returns the requested entry-point groups."""
    points = {"soft-bounds": fit_plugins.soft_bounds, "vteam": fit_plugins.vteam}
    groups = []

    def entry_points(*, group):
        groups.append(group)
        return [Point(name, lambda fit=fit: fit) for name, fit in points.items()]

    monkeypatch.setattr(device_fits, "entry_points", entry_points)
    return groups


@pytest.fixture
def measured(folder):
    """Readings of a device after pulses of both polarities at three amplitudes."""
    rng = np.random.default_rng(4)
    g = 1e-5
    rows = [f"0,0,1 us,{g}"]
    for k in range(1, 241):
        volts = (0.95, 1.0, 1.05)[k // 40 % 3] * (1 if k // 20 % 2 else -1)
        g = float(LAW.after_pulse(g, volts, 1e-6, 1 + CYCLES * rng.standard_normal()))
        rows.append(f"{k},{volts},1 us,{g * (1 + NOISE * rng.standard_normal())}")
    path = folder / "device.csv"
    path.write_text("pulse,amplitude (V),width,conductance_S\n" + "\n".join(rows), encoding="utf-8")
    return path


def test_parameters_are_estimated_within_their_uncertainty(measured):
    fit = known_fit(measured)
    reference = fit.table["law"]
    true = {"g_min": 2e-6, "g_max": 8e-5, "set_scale": 0.05, "reset_scale": 0.05}
    assert reference["set_voltage"] == 1.0
    true |= {"set_step": 0.1, "reset_step": 0.08 if reference["reset_voltage"] == 1.0 else None}
    for name, value in true.items():
        if value is not None:
            assert abs(fit.values[name] - value) < 4 * fit.sigma[name]
            assert fit.sigma[name] < 0.3 * value
    assert fit.read_noise == pytest.approx(NOISE, rel=0.3)
    assert fit.cycle_spread == pytest.approx(CYCLES, rel=0.6)
    assert fit.residual == pytest.approx(1.0, abs=0.1)


def test_command_prints_the_fit_and_writes_bench_file_lines(hwlearn, measured, plugins):
    ended = hwlearn("calibrate", "--from-data", measured)
    assert ended.code == 0
    assert not ended.err
    assert set(plugins) == {"hwlearn.device_fits"}
    text = "\n".join(ended.out)
    assert "g_max" in text
    assert "+- " in text
    assert "uS" in text
    assert "PASSED: soft-bounds explains" in text
    snippet = tomllib.loads((measured.parent / "device-soft-bounds.toml").read_text(encoding="utf-8"))
    table = snippet["backend"]
    assert table.pop("kind") == "sim"
    memristors = SimBackend.Settings.model_validate(table).memristor.memristors()
    assert memristors.typical.g_max == pytest.approx(8e-5, rel=0.05)
    assert memristors.read_noise == pytest.approx(NOISE, rel=0.3)


def test_json_and_output_options(hwlearn, measured, monkeypatch):
    monkeypatch.setattr(device_fits, "entry_points", lambda *, group: [Point("soft-bounds", lambda: known_fit)])
    ended = hwlearn("calibrate", "--from-data", measured, "--json", "-o", "mine.toml")
    (line,) = ended.out
    found = json.loads(line)
    assert found["event"] == "fit"
    assert found["passed"] is True
    assert found["sigma"].keys() == found["values"].keys()
    assert (measured.parent / "mine.toml").is_file()


def test_model_that_explains_the_data_as_noise_fails(hwlearn, measured, monkeypatch):
    def noisy(path):
        fit = known_fit(path)
        return fit_plugins.FittedDevice(
            fit.values, fit.sigma, fit.determined, fit.units, 1.0, 1.1, fit.cycle_spread, fit.table
        )

    monkeypatch.setattr(device_fits, "entry_points", lambda *, group: [Point("noisy", lambda: noisy)])
    ended = hwlearn("calibrate", "--from-data", measured, "--model", "noisy")
    assert ended.code == 1
    assert any("FAILED: noisy explains most of the data as noise" in line for line in ended.out)


@pytest.mark.slow
def test_pulses_of_a_calibration_can_be_fitted(hwlearn, folder, bench_text, plugins):
    table = 'kind = "sim"\nmemristor = { model = "soft-bounds", cycle_spread = 0.05, read_noise = 0.005 }'
    (folder / "mem.toml").write_text(bench_text.replace('kind = "sim"', table), encoding="utf-8")
    ended = hwlearn("calibrate", "mem.toml", "pulses", "--devices", 1, "--json")
    assert ended.code == 0
    step = next(event for event in map(json.loads, ended.out) if event["event"] == "step")
    assert step["passed"] is True
    assert (folder / "calibration-pulses.png").read_bytes().startswith(b"\x89PNG")
    (k,) = step["found"]["pulses"]["devices"]
    fitted = fit_plugins.soft_bounds(folder / f"calibration-pulses-device{k}.csv")
    for name in ("set_scale", "reset_scale"):
        assert abs(fitted.values[name] - 0.05) < 4 * fitted.sigma[name]
        assert fitted.sigma[name] < 0.005
    assert fitted.table["cycle_spread"] == pytest.approx(0.05, rel=0.4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "soft-bound"), "did you mean 'soft-bounds'"),
        (("small.toml",), "remove the bench name"),
    ],
)
def test_wrong_requests_are_refused(hwlearn, measured, plugins, arguments, said):
    ended = hwlearn("calibrate", *arguments, "--from-data", measured)
    assert ended.code == 2
    (line,) = ended.err
    assert said in line


def test_missing_bench_and_data_are_refused(hwlearn):
    ended = hwlearn("calibrate")
    assert ended.code == 2
    assert "name a bench" in ended.err[0]


def test_fit_without_a_valid_law_is_reported(hwlearn, measured, plugins, monkeypatch):
    def no_law(data, **reference):
        return SoftBoundsLaw(reset_step=1.0)

    monkeypatch.setattr(fit_plugins, "fit_soft_bounds", no_law)
    ended = hwlearn("calibrate", "--from-data", measured)
    assert ended.code == 2
    assert "soft bounds do not describe" in ended.err[0]
    assert "try another model" in ended.err[0]
    assert not (measured.parent / "device-soft-bounds.toml").exists()


def test_unreadable_file_is_refused(hwlearn, folder, plugins):
    ended = hwlearn("calibrate", "--from-data", "nowhere.csv")
    assert ended.code == 2
    assert "nowhere.csv" in ended.err[0]
    with pytest.raises(DataError):
        fit_plugins.vteam(folder / "nowhere.csv")
