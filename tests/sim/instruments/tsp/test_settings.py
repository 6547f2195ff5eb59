"""Settings of a virtual Keithley 2600: modelled, stored without effect or refused, as the documentation says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwlearn_sim.instruments.capability import Meters

DOCUMENT = Path(__file__).parents[4] / "docs" / "virtual-instruments-tsp.md"
SECTIONS = {"Modelled settings": "modelled", "Settings stored without effect": "stored", "Refused": "refused"}


def documented() -> dict[str, str]:
    """Return the effect of each setting in the three lists of the documentation."""
    found = {}
    for section in DOCUMENT.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        if title in SECTIONS:
            items = "\n".join(re.split(r"\n- ", text)[1:])
            for name in re.findall(r"`([^`]+)`", items):
                if name not in ("status.SET",):
                    assert name not in found, f"{name} is listed twice"
                    found[name] = SECTIONS[title]
    return found


def general(name: str) -> str:
    """Return the name of a setting with letters for channels and numbers."""
    name = re.sub(r"\bsmu[ab]\b", "smuX", name)
    name = re.sub(r"nvbuffer\d", "nvbufferN", name)
    name = re.sub(r"\[\d+\]", "[N]", name, count=1)
    name = re.sub(r"\[\d+\]", "[M]", name)
    if name.startswith("status.") and name not in ("status.request_enable", "status.standard.enable"):
        name = re.sub(r"^status\..*\.(enable|ptr|ntr)$", r"status.SET.\1", name)
    return name


@pytest.mark.parametrize("model", ["2612B", "2635B"])
def test_documentation_lists_every_setting_with_its_effect(model, rack):
    one = rack(model, (1,))
    assert {general(name): effect for name, effect in one.instrument.settings().items()} == documented()


def test_every_refused_object_gives_the_error_of_the_instrument_and_its_name(rack):
    one = rack("2612B")
    for name, effect in one.instrument.settings().items():
        if effect != "refused" or name in ("localnode.linefreq", "fs.*"):
            continue
        path = name.replace("*", "anything")
        one.write(f"local x = {path} x()")
        code, text = one.instrument.errors.next()
        assert code == -286, name
        assert path in text, f"{text} does not name {path}"
    one.write("localnode.linefreq = 60")
    assert one.errors() == [-286]
    assert one.numbers("localnode.linefreq = 50 print(localnode.linefreq)") == [50]


def test_writing_a_refused_setting_gives_its_reason(rack):
    one = rack("2612B")
    one.write("smua.source.outputenableaction = 1")
    code, text = one.instrument.errors.next()
    assert (code, "is not modelled" in text) == (-286, True)


def test_stored_settings_answer_what_was_set(rack):
    one = rack("2612B")
    for name, effect in one.instrument.settings().items():
        if effect == "stored" and name != "localnode.description":
            value = {"digits": 4, "pulsewidth": 0.5}.get(name.rpartition(".")[2], 1)
            assert one.numbers(f"{name} = {value} print({name})") == [value], name
            one.write(f"{name} = -1000")
            assert one.errors() == [-222], name


CHANGES = {
    "smua.measure.filter.enable = 1 smua.measure.filter.count = 100": "noise",
    "smua.measure.nplc = 25": "noise",
    "smua.measure.rel.leveli = 1 smua.measure.rel.enablei = 1": "reading",
    "smua.source.levelv = 0.1": "reading",
    "smua.source.limiti = 1e-5": "reading",
    "smua.measure.rangei = 1e-6": "reading",
    "smua.source.func = 0": "reading",
    "smua.source.output = 0": "reading",
    "smua.measure.delay = 1": "time",
    "smua.measure.count = 3": "time",
    "smua.source.delay = 1": "time",
    "smua.measure.count = 2 smua.measure.interval = 1": "time",
    "smua.measure.lowrangei = 1": "noise",
    "smua.measure.autorangei = 2": "noise",
    "smua.source.highc = 1": "noise",
}


@pytest.mark.share(8)
@pytest.mark.parametrize("script", CHANGES)
def test_modelled_settings_change_readings_noise_or_time(script, rack):
    def state(extra):
        quiet, noisy = rack("2612B", (2,)), rack("2612B", (2,), meters=Meters(noise=300.0))
        for one in (quiet, noisy):
            one.write("format.asciiprecision = 16 smua.source.levelv = 0.5 smua.source.output = 1", extra)
            one.write("timer.reset()")
        reading = quiet.numbers("x = smua.measure.i() print(x, timer.measure.t())")
        noise = noisy.numbers("print(smua.measure.i())")[0] - reading[0]
        return {"reading": reading[0], "time": reading[1], "noise": noise}

    changed = CHANGES[script]
    assert state(script)[changed] != pytest.approx(state("x = 0")[changed], rel=1e-9, abs=1e-15)


def test_low_ranges_bound_automatic_ranges(rack):
    one = rack("2612B", (1,))
    one.write(
        "smua.measure.lowrangei = 5e-3 smua.source.lowrangev = 20 smua.source.levelv = 0.5 smua.source.output = 1"
    )
    assert one.numbers("print(smua.measure.rangei, smua.source.rangev)") == [1e-2, 20.0]
    one.write("reset()")
    assert one.numbers("print(smua.measure.lowrangei, smua.source.lowrangev)") == [1e-7, 0.2]


def test_off_function_selects_current_source_of_an_output_that_is_off(rack):
    one = rack("2612B")
    one.write("smua.source.levelv = 1 smua.source.output = 1", "smub.source.offfunc = smub.OUTPUT_DCAMPS")
    assert one.numbers("print(smub.measure.v())") == pytest.approx([1.0]), "0 A leaves the node floating"
    one.write("smub.source.offfunc = smub.OUTPUT_DCVOLTS")
    assert one.numbers("print(smub.measure.v())") == pytest.approx([0.0])


def test_output_with_open_relay_leaves_the_node_floating_in_every_off_mode(rack):
    one = rack("2612B")
    one.write("smua.source.levelv = 1 smua.source.output = 1 smub.source.output = smub.OUTPUT_HIGH_Z")
    assert one.numbers("print(smua.measure.i(), smub.source.output, smub.source.offmode)") == pytest.approx(
        [1e-3, 2, 0]
    )
    one.write("smub.source.output = 1", "smub.source.output = 0")
    assert one.numbers("print(smua.measure.i(), smub.source.output)") == pytest.approx([2e-3, 0])


def test_level_and_limit_beyond_the_safe_operating_area_are_rejected(rack):
    one = rack("2612B", (1,))
    one.write("smua.source.limiti = 0.5 smua.source.levelv = 100")
    assert one.errors() == [5007]
    assert one.numbers("print(smua.source.levelv)") == [0]
    one.write("smua.source.limiti = 0.1 smua.source.levelv = 100", "smua.source.limiti = 1")
    assert one.errors() == [5007]
    one.write("smua.source.levelv = 20 smua.source.limiti = 1.5")
    assert one.errors() == []


def test_moving_average_and_median_use_the_last_readings(rack):
    one = rack("2612B", (2,))
    one.write("smua.source.output = 1 smua.measure.filter.count = 3 smua.measure.filter.type = smua.FILTER_MEDIAN")
    one.write("smua.measure.filter.enable = 1")
    script = "smua.source.levelv = {} x = smua.measure.v()"
    one.write(*(script.format(level) for level in (0.1, 0.9, 0.2)))
    assert one.numbers("print(x)") == pytest.approx([0.2])
    one.write("smua.measure.filter.type = smua.FILTER_MOVING_AVG smua.measure.filter.count = 2")
    one.write(*(script.format(level) for level in (0.5, 0.1, 0.3)))
    assert one.numbers("print(x)") == pytest.approx([0.2])


def test_setups_are_saved_and_recalled_with_outputs_off(rack):
    one = rack("2612B", (2,))
    one.write("smua.source.levelv = 0.5 smua.measure.nplc = 5 smua.source.output = 1 setup.save(1)")
    one.write("smua.source.levelv = 0.1 smua.measure.nplc = 1 setup.recall(1)")
    assert one.numbers("print(smua.source.levelv, smua.measure.nplc, smua.source.output)") == [0.5, 5, 0]
    one.write("setup.recall(0)")
    assert one.numbers("print(smua.source.levelv, smua.measure.nplc)") == [0, 1]
    one.write("setup.save(6)", "setup.save('/usb1/x.set')")
    assert one.errors() == [-222, -286]


@pytest.mark.parametrize(
    ("model", "channels", "volts", "least_measure", "least_source"),
    [
        ("2601B", 1, 40, 1e-7, 1e-7),
        ("2602B", 2, 40, 1e-7, 1e-7),
        ("2611B", 1, 200, 1e-7, 1e-7),
        ("2612B", 2, 200, 1e-7, 1e-7),
        ("2634B", 2, 200, 1e-9, 1e-9),
        ("2635B", 1, 200, 1e-10, 1e-9),
        ("2636B", 2, 200, 1e-10, 1e-9),
    ],
)
def test_models_differ_in_channels_and_ranges(model, channels, volts, least_measure, least_source, rack):
    one = rack(model, (1,))
    assert one.query("*IDN?").startswith(f"Keithley Instruments Inc., Model {model}, ")
    assert one.query("print(localnode.model, smub == nil)") == f"{model}\t{'true' if channels == 1 else 'false'}"
    assert one.numbers("print(smua.measure.lowrangei, smua.source.lowrangei)") == [least_measure, least_source]
    one.write(f"smua.source.rangev = {volts}")
    assert one.errors() == []
    one.write(f"smua.source.rangev = {volts * 1.1}")
    assert one.errors() == [-222]
