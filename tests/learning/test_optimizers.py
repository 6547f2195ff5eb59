"""Optimizers: steps, limits, unquantised shadow and state."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements.value_ranges import ValueRanges
from hwlearn.errors import LimitError, SetupError
from hwlearn.network.edge_codes import Rheostat
from hwlearn_sim import Imperfections, KirchhoffTwin

LIMITS = (1e-6, 1e-4)
ALL = np.ones(3, dtype=bool)
MAKERS = [
    lambda scale: hl.SGD(1e-3, scale=scale),
    lambda scale: hl.Momentum(1e-3, scale=scale),
    lambda scale: hl.Adam(0.05, scale=scale),
    lambda scale: hl.Sign(0.05, scale=scale),
]


@pytest.mark.parametrize("make", MAKERS, ids=["sgd", "momentum", "adam", "sign"])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_optimizer_descends_and_stays_in_range(make, scale):
    optimizer = make(scale)
    optimizer.start(np.array([1e-6, 3e-5, 1e-4]), LIMITS)
    gradient = np.array([1e6, 1e6, -1e6])
    before = optimizer.shadow
    for _ in range(200):
        g = optimizer.step(gradient, ALL)
        assert (g >= LIMITS[0]).all()
        assert (g <= LIMITS[1]).all()
    assert g[0] == LIMITS[0]
    assert g[1] < before[1]
    assert g[2] == LIMITS[1]


@pytest.mark.parametrize("make", MAKERS, ids=["sgd", "momentum", "adam", "sign"])
def test_state_restores_exactly(make):
    rng = np.random.default_rng(0)
    gradients = rng.normal(0, 1e3, (10, 3))
    one, two = make("log"), make("log")
    for optimizer in (one, two):
        optimizer.start(np.full(3, 2e-5), LIMITS)
    for gradient in gradients[:5]:
        one.step(gradient, ALL)
    two.restore(one.state())
    for gradient in gradients[5:]:
        np.testing.assert_array_equal(one.step(gradient, ALL), two.step(gradient, ALL))


def test_state_is_a_copy():
    optimizer = hl.Adam()
    optimizer.start(np.full(3, 2e-5), LIMITS)
    state = optimizer.state()
    optimizer.step(np.ones(3), ALL)
    assert (state["u"] == (2e-5 - 1e-6) / (1e-4 - 1e-6)).all()


def test_fixed_edges_do_not_change_even_with_momentum():
    optimizer = hl.Momentum(1e-2)
    optimizer.start(np.full(3, 2e-5), LIMITS)
    optimizer.step(np.full(3, 1e3), ALL)
    held = optimizer.shadow[1]
    for _ in range(3):
        optimizer.step(np.full(3, 1e3), np.array([True, False, True]))
    assert optimizer.shadow[1] == held
    assert optimizer.shadow[0] < held


def test_adam_is_independent_of_the_gradient_unit():
    rng = np.random.default_rng(1)
    gradients = rng.normal(0, 1, (20, 3))
    found = []
    for unit in (1e-12, 1.0, 1e12):
        optimizer = hl.Adam(0.02)
        optimizer.start(np.full(3, 5e-5), LIMITS)
        for gradient in gradients:
            optimizer.step(unit * gradient, ALL)
        found.append(optimizer.shadow)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)
    np.testing.assert_allclose(found[2], found[1], rtol=1e-9)


def test_adam_does_not_move_without_a_gradient():
    optimizer = hl.Adam(0.1)
    optimizer.start(np.full(3, 5e-5), LIMITS)
    np.testing.assert_array_equal(optimizer.step(np.zeros(3), ALL), optimizer.shadow)
    assert optimizer.shadow == pytest.approx(5e-5)


def test_sgd_takes_the_textbook_step():
    optimizer = hl.SGD(0.1)
    optimizer.start(np.full(3, 5e-5), LIMITS)
    span = LIMITS[1] - LIMITS[0]
    gradient = np.array([1.0, -2.0, 0.5])
    expected = 5e-5 - 0.1 * gradient * span * span
    np.testing.assert_allclose(optimizer.step(gradient, ALL), expected, rtol=1e-12)


def test_small_steps_accumulate_with_coarse_hardware_steps(small, wide_limits):
    twin = KirchhoffTwin(small[0], wide_limits, Imperfections(conductance_bits=3))
    optimizer = hl.Sign(0.01)
    optimizer.start(np.full(30, 5e-5), LIMITS)
    reached = [twin.program(optimizer.step(np.ones(30), np.ones(30, dtype=bool))).reached[0] for _ in range(20)]
    assert len(set(reached)) > 1  # a fifth of the range, in steps of a hundredth
    assert len(set(reached)) <= 3


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, True, "auto", None])
@pytest.mark.parametrize("kind", [hl.Adam, hl.SGD, hl.Momentum, hl.Sign])
def test_invalid_rates_are_rejected(kind, rate):
    with pytest.raises(SetupError, match=f"optimizer rate is {rate!r}; it must be positive"):
        kind(rate)


def test_invalid_optimizer_arguments_are_rejected():
    with pytest.raises(SetupError, match="momentum"):
        hl.Momentum(0.1, 1.0)
    with pytest.raises(SetupError, match="momentum is True"):
        hl.Momentum(0.1, True)
    with pytest.raises(SetupError, match="beta2"):
        hl.Adam(beta2=1.5)
    with pytest.raises(SetupError, match="scale"):
        hl.SGD(0.1, scale="cubic")
    optimizer = hl.SGD(0.1)
    with pytest.raises(LimitError, match="initial"):
        optimizer.start(np.array([1e-3]), LIMITS)
    optimizer.start(np.full(3, 5e-5), LIMITS)
    with pytest.raises(SetupError, match="not finite"):
        optimizer.step(np.array([0, np.nan, 0]), ALL)


def test_potentiometer_moves_each_edge_by_one_position():
    """Positions of a digital potentiometer of 100 kohm with 128 of them, behind 5 kohm."""
    law = Rheostat(100e3, 5e3, 128)
    optimizer = hl.Potentiometer(128)
    optimizer.start(law.siemens([0, 64, 127]), law.siemens_range)
    for count in range(1, 6):
        g = optimizer.step(np.array([3e2, -1e-9, 0.0]), ALL, pace=0.1)
        np.testing.assert_allclose(g, law.siemens([count, 64 - count, 127]), rtol=1e-12)
    np.testing.assert_array_equal(optimizer.step(np.array([-1.0, 1.0, 1.0]), ~ALL), g)
    with pytest.raises(SetupError, match="1 positions"):
        hl.Potentiometer(1)


def test_resistance_scale_descends_linearly_in_resistance():
    optimizer = hl.SGD(0.01, scale="resistance")
    start = np.array([2e-6, 3e-5, 9e-5])
    optimizer.start(start, LIMITS)
    np.testing.assert_allclose(optimizer.shadow, start, rtol=1e-12)
    span = 1 / LIMITS[0] - 1 / LIMITS[1]
    gradient = np.array([1e3, -1e3, 0.0])
    expected = 1 / start + 0.01 * span * (gradient * start**2 * span)  # dR/dg = -1/g^2, chain rule on u
    np.testing.assert_allclose(1 / optimizer.step(gradient, ALL), expected, rtol=1e-9)


def test_resistance_scale_moves_gate_voltages_linearly():
    ranges = ValueRanges(np.array([1e-6, 0.4]), np.array([1e-4, 8.0]), np.array([True, False]), 2)
    optimizer = hl.Potentiometer(128)
    optimizer.start(np.array([1e-6, 0.4]), ranges)
    g = optimizer.step(np.array([-1.0, -1.0]), np.ones(2, dtype=bool))
    np.testing.assert_allclose(g, [1 / (1e6 - (1e6 - 1e4) / 127), 0.4 + 7.6 / 127], rtol=1e-12)


def test_decay_pulls_values_back_to_where_they_began():
    """Without a gradient, plain descent leaves the share (1 - rate decay) of each distance."""
    optimizer = hl.SGD(0.1, decay=2.0)
    optimizer.start(np.array([2e-5, 6e-5]), (1e-5, 1e-4))
    every = np.ones(2, dtype=bool)
    moved = optimizer.step(np.array([1e4, -2e4]), every) - [2e-5, 6e-5]
    left = optimizer.step(np.zeros(2), every) - [2e-5, 6e-5]
    assert np.allclose(left, 0.8 * moved, rtol=1e-9)
    resumed = hl.SGD(0.1, decay=2.0)
    resumed.start(np.array([5e-5, 5e-5]), (1e-5, 1e-4))
    resumed.restore(optimizer.state())
    assert np.array_equal(resumed.step(np.zeros(2), every), optimizer.step(np.zeros(2), every))
    with pytest.raises(hl.errors.SetupError, match="decay is -1"):
        hl.SGD(0.1, decay=-1)
