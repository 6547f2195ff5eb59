"""Objects of a virtual Keithley 2600 beside its channels: prompts, nodes, display, digital port, status."""

from __future__ import annotations

import pytest


def test_prompts_follow_each_message(rack):
    execute = rack("2612B").instrument.execute
    assert execute(b"localnode.prompts = 1") == b"TSP>\n"
    assert execute(b"print(1)") == b"1.00000e+00\nTSP>\n"
    assert execute(b"x =") == b"TSP?\n"
    assert execute(b"y = 1") == b"TSP?\n", "the error is still in the queue"
    assert execute(b"errorqueue.clear()") == b"TSP>\n"
    assert execute(b"*OPC?") == b"1\nTSP>\n"
    assert execute(b"loadscript mine") == b">>>>\n"
    assert execute(b"print('mine')") == b">>>>\n"
    assert execute(b"endscript") == b"TSP>\n"
    assert execute(b"mine()") == b"mine\nTSP>\n"
    assert execute(b"localnode.prompts4882 = 0 ") == b"TSP>\n"
    assert execute(b"*OPC?") == b"1\n"
    assert execute(b"localnode.prompts = 0") == b""


def test_errors_are_shown_before_the_prompt(rack):
    one = rack("2612B")
    one.write("localnode.showerrors = 1")
    reply = one.instrument.execute(b"smua.source.levelv = 1e6")
    assert reply == b"-222\tParameter data out of range\t20\t1\n"
    assert one.errors() == []


def test_reset_keeps_prompts_and_variables(rack):
    execute = rack("2612B").instrument.execute
    execute(b"localnode.prompts = 1 kept = 3")
    assert execute(b"reset() print(kept)") == b"3.00000e+00\nTSP>\n"


def test_node_1_is_the_instrument_itself(rack):
    one = rack("2612B")
    one.write("node[1].smua.source.levelv = 0.5", "localnode.smua.measure.nplc = 2")
    assert one.numbers("print(smua.source.levelv, node[1].smua.measure.nplc)") == [0.5, 2]
    assert one.query("print(node[1].model, node[1].linefreq)") == "2612B\t5.00000e+01"
    assert one.query("node[1].execute('x = 5') print(node[1].getglobal('x'))") == "5.00000e+00"
    one.write("node[1].setglobal('x', 6)", "node[2].reset()")
    assert "TSP-Link" in one.instrument.errors.next()[1]
    assert one.query("print(x)") == "6.00000e+00"


def test_named_and_anonymous_scripts(rack):
    one = rack("2612B")
    one.write("made = script.new('print(1, ...)', 'first')", "script.new('print(2)')")
    assert one.query("first()") == "1.00000e+00"
    assert one.query("made.run()") == "1.00000e+00"
    assert one.query("script.anonymous.run()") == "2.00000e+00"
    assert one.query("run()") == "2.00000e+00"
    assert one.query("print(first.name, first.source, script.user.scripts.first == first)") == (
        "first\tprint(1, ...)\ttrue"
    )
    assert one.query("for name in script.user.catalog() do print(name) end") == "first"
    one.write("first = nil script.delete('first')")
    assert one.query("print(script.user.scripts.first)") == "nil"
    one.write("script.new('x x', 'wrong')", "loadscript wrong", "y y", "endscript")
    assert one.errors() == [-285, -285]
    assert one.query("print(wrong)") == "nil"
    one.write("loadandrunscript", "z = 7", "endscript")
    assert one.query("print(z)") == "7.00000e+00"
    assert one.query("script.anonymous.list()").splitlines() == ["loadscript ", "z = 7", "endscript"]


def test_getters_and_setters(rack):
    one = rack("2612B")
    one.write("set = makesetter(smua.source, 'levelv') get = makegetter(smua.source, 'levelv') set(0.75)")
    assert one.numbers("print(get(), smua.source.levelv)") == [0.75, 0.75]


def test_bits(rack):
    one = rack("2612B")
    script = (
        "print(bit.bitand(12, 10), bit.bitor(12, 10), bit.bitxor(12, 10), bit.set(0, 3), bit.clear(7, 1), "
        "bit.toggle(5, 1), bit.get(6, 2), bit.getfield(108, 3, 4), bit.setfield(0, 2, 3, 5))"
    )
    assert one.numbers(script) == [8, 14, 6, 4, 6, 4, 2, 11, 10]
    assert one.query("print(bit.test(4, 3), bit.test(4, 1))") == "true\tfalse"
    one.write("bit.bitand(-1, 1)", "bit.set(0, 33)", "bit.setfield(0, 30, 4, 1)")
    assert one.errors() == [-222, -222, -222]


