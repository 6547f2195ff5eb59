"""Rejected settings, an interrupted sweep, and instruments of another model: exact messages of a 2400."""

import pytest
from smu_traffic import CHANNEL_LIMIT, CLOSE_2400, K2400, OPEN_2400, SOURCE_2400, scpi

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import InstrumentError, UnknownInstrumentError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu.models.keithley2400 import Keithley2400


def test_error_queue_is_emptied_and_the_command_named(scripted):
    transport, _ = scripted(
        [
            *OPEN_2400,
            (":SENS:CURR:NPLC 5.0", None),
            (":SYST:ERR?", '-222,"Parameter data out of range"'),
            (":SYST:ERR?", '+802,"Output blocked by interlock, or so"'),
            (":SYST:ERR?", '0,"No error"'),
            *CLOSE_2400,
        ]
    )
    with Keithley2400(transport, K2400, {1: CHANNEL_LIMIT}) as smu:
        with pytest.raises(InstrumentError, match="MODEL 2400 at script") as raised:
            smu.channel(1).nplc = 5
        assert raised.value.code == -222
        assert raised.value.command == ":SENS:CURR:NPLC 5.0"
        assert raised.value.text == "Parameter data out of range (and 1 more)"
        assert smu.channel(1).nplc == 1.0, "a rejected setting is not stored"


def test_settings_after_a_rejected_one_are_not_sent(scripted):
    transport, _ = scripted(
        [
            *OPEN_2400,
            (":SENS:CURR:PROT 0.001", None),
            (":SENS:CURR:PROT?;:SYST:ERR?", '1.050000E-04;-222,"Parameter data out of range"'),
            (":SYST:ERR?", '0,"No error"'),
            *CLOSE_2400,
        ]
    )
    with Keithley2400(transport, K2400, {1: CHANNEL_LIMIT}) as smu:
        with pytest.raises(InstrumentError, match=r":SENS:CURR:PROT 0\.001"):
            smu.channel(1).voltage_source(0.5, 1e-3)
        assert smu.channel(1).source is None


def test_off_during_a_sweep_sends_an_abort(scripted, monkeypatch):
    """OFF is sent before and after the abort: the first works if the instrument reads it during the sweep."""
    transport, link = scripted(
        [
            *OPEN_2400,
            *SOURCE_2400,
            *scpi(":SOUR:LIST:VOLT 0.1", ":SOUR:VOLT:MODE LIST", ":TRIG:COUN 1"),
            (":OUTP?;:READ?;:OUTP?", None),
            (":OUTP 0", None),
            (":ABOR", None),
            (":OUTP 0", None),
        ]
    )

    def interrupted(self, timeout_s):
        raise KeyboardInterrupt

    smu = Keithley2400(transport, K2400, {1: CHANNEL_LIMIT})
    smu.channel(1).voltage_source(0.0, 1e-3)
    monkeypatch.setattr(type(link), "_receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        smu.channel(1).sweep([0.1])
    smu.halt()
    assert not smu.channel(1).is_on
    open_outputs.unwatch(smu)


@pytest.mark.parametrize("model", ["MODEL 2602", "MODEL 6430", "", "B2962A"])
def test_another_model_is_refused(scripted, model):
    transport, _ = scripted([])
    with pytest.raises(UnknownInstrumentError, match="none of"):
        Keithley2400(transport, Identity("KEITHLEY", model, "1", "1"), {1: CHANNEL_LIMIT})


def test_missing_channel_is_rejected(scripted):
    transport, _ = scripted([])
    with pytest.raises(SetupError, match=r"1 channel\(s\), there is no channel 2"):
        Keithley2400(transport, K2400, {2: CHANNEL_LIMIT})
