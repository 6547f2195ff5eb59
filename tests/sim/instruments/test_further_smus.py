"""Further models of source-measure units: what they refuse, and drivers of others that control them."""

from __future__ import annotations

import pytest

from hwlearn_sim import VirtualBench

pytestmark = pytest.mark.filterwarnings("ignore")  # deprecations of the packages and their dependencies
OHM = 2200.0


@pytest.mark.parametrize(
    ("model", "within", "beyond", "code"),
    [
        ("2420", ":SENS:CURR:PROT 1.05;:SOUR:VOLT 63", ":SENS:CURR:PROT 1.1", 826),
        ("2430", ":SENS:CURR:PROT 3.15;:SOUR:VOLT 21", ":SOUR:VOLT 22", 826),
        ("2430", ":SOUR:FUNC:SHAP DC", ":SOUR:FUNC:SHAP PULS", -241),
        ("2425", ":SENS:CURR:PROT 3.15", ":SENS:CURR:PROT 10", -222),
        ("2440", ":SENS:CURR:PROT 5.25;:SOUR:VOLT 10.5", ":SOUR:VOLT 11", 826),
        ("2400-LV", ":SOUR:VOLT 21", ":SOUR:VOLT 22", -222),
        ("2651A", "smua.source.limiti=10 smua.source.levelv=20", "smua.source.levelv=30", 5007),
        ("2651A", "smua.source.limiti=20", "smua.source.leveli=50", -222),
        ("2602", "x=smua.measure", "smua.trigger.count=1", -286),
        ("B2961A", ":SENS:CURR:PROT 1e-3", ":SENS:CURR:RANG 1e-3", -113),
    ],
)
def test_virtual_model_refuses_what_is_beyond_it(model, within, beyond, code, rack):
    one = rack(model, (1,))
    one.write(within)
    assert one.errors() == []
    one.write(beyond)
    assert one.errors() == [code]


@pytest.fixture
def qcodes(tmp_path_factory):
    """Import QCoDeS, which keeps its settings outside the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QCODES_USER_PATH", str(tmp_path_factory.mktemp("qcodes")))
        yield pytest.importorskip("qcodes.instrument_drivers", reason="QCoDeS is not installed")


def test_qcodes_drives_a_b2962a(qcodes):
    from qcodes.instrument_drivers.Keysight.Keysight_B2962A import KeysightB2962A

    with VirtualBench.of("B2962A", ohms=(OHM, 2 * OHM), noise=0.0) as bench:
        smu = KeysightB2962A("smu", bench.address("smu"), visalib="@py")
        try:
            assert smu.get_idn()["model"] == "B2962A"
            for channel, ohm in ((smu.ch1, OHM), (smu.ch2, 2 * OHM)):
                channel.source_mode("voltage")
                channel.current_limit(1e-3)
                channel.source_voltage(0.55)
                channel.enable(True)
                assert channel.source_voltage() == pytest.approx(0.55)
                assert channel.voltage() == pytest.approx(0.55, abs=1e-5)
                assert channel.current() == pytest.approx(0.55 / ohm, abs=1e-8)
                channel.current_limit(1e-4)
                assert channel.current() == pytest.approx(1e-4, rel=1e-5)
                channel.remote_sensing(True)
                assert channel.remote_sensing() in (True, 1, "on")
                channel.enable(False)
                assert channel.current_limit() == pytest.approx(1e-4)
        finally:
            smu.close()
        assert bench.instrument("smu").errors.next()[0] == 0


def test_qcodes_drives_a_2602a(qcodes):
    from qcodes.instrument_drivers.Keithley import Keithley2602A

    with VirtualBench.of("2602A", ohms=(OHM, OHM), noise=0.0) as bench:
        smu = Keithley2602A("smu", bench.address("smu"), visalib="@py")
        try:
            smu.smub.mode("voltage")
            smu.smub.limiti(1e-3)
            smu.smub.volt(0.55)
            smu.smub.output(True)
            assert smu.smub.curr() == pytest.approx(0.55 / OHM, abs=1e-8)
        finally:
            smu.close()


@pytest.mark.parametrize("model", ["2420", "2430", "2440"])
def test_pymeasure_drives_the_2400_series(model):
    keithley = pytest.importorskip("pymeasure.instruments.keithley", reason="PyMeasure is not installed")
    with VirtualBench.of(model, ohms=OHM, noise=0.0) as bench:
        smu = keithley.Keithley2400(
            bench.address("smu"), visa_library="@py", read_termination="\n", write_termination="\n"
        )
        try:
            smu.source_mode = "voltage"
            smu.compliance_current = 1e-3
            smu.source_voltage = 0.55
            smu.enable_source()
            assert smu.current == pytest.approx(0.55 / OHM, abs=1e-7)
            assert smu.measure_all()["resistance"] == pytest.approx(OHM, rel=1e-3)
            smu.compliance_current = 1e-4
            assert smu.current == pytest.approx(1e-4)
            smu.disable_source()
            assert smu.check_errors() == []
        finally:
            smu.adapter.close()
            smu.adapter.manager.close()


@pytest.mark.share(1)
@pytest.mark.parametrize("model", ["2636", "2651A"])
def test_package_keithley2600_drives_models_with_and_without_a_letter(model):
    package = pytest.importorskip("keithley2600", reason="the package keithley2600 is not installed")
    with VirtualBench.of(model, ohms=OHM, noise=0.0) as bench:
        smu = package.Keithley2600(
            bench.address("smu"), read_termination="\n", write_termination="\n", raise_keithley_errors=True
        )
        try:
            assert str(smu.localnode.model) == model
            smu.smua.source.limiti = 1e-3
            smu.apply_voltage(smu.smua, 0.55)
            assert smu.measure_current(smu.smua) == pytest.approx(0.55 / OHM, abs=1e-7)
            smu.apply_current(smu.smua, 1e-4)
            assert smu.measure_voltage(smu.smua) == pytest.approx(1e-4 * OHM, rel=1e-4)
            smu.smua.source.output = smu.smua.OUTPUT_OFF
        finally:
            smu.disconnect()
        assert not bench.instrument("smu").channels[0].settings.output
