"""The tables of operating ranges: what each model may do, which models are refused, and what is sent to some."""

from __future__ import annotations

import math

import numpy as np
import pytest
from idle_smu import opened

from hwlearn.errors import LimitError, SetupError
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.registry import FAMILIES, family_by_identity, family_of, model_name, models
from hwlearn_drivers.transport.connector import Connector

ANY = ChannelLimit(1e4, 1e3)
REFUSED = [model for family in FAMILIES for model in family.refused]


@pytest.fixture
def idle():
    """Return a function that opens an idle SMU; it is closed after the test."""
    made = []

    def make(*args, **keys):
        made.append(opened(*args, **keys))
        return made[-1]

    yield make
    for smu, _, _ in made:
        smu.close()


# volts, amperes: on the boundary of a region, as printed in the manual or the data sheet of the model
CORNERS = [
    ("2400-LV", 21, 1.05),  # SPEC-2400, source/sink limits
    ("2420", 21, 3.15),
    ("2420", 63, 1.05),  # SPEC-2420
    ("2425-C", 105, 1.05),  # SPEC-2425
    ("2430", 21, 3.15),  # User's Manual p. 6-13, DC mode
    ("2440", 42, 1.05),
    ("2440", 10.5, 5.25),  # User's Manual p. 18-78
    ("2602", 6.06, 3.03),  # Series 2600 manual p. 8-18
    ("2601", 40.4, 1.01),
    ("2636", 20.2, 1.515),
    ("2651A", 10, 20.2),  # Model 2651A manual p. 4-6
    ("2651A", 20, 10.1),
    ("2651A", 40, 5.05),
    ("B2961A", 6, 3.03),  # B2961A/B2962A command reference, table 2-4
    ("B2961A", 21, 1.515),
    ("B2961A", 210, 0.105),
]


@pytest.mark.parametrize(("model", "volts", "amperes"), CORNERS)
def test_published_corner_is_supplied_and_nothing_beyond_it(model, volts, amperes, idle):
    _, channel, link = idle(model, ANY)
    channel.voltage_source(volts, amperes)
    channel.current_source(-amperes, volts)
    link.lines.clear()
    for v, a in ((1.02 * volts, amperes), (volts, 1.02 * amperes)):
        with pytest.raises(LimitError, match="nothing was sent"):
            channel.voltage_source(v, a)
        with pytest.raises(LimitError, match="nothing was sent"):
            channel.current_source(a, v)
    assert link.lines == []


@pytest.mark.parametrize("model", ["2430", "2651A", "2612", "B2961A"])
def test_currents_of_pulses_are_refused(model, idle):
    pulse_A = {"2430": 10.0, "2651A": 50.0}.get(model, 10.0)
    _, channel, _ = idle(model, ANY)
    with pytest.raises(LimitError, match="exceeds the instrument's range"):
        channel.current_source(pulse_A, 1.0)
    with pytest.raises(LimitError, match="exceeds the instrument's range"):
        channel.voltage_source(1.0, pulse_A)


@pytest.mark.parametrize("model", models())
def test_every_row_names_its_sources_and_its_regions_reach_its_largest_ranges(model):
    row = family_of(model).operating_ranges[model]
    assert row.sources
    for k, quantity in enumerate(("voltage", "current")):
        full = [one.full_scale for one in row.scales(quantity)]
        assert full == sorted(full)
        assert full[-1] <= row.most(quantity) <= 1.1 * full[-1]
        assert all(0 < one.step < one.full_scale / 1e3 for one in row.scales(quantity))
        assert max(region[k] for region in row.shared_regions or row.regions) <= row.most(quantity)


@pytest.mark.parametrize(
    ("reply", "model"),
    [
        ("KEITHLEY INSTRUMENTS INC.,MODEL 2440,1234567,C32   Oct  4 2010 14:20:11/A02  /S/K", "2440"),
        ("KEITHLEY INSTRUMENTS INC.,MODEL 2400-LV,1,C30", "2400-LV"),
        ("Keithley Instruments Inc., Model 2602, 1234567, 1.4.2", "2602"),
        ("Keithley Instruments Inc., Model 2651A, 1234567, 1.1.1", "2651A"),
        ("Agilent Technologies,B2962A,MY52350001,1.0.1", "B2962A"),
    ],
)
def test_identity_selects_the_row(reply, model):
    identity = Identity.parse(reply)
    assert family_by_identity(identity).model_of(identity) == model


@pytest.mark.parametrize("model", REFUSED)
def test_unconfirmed_model_is_refused_by_name_with_the_reason(model):
    with pytest.raises(SetupError, match=rf"{model} is refused: .*; supported of its family: \w+"):
        model_name(model.lower())


def test_unconfirmed_model_that_answers_is_refused_and_gets_nothing_but_off(responder):
    heard = responder(lambda line: b"Keithley Instruments Inc., Model 2657A, 1, 1.1\n" if "IDN" in line else None)
    with pytest.raises(UnknownInstrumentError, match=r"2657A .*is not supported: its ranges up to 3000 V"):
        open_smu(heard.url, {1: ANY})
    heard.wait_for_the_end()
    assert set(heard.heard) == {"*IDN?"}


