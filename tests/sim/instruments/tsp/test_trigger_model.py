"""Trigger model, timers, blenders, pulses and measurements in the background of a virtual Keithley 2600."""

from __future__ import annotations

import pytest

SWEEP = (
    "smua.source.limiti = 0.1 smua.trigger.source.listv({0.1, 0.2, 0.3}) smua.trigger.source.action = 1 "
    "smua.trigger.measure.iv(smua.nvbuffer1, smua.nvbuffer2) smua.trigger.measure.action = 1 "
    "smua.trigger.count = 3 smua.source.output = 1"
)


@pytest.fixture
def one(rack):
    """Return a 2612B whose channel a drives 2 kohm."""
    return rack("2612B", (2,))


def test_sweep_waits_for_its_trigger(one):
    one.write(SWEEP, "smua.trigger.arm.stimulus = trigger.EVENT_ID smua.trigger.initiate()")
    assert one.numbers("print(smua.nvbuffer1.n, status.operation.sweeping.condition)") == [0, 2]
    one.write("*trg")
    assert one.numbers("printbuffer(1, 3, smua.nvbuffer2)") == pytest.approx([0.1, 0.2, 0.3])
    assert one.numbers("print(status.operation.sweeping.condition)") == [2], (
        "a program that polls sees the sweep once"
    )
    assert one.numbers("print(status.operation.sweeping.condition)") == [0]


def test_sweep_runs_although_its_script_ends_with_an_error(one):
    one.write(SWEEP, "smua.trigger.initiate() nosuch()")
    assert one.errors() == [-286]
    assert one.numbers("print(smua.nvbuffer1.n)") == [3]


def test_waiting_for_a_sweep_that_nothing_triggers_is_an_error(one):
    one.write(
        SWEEP, "smua.trigger.source.stimulus = digio.trigger[1].EVENT_ID smua.trigger.initiate() waitcomplete()"
    )
    assert one.errors() == [-286]
    one.write("smua.abort() waitcomplete()")
    assert one.errors() == []
    assert one.plane.channels()[0].source.volts == 0.0


def test_timers_set_the_width_of_pulses(one):
    one.write(
        SWEEP,
        "smua.measure.nplc = 0.001 smua.trigger.endpulse.action = smua.SOURCE_IDLE",
        "trigger.timer[1].delay = 0.01 trigger.timer[1].count = 2 trigger.timer[1].passthrough = true",
        "trigger.timer[1].stimulus = smua.trigger.ARMED_EVENT_ID",
        "trigger.timer[2].delay = 1e-3 trigger.timer[2].stimulus = smua.trigger.SOURCE_COMPLETE_EVENT_ID",
        "smua.trigger.source.stimulus = trigger.timer[1].EVENT_ID",
        "smua.trigger.endpulse.stimulus = trigger.timer[2].EVENT_ID",
        "trigger.timer[3].delay = 5e-4 trigger.timer[3].stimulus = smua.trigger.SOURCE_COMPLETE_EVENT_ID",
        "smua.trigger.measure.stimulus = trigger.timer[3].EVENT_ID",
        "timer.reset() smua.trigger.initiate() waitcomplete()",
    )
    assert one.numbers("print(timer.measure.t())") == pytest.approx([0.021], abs=1e-4)
    assert one.numbers("printbuffer(1, 3, smua.nvbuffer1)") == pytest.approx([5e-5, 1e-4, 1.5e-4])
    assert one.numbers("printbuffer(1, 3, smua.nvbuffer1.timestamps)") == pytest.approx([0, 0.01, 0.02], abs=1e-4)
    assert one.errors() == []


def test_source_is_idle_between_pulses(one):
    levels = []
    drive = one.plane.drive

    def recorded(channel, source):
        if channel == 0:
            levels.append(getattr(source, "volts", None))
        drive(channel, source)

    one.plane.drive = recorded
    one.write(SWEEP, "smua.source.levelv = 0.05 smua.trigger.endpulse.action = 0")
    levels.clear()
    one.write("smua.trigger.initiate()")
    assert levels == [0.1, 0.05, 0.2, 0.05, 0.3, 0.05]


