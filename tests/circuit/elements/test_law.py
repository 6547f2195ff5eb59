"""Laws of a user, one function of both node voltages: answers, gradients, and what is refused on entry."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from transistor_circuits import DEVICE

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC, Custom, Law, Parameter, Shockley
from hwlearn.circuit.spice.netlist import spice_text
from hwlearn.errors import CircuitError, ConvergenceError, TopologyError

GATE = Parameter("gate voltage", "V", 0.4, 8.0, "linear")
SIEMENS = Parameter("conductance", "S", 1e-6, 1e-3, "log")
PLAIN = replace(DEVICE, rsh=0.0, is_=1e-30, gmin=1e-30)


def level1(va, vb, gate):
    """The channel of `PLAIN` with its body at ground, for voltages from 0 V on, written as a user would."""
    low, across = np.where(va >= vb, vb, va), np.where(va >= vb, va - vb, vb - va)
    body_effect = PLAIN.gamma * (np.sqrt(PLAIN.phi + low) - np.sqrt(PLAIN.phi))
    above = np.maximum(gate - low - PLAIN.vto - body_effect, 0.0)
    inside = np.minimum(above, across)
    current = PLAIN.kp * PLAIN.w / PLAIN.l * inside * (above - inside / 2) * (1 + PLAIN.lambda_ * across)
    return np.where(va >= vb, current, -current)


def diode(va, vb, theta):
    return theta * 0.04 * (np.exp((va - vb) / 0.04) - 1)


def leaky(va, vb, theta):
    """A conductance with nonlinear leaks to ground at both ends; np.abs has no complex step."""
    return theta * (va - vb) + 1e-5 * va * np.abs(va), theta * (vb - va) + 2e-5 * vb


def laws() -> dict[str, Law]:
    return {
        "channel": Law(level1, GATE, volts=(0.0, 1.0)),
        "diode": Law(diode, SIEMENS, scale=0.04),
        "leaky": Law(leaky, SIEMENS),
    }


def test_law_copied_from_a_transistor_gives_its_answers():
    grid, rng = hl.Topology.grid(4, 4, ground=0), np.random.default_rng(0)
    gates = rng.uniform(2, 6, grid.n_edges)
    x, e = rng.uniform(0, 1, (3, grid.n_inputs)), rng.standard_normal((3, grid.n_outputs))
    own = hl.Kirchhoff(grid.with_elements(Law(level1, GATE, volts=(0.0, 1.0))), gates)
    built_in = hl.Kirchhoff(grid.with_elements(PLAIN), gates)
    np.testing.assert_allclose(own.solve(x), built_in.solve(x), atol=1e-12)
    expected = built_in.gradient(x, e)
    np.testing.assert_allclose(own.gradient(x, e), expected, atol=1e-10 * np.abs(expected).max())


def test_law_of_a_diode_gives_the_answers_of_shockley():
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    x, values = np.array([[0.9], [-0.7], [0.1]]), [1e-4, 1e-5]
    own = hl.Kirchhoff(top, values, elements=[OHMIC, laws()["diode"]])
    built_in = hl.Kirchhoff(top, values, elements=[OHMIC, Shockley(0.04)])
    np.testing.assert_allclose(own.solve(x), built_in.solve(x), atol=1e-11)
    high, low = own.solve(x), own.solve(0.9 * x)
    expected = built_in.contrast(high, low, np.ones(3))
    np.testing.assert_allclose(own.contrast(high, low, np.ones(3)), expected, rtol=1e-6)


def test_gradient_of_a_mixed_network_is_exact(figure):
    made, rng = laws(), np.random.default_rng(2)
    kinds = [made["channel"], made["leaky"], made["diode"], DEVICE, OHMIC]
    base = hl.Topology.random(7, 14, inputs=2, outputs=2, ground=0, seed=5)
    elements = [kinds[k % 5] for k in range(base.n_edges)]
    values = np.array([(3.0 + 0.1 * k) if k % 5 in (0, 3) else 3e-5 for k in range(base.n_edges)])
    top = base.with_elements(elements)
    x, e = rng.uniform(0.1, 0.9, (3, 2)), rng.standard_normal((3, 2))
    exact = hl.Kirchhoff(top, values).gradient(x, e)
    numeric = np.zeros_like(exact)
    for k in range(len(values)):
        step = np.zeros_like(values)
        step[k] = 1e-4 * values[k]
        up, down = (hl.Kirchhoff(top, values + sign * step).solve(x)[:, top.outputs] for sign in (1, -1))
        numeric[k] = np.mean(np.sum(e * (up - down), axis=1)) / (2 * step[k])
    volts = np.array([k % 5 in (0, 3) for k in range(len(values))])
    errors = [np.abs(numeric - exact)[unit].max() / np.abs(exact)[unit].max() for unit in (volts, ~volts)]
    assert max(errors) <= 1e-6
    figure(f"gradient of a network with a user's laws against differences: {max(errors):.1e} (required 1e-6)")


def test_leaks_flow_to_ground_and_power_is_conserved():
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=laws()["leaky"])
    model = hl.Kirchhoff(top, [1e-4, 1e-4])
    V = model.solve([[0.8]])
    into = model.node_currents(V)[0]
    leak = 1e-5 * 0.64 + 2e-5 * V[0, 1] + 1e-5 * V[0, 1] ** 2
    assert into.sum() == pytest.approx(leak, rel=1e-9)
    assert abs(into[1]) < 1e-15
    assert model.power(V)[0] == pytest.approx(0.8 * into[0], rel=1e-9)


def test_values_without_an_upper_end_are_differentiated_where_they_are():
    """By differences, because of np.abs; 5 V is beyond the values that are tried."""
    unlimited = Parameter("gate voltage", "V", 0.0, np.inf, "linear")
    law = Law(lambda va, vb, gate: 1e-5 * gate**2 * (va - vb) + 1e-6 * va * np.abs(va), unlimited, name="square")
    assert law.derivatives == "differences"
    model = hl.Kirchhoff(hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=law), [5.0, 4.0])
    up, down = (model.with_conductances([5.0 + step, 4.0]).solve([[0.5]])[0, 1] for step in (1e-4, -1e-4))
    assert model.gradient([[0.5]], [[1.0]])[0] == pytest.approx((up - down) / 2e-4, rel=1e-6)


def test_laws_are_equal_after_pickling():
    law = laws()["channel"]
    copy = pickle.loads(pickle.dumps(law))
    assert copy == law
    assert hash(copy) == hash(law)
    assert copy != laws()["leaky"]


def test_derivatives_come_from_a_complex_step_where_it_is_exact():
    made = laws()
    assert [made[name].derivatives for name in made] == ["complex step", "complex step", "differences"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda va, vb, t: t * np.sign(va - vb), "'bad' jumps where the voltage at [ab] is"),
        (lambda va, vb, t: t * (vb - va), "'bad' that leaves a falls when the voltage there rises"),
        (lambda va, vb, t: t * np.log(va - vb), "'bad' is not finite at"),
        (lambda va, vb, t: t * float(va), "'bad' raised TypeError"),
        (lambda va, vb, t: t * va.mean(), "'bad' returned other currents when it was called with fewer entries"),
        (lambda va, vb, t: (va, vb, t), "'bad' returned 3 arrays"),
        (lambda va, vb, t: np.zeros(3), r"'bad' returned an array of shape \(3,\)"),
        (lambda va, vb, t: np.add(va, 1.0, out=va), "'bad' raised ValueError"),
        (lambda va, vb, t: 1e-4 * np.tanh((va - vb) / 1e-5), "'bad' has no derivatives to 1e-6|'bad' jumps"),
    ],
)
def test_laws_that_cannot_be_right_are_refused_by_name(function, message):
    with pytest.raises(CircuitError, match=message):
        Law(function, SIEMENS, name="bad")


def test_function_is_never_called_outside_its_range():
    seen = []

    def guarded(va, vb, theta):
        seen.extend([va.real.min(), va.real.max(), vb.real.min(), vb.real.max()])
        return theta * (va - vb)

    law = Law(guarded, SIEMENS, volts=(0.0, 0.5), name="guarded")
    model = hl.Kirchhoff(hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=law), [1e-4, 1e-4])
    model.solve([[0.5]])
    with pytest.raises(ConvergenceError, match=r"'guarded' is driven beyond its volts, 0 to 0\.5 V"):
        model.solve([[0.7]])
    assert min(seen) >= 0.0
    assert max(seen) <= 0.5


def test_spice_refuses_a_law():
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=laws()["leaky"])
    with pytest.raises(CircuitError, match=r"edge 0 cannot be written for SPICE: Law\('leaky'"):
        spice_text(top, np.array([1e-4, 1e-4]), [0.5])


def test_values_outside_the_declared_range_are_refused():
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=laws()["leaky"])
    with pytest.raises(CircuitError, match=r"conductance 0\.1 S at edge 1"):
        hl.Kirchhoff(top, [1e-4, 0.1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(
            ({"low": low}, "low = .*; it must be (a number|below high)")
            for low in (9.0, 8.0, "0.4 V", np.nan, None)
        ),
        *(({"high": high}, "(high|low) = .*; it must be") for high in (0.4, "8", np.nan, [1.0], 1j, -(10**400))),
        *(({"scale": scale}, "scale = .*'log' or 'linear'") for scale in ("quadratic", None, 3, ["log"])),
        *(({"scale": "log", "low": low}, "low = .*positive, or 0 with includes_low") for low in (0.0, -1.0)),
        ({"includes_low": "no"}, "includes_low = 'no'"),
        *(({"name": name}, "name of a Parameter is") for name in (3, None, "", " ")),
        ({"unit": None}, "unit of a Parameter is None"),
        ({"name": "conductance", "unit": "mS"}, "'conductance' has unit = 'mS'; it must be 'S'"),
        ({"name": "gate voltage", "unit": "mV"}, "'gate voltage' has unit = 'mV'; it must be 'V'"),
    ],
)
def test_parameter_that_cannot_be_is_refused(change, message):
    with pytest.raises(CircuitError, match=message) as caught:
        replace(GATE, **{"name": "drive", **change})
    assert "\n" not in str(caught.value)


def test_parameter_accepts_numbers_of_numpy_and_open_ends():
    one = Parameter("state", "", np.float32(0.5), np.int64(2), "log")
    assert (one.low, one.high, type(one.low), type(one.high)) == (0.5, 2.0, float, float)
    Parameter("bias", "A", -np.inf, np.inf, "linear")
    Parameter("share", "", 0.0, 1.0, "log", includes_low=False)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        *(((diode, p), {}, "parameter = .*must be a Parameter") for p in ("S", None, ("conductance", "S"))),
        (("diode", SIEMENS), {"name": "bad"}, "'bad' has function = 'diode'"),
        *(
            ((diode, SIEMENS), {"volts": volts}, "volts = .*two numbers, the lower one first")
            for volts in ((0, 1, 2), 1.0, ("-1 V", "1 V"), "01", None, (1.0, -1.0), (0.0, np.inf), (False, True))
        ),
        *(((diode, SIEMENS), {"scale": x}, "scale = .*positive volts") for x in ("x", 0.0, np.nan, None, -1)),
        *(((diode, SIEMENS), {"name": name}, "a Law has name =") for name in (3, "")),
    ],
)
def test_law_with_a_wrong_argument_is_refused(arguments, options, message):
    with pytest.raises(CircuitError, match=message) as caught:
        Law(*arguments, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("returned", [None, (None, None), (np.zeros(9), None)])
def test_law_that_forgets_to_return_is_told_so(returned):
    def forgetful(va, vb, g):
        return (g * (va - vb), None) if returned is not None and returned[0] is not None else returned

    with pytest.raises(CircuitError, match="'forgetful' returned None; it must return one current or two"):
        Law(forgetful, SIEMENS)


def test_law_that_returns_lists_of_different_lengths_is_refused():
    with pytest.raises(CircuitError, match="'ragged' returned an array of shape"):
        Law(lambda va, vb, g: [[1.0], [1.0, 2.0]], SIEMENS, name="ragged")


def test_custom_element_with_a_wrong_argument_is_refused():
    def law(v, t):
        return t * v

    for change in ({"scale": "x"}, {"scale": np.nan}, {"law_dv": 1.0}, {"law_cocontent": "F"}, {"name": None}):
        with pytest.raises(CircuitError, match=f"{next(iter(change))} = "):
            Custom(**{"law": law, "law_dv": law, "law_dtheta": law, **change})


def test_parameters_of_one_name_have_one_unit_in_a_circuit():
    kinds = [
        Law(
            lambda va, vb, s, k=k: 1e-4 * k * s * (va - vb),
            Parameter("state", unit, 0.1, 1.0, "linear"),
            name=unit,
        )
        for k, unit in enumerate(("mm", "um"), 1)
    ]
    pairs = [(0, 1), (1, 2)]
    with pytest.raises(TopologyError, match=r"a state in mm and one in um, .*give one of them another name"):
        hl.Topology(3, pairs, [0], [1], ground=2, elements=kinds)
    with pytest.raises(TopologyError, match="a state in mm and one in um"):
        hl.Topology(3, pairs, [0], [1], ground=2, elements=kinds[0]).with_elements(kinds)
    hl.Topology(3, pairs, [0], [1], ground=2, elements=[kinds[0], kinds[0]])


def test_law_of_a_diode_beside_a_conductance_is_accepted():
    """At 1 V it carries 50 kA, in which the change with the conductance drowns; its derivative does not."""

    def shunted(va, vb, g):
        return 1e-12 * np.expm1((va - vb) / 0.026) + g * (va - vb)

    law = Law(shunted, SIEMENS, volts=(-0.5, 0.5))
    assert law.derivatives == "complex step"
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=[OHMIC, law])
    plain = hl.Topology(
        3, [(0, 1), (1, 2)], [0], [1], ground=2,
        fixed_edges=[(1, 2)], fixed_conductances=[1e-12 / 0.026], fixed_elements=Shockley(0.026),
    )  # fmt: skip
    x, e = [[0.45], [-0.3]], [[1.0], [0.5]]
    own, built_in = (hl.Kirchhoff(one, [1e-3, 2e-5]) for one in (top, plain))
    np.testing.assert_allclose(own.solve(x), built_in.solve(x), atol=1e-12)
    np.testing.assert_allclose(own.gradient(x, e), built_in.gradient(x, e), rtol=1e-9)


def test_slopes_that_jump_are_refused_also_beside_large_currents():
    def kinked(va, vb, g):
        return 1e-12 * np.expm1((va - vb) / 0.026) + g * np.arctan((va - vb) / 1e-7)

    with pytest.raises(CircuitError, match=r"'kinked' (has no derivatives to 1e-6|jumps)"):
        Law(kinked, SIEMENS, volts=(-0.2, 0.2))


def steps_of(height):
    return lambda va, vb, g: g * ((va - vb) + 10 * (va - vb) ** 3 + height * ((va - vb) > 0.2))


def bump(va, vb, g):
    """A falling part of 10 mV, narrower than the distances of random points."""
    return g * (0.2 * (va - vb) + 0.1 * np.exp(-((((va - vb) - 0.2) / 0.01) ** 2)))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (steps_of(0.02), r"jumps where the voltage at a is 0\.26243"),
        (steps_of(0.002), r"jumps where the voltage at a is 0\.26243"),
        (lambda va, vb, g: g * (va - vb) + 1e-6 * (g > 3e-4), "jumps where the conductance is 0.0003;"),
        (bump, "that leaves a falls when the voltage there rises, at 0.2.* V at a, .* V at b"),
        (lambda va, vb, g: (g * (va - vb), bump(va, vb, g)), "that leaves b falls when the voltage there rises"),
        (lambda va, vb, g: (bump(va, vb, g), g * (vb - va)), "that leaves a falls when the voltage there rises"),
    ],
)
def test_jumps_and_falls_between_the_random_points_are_refused(function, message):
    with pytest.raises(CircuitError, match=message):
        Law(function, SIEMENS, name="bad")


@pytest.mark.parametrize(
    "function",
    [
        lambda va, vb, g: g * np.where(va > vb, va - vb, 1e-6 * (va - vb)),
        lambda va, vb, g: g * np.minimum(va - vb, 0.2),
        lambda va, vb, g: g * np.tanh((va - vb) / 1e-3),
        lambda va, vb, g: g * ((va - vb) + 5e-3 * np.tanh(((va - vb) - 0.2) / 1e-3)),
        lambda va, vb, g: g * (np.sqrt(np.maximum(va, 0.0)) - np.sqrt(np.maximum(vb, 0.0))),
        lambda va, vb, g: g * (np.exp(va / 0.02) - np.exp(vb / 0.02)),
        lambda va, vb, g: g * (va - vb) ** 3,
    ],
)
def test_continuous_laws_with_kinks_or_steep_parts_are_accepted(function):
    Law(function, SIEMENS, name="good")