def test_two_channels_of_a_b2900_never_exceed_what_they_supply_together(idle):
    """User's Guide, table 2-4: the sum of the currents, weighted by the voltages."""
    smu, channel, _ = idle("B2902A", ANY, channel=1)
    channel.voltage_source(6.0, 3.03)  # the only one in use
    both = family_of("B2902A").operating_ranges["B2902A"].with_channels_in_use(2)
    rng = np.random.default_rng(0)
    inside = 0
    for v1, v2, a1, a2 in zip(*rng.uniform(0, [[22], [22], [3.1], [3.1]], (4, 4000)), strict=True):
        try:
            both.check("1", "voltage", v1, a1, ANY)
            both.check("2", "voltage", v2, a2, ANY)
        except LimitError:
            continue
        inside += 1
        high = (v1 > 6, v2 > 6)
        weighted, most = {
            (False, False): (a1 + a2, 4.0),
            (False, True): (a1 + 1.6 * a2, 4.0),
            (True, False): (a1 + 0.625 * a2, 2.5),
            (True, True): (a1 + a2, 2.5),
        }[high]
        assert weighted <= most + 1e-5
    assert inside > 400
    assert smu.operating_range.regions[0] == (6.0, 3.03)


def test_open_interlock_is_refused_only_if_the_limit_needs_a_closed_one(responder):
    answers = DryAnswers("2461")

    def answer(line):
        reply = b"0" if line == ":OUTP:INT:TRIP?" else answers(line.encode())
        return reply and reply + b"\n"

    with open_smu(responder(answer).url, {1: ChannelLimit(21.0, 1.0)}, model="2461") as smu:
        assert smu.operating_range.interlock_V == 21.0
    with pytest.raises(LimitError, match=r"interlock of .* is open: it supplies at most 21 V"):
        open_smu(responder(answer).url, {1: ChannelLimit(50.0, 1.0)}, model="2461")


def test_a_2430_is_set_to_direct_current_after_every_reset(idle):
    smu, _, link = idle("2430")
    smu.start_again()
    resets = [k for k, line in enumerate(link.lines) if line == "*RST"]
    shapes = [k for k, line in enumerate(link.lines) if line == ":SOUR:FUNC:SHAP DC"]
    assert len(resets) == len(shapes) == 2
    assert all(reset < shape for reset, shape in zip(resets, shapes, strict=True))
    assert not [line for line in idle("2425")[2].lines if "SHAP" in line]


def test_a_b2962a_has_no_measuring_ranges(idle):
    _, channel, link = idle("B2962A")
    channel.voltage_source(0.1, 1e-3)
    channel.current_range = 1e-3
    assert not [line for line in link.lines if line.startswith(":SENS") and "RANG" in line]


def test_a_model_without_a_trigger_model_runs_a_list_line_by_line():
    with open_smu("GPIB0::26::INSTR", {2: ANY}, model="2602", connector=Connector(dry_run=True)) as smu:
        smu.channel(2).voltage_source(0.0, 1e-3)
        assert len(smu.channel(2).sweep(np.linspace(0, 1, 7)).volts) == 7


@pytest.mark.parametrize(
    ("model", "reach_V", "nplc", "sigma_V"),
    [
        ("2400", 0.5, 1, math.hypot(50e-6 / 6.6, 10e-6 / 12**0.5)),  # SPEC-2400: 50 uV p-p, steps of 10 uV
        ("2425", 0.2, 10, math.hypot(10e-6 / 6.6, 1e-6 / 12**0.5)),  # SPEC-2425: 10 uV p-p, steps of 1 uV
        ("2602B", 5.0, 1, math.hypot(100e-6 / 6.6, 1e-6 / 12**0.5)),  # SPEC-2602B: 100 uV p-p, steps of 1 uV
        ("2602B", 0.1, 0.05, math.hypot(20e-6 / 6.6, 0.1 * 8e-4 / 3, 1e-7 / 12**0.5)),  # as 0.01 PLC: 0.08 %
        ("2602B", 0.1, 0.0005, None),
        ("2450", 0.5, 1, math.hypot(10e-6, 1e-6 / 12**0.5)),  # SPEC-2450: 10 uV rms, steps of 1 uV
        ("2450", 0.5, 0.1, None),
        ("2400", 0.5, 0.1, None),
        ("2612B", 0.5, 1, None),
        ("B2902A", 0.5, 1, None),
    ],
)
def test_noise_of_a_reading_is_that_of_the_data_sheet_or_not_stated(model, reach_V, nplc, sigma_V):
    found = family_of(model).operating_ranges[model].voltage_sigma(reach_V, nplc)
    assert found == (None if sigma_V is None else pytest.approx(sigma_V, rel=1e-9))
