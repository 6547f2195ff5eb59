"""Calibration of converters relative to each other, to ground and to a known channel."""

import json

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibration.converters import ConverterFit, ConverterSettings, calibrate_converters
from hwlearn.errors import SetupError
from hwlearn_sim import KirchhoffTwin

STEP = 2.0 / 4096
BLOCKS = ("dac_gain", "dac_offset", "drive_gain", "drive_offset", "adc_gain", "adc_offset")


def truth(twin):
    """Return the true errors of the channels, ``true = nominal (1 + gain) + offset``, for comparison only."""
    adc = twin._channels(twin.topology.outputs)
    return {
        "dac_gain": twin._input_dac.gain - 1,
        "dac_offset": twin._input_dac.offset,
        "drive_gain": twin._output_dac.gain - 1,
        "drive_offset": twin._output_dac.offset,
        "adc_gain": 1 / adc.gain - 1,
        "adc_offset": -adc.offset / adc.gain,
    }


SEEDS = pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])


@pytest.mark.share(1)
@SEEDS
@pytest.mark.parametrize("known_step", [STEP, None])
def test_residuals_are_below_one_step(known_step, seed, raw_bench, figure):
    """Without a reference the common gain and offset are a convention, so they are subtracted."""
    twin, model = raw_bench(seed, (24, 55, 5, 3))
    fit = calibrate_converters(twin, model, ConverterSettings(seed=seed, dac_step_V=known_step))
    real = truth(twin)
    gain = np.concatenate([getattr(fit, b) - real[b] for b in BLOCKS if b.endswith("gain")])
    offset = np.concatenate([getattr(fit, b) - real[b] for b in BLOCKS if b.endswith("offset")])
    shift = np.abs((offset - offset.mean())[:, None] + (gain - gain.mean())[:, None] * [-0.5, 0.5])
    worst = shift.max()
    z = [(getattr(fit, b) - real[b]) / fit.sigma(b) for b in BLOCKS]
    assert fit.gain_spread == pytest.approx(0.02, rel=0.7)
    assert (fit.linearity < 2 * STEP).all()
    figure(
        f"converters against each other, DAC step {'known' if known_step else 'not known'}: worst residual over "
        f"+-0.5 V {worst / STEP:.2f} steps of 12 bits (required < 1), without common gain and offset"
    )
    assert worst < STEP
    assert np.sqrt(np.mean(np.concatenate(z) ** 2)) < 1.8


@SEEDS
def test_known_channel_determines_the_scale_of_all(seed, raw_bench, figure):
    twin, model = raw_bench(seed, (24, 55, 5, 3))
    real = truth(twin)
    nothing = np.full(4, np.nan)
    known = {
        b: (np.concatenate([[real[b][0]], nothing]), np.concatenate([[1e-5], nothing]))
        for b in ("dac_gain", "dac_offset")
    }
    fit = calibrate_converters(twin, model, ConverterSettings(seed=seed, known=known, dac_step_V=STEP))
    worst = 0.0
    for kind in ("dac", "drive", "adc"):
        gain = getattr(fit, f"{kind}_gain") - real[f"{kind}_gain"]
        offset = getattr(fit, f"{kind}_offset") - real[f"{kind}_offset"]
        worst = max(worst, float((np.abs(offset) + 0.5 * np.abs(gain)).max()))
    figure(
        f"converters, one DAC known: worst residual over +-0.5 V {worst / STEP:.2f} steps of 12 bits "
        "(required < 1)"
    )
    assert worst < STEP


def test_setpoints_and_readings_are_corrected(raw_bench):
    twin, model = raw_bench(1)
    fit = calibrate_converters(twin, model, ConverterSettings(configurations=6, repeats=2))
    x = np.random.default_rng(0).uniform(-0.4, 0.4, (5, 4))
    np.testing.assert_allclose(fit.applied(fit.setpoint(x)), x, atol=1e-15)
    twin.program(np.full(30, 5e-5))
    uniform = np.full((200, 4), 0.3)
    seen = fit.true(twin.measure(fit.setpoint(uniform)).voltages).mean(axis=0)
    raw = twin.measure(uniform).voltages.mean(axis=0)
    assert np.abs(seen - 0.3).max() < 5e-4 < np.abs(raw - 0.3).max()


def test_offsets_are_absolute_with_ground(bench_limits, raw_flaws):
    base = hl.Topology.random(14, 30, inputs=5, outputs=3, seed=3)
    top = hl.Topology(14, base.edges, base.inputs[:4].tolist(), base.outputs, int(base.inputs[4]))
    twin = KirchhoffTwin(top, bench_limits, raw_flaws(), seed=2, nudges=("clamp", "resistor"))
    fit = calibrate_converters(twin, settings=ConverterSettings(nudge_siemens=1e-4))
    real = truth(twin)
    assert np.abs(fit.dac_offset - real["dac_offset"]).max() < STEP
    assert np.abs(fit.adc_offset - real["adc_offset"]).max() < STEP


def test_stored_fit_is_restored_and_wrong_settings_are_refused(raw_bench):
    twin, model = raw_bench(0)
    fit = calibrate_converters(twin, model, ConverterSettings(configurations=2, repeats=1))
    again = ConverterFit.from_state(json.loads(json.dumps(fit.state())))
    np.testing.assert_array_equal(again.values, fit.values)
    np.testing.assert_array_equal(again.covariance, fit.covariance)
    with pytest.raises(SetupError, match="damaged"):
        ConverterFit.from_state({"gain": [1.0]})
    with pytest.raises(SetupError, match="at least 1 configuration"):
        ConverterSettings(levels=2)
    with pytest.raises(SetupError, match="there is no 'gain'"):
        calibrate_converters(twin, model, ConverterSettings(configurations=1, known={"gain": (0.0, 1.0)}))
    with pytest.raises(SetupError, match="must be positive"):
        calibrate_converters(twin, model, ConverterSettings(configurations=1, known={"adc_gain": (0.0, 0.0)}))
