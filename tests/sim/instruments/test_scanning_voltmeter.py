"""The virtual voltmeter behind a multiplexer against laws of circuits: load, settling, noise, overload, time."""

import math

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC, Sinh
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scanning_voltmeter import ScanningVoltmeter, VoltmeterReading
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import VoltageSource

FARADS = 200e-12


def reading(**changed):
    usual = {
        "range_V": 1.0,
        "most_V": 1.2,
        "step_V": 1e-12,
        "noise_V": 0.0,
        "nplc": 1.0,
        "autozero": True,
        "input_ohm": 10e6,
        "delay_s": 0.002,
    }
    return VoltmeterReading(**{**usual, **changed})


def voltmeter(plane, nodes, meters=Meters(0.0), clock=None, rng=None):  # noqa: B008
    made = np.random.default_rng(3) if rng is None else rng
    return ScanningVoltmeter(plane, "scan", nodes, made, meters, clock or Clock(), FARADS, 1 / 60, 2e-6)


def divider(upper_ohm, lower_ohm, volts=1.0, elements=None):
    """Return a driven divider: node 1 is driven, node 2 is between the resistors, node 3 is not connected."""
    topology = hl.Topology(4, [(1, 2), (2, 0), (0, 3)], inputs=[1], outputs=[2, 3], ground=0, elements=elements)
    plane = AnalogPlane(topology, [1 / upper_ohm, 1 / lower_ohm, 0.0])
    plane.drive(plane.attach(1), VoltageSource(volts, 1.0))
    return plane


@pytest.mark.parametrize("input_ohm", [10e6, 10e9])
def test_a_closed_channel_loads_the_circuit_with_the_input_resistance(input_ohm):
    plane = divider(1e6, 1e6)
    found = voltmeter(plane, {101: 2}).read(101, reading(input_ohm=input_ohm))
    loaded = 1 / (1 / 1e6 + 1 / input_ohm)  # ohm of the lower resistor beside the voltmeter
    assert found == pytest.approx(loaded / (1e6 + loaded), rel=1e-9)
    assert plane.node_voltages()[2] == pytest.approx(0.5, rel=1e-9)  # opened again: not loaded


def test_a_closed_channel_loads_a_nonlinear_circuit():
    """Against Kirchhoff's equations of the circuit with the voltmeter as one more resistor."""
    elements = [Sinh(0.05), OHMIC, OHMIC]
    found = voltmeter(divider(1e6, 1e6, elements=elements), {101: 2}).read(101, reading())
    edges = [(1, 2), (2, 0), (2, 3), (3, 0)]
    whole = hl.Topology(4, edges, inputs=[1], outputs=[2], ground=0, elements=[Sinh(0.05), OHMIC, OHMIC, OHMIC])
    expected = hl.Kirchhoff(whole, [1e-6, 1e-6, 2e-7, 2e-7]).solve([[1.0]])[0, 2]
    assert found == pytest.approx(expected, rel=1e-9)
    assert expected < 0.996 * hl.Kirchhoff(whole, [1e-6, 1e-6, 1e-15, 1e-15]).solve([[1.0]])[0, 2]


def test_a_driven_node_is_not_loaded():
    assert voltmeter(divider(1e3, 1e3, 0.4), {101: 1}).read(101, reading()) == pytest.approx(0.4, rel=1e-12)


@pytest.mark.parametrize("delay_s", [0.0, 1e-4, 1e-3])
def test_charge_of_the_channel_before_decays_through_the_source_resistance(delay_s):
    """The mean over the aperture of an exponential, of which the delay has taken a part."""
    meter = voltmeter(divider(1e6, 1e6), {101: 1, 102: 2})
    fast = reading(input_ohm=10e9, delay_s=delay_s, nplc=0.02)
    meter.read(101, fast)
    final = 0.5 / (1 + 0.5e6 / 10e9)
    tau, aperture = FARADS * 0.5e6 / (1 + 0.5e6 / 10e9), 0.02 / 50
    first = (1.0 - final) * math.exp(-delay_s / tau)
    left = first * tau / aperture * (1 - math.exp(-aperture / tau))
    assert meter.read(102, fast) - final == pytest.approx(left, rel=1e-6, abs=1e-12)


def test_an_open_channel_shows_the_voltage_of_the_channel_before():
    meter = voltmeter(divider(1e3, 1e3), {101: 1})
    fast = reading(delay_s=0.0, nplc=0.02)
    meter.read(101, fast)
    assert meter.read(105, fast) > 0.8  # discharges through 10 Mohm in 2 ms
    assert abs(meter.read(105, reading(delay_s=0.1))) < 1e-9


def test_noise_has_the_standard_deviation_of_the_settings():
    meter = voltmeter(divider(1e3, 1e3), {101: 2}, Meters(1.0), rng=np.random.default_rng(8))
    found = [meter.read(101, reading(noise_V=1e-3, delay_s=0.01)) for _ in range(200)]
    assert np.std(found) == pytest.approx(1e-3, rel=0.2)


def test_overload_has_the_sign_of_the_voltage():
    assert voltmeter(divider(1e3, 1e3, -2.5), {101: 2}).read(101, reading()) == -math.inf


def test_time_of_a_reading_doubles_with_automatic_zero_readings():
    clock = Clock()
    meter = voltmeter(divider(1e3, 1e3), {101: 2}, clock=clock)
    meter.read(101, reading(nplc=10, autozero=False, delay_s=0.0))
    once = clock.seconds
    meter.read(101, reading(nplc=10, autozero=True, delay_s=0.0))
    assert clock.seconds - 2 * once == pytest.approx(10 / 50)
