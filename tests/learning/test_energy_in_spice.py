"""Heat of free and nudged phases against ngspice, which integrates the power of pulsed sources over time."""

import re
import shutil
import subprocess

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import Sinh
from hwlearn.circuit.spice.netlist import spice_text
from hwlearn.learning.energy import EnergyLedger
from hwlearn.network.readings import MeasuredPhase
from hwlearn_sim import KirchhoffTwin

LIMITS = hl.Limits("1 V", "2 V", "0.5 V", "10 mA", ("1 uS", "1 mS"))
SETTLE_S, READING_S = 50e-6, 10e-6
FARAD = 1e-12
"""Capacitance to ground of every node that no source holds: at most 1 us of settling, and little heat."""

CIRCUITS = {
    "resistors": hl.Topology.random(8, 16, 2, 2, ground=0, seed=1),
    "crossbar with wires": hl.Topology.crossbar(4, 4, inputs=[0, 1, 2], outputs=[0, 1], wire_resistance=100.0),
    "nonlinear": hl.Topology.random(8, 16, 2, 2, ground=0, seed=2).with_elements(Sinh(0.3)),
}


def transient(top, g, x, amperes):
    """Return a netlist whose sources rise in 10 ns and hold for a phase; it prints the joules they deliver."""
    lines, total = [], []
    for line in spice_text(top, g, x, amperes).splitlines():
        source = re.fullmatch(r"([VI])(\S+) (\S+) (\S+) (\S+)", line)
        if line.startswith((".op", ".save", ".end", ".control", "set ", ".endc")):
            continue
        if source is None:
            lines.append(line)
            continue
        kind, name, plus, minus, value = source.groups()
        lines.append(f"{kind}{name} {plus} {minus} PWL(0 0 10n {value})")
        drop = f"(v({plus})-0)" if minus == "0" else f"(0-v({minus}))"
        if plus != "0" and minus != "0":
            drop = f"(v({plus})-v({minus}))"
        total.append(f"-{drop}*i(v{name})" if kind == "V" else f"-{drop}*{value}")
    held = {line.split()[1] for line in lines if line.startswith("V")} | {"0"}
    ends = {node for line in lines if line[0] in "RB" for node in line.split()[1:3]}
    lines += [f"C{node} {node} 0 {FARAD}" for node in sorted(ends - held)]
    span = SETTLE_S + READING_S
    # the power as a voltage drives a current into 1 uF, whose voltage is then the energy in microjoules
    meter = [f"Bp power 0 V={'+'.join(total)}", "Gq 0 heat power 0 1", "Cq heat 0 1u", "Rq heat 0 1e15"]
    run = [f".tran 100n {span:g} 0 100n uic", f".meas tran joules find v(heat) at={span:g}", ".end", ""]
    return "\n".join([*lines, *meter, *run])


@pytest.fixture
def joules(tmp_path):
    """Run a netlist in batch mode and return the energy that it measures, in joules."""
    program = shutil.which("ngspice")
    if program is None:
        pytest.skip("ngspice is not installed")

    def run(netlist):
        (tmp_path / "phase.cir").write_text(netlist, encoding="utf-8")
        done = subprocess.run(
            [program, "-b", "phase.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        found = re.search(r"^joules\s*=\s*(\S+)", done.stdout, re.MULTILINE)
        assert found, done.stdout + done.stderr
        return 1e-6 * float(found[1])

    return run


@pytest.mark.parametrize("name", CIRCUITS)
def test_heat_of_phases_against_ngspice_transients(name, joules, figure):
    top = CIRCUITS[name]
    rng = np.random.default_rng(4)
    g = np.exp(rng.uniform(np.log(2e-5), np.log(5e-4), top.n_edges))
    x = rng.uniform(0.3, 0.9, top.n_inputs)
    worst = 0.0
    for amperes in (np.zeros(top.n_outputs), np.array([2e-5, -1e-5]), np.array([-2e-5, 1e-5])):
        with KirchhoffTwin(top, LIMITS, settle_s=SETTLE_S, reading_s=READING_S) as twin:
            twin.program(g)
            ledger = EnergyLedger(twin, hl.Kirchhoff(top, g))
            drive = hl.OutputDrive.current(amperes) if amperes.any() else None
            ledger.add_phase(MeasuredPhase(x[None], drive, twin.measure(x, drive), 0.0))
        ours = ledger.record()["total_J"]
        spice = joules(transient(top, g, x, amperes))
        worst = max(worst, abs(ours / spice - 1))
        assert ours == pytest.approx(spice, rel=5e-3)  # ngspice also charges the capacitances
    figure(f"heat of phases against ngspice .tran, {name}: {worst:.1e} (required 5e-3)")
