"""Readings of a DAQ device: ranges, averaging, saturation, the multiplexer, wrong and missing samples."""

import dataclasses

import numpy as np
import pytest
from daq_rig import LIMITS, device, open_daq, terminals

import hwlearn as hl
from hwlearn.errors import NetworkError, SetupError
from hwlearn_drivers.daq.facts import DeviceFacts, narrowest, overlapping
from hwlearn_drivers.daq.sampling import make_sampling, settling_s
from hwlearn_drivers.errors import GarbledReplyError, InstrumentError, LinkTimeout, UnknownInstrumentError
from hwlearn_sim.bench.kinds import daq as daq_kind
from hwlearn_sim.instruments.daq.device import VirtualDaq
from hwlearn_sim.instruments.daq.models import MODELS

X = np.array([[0.4, -0.4]])


def limits(volts, low=1.5e-5):
    return dataclasses.replace(LIMITS, voltage=volts, drop=2 * volts, conductance=(low, 2e-4))


@pytest.mark.parametrize(
    ("volts", "chosen"), [(0.2, "200 mV"), (0.5, "1 V"), (1.0, "1 V"), (1.01, "5 V"), (10.0, "10 V")]
)
def test_narrowest_range_that_holds_the_limits_is_selected_and_stated(volts, chosen):
    with open_daq(limits=limits(volts)) as network:
        assert f"inputs ±{chosen} RSE" in network.instruments[0]


def test_limits_that_no_range_holds_are_refused_before_anything_is_read():
    with pytest.raises(
        SetupError, match=r"no input range holds limits.voltage = ±12 V; its widest range is ±10 V"
    ):
        open_daq(limits=limits(12.0))


def test_ranges():
    ranges = [(-10.0, 10.0), (0.0, 5.0), (-1.0, 1.0)]
    assert narrowest(ranges, 1.0) == (-1.0, 1.0)
    assert narrowest(ranges, 10.1) is None
    assert overlapping([(0.0, 5.0), (0.0, 10.0)], 1.0) == (0.0, 5.0)
    assert overlapping([(1.0, 5.0)], 1.0) is None


@pytest.mark.parametrize("product", ["PCI-6225", "USB-6008", "USB-6366"])
def test_device_that_cannot_serve_the_bench_is_refused_with_every_reason(product):
    channel = {"PCI-6225": "ai8", "USB-6008": "ai4", "USB-6366": "ai0"}[product]
    configuration = "RSE" if product == "USB-6366" else "DIFF"
    wired = terminals()
    wired[2]["read"] = f"daq:{channel}"
    wired[3]["read"] = "daq:ai99"
    with pytest.raises(SetupError, match=rf"ai99(?s:.*){channel} cannot be read with terminal_configuration"):
        open_daq(device(product=product, terminal_configuration=configuration), wired=wired)


def test_device_with_a_converter_per_input_is_read():
    with open_daq(device(product="USB-6366", terminal_configuration="DIFF")) as network:
        assert np.abs(network.measure(X).voltages - network.bench.true_outputs(X)).max() < 3e-4
        assert "not read back" in network.instruments[0]


def test_device_that_sets_the_time_between_inputs_itself():
    with pytest.raises(InstrumentError, match="channel_settle = 'device'"):
        open_daq(device("in", "USB-6008"), device("out", "PCI-6733"), wired=terminals("out", "in"))
    instruments = device("in", "USB-6008", channel_settle="device"), device("out", "PCI-6733")
    with open_daq(*instruments, wired=terminals("out", "in")) as network:
        read = network.measure(X)
        assert np.abs(read.voltages - network.bench.true_outputs(X)).max() < 0.6 * 2 / 2**12 + 2e-4


def test_simulated_device_and_other_products_are_refused(monkeypatch):
    with pytest.raises(SetupError, match="needs its product"):
        open_daq({"name": "daq", "model": "nidaqmx"})
    with pytest.raises(SetupError, match=r"no virtual DAQ device.*did you mean 'PCI-6225'"):
        open_daq(device(product="PCI-6226"))
    monkeypatch.setattr(daq_kind, "model_of", lambda _: MODELS["PCI-6733"])
    with pytest.raises(UnknownInstrumentError, match="expects product = 'PCI-6225', but the device is a PCI-6733"):
        open_daq(device())


def test_simulated_device_is_refused_unless_allowed(monkeypatch):
    monkeypatch.setattr(VirtualDaq, "simulated", property(lambda _: True, lambda *_: None), raising=False)
    with pytest.raises(UnknownInstrumentError, match="its readings are made up"):
        open_daq()
    with open_daq(device(allow_simulated=True)) as network:
        assert "SIMULATED" in network.instruments[0]


# --- averaging --------------------------------------------------------------------------------------


