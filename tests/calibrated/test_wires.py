"""A calibrated network has the wires of its record."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import LineRecord
from hwlearn.errors import SetupError
from hwlearn_sim import Imperfections, KirchhoffTwin

NOTHING = {"source_ohm": [0.0] * 4, "source_sigma_ohm": [0.1] * 4, "chi": 1.0}
FOUND = {"row_ohm": 30.0, "row_sigma_ohm": 0.1, "column_ohm": 24.0, "column_sigma_ohm": 0.2, "spread": 0.01}


@pytest.fixture
def declared():
    return hl.Topology.crossbar(4, 3, wire_resistance=(20.0, 30.0))


def record_of(topology, **lines):
    return CalibrationRecord.of(topology, ()).with_step("lines", LineRecord(**NOTHING, **lines))


def test_record_belongs_to_the_declared_circuit_and_the_network_has_the_found_one(declared, wide_limits):
    twin = KirchhoffTwin(declared, wide_limits, Imperfections(wire_resistance_ohm=(30.0, 24.0)))
    record = record_of(declared, **FOUND)
    assert record.topology == declared.fingerprint
    network = CalibratedNetwork(twin, record)
    wires = network.topology.wires
    assert (wires.row_ohms, wires.column_ohms) == pytest.approx((30.0, 24.0))
    assert twin.topology is declared
    reached = network.program(np.geomspace(1e-6, 1e-4, 12)).reached
    x = np.array([[0.4, -0.3, 0.2, 0.1]])
    read = network.measure(x).voltages
    predicted = {
        name: hl.Kirchhoff(top, reached).solve(x)[:, top.outputs]
        for name, top in (("found", network.topology), ("declared", declared))
    }
    np.testing.assert_allclose(read, predicted["found"], atol=1e-12)
    assert np.abs(read - predicted["declared"]).max() > 1e-6


def test_each_segment_may_differ(declared):
    ohms = np.linspace(10.0, 40.0, 24)
    found = record_of(declared, **FOUND, segment_ohm=ohms).circuit(declared)
    np.testing.assert_allclose(1 / found.fixed_conductances, ohms)
    np.testing.assert_array_equal(found.edges, declared.edges)


def test_record_without_wires_leaves_the_circuit_as_declared(declared):
    assert record_of(declared).circuit(declared) is declared
    assert CalibrationRecord.of(declared, ()).circuit(declared) is declared


def test_record_is_the_same_after_writing_and_reading(declared):
    record = record_of(declared, **FOUND, segment_ohm=np.linspace(10.0, 40.0, 24))
    assert CalibrationRecord.parse(record.text()) == record


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"row_ohm": 2.0, "column_ohm": 2.0, "segment_ohm": [1.0] * 5}, "segment_ohm has 5 values"),
        ({"row_ohm": 0.0}, "row_ohm is 0; it must be positive"),
    ],
)
def test_wires_that_do_not_fit_are_refused(declared, lines, message):
    with pytest.raises(SetupError, match=message):
        record_of(declared, **lines).check(declared, ())


def test_wires_of_ideal_lines_are_refused():
    columns = hl.Topology.crossbar(4, 3, wire_resistance=(0.0, 30.0))
    with pytest.raises(SetupError, match="no row segments"):
        record_of(columns, row_ohm=2.0).check(columns, ())


@pytest.mark.parametrize("wrong", [{"row_ohm": -2.0}, {"segment_ohm": [-1.0] * 24}, {"row_ohm": "2 ohm"}])
def test_impossible_wires_are_refused(wrong):
    with pytest.raises(SetupError, match=next(iter(wrong))):
        LineRecord(**NOTHING, **wrong)
