"""Nonlinear circuits against independent solutions: Lambert's W, symmetry, enumeration, ngspice's diode."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy.special import wrightomega

from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.elements import IdealDiode, Ohmic, Shockley, Sinh

AGREE = 1e-9
NVT = 0.02585


def junction_volts(source: np.ndarray, siemens: float, saturation_A: float, nVt: float) -> np.ndarray:
    """Return the volts across a grounded Shockley diode behind a resistor, by Lambert's W (Wright's omega)."""
    shifted = source + saturation_A / siemens
    return shifted - nVt * wrightomega(np.log(saturation_A / (siemens * nVt)) + shifted / nVt)


@pytest.mark.share(6)
@pytest.mark.parametrize("saturation_A", [1e-15, 1e-9, 1e-5])
@pytest.mark.parametrize("siemens", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("ideality", [1.0, 2.2])
def test_diode_behind_a_resistor_agrees_with_lambert_w(siemens: float, saturation_A: float, ideality: float):
    diode = Shockley(ideality * NVT)
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    k = Kirchhoff(t, [siemens, diode.theta(saturation_A)], elements=[Ohmic(), diode])
    x = np.array([-3.0, -0.3, 0.0, 0.1, 0.5, 1.0, 5.0])
    got = k.solve(x[:, None])[:, 1]
    expected = junction_volts(x, siemens, saturation_A, ideality * NVT)
    np.testing.assert_allclose(got, expected, rtol=0, atol=AGREE * np.abs(x).max())
    # and what each parameter does to it, differentiated by hand
    for source, volts in zip(x, expected, strict=True):
        slope = saturation_A / diode.nVt * np.exp(volts / diode.nVt)
        by_hand = np.array([source - volts, -diode.nVt * np.expm1(volts / diode.nVt)]) / (siemens + slope)
        np.testing.assert_allclose(k.gradient([[source]], [[1.0]]), by_hand, rtol=1e-6, atol=1e-6 / siemens)


@pytest.mark.parametrize("V0", [0.05, 0.3])
def test_two_antiparallel_diodes_are_a_sinh_element(V0: float):
    """Is (exp(u) - 1) - Is (exp(-u) - 1) = 2 Is sinh(u)."""
    t = Topology(4, [(0, 1), (1, 2), (2, 1), (1, 3)], [0], [1], ground=2)
    pair = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    g, theta = 1e-4, 3e-6
    diode = Shockley(V0)
    both = Kirchhoff(
        Topology(3, t.edges[:3], [0], [1], ground=2), [g, theta / 2, theta / 2], elements=[Ohmic(), diode, diode]
    )
    one = Kirchhoff(pair, [g, theta], elements=[Ohmic(), Sinh(V0)])
    x = np.linspace(-2, 2, 9)[:, None]
    np.testing.assert_allclose(both.solve(x), one.solve(x), rtol=0, atol=AGREE)


@pytest.mark.parametrize("element", [Sinh(0.1), Shockley(0.03), IdealDiode(0.0, 0.01)], ids=repr)
@pytest.mark.parametrize("volts", [-0.4, 0.0, 0.7])
def test_equal_elements_in_series_share_the_drop(element, volts: float):
    n = 6
    chain = Topology(n + 1, [(k, k + 1) for k in range(n)], [0], [n - 1], ground=n)
    V = Kirchhoff(chain, np.full(n, 1e-5), elements=element).solve([[volts]])[0]
    np.testing.assert_allclose(V, volts * (1 - np.arange(n + 1) / n), rtol=0, atol=AGREE)


def test_bridge_of_ideal_diodes_rectifies():
    """Two of four diodes carry the current of the load for both signs of the source; the others leak."""
    theta, leak, load = 1e-3, 1e-4, 2e-4
    source, plus, minus, ground = range(4)
    edges = [(source, plus), (ground, plus), (minus, source), (minus, ground), (plus, minus)]
    diode = IdealDiode(0.0, leak)
    t = Topology(4, edges, [source], [plus, minus], ground=ground)
    k = Kirchhoff(t, [theta] * 4 + [load], elements=[diode] * 4 + [Ohmic()])
    x = np.array([[-2.0], [-0.1], [0.3], [1.5]])
    V = k.solve(x)
    # plus and minus lie symmetrically about half of the source: one unknown, their difference u
    rectified = (V[:, plus] - V[:, minus])[:, None]
    np.testing.assert_allclose(V[:, plus] + V[:, minus], x[:, 0], rtol=0, atol=AGREE)
    expected = np.abs(x) * (theta - leak * theta) / (theta + leak * theta + 2 * load)
    np.testing.assert_allclose(rectified, expected, rtol=AGREE, atol=AGREE)


@pytest.mark.parametrize("seed", range(8))
def test_ideal_diodes_agree_with_enumeration_of_conducting_sets(seed: int):
    """Try all sets of conducting diodes: the steady state is the only linear circuit consistent with its set."""
    rng = np.random.default_rng(seed)
    n, diodes = 8, 6
    base = Topology.random(n, 16, inputs=2, outputs=1, ground=0, seed=rng)
    g = 10 ** rng.uniform(-5, -3, 16)
    threshold, leak = float(rng.choice([0.0, 0.2])), 1e-3
    which = rng.choice(16, diodes, replace=False)
    elements: list = [Ohmic()] * 16
    for e in which:
        elements[e] = IdealDiode(threshold, leak)
    x = rng.uniform(-1, 1, base.n_inputs)
    V = Kirchhoff(base, g, elements=elements).solve(x[None])[0]

    held = base.driven
    free = np.setdiff1d(np.arange(n), held)
    B = base.incidence.toarray()
    consistent = []
    for on in product([False, True], repeat=diodes):
        slope, pushed = g.copy(), np.zeros(16)  # current = slope * drop - pushed
        for e, conducts in zip(which, on, strict=True):
            slope[e] = g[e] if conducts else leak * g[e]
            pushed[e] = g[e] * (1 - leak) * threshold if conducts else 0.0
        L = B.T @ (slope[:, None] * B)
        W = np.zeros(n)
        W[base.inputs] = x
        W[free] = np.linalg.solve(L[np.ix_(free, free)], (B.T @ pushed)[free] - L[np.ix_(free, held)] @ W[held])
        if all((drop > threshold) == conducts for drop, conducts in zip((B @ W)[which], on, strict=True)):
            consistent.append(W)
    assert len(consistent) == 1
    np.testing.assert_allclose(V, consistent[0], rtol=0, atol=AGREE)


def test_diodes_agree_with_diode_model_of_ngspice(ngspice: Callable[[str], dict[str, float]], figure):
    """A resistive ladder with a diode at every rung, with ngspice's D model instead of our expression.

    Its thermal voltage at 27 degrees Celsius follows from constants whose last digits differ between versions.
    """
    rungs, saturation_A, ideality = 6, 1e-14, 1.3
    nVt = ideality * 1.38064852e-23 * 300.15 / 1.6021766208e-19
    ground, diode = rungs + 1, Shockley(nVt)
    edges = [(k, k + 1) for k in range(rungs)] + [(k + 1, ground) for k in range(rungs)]
    t = Topology(rungs + 2, edges, [0], [rungs], ground=ground)
    siemens = np.geomspace(1e-2, 1e-4, rungs)
    theta = np.concatenate([siemens, np.full(rungs, diode.theta(saturation_A))])
    k = Kirchhoff(t, theta, elements=[Ohmic()] * rungs + [diode] * rungs)
    worst = 0.0
    for source in (0.2, 0.9, 5.0):
        cards = ["a ladder of diodes", f"V0 n0 0 {source}", f".model dd D(is={saturation_A} n={ideality})"]
        cards += [f"R{m} n{m} n{m + 1} {1 / s!r}" for m, s in enumerate(siemens.tolist())]
        cards += [f"D{m} n{m + 1} 0 dd" for m in range(rungs)]
        cards += [
            ".options reltol=1e-12 vntol=1e-12 abstol=1e-20 gmin=1e-20",
            ".control",
            "set numdgt=15",
            ".endc",
        ]
        printed = ngspice("\n".join([*cards, ".op", ".end", ""]))
        theirs = np.array([printed[f"n{m}"] for m in range(rungs + 1)])
        worst = max(worst, float(np.abs(k.solve([[source]])[0, :-1] - theirs).max()) / source)
    figure(f"diodes against ngspice's own model: {worst:.1e} of the source (required 1e-6)")
    assert worst < 1e-6
