"""The analog plane on nonlinear circuits: against closed forms, `Kirchhoff`, ngspice and exact decimals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from plane_laws import CAMPAIGN, CASES, CUBIC, plane_of

from hwlearn.circuit.elements import OHMIC, Custom, Element, IdealDiode, Shockley, Sinh
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ConvergenceError
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, Open, Source, SourceOperatingPoint, VoltageSource

DIODE = Shockley(0.03)
SATURATION_A = 1e-12
PAIR = Topology(3, [(1, 0), (1, 2)], inputs=[1], outputs=[2], ground=0)
"""One element from node 1 to ground; the other one is open at node 2."""


def operating_point(element: Element, theta: float, source: Source) -> SourceOperatingPoint:
    """Return the operating point of a source at one element to ground."""
    plane = AnalogPlane(PAIR.with_elements(element), [theta, theta])
    channel = plane.attach(1)
    plane.drive(channel, source)
    return plane.read(channel)


def diode_A(volts: float) -> float:
    return SATURATION_A * math.expm1(volts / DIODE.nVt)


# --- closed forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "volts", "amperes", "limited"),
    [
        (VoltageSource(0.5, 1.0), 0.5, diode_A(0.5), False),
        (VoltageSource(0.5, 1e-6), DIODE.nVt * math.log1p(1e6), 1e-6, True),
        (VoltageSource(-3.0, 1e-9), -3.0, -SATURATION_A, False),
        (VoltageSource(-3.0, 1e-13), DIODE.nVt * math.log1p(-0.1), -1e-13, True),
        (VoltageSource(0.0, 1e-9), 0.0, 0.0, False),
        (CurrentSource(1e-3, 5.0), DIODE.nVt * math.log1p(1e9), 1e-3, False),
        (CurrentSource(1e-3, 0.5), 0.5, diode_A(0.5), True),
        (CurrentSource(-1e-6, 2.0), -2.0, -SATURATION_A, True),
        (CurrentSource(0.0, 40.0), 0.0, 0.0, False),
        (Open(), 0.0, 0.0, False),
    ],
)
def test_source_at_diode_has_operating_point_of_closed_form(source, volts, amperes, limited):
    found = operating_point(DIODE, DIODE.theta(SATURATION_A), source)
    assert found.volts == pytest.approx(volts, rel=1e-12)
    assert found.amperes == pytest.approx(amperes, rel=1e-12)
    assert found.limited == limited


def test_limit_that_is_exactly_met_is_found():
    """At 1 V a cubic element draws exactly the limit of the source, and a sinh element in its two signs."""
    assert operating_point(CUBIC, 1e-3, VoltageSource(1.0, 2e-3)).amperes == pytest.approx(2e-3, rel=1e-15)
    assert operating_point(CUBIC, 1e-3, CurrentSource(-2e-3, 1.0)).volts == pytest.approx(-1.0, rel=1e-15)


def test_element_with_current_at_zero_volts_drives_floating_circuit():
    """The open-circuit voltage of a solar cell with a cubic law, and its current at 0 V."""
    cell = Custom(
        lambda v, t: t * (v + v**3) - 2e-6, lambda v, t: t * (1 + 3 * v**2), lambda v, t: v + v**3, name="cell"
    )
    assert operating_point(cell, 1e-6, Open()).volts == pytest.approx(1.0, rel=1e-12)
    assert operating_point(cell, 1e-6, VoltageSource(0.0, 1e-3)).amperes == pytest.approx(-2e-6, rel=1e-12)
    assert operating_point(cell, 1e-6, VoltageSource(0.0, 1e-8)).limited


def test_back_to_back_diodes_share_the_saturation_current():
    """Anode to anode with 1 V across: the saturation current of the blocking one flows through both."""
    top = Topology(4, [(1, 0), (1, 2), (3, 0)], inputs=[2], outputs=[1], ground=0)
    plane = AnalogPlane(top.with_elements([DIODE, DIODE, OHMIC]), [DIODE.theta(1e-12), DIODE.theta(1e-9), 1.0])
    source = plane.attach(2)
    plane.drive(source, VoltageSource(1.0, 1e-3))
    assert plane.read(source).amperes == pytest.approx(1e-9, rel=1e-9)
    assert plane.node_voltages()[1] == pytest.approx(0.03 * math.log(1001.0), rel=1e-9)


def test_floating_pair_of_sources_carries_the_smaller_limit():
    """Both start at their largest currents; the second one must not count as beyond its setpoint by rounding."""
    rng = np.random.default_rng(0)
    top = Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1]).with_elements([OHMIC, CUBIC])
    for _ in range(30):
        plane = AnalogPlane(top, 10 ** rng.uniform(-4, -2, 2))
        small, large = plane.attach(0), plane.attach(1)
        setpoint, limit = float(rng.uniform(1e-3, 1e-2)), float(10 ** rng.uniform(-9, -7))
        plane.drive(small, VoltageSource(80.0, limit))
        plane.drive(large, VoltageSource(setpoint, 5e-4))
        assert plane.read(large).volts == setpoint
        assert plane.read(large).amperes == pytest.approx(-limit, rel=1e-12)
        assert plane.read(small).limited


# --- other solvers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("grounded", [True, False])
def test_ideal_sources_agree_with_kirchhoff(grounded):
    rng = np.random.default_rng(2)
    kinds = (OHMIC, DIODE, Sinh(0.1), IdealDiode(0.3, 1e-6), CUBIC)
    top = Topology.random(14, 30, inputs=3, outputs=3, ground=0 if grounded else None, seed=1)
    top = top.with_elements([kinds[k % 5] for k in range(30)])
    theta = 10 ** rng.uniform(-6, -4, 30)
    theta[1::5] *= 1e-6
    plane, model = AnalogPlane(top, theta), Kirchhoff(top, theta)
    inputs = [plane.attach(int(node)) for node in top.inputs]
    outputs = [plane.attach(int(node)) for node in top.outputs]
    for x, i in zip(rng.uniform(-1, 1, (8, 3)), rng.uniform(-1e-5, 1e-5, (8, 3)), strict=True):
        for channel, volts in zip(inputs, x, strict=True):
            plane.drive(channel, VoltageSource(float(volts), 1.0))
        for channel, amps in zip(outputs, i, strict=True):
            plane.drive(channel, CurrentSource(float(amps), 40.0))
        V = model.solve(x, injected=i)
        np.testing.assert_allclose(plane.node_voltages(), V[0], rtol=0, atol=1e-11)
        amps = [plane.read(channel).amperes for channel in inputs]
        np.testing.assert_allclose(amps, model.source_currents(V)[0], rtol=1e-9, atol=1e-15)


@pytest.mark.share(4)
@pytest.mark.parametrize("case", CASES)
def test_share_of_the_campaign_against_exact_decimals(case):
    CAMPAIGN.run(count=2, seed=1, cases=[case]).check()


_STIFF = 1e7
"""Slope in siemens of the sources in ngspice where they regulate: 1 mA changes the voltage by 0.1 nV."""


def _card(k: int, node: int, source: Source) -> str:
    """Return a behavioural source with a limit; ngspice decides whether the limit is active."""
    v = f"V(n{node})"
    if isinstance(source, VoltageSource):
        law = f"max(min({_STIFF}*({source.volts!r}-{v}),{source.limit_A!r}),-{source.limit_A!r})"
    elif isinstance(source, CurrentSource):
        law = f"{source.amperes!r}-{_STIFF}*(max({v}-{source.limit_V!r},0)-max(-{v}-{source.limit_V!r},0))"
    else:
        law = "0"
    return f"BS{k} 0 n{node} I={law}"


@pytest.mark.parametrize("kind", ["diodes", "sinh"])
def test_limited_sources_agree_with_ngspice(kind, ngspice: Callable[[str], dict[str, float]], figure):
    """Ladders with limited sources at three nodes; ngspice finds the active limits itself."""
    rungs, worst, limited = 6, 0.0, 0
    element: Element = DIODE if kind == "diodes" else Sinh(0.15)
    ground = rungs + 1
    edges = [(k, k + 1) for k in range(rungs)] + [(k + 1, ground) for k in range(rungs)]
    top = Topology(rungs + 2, edges, [0], [rungs], ground=ground)
    top = top.with_elements([OHMIC] * rungs + [element] * rungs)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        theta = 10 ** rng.uniform(-4, -3, 2 * rungs)
        if kind == "diodes":
            theta[rungs:] = [DIODE.theta(10**power) for power in rng.uniform(-12, -9, rungs)]
        plane = AnalogPlane(top, theta)
        cards = [f"ladder {seed}"]
        cards += [f"R{m} n{m} n{m + 1} {1 / siemens!r}" for m, siemens in enumerate(theta[:rungs].tolist())]
        for m, (node, slope) in enumerate(zip(range(1, ground), theta[rungs:].tolist(), strict=True)):
            law = (
                f"{slope * DIODE.nVt!r}*(exp(V(n{node})/{DIODE.nVt})-1)"
                if kind == "diodes"
                else f"{slope * 0.15!r}*sinh(V(n{node})/0.15)"
            )
            cards.append(f"BE{m} n{node} 0 I={law}")
        for k, node in enumerate((0, 3, 5)):
            volts, amps = float(rng.uniform(-1, 1)), float(10 ** rng.uniform(-5, -3))
            source = VoltageSource(volts, amps) if rng.random() < 0.6 else CurrentSource(amps, abs(volts))
            plane.drive(plane.attach(node), source)
            cards.append(_card(k, node, source))
        mine = plane.node_voltages()[: rungs + 1]
        # only where the search of ngspice begins: with currents that jump, it does not get there from 0 V
        cards += [".nodeset " + " ".join(f"V(n{m})={v!r}" for m, v in enumerate(mine.tolist()))]
        options = "reltol=1e-12 vntol=1e-12 abstol=1e-18 gmin=1e-20 itl1=2000"
        cards += [f".options {options}", ".control", "set numdgt=15", ".endc", ".op", ".end", ""]
        printed = ngspice("\n".join(cards))
        theirs = np.array([printed[f"n{m}"] for m in range(rungs + 1)])
        worst = max(worst, float(np.abs(mine - theirs).max() / np.abs(theirs).max()))
        limited += sum(channel.operating_point.limited for channel in plane.channels())
    assert limited >= 3
    figure(f"limited sources on {kind} against ngspice: {worst:.1e} of the largest voltage (required 1e-9)")
    assert worst < 1e-9


# --- state ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["all kinds", "exact limits", "wires"])
def test_solution_does_not_depend_on_earlier_settings_to_the_last_bit(case):
    for seed in range(4):
        plane, _ = plane_of(case, np.random.default_rng(seed))
        last = [channel.source for channel in plane.channels()]
        expected = plane.node_voltages(), [channel.operating_point for channel in plane.channels()]
        rng = np.random.default_rng(seed + 100)
        theta = plane.conductances
        for _ in range(5):
            for channel in range(len(last)):
                plane.drive(channel, VoltageSource(float(rng.uniform(-1, 1)), float(10 ** rng.uniform(-7, -2))))
            plane.set_conductances(theta * rng.uniform(0.5, 2.0))
            plane.node_voltages()
        plane.set_conductances(theta)
        for channel, source in enumerate(last):
            plane.drive(channel, source)
        np.testing.assert_array_equal(plane.node_voltages(), expected[0])
        assert [channel.operating_point for channel in plane.channels()] == expected[1]


def test_changed_conductances_and_open_edges_change_readings():
    plane = AnalogPlane(PAIR.with_elements([DIODE, OHMIC]), [DIODE.theta(1e-12), 1e-3])
    source, reader = plane.attach(1), plane.attach(2)
    plane.drive(source, CurrentSource(1e-6, 5.0))
    assert plane.read(reader).volts == pytest.approx(0.03 * math.log1p(1e6))
    plane.set_conductances([DIODE.theta(1e-11), 0.0])
    assert plane.read(source).volts == pytest.approx(0.03 * math.log1p(1e5))
    assert plane.read(reader).volts == 0.0
    plane.set_conductances([0.0, 0.0])
    assert plane.read(source) == SourceOperatingPoint(5.0, 0.0, True)


# --- refusals -------------------------------------------------------------------------------------------


def test_node_behind_blocking_diodes_is_refused():
    """Between two diodes that block with 9 V, the voltage is not determined in double precision."""
    top = Topology(4, [(0, 1), (1, 2), (0, 3)], inputs=[2], outputs=[1], ground=0)
    plane = AnalogPlane(top.with_elements([DIODE, DIODE, OHMIC]), [DIODE.theta(1e-12), DIODE.theta(1e-12), 1.0])
    source = plane.attach(2)
    plane.drive(source, VoltageSource(20.0, 1e-3))
    with pytest.raises(ConvergenceError, match="shunt blocking elements with resistors"):
        plane.read(source)
    plane.drive(source, VoltageSource(0.2, 1e-3))
    assert plane.read(source).amperes == pytest.approx(1e-12, rel=0.01)


def test_exponential_beyond_its_range_is_refused():
    with pytest.raises(ConvergenceError, match="exp"):
        operating_point(Sinh(0.01), 1e-3, VoltageSource(4.0, 1e200))
