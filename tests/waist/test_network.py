"""The abstract network: what it refuses, how it closes, what two phases are made of."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import CircuitError, LimitError, NetworkError
from hwlearn_sim import KirchhoffTwin


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_context_manager_closes_on_every_exception(small, wide_limits, mocker, error):
    twin = KirchhoffTwin(small[0], wide_limits)
    safe = mocker.spy(twin, "_close")
    with pytest.raises(error), twin:
        raise error
    assert safe.call_count == 1
    twin.close()
    assert safe.call_count == 1


def test_context_manager_closes_on_return(small, wide_limits):
    with KirchhoffTwin(small[0], wide_limits) as twin:
        assert not twin.closed
    assert twin.closed


def test_a_closed_network_refuses_to_work(small, ideal_twin):
    ideal_twin.close()
    with pytest.raises(NetworkError, match="closed"):
        ideal_twin.measure(small[2])
    with pytest.raises(NetworkError, match="closed"):
        ideal_twin.program(small[1])


@pytest.mark.parametrize("inputs", [np.zeros((3, 5)), np.zeros((2, 2, 4)), [["a", 0, 0, 0]]])
def test_inputs_of_another_shape(ideal_twin, inputs):
    with pytest.raises(CircuitError, match="inputs must"):
        ideal_twin.measure(inputs)


def test_a_drive_of_another_shape_or_kind(small, wide_limits):
    twin = KirchhoffTwin(small[0], wide_limits, nudges=["clamp"])
    with pytest.raises(NetworkError, match=r"shape \(6, 3\), got \(2, 3\)"):
        twin.measure(small[2], hl.OutputDrive.clamp(np.zeros((2, 3))))
    with pytest.raises(NetworkError, match=r"cannot make a 'current' drive; it can make: clamp"):
        twin.measure(small[2], hl.OutputDrive.current(np.zeros((6, 3))))


def test_program_checks_its_shape(ideal_twin):
    with pytest.raises(NetworkError, match=r"shape \(30,\)"):
        ideal_twin.program(np.full(29, 1e-5))


def test_two_phases_are_composed_from_measurements(small, ideal_twin):
    top, g, x, y = small
    phases = ideal_twin.two_phase(x, hl.TargetError(y), hl.ClampNudge(0.2))
    model = hl.Kirchhoff(top, g)
    free = model.solve(x)[:, top.outputs]
    np.testing.assert_allclose(phases.free.voltages, free, atol=1e-14)
    np.testing.assert_allclose(phases.plus.voltages, free - 0.2 * (free - y), atol=1e-14)
    np.testing.assert_allclose(phases.minus.voltages, free + 0.2 * (free - y), atol=1e-14)
    assert ideal_twin.measurements == 3 * len(x)


def test_one_sided_measures_two_phases_only(small, ideal_twin):
    _, _, x, y = small
    phases = ideal_twin.two_phase(x, hl.TargetError(y), hl.ClampNudge(0.2), symmetric=False)
    assert phases.minus is None
    assert ideal_twin.measurements == 2 * len(x)


def test_nan_in_a_drive_leaves_that_node_floating(small, ideal_twin):
    top, g, x, _ = small
    model = hl.Kirchhoff(top, g)
    free = model.solve(x)[:, top.outputs]
    for kind in ("clamp", "current", "resistor"):
        volts = free + 0.05
        volts[:, 1] = np.nan
        drive = {
            "clamp": hl.OutputDrive.clamp(volts),
            "current": hl.OutputDrive.current(np.where(np.isnan(volts), np.nan, 1e-6)),
            "resistor": hl.OutputDrive.resistor(volts, 1e-4),
        }[kind]
        readout = ideal_twin.measure(x, drive)
        assert (readout.output_currents[:, 1] == 0).all()
        assert (np.abs(readout.output_currents[:, [0, 2]]) > 0).all()
        # the currents that flowed, put into the free circuit, give the voltages that were read
        expected = model.solve(x, injected=readout.output_currents)[:, top.outputs]
        np.testing.assert_allclose(readout.voltages, expected, atol=1e-12)


def test_a_caller_is_told_of_each_measurement_and_may_stop_there(small, ideal_twin):
    counts = []
    ideal_twin.on_measured = counts.append
    ideal_twin.two_phase(small[2], hl.TargetError(small[3]), hl.ClampNudge(0.2))
    assert counts == [6, 12]


def test_a_refused_measurement_leaves_the_network_usable(small, bench_limits):
    twin = KirchhoffTwin(small[0], bench_limits)
    with pytest.raises(LimitError):
        twin.measure(100 * small[2])
    assert twin.measure(small[2]).voltages.shape == (6, 3)
