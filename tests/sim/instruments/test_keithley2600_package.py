"""The package keithley2600 from PyPI drives a virtual Keithley 2612B: it explores the objects with ``next``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hwlearn_sim.wire.serve import TcpServer

package = pytest.importorskip("keithley2600", reason="the package keithley2600 is not installed")


@pytest.fixture
def driver(rack) -> Iterator[Callable]:
    """Return the package's driver, connected to a 2612B at both nodes of the divider."""
    one = rack("2612B")
    with TcpServer(one.instrument) as server:
        made = package.Keithley2600(
            server.address,
            read_termination="\n",
            write_termination="\n",
            timeout=10_000,
            raise_keithley_errors=False,
        )
        yield made
        made.disconnect()
    assert one.errors() == []


def base_commands(k):
    k.smua.source.levelv = 0.5
    assert k.smua.source.levelv == 0.5
    assert k.localnode.model == "2612B"
    assert k.smua.measure.v() == 0


def applied_voltage(k):
    k.apply_voltage(k.smua, 0.25)
    assert k.smua.source.output == 1


def applied_current(k):
    k.apply_current(k.smub, 1e-4)
    assert k.smub.source.func == k.smub.OUTPUT_DCAMPS


def measured_voltage(k):
    k.apply_voltage(k.smua, 0.25)
    assert k.measure_voltage(k.smua) == pytest.approx(0.25)


def measured_current(k):
    k.apply_voltage(k.smua, 0.25)
    assert k.measure_current(k.smua) == pytest.approx(5e-4)  # smub is off and holds 0 V


def ramp(k):
    k.ramp_to_voltage(k.smua, 1, delay=0.0, step_size=0.25)
    assert k.smua.source.levelv == 1


def integration_time(k):
    k.set_integration_time(k.smua, 0.01)
    assert k.smua.measure.nplc == 0.5


def read_buffer(k):
    k.apply_voltage(k.smua, 0.25)
    k.smua.measure.v(k.smua.nvbuffer1)
    assert k.read_buffer(k.smua.nvbuffer1) == pytest.approx([0.25])


def error_queue(k):
    k.smua.source.levelv = 1e5
    assert k.read_error_queue() == [(-222, "Parameter data out of range", 20, 1)]
    assert k.read_error_queue() == []


def single_sweep(k):
    volts, amperes = k.voltage_sweep_single_smu(k.smua, [0.1, 0.2, 0.3], 0.01, -1, False)
    assert volts == pytest.approx([0.1, 0.2, 0.3])
    assert amperes == pytest.approx([2e-4, 4e-4, 6e-4])


def dual_sweep(k):
    v1, i1, v2, i2 = k.voltage_sweep_dual_smu(k.smua, k.smub, [0.1, 0.2], [0.2, 0.2], 0.01, -1, True)
    assert (v1, v2) == (pytest.approx([0.1, 0.2]), pytest.approx([0.2, 0.2]))
    assert (i1, i2) == (pytest.approx([0, 2e-4]), pytest.approx([1e-4, 0]))


def transfer(k):
    table = k.transfer_measurement(k.smub, k.smua, 0, 0.2, 0.1, [0.1], 0.01, -1, False)
    gate = table.data[:, 0]
    assert gate[:3] == pytest.approx([0, 0.1, 0.2])
    assert table.data[:, 2] == pytest.approx(1e-4 + (0.1 - gate) / 1000, abs=1e-12)


def output(k):
    table = k.output_measurement(k.smub, k.smua, 0, 0.2, 0.1, [0.1], 0.01, -1, False)
    drain = table.data[:, 0]
    assert table.data[:, 2] == pytest.approx(drain / 1000 + (drain - 0.1) / 1000, abs=1e-12)


def chord_and_trigger(k):
    k.play_chord()
    k.send_trigger()
    assert not k.busy


OPERATIONS = (
    base_commands,
    applied_voltage,
    applied_current,
    measured_voltage,
    measured_current,
    ramp,
    integration_time,
    read_buffer,
    error_queue,
    single_sweep,
    dual_sweep,
    transfer,
    output,
    chord_and_trigger,
)


@pytest.mark.share(5)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_package_operates_virtual_instrument(operation, driver):
    operation(driver)
