"""Simulated device arrays: voltages at all devices during pulses and readings."""

import numpy as np
import pytest

from hwlearn.device_access import PulseLimits
from hwlearn.errors import LimitError, SetupError
from hwlearn_sim.devices import DeviceArray, DeviceReadout, SinhIV, SoftBounds, SoftBoundsLaw
from hwlearn_sim.devices.model import DeviceModel

LIMITS = PulseLimits(voltage=1.2, current=1e-3, width=(1e-7, 1e-4), pulses=100, read_voltage=0.2)


class Recorder(DeviceModel):
    """Devices that record the applied voltages."""

    def __init__(self, n):
        self.seen, self.widths = np.zeros(n), []

    @property
    def conductance(self):
        return np.full(len(self.seen), 1e-5)

    def pulse(self, devices, volts, width_s):
        assert len(set(devices.tolist())) == len(devices)
        self.seen[devices] += volts
        self.widths.append(width_s)

    def rest(self, seconds):
        self.widths.append(seconds)


def make(scheme="V/2", **readout):
    model, rng = Recorder(12), np.random.default_rng(0)
    return model, DeviceArray(model, (3, 4), LIMITS, rng, scheme=scheme, readout=DeviceReadout(**readout))


@pytest.mark.parametrize(
    ("scheme", "line", "elsewhere"), [("V/2", 0.6, 0.0), ("V/3", 0.4, -0.4), ("isolated", 0.0, 0.0)]
)
def test_voltages_at_other_devices_follow_scheme(scheme, line, elsewhere):
    model, array = make(scheme)
    array.read(6, 0.1)
    array.pulse(6, 1.2, 1e-6)
    expected = np.full((3, 4), elsewhere)
    expected[1, :] = expected[:, 2] = line
    expected[1, 2] = 1.2
    np.testing.assert_allclose(model.seen.reshape(3, 4), expected)
    assert model.widths == [1e-6]
    assert array.pulses.tolist() == [0] * 6 + [1] + [0] * 5


def test_reading_disturbs_only_the_read_device():
    model, array = make()
    array.read(6, 0.1)
    assert not model.widths
    model, array = make(width_s=1e-3)
    array.read(6, 0.1)
    assert np.flatnonzero(model.seen).tolist() == [6]
    assert model.widths == [1e-3]


def test_readings_have_stated_noise_and_follow_iv_law():
    _, array = make(noise=0.01, noise_S=1e-7, iv=SinhIV(0.1))
    readings = np.array([array.read_all(0.2) for _ in range(2000)])
    seen = 1e-5 * 0.1 / 0.2 * np.sinh(2.0)
    np.testing.assert_allclose(array.true_apparent(0.2), seen)
    np.testing.assert_allclose(readings.mean(axis=0), seen, rtol=2e-3)
    np.testing.assert_allclose(readings.std(axis=0), np.hypot(0.01 * seen, 1e-7), rtol=0.08)


def test_expected_current_follows_iv_law():
    _, array = make(iv=SinhIV(0.1))
    array.read(0, 0.2)
    assert array.expected_current(0, -0.5) == pytest.approx(1e-5 * 0.1 * np.sinh(5.0))
    with pytest.raises(LimitError, match="current"):
        array.pulse(0, 1.0, 1e-6)


def test_error_names_the_crosspoint():
    _, array = make()
    with pytest.raises(LimitError, match="row1-col2"):
        array.pulse(6, 1.0, 1e-6)


def test_half_selected_devices_change_by_the_law():
    r = np.random.default_rng(0).spawn(3)
    law = SoftBoundsLaw(set_scale=0.3)
    model = SoftBounds(law, 12, r[0], r[1])
    array = DeviceArray(model, (3, 4), LIMITS, r[2])
    before = array.true_conductances
    array.read(6, 0.1)
    array.pulse(6, 1.0, 1e-6)
    expected = before.copy()
    expected[6] = law.after_pulse(before[6], 1.0, 1e-6)
    for k in (4, 5, 7, 2, 10):
        expected[k] = law.after_pulse(before[k], 0.5, 1e-6)
    np.testing.assert_allclose(array.true_conductances, expected)


@pytest.mark.parametrize("wrong", [{"shape": (4, 4)}, {"scheme": "V/4"}])
def test_invalid_array_is_refused(wrong):
    arguments = {"shape": (3, 4), "limits": LIMITS, "rng": np.random.default_rng(0)}
    with pytest.raises(SetupError):
        DeviceArray(Recorder(12), **{**arguments, **wrong})


def test_negative_read_noise_is_refused():
    with pytest.raises(SetupError, match="noise of device readout is -1"):
        DeviceReadout(noise=-1.0)
