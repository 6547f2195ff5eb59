"""Factory scripts of a virtual Keithley 2600: sweeps and pulses."""

from __future__ import annotations

import numpy as np
import pytest

SWEEPS = {
    "SweepVLinMeasureI(smua, -1, 1, 1e-3, 5)": np.linspace(-1, 1, 5),
    "SweepVLogMeasureI(smua, 0.01, 1, 0, 3)": np.geomspace(0.01, 1, 3),
    "SweepVListMeasureI(smua, {0.5, -0.5, 0.1}, 0.01, 3)": [0.5, -0.5, 0.1],
    "SweepILinMeasureV(smua, 0, 1e-3, 0, 3)": [0, 5e-4, 1e-3],
    "SweepILogMeasureV(smua, 1e-6, 1e-4, 1e-3, 3)": [1e-6, 1e-5, 1e-4],
    "SweepIListMeasureV(smua, {1e-3, 2e-3}, 0, 2)": [1e-3, 2e-3],
}


@pytest.fixture
def one(rack):
    """Return a 2612B whose channel a drives 2 kohm."""
    return rack("2612B", (2,))


@pytest.mark.parametrize("script", SWEEPS)
def test_sweep_stores_readings_and_leaves_output_off(script, one):
    levels = np.asarray(SWEEPS[script])
    factor = 1 / 2000 if script.startswith("SweepV") else 2000
    one.write("smua.source.levelv = 0.125 smua.source.leveli = 1e-5", script)
    assert one.errors() == []
    assert one.numbers(f"printbuffer(1, {len(levels)}, smua.nvbuffer1)") == pytest.approx(
        levels * factor, rel=1e-3
    )
    assert one.numbers("printbuffer(1, smua.nvbuffer1.n, smua.nvbuffer1.sourcevalues)") == pytest.approx(levels)
    assert one.numbers("print(smua.source.output, smua.source.levelv, smua.source.leveli)") == [0, 0.125, 1e-5]
    assert one.numbers("print(smua.source.autorangev, smua.source.func, smua.measure.autozero)") == [1, 1, 2]


def test_settling_time_passes_before_each_reading(one):
    one.write("smua.measure.nplc = 0.05 SweepVLinMeasureI(smua, 0, 1, 0.5, 3)")
    assert one.numbers("printbuffer(1, 3, smua.nvbuffer1.timestamps)") == pytest.approx(
        [0, 0.501, 1.002], abs=1e-3
    )


PULSES = {
    "ConfigPulseVMeasureI(smua, 0, 1, 0.1, 5e-3, 20e-3, 3, smua.nvbuffer1, 1)": [5e-4] * 3,
    "ConfigPulseIMeasureV(smua, 0, 1e-3, 10, 5e-3, 20e-3, 3, smua.nvbuffer1, 1)": [2.0] * 3,
    "ConfigPulseVMeasureISweepLin(smua, 0, 0, 1, 0.1, 5e-3, 20e-3, 3, smua.nvbuffer1, 1)": [0, 2.5e-4, 5e-4],
    "ConfigPulseVMeasureISweepLog(smua, 0, 0.01, 1, 0.1, 5e-3, 20e-3, 3, smua.nvbuffer1, 1)": [5e-6, 5e-5, 5e-4],
    "ConfigPulseIMeasureVSweepLin(smua, 0, 0, 1e-3, 10, 5e-3, 20e-3, 3, smua.nvbuffer1, 1)": [0, 1.0, 2.0],
    "ConfigPulseIMeasureVSweepLog(smua, 0, 1e-5, 1e-3, 10, 5e-3, 20e-3, 3, smua.nvbuffer1, 1)": [0.02, 0.2, 2.0],
}