def test_blender_waits_for_all_events_or_for_any(one):
    one.write(
        "trigger.blender[1].stimulus[1] = trigger.generator[1].EVENT_ID",
        "trigger.blender[1].stimulus[2] = trigger.generator[2].EVENT_ID",
        "trigger.generator[1].assert()",
    )
    assert one.query("print(trigger.blender[1].wait(0.1))") == "false"
    one.write("trigger.generator[2].assert()")
    assert one.query("print(trigger.blender[1].wait(0.1))") == "true"
    one.write("trigger.blender[1].orenable = true trigger.generator[1].assert()")
    assert one.query("print(trigger.blender[1].wait(0.1))") == "true"
    one.write("trigger.generator[1].assert() trigger.generator[1].assert()")
    assert one.query("print(trigger.blender[1].overrun)") == "true"


def test_overruns_are_reported_in_the_status_registers(one):
    one.write("trigger.timer[2].delay = 1 trigger.timer[2].stimulus = trigger.generator[1].EVENT_ID")
    one.write("smua.trigger.source.stimulus = trigger.generator[1].EVENT_ID")
    one.write("trigger.generator[1].assert() trigger.generator[1].assert()")
    path = "status.operation.instrument"
    assert one.numbers(f"print({path}.trigger_timer.trigger_overrun.condition)") == [4]
    assert one.numbers(f"print({path}.smua.trigger_overrun.condition)") == [4]
    assert one.query("print(trigger.timer[2].overrun, trigger.timer[1].overrun)") == "true\tfalse"


def test_delays_of_a_timer_take_turns(one):
    one.write("trigger.timer[1].delaylist = {0.5, 2} trigger.timer[1].count = 3 timer.reset()")
    assert one.numbers("print(trigger.timer[1].delaylist[2], trigger.timer[1].delay)") == [2, 0.5]
    one.write("trigger.timer[1].stimulus = trigger.generator[1].EVENT_ID trigger.generator[1].assert()")
    script = "t = {} for k = 1, 3 do trigger.timer[1].wait(10) t[k] = timer.measure.t() end print(unpack(t))"
    assert one.numbers(script) == pytest.approx([0.5, 2.5, 3.0])


def test_events_that_cause_each_other_end(one):
    one.write("trigger.blender[1].orenable = true trigger.blender[1].stimulus[1] = trigger.blender[1].EVENT_ID")
    one.write("trigger.blender[1].stimulus[2] = trigger.generator[1].EVENT_ID trigger.generator[1].assert()")
    assert one.query("print(1)") == "1.00000e+00"


def test_trigger_wait_takes_the_time_of_the_instrument(one):
    one.write("timer.reset()")
    assert one.query("print(trigger.wait(2.5))") == "false"
    assert one.numbers("print(timer.measure.t())") == [2.5]
    one.write("*TRG")
    assert one.query("print(trigger.wait(1))") == "true"
    one.write("*TRG", "trigger.clear()")
    assert one.query("print(trigger.wait(1))") == "false"


def test_front_panel_key_is_an_event(one):
    one.write("display.sendkey(display.KEY_TRIG)")
    assert one.query("print(display.trigger.wait(1), display.trigger.wait(1))") == "true\tfalse"


def test_limits_of_a_sweep_hold_during_the_sweep(one):
    one.write(SWEEP, "smua.trigger.source.limiti = 1e-4 smua.trigger.initiate() waitcomplete()")
    assert one.numbers("printbuffer(1, 3, smua.nvbuffer1)") == pytest.approx([5e-5, 1e-4, 1e-4])
    assert one.numbers("print(smua.source.limiti)") == [0.1]
    assert (
        one.query("smua.trigger.source.limiti = smua.LIMIT_AUTO print(smua.trigger.source.limiti)") == "LIMIT_AUTO"
    )


