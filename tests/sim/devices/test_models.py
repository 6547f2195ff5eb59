"""Models of pulsed devices: laws, random variation, stuck and worn devices, potentiometers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from hwlearn.circuit.elements.value_ranges import ValueRanges
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import Rheostat
from hwlearn_sim.devices import Devices, Digipots, Failing, SinhIV, SoftBounds, SoftBoundsLaw, Vteam, VteamLaw
from hwlearn_sim.devices.imperfections import Imperfections

VOLTS = st.floats(-3.0, 3.0)
SOFT = SoftBoundsLaw(g_min=1e-6, g_max=1e-4, set_step=0.05, reset_step=0.1, set_scale=0.2, reset_scale=0.3)


def streams(seed=0):
    return np.random.default_rng(seed).spawn(3)


def test_programmed_devices_report_stuck_edges():
    rng = np.random.default_rng(0)
    ranges = ValueRanges.of_conductances(1e-6, 1e-4, 3)
    assert Devices(ranges, Imperfections(stuck={1: 0.0}), rng, rng).stuck.tolist() == [False, True, False]


# --- soft bounds ------------------------------------------------------------------------------------


def test_reference_pulse_covers_its_fraction_of_the_distance():
    assert SOFT.after_pulse(1e-5, 1.0, 1e-6) == pytest.approx(1e-5 + 0.05 * 9e-5)
    assert SOFT.after_pulse(5e-5, -1.0, 1e-6) == pytest.approx(5e-5 - 0.1 * 4.9e-5)


@given(st.floats(1e-6, 1e-4), VOLTS, st.floats(1e-8, 1e-4))
def test_soft_bounds_limit_state_and_half_pulses_add_up(g, volts, width):
    whole = SOFT.after_pulse(g, volts, width)
    assert 1e-6 <= whole <= 1e-4
    assert SOFT.after_pulse(SOFT.after_pulse(g, volts, width / 2), volts, width / 2) == pytest.approx(
        float(whole), rel=1e-9
    )
    assert (whole - g) * volts >= 0


def test_dose_follows_sinh_of_voltage():
    steps = [np.log((1e-4 - 1e-5) / (1e-4 - SOFT.after_pulse(1e-5, v, 1e-6))) for v in (1.0, 0.5)]
    assert steps[1] / steps[0] == pytest.approx(np.sinh(0.5 / 0.2) / np.sinh(1.0 / 0.2), rel=1e-6)


# --- VTEAM ------------------------------------------------------------------------------------------


@given(st.floats(0.0, 1.0), st.floats(-0.6, 0.6), st.floats(1e-9, 1.0))
def test_vteam_does_not_change_below_thresholds(w, volts, width):
    assert VteamLaw(window="biolek", exponent=3).after_pulse(w, volts, width) == pytest.approx(w, abs=1e-15)


@pytest.mark.parametrize("window", ["none", "joglekar", "biolek"])
@pytest.mark.parametrize("exponent", [1, 3])
@pytest.mark.parametrize("volts", [0.9, -1.0])
def test_vteam_agrees_with_scipy_integrator(window, exponent, volts):
    law = VteamLaw(window=window, exponent=exponent, alpha_off=2.0)
    speed = float(law.speed(volts))

    def slope(_t, w):
        if window == "none":
            return [speed]
        if window == "joglekar":
            return [speed * (1 - (2 * w[0] - 1) ** (2 * exponent))]
        return [speed * (1 - (w[0] - (volts < 0)) ** (2 * exponent))]

    width = 0.4 / abs(speed)
    w = np.array([0.45, 0.5])
    expected = [solve_ivp(slope, (0, width), [x], rtol=1e-11, atol=1e-12).y[0, -1] for x in w]
    np.testing.assert_allclose(law.after_pulse(w, volts, width), np.clip(expected, 0, 1), atol=1e-6)


@given(st.floats(0.0, 1.0), VOLTS, st.floats(1e-7, 1.0), st.sampled_from(["none", "joglekar", "biolek"]))
def test_vteam_state_is_bounded_and_half_pulses_add_up(w, volts, width, window):
    law = VteamLaw(window=window, exponent=1)
    whole = float(law.after_pulse(w, volts, width))
    assert 0.0 <= whole <= 1.0
    assert law.after_pulse(law.after_pulse(w, volts, width / 2), volts, width / 2) == pytest.approx(
        whole, abs=1e-9
    )


@pytest.mark.parametrize("resistance", ["linear", "exponential"])
def test_vteam_resistance_and_state_are_inverse(resistance):
    law = VteamLaw(resistance=resistance)
    np.testing.assert_allclose(1 / law.siemens([0.0, 1.0]), [1e4, 1e6])
    np.testing.assert_allclose(law.state(law.siemens([0.0, 0.3, 1.0])), [0.0, 0.3, 1.0], atol=1e-12)


# --- populations ------------------------------------------------------------------------------------

POPULATIONS = {
    "soft": lambda r, **more: SoftBounds(SOFT, 400, r[0], r[1], **more),
    "vteam": lambda r, **more: Vteam(VteamLaw(), 400, r[0], r[1], **more),
}


@pytest.mark.parametrize("make", POPULATIONS.values(), ids=POPULATIONS)
def test_positive_volts_set_and_negative_volts_reset(make):
    devices = make(streams())
    everyone, before = np.arange(400), devices.conductance
    devices.pulse(everyone, np.full(400, 1.0), 1e-4)
    up = devices.conductance
    devices.pulse(everyone, np.full(400, -1.0), 1e-4)
    assert (up > before).all()
    assert (devices.conductance < up).all()


@pytest.mark.parametrize("make", POPULATIONS.values(), ids=POPULATIONS)
def test_only_chosen_devices_change_and_equal_seeds_agree(make):
    one, two = (make(streams(7), device_spread=0.2, cycle_spread=0.05) for _ in range(2))
    before = one.conductance
    for devices in (one, two):
        devices.pulse(np.array([3, 8]), np.array([1.2, 1.1]), 1e-5)
    np.testing.assert_array_equal(one.conductance, two.conductance)
    assert np.flatnonzero(one.conductance != before).tolist() == [3, 8]


@pytest.mark.parametrize("make", POPULATIONS.values(), ids=POPULATIONS)
def test_cycle_spread_has_stated_size(make):
    calm, restless = make(streams(1)), make(streams(1), cycle_spread=0.05)
    before = calm.conductance
    for devices in (calm, restless):
        devices.pulse(
            np.arange(400), np.full(400, 0.9), 1e-7
        )  # a step that is small compared with the distance to the bound
    ratio = (restless.conductance - before) / (calm.conductance - before)
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.01)
    assert np.std(ratio) == pytest.approx(0.05, rel=0.15)


@pytest.mark.parametrize("make", POPULATIONS.values(), ids=POPULATIONS)
def test_devices_differ_and_lose_state(make):
    devices = make(streams(2), device_spread=0.2, retention_s=100.0)
    for _ in range(20):
        devices.pulse(np.arange(400), np.full(400, 1.1), 1e-5)
    assert np.std(np.log(devices.conductance)) > 0.05
    before = devices.conductance
    devices.rest(0.0)
    np.testing.assert_allclose(devices.conductance, before)
    devices.rest(50.0)
    assert (devices.conductance < before).all()


def test_random_walk_grows_with_root_of_time():
    wide = SoftBoundsLaw(g_min=1e-9, g_max=1e-3)
    spreads = []
    for hours in (1.0, 4.0):
        r = streams(3)
        devices = SoftBounds(wide, 2000, r[0], r[1], walk_per_sqrt_hour=0.01)
        before = devices.conductance
        devices.rest(3600 * hours)
        spreads.append(np.std(np.log(devices.conductance / before)))
    assert spreads[0] == pytest.approx(0.01, rel=0.1)
    assert spreads[1] == pytest.approx(0.02, rel=0.1)


# --- failing ----------------------------------------------------------------------------------------


def test_stuck_devices_never_change_and_worn_devices_stop():
    r = streams(4)
    devices = Failing(POPULATIONS["soft"](r), r[2], stuck_fraction=0.02, stuck={5: 3e-5}, endurance=10)
    before = devices.conductance
    assert devices.stuck.sum() in (8, 9)
    assert before[5] == 3e-5
    for _ in range(9):
        devices.pulse(np.arange(400), np.full(400, 0.5), 1e-6)
    assert not devices.worn.any()
    devices.pulse(np.arange(400), np.full(400, 0.5), 1e-6)
    last = devices.conductance
    devices.pulse(np.arange(400), np.full(400, 1.0), 1e-6)
    np.testing.assert_array_equal(devices.conductance, last)
    np.testing.assert_array_equal(devices.worn, ~devices.stuck)
    assert (last > before)[~devices.stuck].all()
    np.testing.assert_array_equal(last[devices.stuck], before[devices.stuck])


# --- I-V and potentiometers ---------------------------------------------------------------------------


@given(st.floats(0.05, 2.0), st.floats(0.01, 1.0))
def test_apparent_conductance_of_sinh_device_rises_with_voltage(v0, volts):
    iv = SinhIV(v0)
    assert iv.apparent(1e-5, volts) > 1e-5
    assert iv.small_signal(iv.apparent(1e-5, volts), volts) == pytest.approx(1e-5)
    assert iv.current(1e-5, -volts) == pytest.approx(-iv.current(1e-5, volts))


def test_potentiometers_follow_law_within_tolerance():
    law = Rheostat(100e3, 100.0, 256)
    ideal = Digipots(law, 3, np.random.default_rng(0), tolerance=0.0, wiper_spread=0.0)
    np.testing.assert_allclose(ideal.table(), np.tile(law.siemens(np.arange(256)), (3, 1)))
    real = Digipots(law, 500, np.random.default_rng(0), tolerance=0.2, wiper_spread=0.0)
    full = (1 / real.table()[:, 255] - 100.0) * 256 / 255
    assert full.min() > 80e3
    assert full.max() < 120e3
    assert np.std(full) == pytest.approx(100e3 * 0.2 / np.sqrt(3), rel=0.1)
    target = np.full(500, 1 / 50e3)
    np.testing.assert_allclose(real.programmed(target), target, rtol=0.27)


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 3.0))
def test_potentiometer_taps_are_monotonic(seed, error):
    table = Digipots(Rheostat(1e4, 50.0, 64), 4, np.random.default_rng(seed), step_error=error).table()
    assert (np.diff(table, axis=1) <= 0).all()


def test_potentiometer_temperature_coefficient():
    pots = Digipots(
        Rheostat(100e3, 100.0), 5, np.random.default_rng(1), tempco_per_K=100e-6, wiper_tempco_per_K=0.0
    )
    codes = np.full(5, 255)
    change = pots.siemens(codes) / pots.siemens(codes, 75.0) - 1
    np.testing.assert_allclose(change, 50 * 100e-6, rtol=0.01)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SoftBoundsLaw(g_min=1e-4, g_max=1e-5),
        lambda: SoftBoundsLaw(set_step=1.0),
        lambda: SoftBoundsLaw(set_scale=np.nan),
        lambda: VteamLaw(k_on=1.0),
        lambda: VteamLaw(v_off=-1.0),
        lambda: VteamLaw(r_off=1e3),
        lambda: VteamLaw(window="prodromakis"),
        lambda: SinhIV(0.0),
        lambda: POPULATIONS["soft"](streams(), cycle_spread=-1.0),
        lambda: POPULATIONS["soft"](streams(), device_spread=5.0),
        lambda: POPULATIONS["vteam"](streams(), retention_s=0.0),
        lambda: Failing(POPULATIONS["soft"](streams()), streams()[2], stuck={400: 1e-5}),
        lambda: Failing(POPULATIONS["soft"](streams()), streams()[2], stuck_fraction=1.5),
        lambda: Digipots(Rheostat(100e3, 100.0), 2, np.random.default_rng(0), tolerance=1.0),
        lambda: Digipots(Rheostat(100e3, 100.0), 2, np.random.default_rng(0)).siemens(np.array([0, 256])),
        lambda: Digipots(Rheostat(100e3, 100.0), 2, np.random.default_rng(0)).siemens(np.array([0, 1]), -1e6),
    ],
)
def test_invalid_parameters_are_refused(make):
    with pytest.raises(SetupError):
        make()
