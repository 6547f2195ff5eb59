"""The released QCoDeS drivers control the virtual instruments over sockets: an independent check."""

from __future__ import annotations

import numpy as np
import pytest

from hwlearn.circuit.topology import Topology
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import PlacedSmu

pytestmark = pytest.mark.filterwarnings("ignore")  # deprecations of QCoDeS and its dependencies

OHM = 2200.0


@pytest.fixture(scope="module")
def keithley(tmp_path_factory):
    """Return QCoDeS' Keithley drivers; QCoDeS keeps its settings outside the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QCODES_USER_PATH", str(tmp_path_factory.mktemp("qcodes")))
        yield pytest.importorskip(
            "qcodes.instrument_drivers.Keithley",
            reason="QCoDeS is not installed; pip install 'hwlearn[referees]'",
        )


@pytest.fixture
def drive():
    """Return a function that opens a driver on a virtual instrument with 2.2 kohm at its first channel."""
    topology = Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)
    opened, benches = [], []

    def make(driver, model: str, nodes=(1,)):
        bench = VirtualBench(
            topology, [PlacedSmu("smu", model, nodes)], conductances=[1 / OHM, 1e-3], meters=Meters(noise=0.0)
        ).start()
        benches.append(bench)
        opened.append(driver("smu", bench.address("smu"), visalib="@py"))
        return opened[-1]

    yield make
    for smu in opened:
        smu.close()
    for bench in benches:
        bench.close()


def test_2400(keithley, drive):
    smu = drive(keithley.Keithley2400, "2400")
    assert smu.get_idn()["model"] == "2400"
    smu.mode("VOLT")
    smu.compliancei(1e-2)
    smu.volt(0.55)
    smu.output(True)
    assert smu.volt() == pytest.approx(0.55, abs=0.5e-5)
    assert smu.curr() == pytest.approx(0.55 / OHM, abs=0.5e-8)
    assert smu.resistance() == pytest.approx(OHM, rel=1e-4)
    smu.compliancei(1e-4)
    assert smu.curr() == pytest.approx(1e-4)
    assert smu.ask(":SENS:CURR:PROT:TRIP?") == "1"
    assert smu.ask(":SYST:ERR?") == '0,"No error"'
    smu.volt(1000)  # the driver does not check the range
    assert smu.ask(":SYST:ERR?").startswith("-222")
    smu.mode("CURR")
    smu.compliancev(5)
    smu.curr(1e-4)
    assert smu.volt() == pytest.approx(0.22, abs=0.5e-5)
    smu.snapshot(update=True)
    assert smu.ask(":SYST:ERR:COUN?") == "0"


def test_2450(keithley, drive):
    smu = drive(keithley.Keithley2450, "2450")
    smu.source_function("voltage")
    smu.sense_function("current")
    smu.source.limit(1e-2)
    smu.source.voltage(0.55)
    with pytest.raises(RuntimeError, match="Output needs to be on"):
        smu.sense.current()
    smu.output_enabled(True)
    assert smu.sense.current() == pytest.approx(0.55 / OHM, abs=0.5e-9)
    assert smu.source.limit_tripped() is False
    smu.source.limit(1e-4)
    assert smu.sense.current() == pytest.approx(1e-4)
    assert smu.source.limit_tripped() is True
    smu.source.limit(1e-2)
    smu.source.sweep_setup(0, 1, 11)
    assert smu.sense.sweep() == pytest.approx(np.linspace(0, 1, 11) / OHM, abs=0.5e-9)
    smu.sense_function("voltage")
    smu.output_enabled(True)
    assert smu.sense.voltage() == pytest.approx(0.55, abs=0.5e-6)
    with smu.buffer("mine", 50) as buffer:
        buffer.elements(["measurement", "source_value", "time"])
        smu.sense.voltage()
        volts, sourced, _ = buffer.get_last_reading().split(",")
        assert float(volts) == pytest.approx(float(sourced)) == pytest.approx(0.55)
        assert (buffer.size(), buffer.number_of_readings()) == (50, 1)
    assert smu.ask(":SYST:ERR?").startswith("0,")
    smu.write(":NO:SUCH:HEADER")
    assert smu.ask(":SYST:ERR?").startswith("-113,")


def test_2612b(keithley, drive):
    smu = drive(keithley.Keithley2612B, "2612B")
    assert smu.get_idn()["model"] == "2612B"
    one = smu.smua
    one.mode("voltage")
    one.limiti(1e-2)
    one.volt(0.55)
    one.output(True)
    assert one.curr() == pytest.approx(0.55 / OHM, rel=5e-6)
    assert one.curr.measurement_status.name == "NORMAL"
    assert one.res() == pytest.approx(OHM, rel=1e-5)
    one.limiti(1e-4)
    assert one.volt() == pytest.approx(1e-4 * OHM, abs=1e-6)
    assert one.volt.measurement_status.name == "CURRENT_COMPLIANCE_ERROR"
    assert smu.ask("smua.source.compliance") == "true"
    one.mode("current")
    one.limitv(0.1)
    one.curr(1e-3)
    assert one.volt() == pytest.approx(0.1)
    assert one.volt.measurement_status.name == "VOLTAGE_COMPLIANCE_ERROR"
    assert float(smu.ask("errorqueue.count")) == 0
    smu.write("smua.source.limitv=1e-4")
    assert smu.ask("errorqueue.next()").startswith("-2.22000e+02\t")


def test_2612b_runs_scripts_of_driver(keithley, drive):
    """The driver sends time traces and sweeps as scripts that return binary data."""
    smu = drive(keithley.Keithley2612B, "2612B", nodes=(1, 2))
    smu.write("smub.source.offmode=smub.OUTPUT_HIGH_Z")
    one = smu.smua
    one.mode("voltage")
    one.limiti(1e-2)
    one.volt(0.55)
    one.output(True)
    one.nplc(0.01)
    one.timetrace_mode("current")
    one.timetrace_npts(20)
    one.timetrace_dt(0.001)
    assert one.timetrace() == pytest.approx(np.full(20, 0.55 / OHM), rel=1e-4)
    from qcodes.dataset import LinSweep

    one.setup_fastsweep(LinSweep(one.volt, 0, 1, 11, 0.001), mode="IV")
    assert one.fastsweep() == pytest.approx(np.linspace(0, 1, 11) / OHM, abs=1e-9)
    one.setup_fastsweep(LinSweep(one.volt, 0, 1, 5), LinSweep(smu.smub.volt, 0, 0.2, 3), mode="IV")
    inner, outer = np.linspace(0, 1, 5)[None, :], np.linspace(0, 0.2, 3)[:, None]
    assert one.fastsweep() == pytest.approx(inner / OHM + (inner - outer) / 1e3, abs=1e-8)
    assert float(smu.ask("errorqueue.count")) == 0