def test_sweeps_repeat_for_each_arm(one):
    one.write(SWEEP, "smua.trigger.arm.count = 2 smua.trigger.initiate() waitcomplete()")
    assert one.numbers("print(smua.nvbuffer1.n)") == [3], "without append mode, each arm begins the buffer again"
    one.write("smua.nvbuffer1.clear() smua.nvbuffer1.appendmode = 1 smua.trigger.initiate() waitcomplete()")
    assert one.numbers("print(smua.nvbuffer1.n)") == [6]


def test_endless_sweep_goes_on_until_it_is_aborted(one, monkeypatch):
    monkeypatch.setattr("hwlearn_sim.instruments.tsp.keithley2600._MOST_OF_ENDLESS", 500)
    one.write(SWEEP, "smua.trigger.count = 0 smua.nvbuffer1.fillmode = 1 smua.nvbuffer1.fillcount = 5")
    one.write("smua.nvbuffer2.fillmode = 1", "smua.trigger.initiate()")
    assert one.numbers("print(smua.nvbuffer1.n, status.operation.sweeping.condition)") == [5, 2]
    one.write("abort")
    assert one.numbers("print(status.operation.sweeping.condition)") == [0]


@pytest.mark.slow
def test_sweep_of_many_steps_does_not_block_the_instrument(one):
    one.write(
        SWEEP, "smua.trigger.count = 1e9 smua.trigger.measure.action = 0 smua.trigger.initiate() waitcomplete()"
    )
    assert one.errors() == [-286]
    assert one.numbers("print(status.operation.sweeping.condition)") == [2]
    one.write("smua.abort()")
    assert one.numbers("print(status.operation.sweeping.condition)") == [0]


def test_measurements_in_the_background_end_with_waitcomplete(one):
    one.write("smua.source.levelv = 0.5 smua.source.output = 1 smua.measure.count = 3")
    one.write("timer.reset() smua.measure.overlappediv(smua.nvbuffer1, smua.nvbuffer2) early = timer.measure.t()")
    assert one.numbers("waitcomplete() print(early, smua.nvbuffer1.n, smua.nvbuffer2[3])") == pytest.approx(
        [0, 3, 0.5]
    )


def test_channels_measure_at_the_same_time_in_the_background(rack):
    one = rack("2612B")
    one.write("timer.reset() smua.measure.overlappedi(smua.nvbuffer1) smub.measure.overlappedi(smub.nvbuffer1)")
    assert one.numbers("print(timer.measure.t())") == pytest.approx([0.02])


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("smua.trigger.source.action = 1 smua.trigger.initiate()", -221),
        ("smua.trigger.arm.stimulus = 100000", -222),
        ("trigger.timer[1].delay = -1", -222),
        ("trigger.timer[9].delay = 1", -286),
        ("trigger.blender[1].stimulus[5] = 0", -286),
        ("smua.trigger.source.listv({0.1, 'x'})", -286),
        ("smua.trigger.source.listv({})", -222),
        ("smua.trigger.source.linearv(0, 500, 3)", -222),
        ("smua.trigger.source.logv(-1, 1, 3)", -221),
        ("smua.trigger.measure.iv(smua.nvbuffer1)", -286),
        ("smua.trigger.source.limiti = 100", -222),
    ],
)
def test_wrong_trigger_settings_are_rejected(script, code, one):
    one.write(script)
    assert one.errors() == [code]


def test_sweep_with_a_full_buffer_ends_with_an_error(one):
    one.write("b = smua.makebuffer(2) c = smua.makebuffer(2)", SWEEP, "smua.trigger.measure.iv(b, c)")
    one.write("smua.trigger.initiate()")
    assert one.errors() == [-223]
    assert one.plane.channels()[0].source.volts == 0.0, "the source returns to its level"
