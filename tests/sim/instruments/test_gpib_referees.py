"""PyMeasure's `PrologixAdapter` and pyvisa-py's Prologix sessions drive instruments behind the virtual adapter."""

import pytest

from hwlearn.circuit.topology import Topology
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import GpibPlace, PlacedAdapter, PlacedSmu

OHM = 2200.0
GRAPH = Topology(4, [(0, 1), (0, 2), (1, 3)], inputs=[1, 2], outputs=[3], ground=0)


@pytest.fixture(params=["prologix", "ar488"])
def bench(request):
    adapter = PlacedAdapter(request.param)
    smus = [
        PlacedSmu("one", "2400", (1,), gpib=GpibPlace(adapter, 24)),
        PlacedSmu("other", "2450", (2,), gpib=GpibPlace(adapter, 18)),
    ]
    with VirtualBench(GRAPH, smus, conductances=[1 / OHM, 2 / OHM, 1e-3], meters=Meters(noise=0.0)) as served:
        yield served


def through(bench):
    """Return host and TCP port of the adapter."""
    return bench.address("one").split("::")[1:3]


def test_pymeasure_prologix_adapter(bench):
    pytest.importorskip("pymeasure", reason="PyMeasure is not installed; pip install 'hwlearn[referees]'")
    from pymeasure.adapters import PrologixAdapter
    from pymeasure.instruments import Instrument, SCPIMixin

    class Smu(SCPIMixin, Instrument):
        """Two commands that both instruments have."""

        level = Instrument.control(":SOUR:VOLT?", ":SOUR:VOLT %g", "source voltage in V")
        output = Instrument.control(":OUTP?", ":OUTP %d", "output", cast=int)

    host, port = through(bench)
    adapter = PrologixAdapter(
        f"TCPIP::{host}::{port}::SOCKET", 24, gpib_read_timeout=500, visa_library="@py", read_termination="\n"
    )
    try:
        assert (adapter.auto, adapter.eoi, adapter.eos, adapter.gpib_read_timeout) == (False, True, "\n", 500)
        assert {"Prologix", "AR488"} & set(adapter.version.split())
        one, other = Smu(adapter, "2400"), Smu(adapter.gpib(18), "2450")
        assert "MODEL 2400" in one.id
        assert "MODEL 2450" in other.id
        for smu, volts in ((one, 0.25), (other, -0.5)):
            smu.level = volts
            smu.output = 1
        assert [(smu.level, smu.output) for smu in (one, other)] == [(0.25, 1), (-0.5, 1)]
        assert "MODEL 2400" in one.id
        assert one.check_errors() == other.check_errors() == []
    finally:
        adapter.close()
        adapter.manager.close()


@pytest.mark.share(2)
@pytest.mark.parametrize("command", [b"*SRE 43", b"*SRE 43;*SRE?"])
def test_pyvisa_py_prologix_sessions(bench, command):
    pyvisa = pytest.importorskip("pyvisa")
    host, port = through(bench)
    manager = pyvisa.ResourceManager("@py")
    try:
        interface = manager.open_resource(f"PRLGX-TCPIP3::{host}::{port}::INTFC")
        one, other = (
            manager.open_resource(f"GPIB3::{number}::INSTR", write_termination="\n")  # it keeps the end of replies
            for number in (24, 18)
        )
        assert "MODEL 2400" in one.query("*IDN?")
        assert "MODEL 2450" in other.query("*IDN?")
        one.write_raw(command + b"\n")
        if b"?" in command:
            assert one.read().strip() == "43"
        one.clear()
        assert other.query("*IDN?").startswith("KEITHLEY")
        assert one.query("*SRE?").strip() == "43"
        assert [float(smu.query(":SYST:ERR?").split(",")[0]) for smu in (one, other)] == [0, 0]
        interface.close()
    finally:
        manager.close()