def test_digital_port_reads_what_was_written(rack):
    one = rack("2612B")
    assert one.numbers("print(digio.readport(), digio.readbit(3))") == [16383, 1]
    one.write("digio.writebit(3, 0)")
    assert one.numbers("print(digio.readport(), digio.readbit(3))") == [16379, 0]
    one.write("digio.writeprotect = 1 digio.writeport(0)")
    assert one.numbers("print(digio.readport())") == [1]
    assert one.query("print(digio.trigger[1].wait(0.1))") == "false"
    one.write("digio.trigger[1].mode = digio.TRIG_FALLING digio.trigger[1].assert()")
    assert one.query("print(digio.trigger[1].wait(0.1), digio.trigger[1].wait(0.1))") == "true\tfalse"


def test_display_keeps_text_and_answers_prompts(rack):
    one = rack("2612B")
    one.write("display.clear() display.setcursor(1, 1) display.settext('Hello$NWorld $$5')")
    assert (
        one.query("print(display.gettext(false, 1, 1, 5), display.gettext(false, 2, 1, 8))") == "Hello\tWorld $5"
    )
    one.write("display.setcursor(2, 99) display.setcursor(0, 5)")
    assert one.numbers("print(display.getcursor())") == [2, 5, 0]
    assert one.numbers("print(display.prompt('0.00', ' V', 'level', 1.5, -5, 5))") == [1.5]
    assert one.query("print(display.menu('choose', 'first second'))") == "first"
    one.write("display.loadmenu.add('mine', 'x = 1')")
    assert one.query("print(display.loadmenu.catalog())") == "mine"
    one.write("display.loadmenu.delete('other')")
    assert one.errors() == [1108]


def test_contacts_have_no_resistance(rack):
    one = rack("2612B")
    assert one.query("print(smua.contact.check(), smua.contact.r())") == "true\t0.00000e+00\t0.00000e+00"


def test_data_queue_and_user_strings(rack):
    one = rack("2612B")
    one.write("dataqueue.add(5) dataqueue.add({7})")
    assert one.query("print(dataqueue.count, dataqueue.next(), dataqueue.next()[1], dataqueue.next())") == (
        "2.00000e+00\t5.00000e+00\t7.00000e+00\tnil"
    )
    one.write("for i = 1, dataqueue.CAPACITY do dataqueue.add(i) end")
    assert one.query("print(dataqueue.add(1))") == "false"
    one.write("userstring.add('lot', 'A7')")
    assert one.query("print(userstring.get('lot'))") == "A7"


def test_timer_measures_the_time_of_the_instrument(rack):
    one = rack("2612B")
    assert one.numbers("timer.reset() delay(2.5) print(timer.measure.t())") == [2.5]
    assert one.query("print(os.time() > 1e9, os.time({year = 2020, month = 1, day = 1}) > 1e9)") == "true\ttrue"


def test_exit_ends_the_chunk_without_an_error(rack):
    one = rack("2612B")
    assert one.query("print(1) pcall(exit) print(2)") == "1.00000e+00"
    assert one.errors() == []


def test_relative_readings(rack):
    one = rack("2612B", (2,))
    one.write("smua.source.levelv = 0.5 smua.source.output = 1 smua.measure.rel.levelv = smua.measure.v()")
    assert one.numbers("smua.measure.rel.enablev = 1 print(smua.measure.v())") == pytest.approx([0])
    assert one.numbers("print(smua.measure.iv())") == pytest.approx([2.5e-4, 0])


def test_measure_and_step(rack):
    one = rack("2612B", (2,))
    one.write("smua.source.levelv = 0.5 smua.source.output = 1")
    assert one.numbers("print(smua.measureivandstep(1))") == pytest.approx([2.5e-4, 0.5])
    assert one.numbers("print(smua.source.levelv, smua.measurevandstep(0))") == pytest.approx([1, 1])