@pytest.mark.parametrize("script", PULSES)
def test_pulse_train_measures_during_each_pulse(script, one):
    one.write("smua.measure.nplc = 0.05 smua.source.output = 1 timer.reset()")
    assert one.query(f"print(({script}))") == "true"
    assert one.query("print((InitiatePulseTest(1)))") == "true"
    assert one.errors() == []
    assert one.numbers("printbuffer(1, smua.nvbuffer1.n, smua.nvbuffer1)") == pytest.approx(
        PULSES[script], rel=1e-3
    )
    assert one.numbers("print(timer.measure.t())") == pytest.approx([0.075], rel=1e-3)
    assert one.plane.channels()[0].source.volts == 0.0


def test_limit_of_a_pulse_holds(one):
    one.write("smua.measure.nplc = 0.01 smua.source.output = 1")
    one.query("print(ConfigPulseVMeasureI(smua, 0, 1, 1e-4, 5e-3, 20e-3, 2, smua.nvbuffer1, 1))")
    one.query("print(InitiatePulseTest(1))")
    assert one.numbers("printbuffer(1, 2, smua.nvbuffer1)") == pytest.approx([1e-4, 1e-4])
    assert one.numbers("print(smua.source.limiti)") == [0.1]


def test_two_pulse_trains_run_together(rack):
    one = rack("2612B")
    one.write("smua.measure.nplc = 0.01 smub.measure.nplc = 0.01 smua.source.output = 1 smub.source.output = 1")
    one.query("print(ConfigPulseVMeasureI(smua, 0, 1, 0.1, 5e-3, 2e-2, 2, smua.nvbuffer1, 1))")
    one.query("print(ConfigPulseVMeasureI(smub, 0, 1, 0.1, 4e-3, 2e-2, 2, smub.nvbuffer1, 2))")
    assert one.query("print((InitiatePulseTestDual(1, 2)))") == "true"
    assert one.numbers("printbuffer(1, 2, smua.nvbuffer1, smub.nvbuffer1)") == pytest.approx([1e-3, 0, 1e-3, 0])
    assert one.query("print(InitiatePulseTestDual(2, 1))").startswith("false\tton of tag1")


@pytest.mark.share(3)
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("InitiatePulseTest(7)", "not configured"),
        ("ConfigPulseVMeasureI(5, 0, 1, 0.1, 5e-3, 20e-3, 3, nil, 1)", "smu must be"),
        ("ConfigPulseVMeasureI(smua, 0, 'x', 0.1, 5e-3, 20e-3, 3, nil, 1)", "level must be"),
        ("ConfigPulseVMeasureI(smua, 0, 1, 0.1, 5e-3, 20e-3, 3, {}, 1)", "reading buffer"),
        ("ConfigPulseVMeasureI(smua, 0, 1, 0.1, 5e-3, 20e-3, 3, smua.nvbuffer1, 1)", "shorter than a measurement"),
        ("ConfigPulseVMeasureI(smua, 0, 1, 0.1, 5e-3, 20e-3, 3, nil, 1, 4)", "digital lines"),
        ("ConfigPulseVMeasureISweepLog(smua, 0, -1, 1, 0.1, 5e-3, 20e-3, 3, nil, 1)", "same sign"),
    ],
)
def test_wrong_pulses_are_refused_with_a_reason(script, reason, one):
    flag, text = one.query(f"print({script})").split("\t")
    assert flag == "false"
    assert reason in text


def test_pulse_test_does_not_switch_an_output_on(one):
    one.query("print(ConfigPulseVMeasureI(smua, 0, 1, 0.1, 5e-3, 20e-3, 3, nil, 1))")
    assert one.query("print(InitiatePulseTest(1))") == "false\tthe output of the channel is off"


@pytest.mark.parametrize(
    ("script", "expected"),
    [("PulseVMeasureI(smua, 0, 1, 5e-3, 2e-2, 3)", 5e-4), ("PulseIMeasureV(smua, 0, 1e-3, 5e-3, 2e-2, 3)", 2.0)],
)
def test_simple_pulses_end_with_the_output_off(script, expected, one):
    one.write("smua.measure.nplc = 0.05", script)
    assert one.numbers("printbuffer(1, 3, smua.nvbuffer1)") == pytest.approx([expected] * 3)
    assert one.numbers("print(smua.source.output)") == [0]
    assert one.errors() == []
