"""Requests outside the limits are refused, never clipped; the message names value, place, limit and unit."""

from dataclasses import replace

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import ComplianceError, LimitError
from hwlearn_sim import KirchhoffTwin

GOOD = {"voltage": 1.0, "drop": 2.0, "nudge": 0.1, "current": 1e-3, "conductance": (1e-6, 1e-4)}
WRONG = [0.0, -1.0, -0.5, np.nan, np.inf, -np.inf, True, None, [1.0], "x", "1 Hz", "nan", "-1 mV"]


@pytest.mark.parametrize("field", ["voltage", "drop", "nudge", "current"])
@pytest.mark.parametrize("value", WRONG)
def test_invalid_limit_is_refused_by_name(field, value):
    with pytest.raises(LimitError, match=rf"limits\.{field}.*must be positive and finite"):
        hl.Limits(**(GOOD | {field: value}))


@pytest.mark.parametrize(
    "value",
    [
        *((value, 1e-4) for value in WRONG),
        *((1e-6, value) for value in WRONG),
        (1e-4, 1e-6),
        (1e-6, 1e-6),
        1e-6,
        "1 uS",
        "12",
        (1e-6,),
        (1e-6, 1e-5, 1e-4),
        None,
    ],
)
def test_invalid_conductance_range_is_refused_by_name(value):
    with pytest.raises(LimitError, match=r"limits\.conductance"):
        hl.Limits(**(GOOD | {"conductance": value}))


def test_limits_accept_text_with_units():
    limits = hl.Limits("500 mV", "1 V", "0.1", "1mA", ("1 uS", "100 uS"))
    assert limits == hl.Limits(0.5, 1.0, 0.1, 1e-3, (1e-6, 1e-4))
    assert replace(limits, voltage="400 mV").voltage == 0.4


def test_missing_limits_are_named():
    with pytest.raises(TypeError, match="'drop', 'nudge', and 'current'"):
        hl.Limits("500 mV")


def test_limit_in_another_unit_is_refused():
    with pytest.raises(LimitError, match=r"limits\.voltage: '1 mA' is not in V"):
        hl.Limits(**(GOOD | {"voltage": "1 mA"}))


@pytest.fixture
def twin(bench_limits):
    return KirchhoffTwin(hl.Topology.crossbar(3, 2), bench_limits)


def refused(twin, mocker, words, *args):
    """Assert that a measurement is refused with these words and does not reach the hardware."""
    reached = mocker.spy(twin, "_measure")
    with pytest.raises(LimitError) as caught:
        twin.measure(*args)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert reached.call_count == 0
    assert twin.measurements == 0


def test_input_voltage_above_the_limit_is_refused(twin, mocker):
    refused(twin, mocker, ["600 mV", "row1", "sample 1", "limits.voltage", "500 mV"], [[0, 0, 0], [0, 0.6, 0]])


@pytest.mark.parametrize("volts", [1e160, 1e300, -1e308])
def test_voltage_whose_square_overflows_is_refused_like_any_other(twin, mocker, volts):
    refused(twin, mocker, ["row0", "limits.voltage", "500 mV"], [[volts, 0.0, 0.0]])


def test_drop_is_bounded_by_the_range_of_driven_terminals(bench_limits, mocker):
    twin = KirchhoffTwin(hl.Topology.crossbar(3, 2), hl.Limits(0.5, 0.6, 0.2, 1e-3, bench_limits.conductance))
    refused(twin, mocker, ["800 mV", "limits.drop", "600 mV"], [[-0.4, 0.0, 0.4]])


def test_ground_node_counts_as_a_driven_terminal(mocker):
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    twin = KirchhoffTwin(top, hl.Limits(1.0, 0.5, 0.2, 1e-3, (1e-6, 1e-4)))
    refused(twin, mocker, ["limits.drop"], [[0.6]])


def test_clamped_output_counts_as_a_driven_terminal(bench_limits, mocker):
    twin = KirchhoffTwin(hl.Topology.crossbar(3, 2), hl.Limits(0.5, 0.6, 0.2, 1e-3, bench_limits.conductance))
    refused(twin, mocker, ["limits.drop"], [[-0.2, 0.0, 0.2]], hl.OutputDrive.clamp([[0.45, np.nan]]))


def test_nan_input_is_refused(twin, mocker):
    refused(twin, mocker, ["row2", "nan"], [[0.0, 0.0, np.nan]])


@pytest.mark.parametrize(
    ("drive", "words"),
    [
        (hl.OutputDrive.clamp([[0.0, 0.7]]), ["700 mV", "col1", "limits.voltage"]),
        (hl.OutputDrive.current([[2e-3, 0.0]]), ["2 mA", "col0", "limits.current"]),
        (hl.OutputDrive.resistor([[0.0, -0.7]], 1e-4), ["col1", "limits.voltage"]),
        (hl.OutputDrive.clamp([[np.inf, 0.0]]), ["infinite"]),
    ],
)
def test_drive_above_a_limit_is_refused(twin, mocker, drive, words):
    refused(twin, mocker, words, [[0.1, 0.1, 0.1]], drive)


def test_resistor_drive_current_is_bounded_before_it_is_applied(mocker):
    tight = KirchhoffTwin(hl.Topology.crossbar(3, 2), hl.Limits(0.5, 1.0, 0.2, 1e-5, (1e-6, 1e-4)))
    refused(tight, mocker, ["limits.current", "10 uA"], [[-0.4, 0, 0]], hl.OutputDrive.resistor([[0.4, 0]], 1e-3))


@pytest.mark.parametrize("target", [0.9e-6, 1.1e-4, -1e-5, 0.0, np.nan])
def test_conductance_outside_the_limits_is_refused(twin, mocker, target):
    reached = mocker.spy(twin, "_program")
    g = np.full(6, 1e-5)
    g[4] = target
    with pytest.raises(LimitError, match=r"edge 4 \(row2-col0\).*limits.conductance"):
        twin.program(g)
    assert reached.call_count == 0


def test_value_on_the_limit_is_allowed(twin):
    twin.program(np.full(6, 1e-4))
    twin.program(np.full(6, 1e-6))
    assert twin.measure([[0.5, -0.5, 0.5]]).voltages.shape == (1, 2)


def test_source_in_current_compliance_is_an_error():
    twin = KirchhoffTwin(hl.Topology.crossbar(2, 1), hl.Limits(0.5, 1.0, 0.2, 1e-6, (1e-6, 1e-4)))
    with pytest.raises(ComplianceError, match=r"row0.*25.25 uA.*limits.current = 1 uA"):
        twin.measure([[0.5, -0.5]])


def test_current_source_in_voltage_compliance_is_an_error():
    twin = KirchhoffTwin(hl.Topology.crossbar(1, 1), hl.Limits(0.5, 1.0, 0.2, 1e-3, (1e-6, 1e-4)))
    twin.program([1e-6])
    with pytest.raises(ComplianceError, match=r"col0.*1 V.*limits.voltage"):
        twin.measure([[0.0]], hl.OutputDrive.current([[1e-6]]))


def test_range_of_a_laws_conductance_is_named_as_that_of_resistors():
    law = hl.elements.Law(
        lambda va, vb, g: g * (va - vb), hl.elements.Parameter("conductance", "S", 1e-6, 1e-3, "log"), name="plain"
    )
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=law)
    limits = hl.Limits(1.0, 2.0, 0.1, 1e-2, ("1 uS", "100 uS"))
    with pytest.raises(LimitError, match=r"target 1 mS at edge 0 .* outside limits\.conductance = 1 uS to 100 uS"):
        limits.check_values(top, np.full(2, 1e-3))
