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


# --- hardware that goes its own way through the phases ----------------------------------------------


class Weak(KirchhoffTwin):
    """A twin that nudges by at most 20 mV, and refuses the samples it is told to."""

    refused = ()

    def _most_strength(self, nudge, free, error):
        return 0.02 / np.abs(error).max(axis=1)

    def _measure_sides(self, inputs, plus, minus):
        high, low, _ = super()._measure_sides(inputs, plus, minus)
        return high, low, np.isin(np.arange(len(inputs)), self.refused)


def test_what_the_hardware_makes_bounds_the_strength(small, wide_limits):
    _, g, x, y = small
    weak = Weak(small[0], wide_limits)
    weak.program(g)
    phases = weak.two_phase(x, hl.TargetError(y), hl.ClampNudge())
    moved = np.abs(phases.plus.voltages - phases.free.voltages).max(axis=1)
    np.testing.assert_allclose(moved, 0.02, rtol=1e-9)
    with pytest.raises(LimitError, match=r"a nudge of strength 5 is more than this hardware makes of sample 0"):
        weak.two_phase(x, hl.TargetError(y), hl.ClampNudge(5.0))


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_sample_that_the_hardware_refused_to_nudge_is_skipped(small, wide_limits, symmetric):
    _, g, x, y = small
    weak = Weak(small[0], wide_limits)
    weak.program(g)
    whole = weak.two_phase(x, hl.TargetError(y), hl.ClampNudge(), symmetric)
    weak.refused = (1, 4)
    phases = weak.two_phase(x, hl.TargetError(y), hl.ClampNudge(), symmetric)
    assert phases.skipped.tolist() == [False, True, False, False, True, False]
    for part in ("plus", "minus") if symmetric else ("plus",):
        seen, before = getattr(phases, part).voltages, getattr(whole, part).voltages
        np.testing.assert_array_equal(seen[[1, 4]], phases.free.voltages[[1, 4]])
        np.testing.assert_array_equal(seen[[0, 2, 3, 5]], before[[0, 2, 3, 5]])


class Whole(KirchhoffTwin):
    """A twin that measures both phases in one go, by way of another twin."""

    other = None

    def _both_phases(self, inputs, error, nudge, symmetric):
        return None if self.other is None else self.other.two_phase(inputs, error, nudge, symmetric)


def test_phases_in_one_go_are_checked_and_counted_like_others(small, wide_limits, bench_limits, ideal_twin):
    _, _, x, y = small
    whole, counts = Whole(small[0], bench_limits), []
    whole.other, whole.on_measured = ideal_twin, counts.append
    phases = whole.two_phase(x, hl.TargetError(y), hl.ClampNudge(0.2))
    np.testing.assert_array_equal(
        phases.plus.voltages, ideal_twin.two_phase(x, hl.TargetError(y), hl.ClampNudge(0.2)).plus.voltages
    )
    assert (counts, whole.measurements) == ([6, 12], 18)
    before = ideal_twin.measurements
    with pytest.raises(LimitError):
        whole.two_phase(100 * x, hl.TargetError(y), hl.ClampNudge(0.2))
    assert ideal_twin.measurements == before, "a refused request reaches no hardware"
    whole.close()
    with pytest.raises(NetworkError, match="closed"):
        whole.two_phase(x, hl.TargetError(y), hl.ClampNudge(0.2))