def test_buffers_describe_their_readings(rack):
    one = rack("2612B", (2,))
    one.write("smua.source.levelv = 0.5 smua.source.limiti = 1e-4 smua.source.output = 1 smua.sense = 1")
    one.write("b = smua.makebuffer(10) b.appendmode = 1 smua.measure.count = 2 smua.measure.i(b)")
    assert one.query(
        "print(b.n, b.capacity, b.measurefunctions[1], b.sourcefunctions[2], b.sourceoutputstates[1])"
    ) == ("2.00000e+00\t1.00000e+01\tAmps\tVolts\tOn")
    assert one.numbers("print(b.statuses[1], b.sourceranges[1], b.readings.getreading(1))") == pytest.approx(
        [80, 2, 1e-4]
    )
    assert one.numbers("printbuffer(1, 2, b, b.timestamps)") == pytest.approx([1e-4, 0, 1e-4, 0.02])
    assert one.numbers("s = smua.buffer.getstats(b) print(s.n, s.mean, s.max.reading)") == pytest.approx(
        [2, 1e-4, 1e-4]
    )
    one.write("b.clear() b.collectsourcevalues = 0 smua.measure.i(b)")
    assert one.query("print(b.sourcevalues[1], b.timestamps[1])") == "nil\t0.00000e+00"
    one.write("b.collectsourcevalues = 1")
    assert one.errors() == [-221]


def test_status_registers_latch_events(rack):
    one = rack("2612B", (2,))
    one.write("status.reset() status.measurement.instrument.smua.enable = 2", "smua.source.levelv = 0.5")
    one.write("status.measurement.instrument.enable = 2 status.measurement.enable = 8192")
    assert one.numbers("print(bit.bitand(status.condition, 1))") == [0]
    one.write("smua.source.limiti = 1e-4 smua.source.output = 1")
    assert one.numbers("print(status.measurement.current_limit.condition)") == [2]
    assert one.numbers("print(bit.bitand(status.condition, 1))") == [1]
    one.write("smua.source.output = 0")
    assert one.numbers("print(status.measurement.instrument.smua.event)") == [2], "the event is kept"
    assert one.numbers("print(status.measurement.instrument.smua.event)") == [0]


def test_reading_messages_of_other_programs_answer(rack):
    one = rack("2612B")
    for script in (
        "print(localnode.serialno, localnode.revision, localnode.version)",
        "print(gcinfo())",
        "print(status.standard.event, status.request_enable)",
        "print(script.factory.catalog()())",
        "print(fs.is_dir('/usb1/'))",
        "print(meminfo())",
    ):
        one.query(script)
    assert one.errors() == []


@pytest.mark.share(60)
@pytest.mark.parametrize("value", ["0/0", "1/0", "-1/0", "1e300", "-1e300", "nil", "true", "'x'", "{}", "print"])
@pytest.mark.parametrize(
    "call",
    [
        "delay({})", "printbuffer({}, 1, smua.nvbuffer1)", "printbuffer(1, {}, smua.nvbuffer1)", "printnumber({})",
        "smua.makebuffer({})", "smua.trigger.source.linearv(0, {}, 3)", "smua.trigger.source.linearv(0, 1, {})",
        "smua.trigger.source.logi({}, 1, 3)", "smua.trigger.source.logi(1, 2, 3, {})",
        "smua.trigger.source.listv({})", "smua.trigger.source.listv({{{}}})", "trigger.wait({})",
        "trigger.timer[1].delaylist = {}", "display.setcursor({}, 1)", "display.setcursor(1, {})",
        "display.gettext(true, {})", "display.settext({})", "display.prompt('0', 'V', 'x', {}, {}, {})",
        "beeper.beep({}, 1)", "bit.bitand({}, 1)", "bit.setfield(0, {}, 1, 1)", "digio.writeport({})",
        "digio.readbit({})", "setup.save({})", "smua.measureivandstep({})", "smua.measure.v({})",
        "smua.buffer.getstats({})", "display.loadmenu.add({}, 'x')", "reset({})", "waitcomplete({})",
        "SweepVLinMeasureI(smua, 0, {}, 0, 3)", "InitiatePulseTest({})", "x = smua.nvbuffer1[{}]",
        "x = smua.nvbuffer1.readings.getreading({})", "node[{}].reset()", "dataqueue.next({})",
    ],
)  # fmt: skip
def test_odd_arguments_give_errors_of_the_instrument_only(call, value, rack):
    one = rack("2612B")
    one.instrument.execute(call.format(*[value] * 3).encode())
    assert set(one.errors()) <= {-286, -285, -224, -223, -222, -221, -109, -108, 5007}
    assert one.query("print(1)") == "1.00000e+00"


def test_odd_values_of_settings_give_errors_of_the_instrument_only(rack):
    one = rack("2612B")
    for name in one.instrument.settings():
        for value in ("0/0", "1/0", "-1e300", "nil", "true", "'x'", "{}", "print"):
            one.instrument.execute(f"{name.replace('*', 'x')} = {value}".encode())
            assert set(one.errors()) <= {-286, -224, -222, -221}, (name, value)
    assert one.query("localnode.prompts = 0 localnode.showerrors = 0 format.data = 1 reset() print(1)").endswith(
        "e+00"
    )
