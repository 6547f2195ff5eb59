"""Laws of the elements: slopes, co-contents, invalid parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

import hwlearn as hl
from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.elements import OHMIC, Custom, Element, ElementTable, IdealDiode, Ohmic, Shockley, Sinh
from hwlearn.errors import CircuitError, TopologyError

THETA = np.array([3e-5])
CUBIC = Custom(
    lambda v, t: t * (v + v**3), lambda v, t: t * (1 + 3 * v**2), lambda v, t: v + v**3, name="cubic", scale=0.5
)
POWER = Custom(  # theta is not a factor of the current
    lambda v, t: np.sign(v) * np.abs(v) ** (1 + t),
    lambda v, t: (1 + t) * np.abs(v) ** t,
    lambda v, t: np.sign(v) * np.abs(v) ** (1 + t) * np.log(np.abs(v) + 1e-300),
    name="power",
)
ELEMENTS = [OHMIC, Sinh(0.1), Sinh(2.0), Shockley(), Shockley(0.5), IdealDiode(), IdealDiode(0.3, 0.2), CUBIC]


@pytest.mark.parametrize("element", ELEMENTS, ids=repr)
@given(v=st.floats(-1.5, 1.5))
def test_slope_and_sensitivity_are_derivatives_of_the_current(element: Element, v: float):
    if isinstance(element, IdealDiode) and abs(v - element.threshold_V) < 1e-5:
        return  # the kink
    at, h = np.array([v]), 1e-6
    rise = element.current(at + h, THETA) - element.current(at - h, THETA)
    np.testing.assert_allclose(element.slope(at, THETA), rise / (2 * h), rtol=1e-6, atol=1e-6 * THETA[0])
    by_theta = (element.current(at, 1.001 * THETA) - element.current(at, THETA)) / (0.001 * THETA)
    np.testing.assert_allclose(element.sensitivity(at, THETA), by_theta, rtol=1e-9, atol=1e-12)
    assert (element.slope(at, THETA) >= 0).all()


@pytest.mark.share(20)
@pytest.mark.parametrize("element", ELEMENTS, ids=repr)
@pytest.mark.parametrize("v", [-1.3, -0.2, -1e-4, 0.0, 1e-9, 3e-3, 0.25, 1.1])
def test_cocontent_is_the_integral_of_the_sensitivity(element: Element, v: float):
    def sensitivity(u: float) -> float:
        return float(element.sensitivity(np.array([u]), THETA)[0])

    kinks = [element.threshold_V] if isinstance(element, IdealDiode) and 0 < element.threshold_V < v else None
    area, _ = quad(sensitivity, 0, v, points=kinks, epsabs=0, epsrel=1e-11)
    np.testing.assert_allclose(element.cocontent(np.array([v]), THETA), [area], rtol=1e-9)


def test_cocontent_of_element_not_proportional_to_theta_is_integrated():
    v, theta = np.array([[0.7, -0.4]]), np.array([0.3, 1.2])
    own = [
        quad(lambda u, t=t: np.sign(u) * abs(u) ** (1 + t) * np.log(abs(u)), 0, x)[0]
        for x, t in zip(v[0], theta, strict=True)
    ]
    np.testing.assert_allclose(POWER.cocontent(v, theta), [own], rtol=1e-7)


def test_given_cocontent_agrees_with_quadrature():
    given_ = Custom(CUBIC.law, CUBIC.law_dv, CUBIC.law_dtheta, lambda v, t: 0.5 * v**2 + 0.25 * v**4)
    v = np.linspace(-1, 1, 7)
    np.testing.assert_allclose(CUBIC.cocontent(v, THETA), given_.cocontent(v, THETA), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("element", [Sinh(1e-3), Shockley(1e-3)], ids=repr)
def test_exponential_continues_along_its_tangent(element: Element):
    v = np.array([0.299, 0.3, 0.301, 1.0, 100.0, 1e6])
    with np.errstate(all="raise"):
        current, slope, content = (f(v, THETA) for f in (element.current, element.slope, element.cocontent))
    assert np.isfinite([current, slope, content]).all()
    assert (np.diff(current) > 0).all()
    assert (np.diff(slope) >= 0).all()
    assert (np.diff(content) > 0).all()
    assert element.in_range(v).tolist() == [True, True, False, False, False, False]


@given(v=st.floats(-50, 50), before=st.floats(-2, 2), V0=st.floats(0.01, 1))
def test_limited_step_ends_between_the_last_and_the_wanted_drop(v: float, before: float, V0: float):
    for element in (Sinh(V0), Shockley(V0), IdealDiode(), OHMIC):
        at = float(element.linearised_at(np.array([v]), np.array([before]))[0])
        assert min(v, before, 0) - 1e-12 <= at <= max(v, before, 0) + 1e-12
        assert at == v or abs(v - before) > 0.5 * V0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sinh(0.0), r"Sinh\.V0 is 0\.0; it must be a positive number of volts"),
        (lambda: Sinh(math.nan), r"Sinh\.V0 is nan"),
        (lambda: Shockley(-0.02), r"Shockley\.nVt is -0\.02"),
        (lambda: Shockley("25 mV"), r"Shockley\.nVt is '25 mV'"),
        (lambda: IdealDiode(-0.1), r"IdealDiode\.threshold_V is -0\.1; it must be zero or a positive"),
        (lambda: IdealDiode(leak=1.5), r"IdealDiode\.leak is 1\.5; it must be a fraction of theta: above 0"),
        (lambda: IdealDiode(leak=0.0), r"IdealDiode\.leak is 0\.0; it must be a fraction of theta: above 0"),
        (lambda: Custom(CUBIC.law, CUBIC.law_dv, CUBIC.law_dtheta, scale=0), r"scale = 0; it must be positive"),
    ],
)
def test_invalid_parameters_are_refused(make, message: str):
    with pytest.raises(CircuitError, match=message):
        make()


PAIR = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (
            Custom(lambda v, t: -t * v, lambda v, t: -t + 0 * v, lambda v, t: -v, name="odd"),
            "'odd' has a negative",
        ),
        (Custom(lambda v, t: v[0], lambda v, t: t + 0 * v, lambda v, t: v, name="thin"), r"'thin' returned shape"),
        (
            Custom(lambda v, t: t * np.sqrt(v - 9), lambda v, t: t + 0 * v, lambda v, t: v),
            "'custom' is not finite",
        ),
    ],
    ids=["negative", "shape", "nan"],
)
def test_error_in_a_custom_element_names_the_element(element: Custom, message: str):
    with pytest.raises(CircuitError, match=message):
        Kirchhoff(PAIR, [1e-3, 1e-3], elements=element).solve([[1.0]])


def test_quadrature_that_does_not_converge_is_refused():
    wild = Custom(CUBIC.law, CUBIC.law_dv, lambda v, t: np.sin(1e7 * v), name="wild")
    with pytest.raises(CircuitError, match=r"'wild' did not converge at 1 V by quadrature; give its"):
        wild.cocontent(np.array([1.0]), THETA)


def test_elements_are_offered_by_hl():
    assert {"Ohmic", "Sinh", "Shockley", "IdealDiode", "Custom"} <= set(hl.elements.__all__)
    assert hl.elements.Sinh is Sinh


# --- elements of a topology -----------------------------------------------------------------------------


def test_topology_stores_elements_of_edges_and_fixed_edges():
    t = Topology(
        3,
        [(0, 1), (1, 2)],
        [0],
        [1],
        2,
        fixed_edges=[(0, 2)],
        fixed_conductances=[1e-3],
        elements=[Sinh(0.1), OHMIC],
        fixed_elements=Shockley(),
    )
    assert t.edge_elements == (Sinh(0.1), OHMIC)
    assert t.fixed_edge_elements == (Shockley(),)
    assert t.elements is not None
    assert t.elements.ohmic.tolist() == [False, True, False]
    assert t.elements.scale_V == 0.02585
    again = t.with_elements([Sinh(np.float64(0.1)), Ohmic()])
    assert again == t
    assert again.with_elements(Sinh(0.2)) != t
    assert t.with_elements([OHMIC] * 3).elements is None
    assert t.with_elements([OHMIC] * 3).fixed_edges.tolist() == [[0, 2]]


def test_topology_of_resistors_has_no_element_table():
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], 2, elements=OHMIC)
    assert t.elements is None
    assert t == PAIR
    assert t.edge_elements == (OHMIC, OHMIC)
    assert ElementTable.of([OHMIC]).scale_V == math.inf


def test_fingerprint_differs_between_elements():
    prints = {PAIR.with_elements(element).fingerprint for element in ELEMENTS}
    assert len(prints) == len(ELEMENTS)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ([OHMIC], "2 edges need 2 elements, or one for all; got 1"),
        (["ohmic", OHMIC], "'ohmic' is not an element"),
        ([Sinh, Sinh], "is not an element"),
        (3, "3 is not an element"),
    ],
)
def test_wrong_number_or_type_of_elements_is_refused(elements, message: str):
    with pytest.raises(TopologyError, match=message):
        PAIR.with_elements(elements)


@pytest.mark.parametrize("rectifier", [IdealDiode(), Shockley()], ids=repr)
def test_layered_connects_hidden_nodes_to_ground_by_rectifiers_of_alternating_direction(rectifier: Element):
    t = Topology.layered([2, 3, 2, 1], rectifier=rectifier, rectifier_siemens=1e-2)
    assert t.n_nodes == 9
    assert t.ground == 8
    assert t.names[-1] == "ground"
    assert t.fixed_edges.tolist() == [[2, 8], [8, 3], [4, 8], [8, 5], [6, 8]]
    assert set(t.fixed_edge_elements) == {rectifier}
    assert t.edges.tolist() == Topology.layered([2, 3, 2, 1]).edges.tolist()
    own = Topology.layered([2, 3, 1], 0, rectifier)
    assert own.n_nodes == 6
    assert own.fixed_edges.tolist() == [[2, 0], [0, 3], [4, 0]]
