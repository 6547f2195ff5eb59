"""`Kirchhoff` is one class: the elements choose the solver, not the class that is called."""

from __future__ import annotations

import copy
import pickle
import typing
from functools import cached_property

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements import Shockley, Sinh
from hwlearn.circuit.solver import OperatingPoint
from hwlearn.errors import CircuitError, TopologyError

DIVIDER = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
ELEMENTS = [Shockley(0.025), Sinh(0.1)]


class Subclass(hl.Kirchhoff):
    """A user's class that changes nothing."""


@pytest.mark.parametrize("kind", [hl.Kirchhoff, Subclass])
def test_subclass_of_kirchhoff_solves_nonlinear_elements(kind: type[hl.Kirchhoff]):
    model = kind(DIVIDER, [1e-3, 3e-3], elements=ELEMENTS)
    assert model.solve([[0.5]])[0, 1] == pytest.approx(0.364, abs=5e-4)  # resistors would give 0.125 V
    other = model.with_conductances([2e-3, 6e-3])
    assert type(other) is kind
    assert other.solve([[0.5]])[0, 1] == pytest.approx(0.364, abs=5e-4)


def test_operating_point_and_solve_behind_are_visible_to_type_checkers():
    assert "__new__" not in vars(hl.Kirchhoff)
    assert typing.get_type_hints(vars(hl.Kirchhoff)["operating_point"])["return"] is OperatingPoint
    assert typing.get_type_hints(vars(hl.Kirchhoff)["solve_behind"])["return"] == tuple[FloatArray, FloatArray]
    assert typing.get_type_hints(hl.Kirchhoff.with_conductances)["return"] is typing.Self


def test_operating_point_of_resistors_states_the_error_of_the_solution():
    rng = np.random.default_rng(0)
    top = hl.Topology.grid(4, 4, ground=0)
    model = hl.Kirchhoff(top, rng.uniform(1e-5, 1e-3, top.n_edges))
    x = rng.uniform(-1, 1, (5, top.n_inputs))
    clamped = np.where(rng.random((5, top.n_outputs)) < 0.5, np.nan, 0.1)
    point = model.operating_point(x, clamped)
    np.testing.assert_array_equal(point.V, model.solve(x, clamped))
    for sample, volts in enumerate(clamped):
        largest = np.abs(point.V[sample]).max()
        assert point.error_V[sample] == model.estimated_error(volts) * largest
    assert (point.error_V < 1e-10).all()
    assert model.operating_point(x[:0]).error_V.shape == (0,)


def test_source_behind_a_resistor_delivers_the_current_of_kirchhoffs_law():
    rng = np.random.default_rng(1)
    top = hl.Topology.grid(4, 4, ground=0)
    model = hl.Kirchhoff(top, rng.uniform(1e-5, 1e-3, top.n_edges))
    x = rng.uniform(-1, 1, (5, top.n_inputs))
    volts = np.where(rng.random((5, top.n_outputs)) < 0.3, np.nan, rng.uniform(-1, 1, (5, top.n_outputs)))
    siemens = np.array([1e-4, 1e-3, 1e-2, 0.0])
    V, currents = model.solve_behind(x, volts, siemens)
    across = np.nan_to_num(volts - V[:, top.outputs])
    np.testing.assert_allclose(currents, across * siemens, rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(model.output_currents(V), currents, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(currents[:, 3], 0.0)


@pytest.mark.parametrize("siemens", [[-1e-3], [np.nan]])
def test_source_behind_a_negative_conductance_is_refused(siemens: list[float]):
    with pytest.raises(CircuitError, match="siemens"):
        hl.Kirchhoff(DIVIDER, [1e-3, 3e-3]).solve_behind([[1.0]], [[0.5]], siemens)


@pytest.mark.parametrize("elements", [None, ELEMENTS])
def test_solved_circuit_can_be_pickled(elements: list | None):
    model = hl.Kirchhoff(DIVIDER, [1e-3, 3e-3], elements=elements)
    V = model.solve([[0.5]])
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.solve([[0.5]]), V)
    np.testing.assert_array_equal(copy.with_conductances([1e-3, 3e-3]).solve([[0.5]]), V)


def test_copied_circuit_stays_a_value():
    model = Subclass(DIVIDER, [1e-3, 3e-3], elements=ELEMENTS)
    solved = model.solve([[0.5]])
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(other) is Subclass
        np.testing.assert_array_equal(other.solve([[0.5]]), solved)
        with pytest.raises(ValueError, match="read-only"):
            other.conductances[0] = 1.0


@pytest.mark.parametrize("elements", ["sinh", Sinh, {"kind": "sinh"}, 5])
def test_elements_of_another_kind_are_named(elements: typing.Any):
    with pytest.raises(TopologyError) as caught:
        hl.Kirchhoff(DIVIDER, [1e-3, 3e-3], elements=elements)
    assert str(caught.value).startswith(f"{elements!r} is not an element")


class Labelled(hl.Kirchhoff):
    """A circuit with arguments and attributes of its own."""

    def __init__(self, topology, conductances, label):
        super().__init__(topology, conductances)
        self.label = label

    @cached_property
    def total(self):
        return self.conductances.sum()


def test_circuit_of_a_subclass_keeps_its_attributes():
    top = hl.Topology.crossbar(3, 2)
    one = Labelled(top, np.full(6, 1e-5), "sample 7")
    assert one.total == pytest.approx(6e-5)
    other = one.with_conductances(np.full(6, 2e-5))
    assert (type(other), other.label) == (Labelled, "sample 7")
    assert other.total == pytest.approx(12e-5), "computed again"
    assert one.total == pytest.approx(6e-5)
    x = np.eye(top.n_inputs)
    np.testing.assert_allclose(other.solve(x), hl.Kirchhoff(top, np.full(6, 2e-5)).solve(x), atol=1e-15)
    assert other.with_history(other.history).label == "sample 7"
    with pytest.raises(CircuitError):
        one.with_conductances(np.full(6, -1.0))
