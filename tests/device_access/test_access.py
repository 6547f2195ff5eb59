"""Single devices: every pulse and every reading stays within the pulse limits."""

import dataclasses

import numpy as np
import pytest

from hwlearn.device_access import DeviceAccess, DeviceError, PulseLimits
from hwlearn.errors import LimitError

LIMITS = PulseLimits(voltage=1.5, current=1e-4, width=(1e-6, 1e-3), pulses=1000, read_voltage=0.2)


class Devices(DeviceAccess):
    """Devices whose conductance a pulse sets to ``after``; keeps every pulse."""

    def __init__(self, start, limits=LIMITS, after=1e-5):
        super().__init__(len(start), limits)
        self.g, self.after = np.array(start, dtype=float), after
        self.given, self.reads = [], 0

    def _read(self, edge, voltage):
        self.reads += 1
        return self.g[edge]

    def _pulse(self, edge, amplitude, width):
        self.given.append((edge, amplitude, width))
        self.g[edge] = self.after


@pytest.mark.parametrize(
    "wrong",
    [
        {"voltage": 0.0},
        {"voltage": True},
        {"voltage": "1 mA"},
        {"current": np.inf},
        {"current": -1e-4},
        {"width": (1e-3, 1e-6)},
        {"width": (0.0, 1.0)},
        {"width": "1 us"},
        {"width": 1e-6},
        {"pulses": 0},
        {"pulses": 1.5},
        {"pulses": True},
        {"pulses": np.nan},
        {"read_voltage": np.nan},
        {"read_voltage": None},
    ],
)
def test_invalid_pulse_limit_is_refused_by_name(wrong):
    with pytest.raises(LimitError, match=next(iter(wrong))):
        dataclasses.replace(LIMITS, **wrong)


def test_pulse_limits_accept_text_with_units():
    assert PulseLimits("1.5 V", "100 uA", ("1 us", "1 ms"), 1000, "200 mV") == LIMITS
    assert PulseLimits(1.5, 1e-4, ("1 us", "1 us"), 1000, 0.2).width == (1e-6, 1e-6)


@pytest.mark.parametrize(
    ("amplitude", "width", "says"),
    [
        (1.6, 1e-6, "1.6 V .* voltage = 1.5 V"),
        (-1.6, 1e-6, "voltage"),
        (np.nan, 1e-6, "voltage"),
        (np.inf, 1e-6, "voltage"),
        (1.0, 1e-7, "100 ns .* width = 1 us to 1 ms"),
        (1.0, 2e-3, "width"),
        (1.0, np.nan, "width"),
    ],
)
def test_pulse_outside_the_limits_does_not_reach_the_device(amplitude, width, says):
    access = Devices([1e-5])
    access.read(0, 0.1)
    with pytest.raises(LimitError, match=says):
        access.pulse(0, amplitude, width)
    assert not access.given
    assert access.pulses.tolist() == [0]


def test_pulse_needs_a_reading_and_a_current_within_the_limit():
    access = Devices([1.2e-4])
    with pytest.raises(LimitError, match="not read"):
        access.pulse(0, 0.5, 1e-6)
    access.read(0, 0.1)
    with pytest.raises(LimitError, match=r"current 120 uA .* current = 100 uA"):
        access.pulse(0, 1.0, 1e-6)
    access.pulse(0, 0.5, 1e-6)
    with pytest.raises(LimitError, match="not read"):
        access.pulse(0, 0.5, 1e-6)
    access.read_all(0.1)
    access.pulse(0, -0.5, 1e-6)
    assert [pulse[1] for pulse in access.given] == [0.5, -0.5]


def test_number_of_pulses_per_device_is_limited():
    access = Devices([1e-5, 1e-5], dataclasses.replace(LIMITS, pulses=2))
    for _ in range(2):
        access.read(0, 0.1)
        access.pulse(0, 0.5, 1e-6)
    access.read(0, 0.1)
    with pytest.raises(LimitError, match="has had 2 pulses"):
        access.pulse(0, 0.5, 1e-6)
    access.read(1, 0.1)
    access.pulse(1, 0.5, 1e-6)


@pytest.mark.parametrize("voltage", [0.3, -0.3, 0.0, np.nan])
def test_read_voltage_outside_the_limits_is_refused(voltage):
    access = Devices([1e-5])
    for read in (lambda: access.read(0, voltage), lambda: access.read_all(voltage)):
        with pytest.raises(LimitError, match="read"):
            read()
    assert not access.reads


@pytest.mark.parametrize("edge", [-1, 2, 0.5])
def test_unknown_device_is_refused(edge):
    access = Devices([1e-5, 1e-5])
    for request in (lambda: access.read(edge, 0.1), lambda: access.pulse(edge, 0.5, 1e-6)):
        with pytest.raises(LimitError, match="no device"):
            request()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_reading_that_is_not_finite_is_an_error(value):
    access = Devices([1e-5, value])
    for read in (lambda: access.read(1, 0.1), lambda: access.read_all(0.1)):
        with pytest.raises(DeviceError, match=r"device 1 reads .*(nan|inf) S, .* check its contact"):
            read()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "device 1 reads None, which is no number"),
        ("10 uS", "reads '10 uS', which is no number"),
        (True, "reads True"),
    ],
)
def test_invalid_reading_of_a_backend_is_an_error(value, message):
    access = Devices([1e-5, 1e-5])
    access.g = [1e-5, value]
    with pytest.raises(DeviceError, match=message):
        access.read(1, 0.1)
    access._read_all = lambda voltage: np.array([1e-5, value], dtype=object)
    with pytest.raises(DeviceError, match=r"got readings of shape \(2,\) and type object"):
        access.read_all(0.1)


@pytest.mark.parametrize("found", [np.zeros(3), np.zeros(2, complex), None, ["a", "b"], np.zeros(2, bool)])
def test_invalid_readings_of_a_backend_are_an_error(found):
    access = Devices([1e-5, 1e-5])
    access._read_all = lambda voltage: found
    with pytest.raises(DeviceError, match=r"got readings of shape .* from 2 devices"):
        access.read_all(0.1)


def test_foreign_error_of_a_backend_is_named():
    access = Devices([1e-5])
    access.read(0, 0.1)

    def fail(*_):
        raise OSError("port gone")

    access._pulse = access._read = fail
    for call in (lambda: access.pulse(0, 0.5, 1e-6), lambda: access.read(0, 0.1)):
        with pytest.raises(DeviceError, match=r"test_access\.Devices failed: OSError: port gone"):
            call()


def test_expected_current_follows_ohms_law():
    access = Devices([2e-5])
    assert np.isnan(access.expected_current(0, 0.5))
    access.read(0, 0.1)
    assert access.expected_current(0, -0.5) == pytest.approx(1e-5)


@pytest.mark.parametrize("siemens", [9.91e37, 9.909999530030929e37, -9.9e37, 1.0, np.nan, -np.inf])
@pytest.mark.parametrize("read", [lambda access: access.read(1, 0.1), lambda access: access.read_all(0.1)])
def test_reading_beyond_any_plausible_current_is_refused_with_value_and_limit(siemens, read):
    access = Devices([1e-5, siemens, 1e-5])
    with pytest.raises(DeviceError, match="device 1 reads"):
        read(access)
    with pytest.raises(LimitError, match="was not read"):  # it does not count as read
        access.pulse(1, 0.5, 1e-5)


def test_shorted_device_is_a_plausible_reading():
    assert Devices([0.05]).read(0, 0.1) == 0.05  # 5 mA, with a limit of 100 uA
    assert Devices([-1e-7]).read(0, 0.1) == -1e-7
