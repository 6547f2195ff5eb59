"""The Network base class: refused requests, closing, and the phases of a two-phase measurement."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import CircuitError, LimitError, NetworkError
from hwlearn_sim import Imperfections, KirchhoffTwin


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_context_manager_closes_on_every_exception(small, wide_limits, mocker, error):
    twin = KirchhoffTwin(small[0], wide_limits)
    safe = mocker.spy(twin, "_close")
    with pytest.raises(error), twin:
        raise error
    assert safe.call_count == 1
    twin.close()
    assert safe.call_count == 1


def test_listener_hears_once_whether_closing_was_safe(small, wide_limits, mocker):
    heard = []
    twin = KirchhoffTwin(small[0], wide_limits)
    twin.on_closed = heard.append
    twin.close()
    twin.close()
    failing = KirchhoffTwin(small[0], wide_limits)
    failing.on_closed = heard.append
    mocker.patch.object(failing, "_close", side_effect=ConnectionError("the cable is out"))
    with pytest.raises(ConnectionError):
        failing.close()
    assert heard == [True, False]


def test_context_manager_closes_on_return(small, wide_limits):
    with KirchhoffTwin(small[0], wide_limits) as twin:
        assert not twin.closed
    assert twin.closed


def test_closed_network_refuses_to_measure_and_program(small, ideal_twin):
    ideal_twin.close()
    with pytest.raises(NetworkError, match="closed"):
        ideal_twin.measure(small[2])
    with pytest.raises(NetworkError, match="closed"):
        ideal_twin.program(small[1])


@pytest.mark.parametrize("inputs", [np.zeros((3, 5)), np.zeros((2, 2, 4)), [["a", 0, 0, 0]]])
def test_inputs_of_wrong_shape_are_refused(ideal_twin, inputs):
    with pytest.raises(CircuitError, match="inputs must"):
        ideal_twin.measure(inputs)


def test_drive_of_wrong_shape_or_kind_is_refused(small, wide_limits):
    twin = KirchhoffTwin(small[0], wide_limits, nudges=["clamp"])
    with pytest.raises(NetworkError, match=r"shape \(6, 3\), got \(2, 3\)"):
        twin.measure(small[2], hl.OutputDrive.clamp(np.zeros((2, 3))))
    with pytest.raises(NetworkError, match=r"does not support a 'current' drive; it supports: clamp"):
        twin.measure(small[2], hl.OutputDrive.current(np.zeros((6, 3))))


@pytest.mark.parametrize("drive", ["clamp", hl.OutputDrive, hl.OutputDrive.clamp, np.zeros((6, 3))])
def test_drive_that_is_no_output_drive_is_refused(small, ideal_twin, drive):
    with pytest.raises(NetworkError, match="drive must be an OutputDrive object"):
        ideal_twin.measure(small[2], drive)


@pytest.mark.parametrize("nudge", ["clamp", hl.ClampNudge, None])
def test_nudge_class_or_name_is_refused_by_two_phase(small, ideal_twin, nudge):
    with pytest.raises(NetworkError, match="nudge must be a Nudge object"):
        ideal_twin.two_phase(small[2], hl.TargetError(small[3]), nudge)
    assert ideal_twin.measurements == 0


@pytest.mark.parametrize("error", [None, hl.TargetError, 0.1])
def test_error_that_is_no_function_is_refused_by_two_phase(small, ideal_twin, error):
    with pytest.raises(NetworkError, match="error must be a function"):
        ideal_twin.two_phase(small[2], error, hl.ClampNudge())
    assert ideal_twin.measurements == 0


@pytest.mark.parametrize("conductances", ["10 uS", ["10 uS"] * 30, [[1], [1, 2]]])
def test_program_refuses_what_is_not_numbers(ideal_twin, conductances):
    with pytest.raises(NetworkError, match=r"numbers in S, shape \(30,\)"):
        ideal_twin.program(conductances)


def test_program_refuses_wrong_shape(ideal_twin):
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


def test_one_sided_measurement_has_two_phases(small, ideal_twin):
    _, _, x, y = small
    phases = ideal_twin.two_phase(x, hl.TargetError(y), hl.ClampNudge(0.2), symmetric=False)
    assert phases.minus is None
    assert ideal_twin.measurements == 2 * len(x)


def test_nan_in_a_drive_leaves_the_output_floating(small, ideal_twin):
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
        # injecting the measured currents into the free circuit gives the measured voltages
        expected = model.solve(x, injected=readout.output_currents)[:, top.outputs]
        np.testing.assert_allclose(readout.voltages, expected, atol=1e-12)


def test_listener_is_called_after_each_measurement(small, ideal_twin):
    counts = []
    ideal_twin.on_measured = counts.append
    ideal_twin.two_phase(small[2], hl.TargetError(small[3]), hl.ClampNudge(0.2))
    assert counts == [6, 12]


def test_network_is_usable_after_a_refused_measurement(small, bench_limits):
    twin = KirchhoffTwin(small[0], bench_limits)
    with pytest.raises(LimitError):
        twin.measure(100 * small[2])
    assert twin.measure(small[2]).voltages.shape == (6, 3)


# --- hardware with its own sequences of phases ------------------------------------------------------


class Weak(KirchhoffTwin):
    """A twin that nudges by at most 20 mV and refuses to nudge the samples in ``refused``."""

    refused = ()

    def _max_strength(self, nudge, free, error):
        return 0.02 / np.abs(error).max(axis=1)

    def _measure_sides(self, inputs, plus, minus):
        high, low, _ = super()._measure_sides(inputs, plus, minus)
        return high, low, np.isin(np.arange(len(inputs)), self.refused)


def test_hardware_capability_bounds_the_strength(small, wide_limits):
    _, g, x, y = small
    weak = Weak(small[0], wide_limits)
    weak.program(g)
    phases = weak.two_phase(x, hl.TargetError(y), hl.ClampNudge())
    moved = np.abs(phases.plus.voltages - phases.free.voltages).max(axis=1)
    np.testing.assert_allclose(moved, 0.02, rtol=1e-9)
    with pytest.raises(LimitError, match=r"strength 5 exceeds what the hardware supports for sample 0"):
        weak.two_phase(x, hl.TargetError(y), hl.ClampNudge(5.0))


@pytest.mark.parametrize("symmetric", [True, False])
def test_sample_that_the_hardware_refuses_to_nudge_is_skipped(small, wide_limits, symmetric):
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


class PlainSignal:
    """An error signal without a `least_error` method."""

    def __init__(self, targets):
        self.targets = targets

    def __call__(self, outputs):
        return outputs - self.targets


class FineSignal(PlainSignal):
    """An error signal that resolves any error."""

    def least_error(self, resolution):
        return 0.0


@pytest.mark.parametrize(("signal", "skipped"), [(PlainSignal, True), (hl.TargetError, True), (FineSignal, False)])
def test_error_signal_decides_which_errors_count_as_zero(small, wide_limits, signal, skipped):
    _, g, x, _ = small
    twin = KirchhoffTwin(small[0], wide_limits, Imperfections(adc_bits=12, adc_range_V=1.0))
    twin.program(g)
    targets = twin.measure(x).voltages + 0.9 * twin.resolution
    phases = twin.two_phase(x, signal(targets), hl.ClampNudge())
    assert phases.skipped.all() == skipped


class Whole(KirchhoffTwin):
    """A twin that measures both phases in one sequence, on another twin."""

    other = None

    def _both_phases(self, inputs, error, nudge, symmetric):
        return None if self.other is None else self.other.two_phase(inputs, error, nudge, symmetric)


def test_phases_in_one_sequence_are_checked_and_counted(small, wide_limits, bench_limits, ideal_twin):
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
