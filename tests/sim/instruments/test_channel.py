"""Source-measure channels: resolution, noise, ranges, limits and output-off states."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.channel import Connection, VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.models import MODELS
from hwlearn_sim.plane.plane import AnalogPlane

DIVIDER = Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)

DISTINCT = sorted({id(model.capability): number for number, model in MODELS.items()}.values())


def channel(model: str = "2400", node: int = 1, *, meters: Meters | None = None, plane=None, seed=0, clock=None):
    plane = AnalogPlane(DIVIDER, [1e-3, 1e-3]) if plane is None else plane
    return VirtualChannel(
        Connection(plane, node, "test"),
        MODELS[model].capability,
        Clock() if clock is None else clock,
        np.random.default_rng(seed),
        Meters(noise=0) if meters is None else meters,
    )


def source_volts(one: VirtualChannel, volts: float, limit_A: float = 1e-2) -> None:
    one.set_function("voltage")
    one.set_level("voltage", volts)
    one.set_limit("current", limit_A)
    one.set_output(True)


@pytest.mark.parametrize("model", DISTINCT)
def test_readings_are_accurate_to_range_resolution(model):
    one = channel(model)
    for volts in (0.0123456789, 0.1234567891, 1.2345678912):
        source_volts(one, volts)
        at, reading = one.operating_point, one.measure("voltage", "current")
        for quantity, true in (("voltage", at.volts), ("current", at.amperes)):
            used = one.measure_range(quantity)
            if one.capability.has_measure_ranges:
                assert used == one.capability.measures[quantity].covering(true)
            assert abs(reading.values[quantity] - true) <= 0.5 * used.step * (1 + 1e-9)
            steps = reading.values[quantity] / used.step
            assert steps == pytest.approx(round(steps), abs=1e-6)
        assert abs(at.volts - volts) <= 0.5 * one.source_range("voltage").step * (1 + 1e-9)


@pytest.mark.parametrize("model", DISTINCT)
def test_two_units_interact_as_kirchhoff_predicts(model):
    """The reading of one unit changes with the source of another as `Kirchhoff` predicts, to its resolution."""
    topology = Topology(4, [(0, 1), (1, 2), (2, 3), (0, 2)], inputs=[1], outputs=[2], ground=3)
    g = np.array([1e-4, 2e-4, 3e-4, 5e-5])
    plane = AnalogPlane(topology, g)
    forcing, watching = channel(model, 1, plane=plane), channel(model, 2, plane=plane, seed=1)
    watching.set_function("current")
    watching.set_limit("voltage", 2.0)
    watching.set_output(True)
    for volts in (-0.7, 0.1, 1.3):
        source_volts(forcing, volts)
        true = Kirchhoff(topology, g).solve([forcing.operating_point.volts])[0, 2]
        assert watching.operating_point.volts == pytest.approx(true, rel=1e-9)
        step = watching.capability.measures["voltage"].covering(true).step
        assert watching.measure("voltage").values["voltage"] == pytest.approx(true, abs=0.5001 * step)


@pytest.mark.parametrize("nplc", [0.01, 0.16, 1.0])
def test_noise_falls_with_root_of_integration_time(nplc):
    one = channel("2450", meters=Meters())
    source_volts(one, 1.0)
    one.settings.nplc.update(voltage=nplc, current=nplc)
    for quantity in ("voltage", "current"):
        used = one.capability.measures[quantity].covering(one.measure(quantity).values[quantity])
        readings = np.array([one.measure(quantity).values[quantity] for _ in range(4000)])
        expected = math.hypot(used.noise / math.sqrt(nplc), used.step / math.sqrt(12))
        # 4000 readings: uncertainty of the spread 1.1 %, of the mean 1.6 % of it; tolerance five sigma
        assert readings.std(ddof=1) == pytest.approx(expected, rel=0.06)
        true = one.operating_point.volts if quantity == "voltage" else one.operating_point.amperes
        assert abs(readings.mean() - true) < 5 * expected / math.sqrt(4000) + 0.01 * used.step


def test_noise_is_white_and_repeats_with_seed():
    def series(seed: int) -> np.ndarray:
        one = channel("2400", meters=Meters(), seed=seed)
        source_volts(one, 1.0)
        one.settings.nplc["voltage"] = 0.01
        return np.array([one.measure("voltage").values["voltage"] for _ in range(2000)]) - 1.0

    first, again, other = series(1), series(1), series(2)
    assert (first == again).all()
    for x, y in ((first[:-1], first[1:]), (first, other)):
        assert abs(np.corrcoef(x, y)[0, 1]) < 5 / math.sqrt(len(x))


def test_averaging_reduces_noise_and_takes_time():
    clock = Clock()
    one = channel("2400", meters=Meters(), clock=clock)
    source_volts(one, 1.0)
    one.settings.nplc["voltage"], one.settings.average = 0.01, 25
    readings = [one.measure("voltage").values["voltage"] for _ in range(2000)]
    used = one.capability.measures["voltage"].covering(1.0)
    assert np.std(readings) == pytest.approx(math.hypot(used.noise * 10 / 5, used.step / math.sqrt(12)), rel=0.08)
    assert clock.seconds == pytest.approx(2000 * 25 * 0.01 / 50)


def test_clock_is_simulated_unless_real():
    one = channel()
    one.settings.nplc["voltage"], one.settings.delay_s = 10.0, 100.0
    began = time.monotonic()
    assert one.measure("voltage").seconds == pytest.approx(100.2)
    assert time.monotonic() - began < 5.0
    real = channel(clock=Clock(real=True))
    real.settings.nplc["voltage"] = 2.0
    began = time.monotonic()
    real.measure("voltage")
    assert time.monotonic() - began >= 0.04


def test_fixed_ranges_overflow_and_autorange_does_not():
    one = channel("2450")
    source_volts(one, 1.0)
    one.set_measure_range("voltage", 0.2)
    assert one.measure("voltage").values["voltage"] == math.inf
    assert one.measure("voltage").over_range
    one.set_level("voltage", -0.21)
    assert one.measure("voltage").values["voltage"] == pytest.approx(-0.21)  # ranges extend to 105 % of full scale
    one.set_measure_range("voltage", None)
    one.set_level("voltage", 1.0)
    assert one.measure("voltage").values["voltage"] == pytest.approx(1.0)


def test_fixed_range_of_2400_causes_range_compliance():
    one = channel("2400")
    source_volts(one, 1.0, 1e-2)
    one.set_measure_range("current", 1e-4)
    assert one.operating_point.amperes == pytest.approx(1.05e-4)
    assert (one.tripped, one.range_tripped) == (False, True)
    one.set_limit("current", 5e-5)
    assert (one.tripped, one.range_tripped) == (True, False)


def test_compliance_begins_and_ends():
    one = channel()
    source_volts(one, 1.0, 1e-4)
    assert one.tripped
    assert one.measure("voltage", "current").limited
    assert one.operating_point.amperes == 1e-4
    assert one.operating_point.volts == pytest.approx(0.1)
    one.set_limit("current", 1e-2)
    assert not one.tripped
    one.set_limit("current", 1e-4)
    one.set_output(False)
    assert not one.tripped, "an output that is off is not in compliance"


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda one: one.set_level("voltage", 300.0), -222),
        (lambda one: one.set_level("current", -1.2), -222),
        (lambda one: one.set_limit("current", 1.2), -222),
        (lambda one: one.set_limit("current", 1e-10), -222),
        (lambda one: one.set_source_range("voltage", 500.0), -222),
        (lambda one: one.set_measure_range("current", 2.0), -222),
        (lambda one: (one.set_level("voltage", 1.0), one.set_source_range("voltage", 0.2)), -221),
        (lambda one: (one.set_source_range("voltage", 0.2), one.set_level("voltage", 1.0)), -222),
    ],
)
def test_settings_beyond_specifications_are_refused(act, code):
    one = channel()
    with pytest.raises(VirtualInstrumentError) as caught:
        act(one)
    assert caught.value.code == code
    assert one.settings.limits == MODELS["2400"].capability.default_limits
    assert one.settings.levels["voltage"] in (0.0, 1.0)


def test_output_off_states_determine_node_voltage():
    """The default off state is 0 V with a small current limit, not an open circuit."""
    plane = AnalogPlane(DIVIDER, [1e-3, 1e-3])
    other, one = channel(node=2, plane=plane), channel("2400", 1, plane=plane, seed=1)
    source_volts(other, 4e-4)
    assert one.operating_point.volts == 0.0  # the limit is 0.5 % of the 100 uA range, the current 0.4 uA
    source_volts(other, 1.0)
    assert one.operating_point.amperes == pytest.approx(-0.005 * 1e-4)
    assert one.operating_point.volts == pytest.approx(0.5 - 0.005 * 1e-4 * 500)
    one.set_off_state("HIMP")
    assert one.operating_point.volts == pytest.approx(0.5)
    assert one.measure("voltage").values["voltage"] == 0.0, "the open relay disconnects the meter"
    one.set_off_state("GUAR")
    assert one.operating_point.volts == pytest.approx(
        1e-3
    )  # 0 A with a voltage limit of 0.5 % of the 200 mV range
    one.set_off_state("ZERO")
    one.set_limit("current", 1e-2)
    assert one.operating_point.volts == 0.0
    one.reset()
    assert one.settings.off_states["voltage"] == "NORM"


def test_converter_errors_are_constant():
    ideal, off = channel("2450"), channel("2450", meters=Meters(noise=0, gain=1e-3, offset=1e-3))
    for one in (ideal, off):
        source_volts(one, 1.0)
    error = off.measure("voltage").values["voltage"] - off.operating_point.volts
    assert 1e-6 < abs(error) < 2e-2
    assert off.measure("voltage").values["voltage"] - off.operating_point.volts == error
    assert 1e-6 < abs(off.operating_point.volts - 1.0) < 2e-2
    assert ideal.operating_point.volts == 1.0


def test_forced_faults_affect_readings_only():
    one = channel("2450")
    source_volts(one, 0.5)
    one.forced = "over-range"
    assert one.measure("current").over_range
    one.forced = "compliance"
    assert one.tripped
    assert one.measure("current").values["current"] == 1e-2
    assert one.operating_point.amperes == pytest.approx(5e-4)
    one.forced = None
    assert one.measure("current").values["current"] == pytest.approx(5e-4)


def test_unconnected_channel_sees_open_circuit():
    one = channel(node=None)
    source_volts(one, 1.0)
    assert one.measure("voltage", "current").values == {"voltage": 1.0, "current": 0.0}
    one.set_function("current")
    one.set_level("current", 1e-3)
    assert one.tripped
