"""A matrix bench of virtual instruments with real drivers: readings, relays, devices, status, resumption."""

import contextlib
import time

import numpy as np
import pytest

import hwlearn as hl
from hwlearn_drivers.bench.backend import BenchBackend
from hwlearn_drivers.errors import OutputStateError
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-2, conductance=(1e-5, 1e-3))
MATRIX = {"name": "mat1", "model": "707B", "cards": {"1": "7174A"}, "max_voltage": "200 V", "max_current": "1 A"}
CROSSBAR = hl.Topology.crossbar(3, 2)
COLUMNS = {name: k + 1 for k, name in enumerate(CROSSBAR.names)}


def opened(rows, **keys):
    table = {
        "instruments": [
            *({"name": f"smu{k}", "model": "2612B", "voltage_sigma": "20 uV"} for k in (1, 2)),
            MATRIX,
        ],
        "matrix": {"instrument": "mat1", "rows": rows, "columns": COLUMNS},
        "edges": "100 uS",
        "device_spread": 0.3,
        "driver": {"timeout": 5.0},
        **keys,
    }
    return VirtualMixedBackend().open(VirtualMixedSettings(**table), CROSSBAR, LIMITS)


ROWS = {
    "A": {"source": "smu1:a"},
    "B": {"source": "smu1:b"},
    "C": {"read": "smu2:a", "nudge": "smu2:a"},
    "D": {"read": "smu2:b", "nudge": "smu2:b"},
    "H": "ground",
}


def test_readings_are_those_of_the_circuit_and_no_relay_moves_under_voltage():
    x = np.random.default_rng(0).choice([0.0, 0.4, -0.3], (6, 3))
    with opened(ROWS) as network:
        read = network.measure(x)
        np.testing.assert_allclose(read.voltages, network.true_outputs(x), atol=2e-3)  # 1 ohm and 50 uV in a relay
        relays = network.bench.instrument("mat1").relays
        assert relays.moves == network.relay_moves > 0
        assert not relays.hot_moves


def test_stuck_relay_is_named_and_everything_is_off():
    with opened(ROWS) as network:
        relays = network.bench.instrument("mat1").relays
        relays.set_fault(Crosspoint("A", "1"), "does not move")
        with pytest.raises(OutputStateError, match=r"1A01 \(smu1:a to node row0\)"):
            network.measure([[0.4, 0.0, 0.0]])
        assert not network.drives_outputs
        relays.set_fault(Crosspoint("A", "1"), None)
        network.reconnect()
        network.measure([[0.4, 0.0, 0.0]])


@pytest.mark.parametrize("sources", [1, 2])
def test_single_devices_are_read_through_the_matrix(sources):
    rows = {key: ROWS[key] for key in ("ABCDH" if sources == 2 else "ACDH")}
    keys = {"instruments": [{"name": "smu1", "model": "2612B"}, {"name": "smu2", "model": "2612B"}, MATRIX]}
    if sources == 1:
        keys["instruments"][0]["model"] = "2611B"
    with opened(rows, edges="devices", devices={"read_voltage": "0.2 V"}, **keys) as network:
        found = network.devices.read_all(0.2)
        np.testing.assert_allclose(found, network.true_conductances, rtol=5e-3)
        assert not network.bench.instrument("mat1").relays.hot_moves
        assert network.has_fixed_edges


def served(rows=ROWS):
    """Return the settings of the bench for its drivers, and the virtual bench, which is being served."""
    virtual = VirtualMixedSettings(
        instruments=[{"name": "smu1", "model": "2612B"}, {"name": "smu2", "model": "2612B"}, MATRIX],
        matrix={"instrument": "mat1", "rows": rows, "columns": COLUMNS},
        edges="100 uS",
    )
    bench = virtual.bench(CROSSBAR, LIMITS).start()
    return BenchBackend.Settings(**virtual.driver_settings(bench, LIMITS)), bench


def test_status_lists_the_closed_relays_and_changes_nothing():
    settings, bench = served()
    with contextlib.closing(bench):
        network = BenchBackend.open(settings, CROSSBAR, LIMITS)
        network.measure([[0.4, 0.0, 0.0]])
        facts = {report.identity.split(",")[0]: report for report in BenchBackend.status(settings)}
        owner = next(report for report in facts.values() if "relays closed" in report.facts)
        assert owner.reported_by == "owner"
        assert "1A01 (smu1:a to node row0)" in owner.facts["relays closed"]
        network.close()
        relays = bench.instrument("mat1").relays
        relays.closed.add(Crosspoint("B", "2"))
        matrix = BenchBackend.status(settings)[2]
        assert matrix.reported_by == "instrument"
        assert matrix.facts["relays closed"] == "1B02"
        assert matrix.facts["row A"] == "connected to smu1:a"
        assert matrix.facts["column 2"] == "connected to row1"
        assert relays.closed == {Crosspoint("B", "2")}


def test_off_reaches_the_sources_before_the_matrix():
    settings, bench = served()
    with contextlib.closing(bench):
        smu, relays = bench.instrument("smu1"), bench.instrument("mat1").relays
        smu.channels[0].settings.output = True
        relays.closed.add(Crosspoint("A", "1"))
        order = []
        move = relays.move

        def moved(opening, closing):
            order.append(smu.channels[0].settings.output)
            move(opening, closing)

        relays.move = moved
        done = BenchBackend.off(settings)
        deadline = time.monotonic() + 5
        while relays.closed:
            assert time.monotonic() < deadline
        assert len(done) == 3
        assert order[0] is False