def test_noise_of_a_reading_is_as_stated():
    """The data sheet's 30 uV in the range of 1 V, over the root of the number of samples."""
    with open_daq(device(samples=25), noise=1.0) as network:
        read = network.measure(np.repeat(X, 120, axis=0))
        assert network.noise_is_from_data_sheet
    assert read.voltage_sigma == pytest.approx(30e-6 / 5)
    assert read.voltages.std(axis=0) == pytest.approx([6e-6, 6e-6], rel=0.25)


def test_noise_that_no_data_sheet_states_is_not_stated():
    with open_daq(device(product="USB-6366", terminal_configuration="DIFF")) as network:
        assert network.measure(X).voltage_sigma == 0.0
    with open_daq(device(product="USB-6366", terminal_configuration="DIFF", voltage_sigma="1 mV")) as network:
        assert network.measure(X).voltage_sigma == 1e-3
        assert not network.noise_is_from_data_sheet
    assert DeviceFacts("USB-6225", "1").noise_V((-10.0, 10.0)) == 244e-6


def test_average_is_a_whole_number_of_mains_periods():
    for periods, mains in ((1, 50), (2, 60)):
        own = make_sampling(4, 250e3, False, 20e-6, None, periods / mains)
        assert own.seconds * mains == pytest.approx(periods, abs=1e-9)
        assert own.convert_Hz == pytest.approx(50e3)
        assert own.samples <= own.seconds / (5 * 20e-6) * (1 + 1e-9)
    with pytest.raises(SetupError, match="raise mains_periods"):
        make_sampling(80, 250e3, False, 200e-6, None, 1 / 50)
    with pytest.raises(ValueError, match="give one of them"):
        open_daq(device(mains_periods=2))


# --- multiplexer ------------------------------------------------------------------------------------


def ghost(**keys):
    """Return the error of an output with high source resistance that is scanned after an input at 0.4 V."""
    wired = terminals()
    wired[0]["read"] = "daq:ai5"
    with open_daq(device(**keys), wired=wired, limits=limits(0.5, 1e-6), edges=[1.1e-6] * 6) as network:
        return float(np.abs(network.measure(X).voltages - network.bench.true_outputs(X)).max())


def test_too_short_delays_give_ghosting_and_the_default_does_not():
    """At 300 kohm and 200 pF the time constant is 60 us."""
    assert ghost(channel_settle="10 us") > 0.05
    assert ghost() < 5e-4
    assert settling_s(1e6, 16) == pytest.approx(1e6 * 200e-12 * np.log(2**17))


def test_ground_channel_pulls_to_ground_instead_of_to_the_neighbour():
    assert ghost(channel_settle="30 us", ground_channel="_aignd_vs_aignd") < 0.6 * ghost(channel_settle="30 us")
    with pytest.raises(SetupError, match="there is no input ground_channel = '_ground'"):
        open_daq(device(ground_channel="_ground"))
    with pytest.raises(SetupError, match="is read at node"):
        open_daq(device(ground_channel="ai1"))


# --- wrong samples ----------------------------------------------------------------------------------


def test_reading_at_the_end_of_the_range_is_marked_as_saturated():
    with open_daq(limits=limits(1.0)) as network:
        virtual = network.bench.instrument("daq")
        seen = virtual._seen
        virtual._seen = lambda name: (1.2, 0.0) if name == "ai1" else seen(name)
        read = network.measure(X)
    assert read.saturated.tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        ("nan", NetworkError, "nan"),
        ("short", GarbledReplyError, "8 samples of 4 channels were requested, 16 values arrived"),
        ("late", LinkTimeout, "did not arrive in time"),
    ],
)
def test_samples_that_are_not_right_are_refused_and_outputs_are_off(fault, error, text):
    with open_daq() as network:
        network.measure(X)
        virtual = network.bench.instrument("daq")
        virtual.inject(fault, 0)
        with pytest.raises(error, match=text) as caught:
            network.measure(-X)
        assert "daq" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert virtual.is_off
        if fault == "short":
            network.reconnect()
        assert np.isfinite(network.measure(X).voltages).all()


def test_a_run_resumes_to_the_last_bit():
    with open_daq(noise=1.0) as network:
        network.measure(X)
        state = network.state()
        first = network.measure(0.5 * X).voltages
    with open_daq(noise=1.0) as again:
        again.restore(state)
        assert (again.measure(0.5 * X).voltages == first).all()


def test_nonlinear_circuit_is_read_with_its_resistance_at_the_operating_point():
    topology = hl.Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2, elements=hl.elements.Sinh(0.3))
    from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

    table = VirtualMixedSettings(
        instruments=[device()],
        terminals=[{"node": 0, "source": "daq:ao0"}, {"node": 1, "read": "daq:ai0"}],
        edges=1e-4,
        noise=0.0,
    )
    with VirtualMixedBackend().open(table, topology, LIMITS) as network:
        x = np.array([[0.5], [-0.3], [0.1]])
        assert np.abs(network.measure(x).voltages - network.bench.true_outputs(x)).max() < 2e-4
