"""Resistance of a node to its sources, as an instrument with an input capacitance sees it."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, Open, VoltageSource


def test_resistance_is_that_of_the_circuit_with_its_voltage_sources_shorted():
    topology = hl.Topology(4, [(0, 1), (1, 2), (1, 3), (2, 3)], inputs=[0], outputs=[1, 2], ground=3)
    g = np.array([1e-3, 2e-4, 5e-5, 1e-4])
    plane = AnalogPlane(topology, g)
    source, reader = plane.attach(0), plane.attach(2)
    plane.drive(source, VoltageSource(0.7, 1e-2))
    before = plane.read(reader)
    # node 2: 1/g to ground, and through node 1, which is held by the source and ground together
    through = 1 / g[1] + 1 / (g[0] + g[2])
    assert plane.resistance(reader) == pytest.approx(1 / (g[3] + 1 / through), rel=1e-6)
    assert plane.read(reader) == before
    plane.drive(source, Open())
    floating = 1 / g[1] + 1 / g[2]
    assert plane.resistance(reader) == pytest.approx(1 / (g[3] + 1 / floating), rel=1e-6)
    plane.drive(source, CurrentSource(1e-6, 10.0))
    assert plane.resistance(reader) == pytest.approx(1 / (g[3] + 1 / floating), rel=1e-6)


def test_resistance_of_a_diode_is_that_at_its_operating_point():
    element = hl.elements.Shockley(0.026)
    topology = hl.Topology(
        3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2, elements=[element, hl.elements.Ohmic()]
    )
    plane = AnalogPlane(topology, [1e-9, 1e-5])
    source, reader = plane.attach(0), plane.attach(1)
    found = []
    for volts in (0.1, 0.6):
        plane.drive(source, VoltageSource(volts, 1e-2))
        found.append(plane.resistance(reader))
    assert found[0] == pytest.approx(1e5, rel=0.05)  # the diode hardly conducts
    assert found[1] < 0.3 * found[0]
