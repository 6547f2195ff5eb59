"""Transistors: currents against ngspice's level 1, refusals, symmetry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from transistor_circuits import BODIES, DEVICE, between_sources

import hwlearn as hl
from hwlearn.circuit.elements import Mosfet
from hwlearn.circuit.spice.netlist import spice_text
from hwlearn.errors import CircuitError


def test_currents_agree_with_ngspice(ngspice, figure):
    rng = np.random.default_rng(3)
    worst = 0.0
    for body in BODIES:
        for gate in ("ground", "drain"):
            device = replace(DEVICE, body=body, gate=gate, blocking="constant")
            top = between_sources(device, 12)
            volts = rng.uniform(-1, 1, top.n_inputs)
            gates = rng.uniform(0.4, 8.0, top.n_edges)
            model = hl.Kirchhoff(top, gates)
            ours = model.source_currents(model.solve([volts]))[0]
            printed = ngspice(spice_text(top, gates, volts))
            theirs = np.array([-printed[f"v{k}#branch"] for k in range(top.n_inputs)])
            # a floating body may have no voltage at all in ngspice, whose blocking current jumps
            error = np.abs(ours - theirs)
            fits = (error <= 1e-9 * np.abs(theirs)) | (error <= 1e-15)
            assert fits.all() or (body == "floating" and fits.mean() > 0.8), (body, gate, error[~fits])
            worst = max(worst, float((error / np.maximum(np.abs(theirs), 1e-6))[fits].max()))
    figure(f"currents of transistors against ngspice, 8 connections: {worst:.1e} relative (required 1e-9)")


def test_channel_is_symmetric_where_its_ends_are():
    device = replace(DEVICE, nrd=1.0)
    top = between_sources(device, 2)
    gates = np.array([3.0, 3.0, 3.0])
    model = hl.Kirchhoff(top, gates)
    found = model.source_currents(model.solve([[0.4, 0.1, 0.1, 0.4]]))[0]
    np.testing.assert_allclose(found[:2], found[3:1:-1], rtol=1e-12)
    assert found[0] > 1e-5


def test_junctions_to_a_grounded_body_take_current():
    top = between_sources(DEVICE, 1)
    model = hl.Kirchhoff(top, [2.0, 2.0])
    into_a, into_b = model.source_currents(model.solve([[-0.7, -0.7]]))[0]
    assert max(into_a, into_b) < -1e-4
    assert model.power(model.solve([[-0.7, -0.7]]))[0] == pytest.approx(0.7 * -(into_a + into_b), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kp": 0.0}, "Mosfet.kp is 0.0; it must be positive"),
        ({"vto": float("nan")}, "Mosfet.vto is nan; it must be a finite number"),
        ({"gamma": -1.0}, "Mosfet.gamma is -1.0; it must be zero or positive"),
        ({"body": "substrate"}, "Mosfet.body is 'substrate'"),
        ({"gate": "b"}, "Mosfet.gate is 'b'"),
        ({"least_gate": 3.0, "most_gate": 1.0}, "must be below most_gate"),
        ({"blocking": "none"}, "Mosfet.blocking is 'none'"),
        ({"blocking": np.array(["a", "b"])}, "Mosfet.blocking is"),
        *(
            ({"vto": x}, "Mosfet.vto is .*finite number")
            for x in (10**400, -(10**5000), True, "1", 1j, None, [1.0])
        ),
        ({"w": np.array([1e-4])}, "Mosfet.w is .*finite number"),
    ],
)
def test_impossible_devices_are_refused(change, message):
    with pytest.raises(CircuitError, match=message):
        replace(DEVICE, **change)


@pytest.mark.parametrize("w", [np.float32(0.5), np.int64(1), np.array(0.5), np.float64(0.5), 1])
def test_numbers_of_numpy_are_numbers(w):
    device = Mosfet(vto=0.75, kp=6e-5, w=w)
    assert type(device.w) in (int, float)
    assert device == Mosfet(vto=0.75, kp=6e-5, w=float(w))


def test_gate_voltages_outside_the_range_are_refused():
    top = between_sources(DEVICE, 1)
    with pytest.raises(CircuitError, match=r"gate voltage 10\.5 V at edge 1 .*; it must be 0 to 10 V"):
        hl.Kirchhoff(top, [1.0, 10.5])
    with pytest.raises(CircuitError, match="NaN gate voltage"):
        hl.Kirchhoff(top, [np.nan, 1.0])
    assert hl.Kirchhoff(top, [0.0, 1.0]).values[0] == 0.0


def test_network_of_other_devices_refuses_transistors():
    from hwlearn_sim.twin.memristive import MemristiveTwin
    from hwlearn_sim.twin.memristive.settings import MemristorSettings

    limits = hl.Limits(1.0, 2.0, 0.1, 1e-2, (0.1, 10.0), values={"gate voltage": (0.1, 10.0)})
    memristors = MemristorSettings(model="soft-bounds").memristors()
    with pytest.raises(CircuitError, match="MemristiveTwin cannot have elements of three terminals, but edge 0"):
        MemristiveTwin(between_sources(DEVICE, 1), limits, memristors)
