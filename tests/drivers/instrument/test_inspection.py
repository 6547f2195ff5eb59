"""`hwlearn status` reads instruments with queries that change nothing, and asks the owners of those in use."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from snapshots import differences, snapshot

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import Rheostat
from hwlearn_drivers.address import normal_address
from hwlearn_drivers.board.backend import BoardBackend
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_drivers.transport.query_only import only_reads
from hwlearn_sim import VirtualBench
from hwlearn_sim.board.build import host_library
from hwlearn_sim.placed import PlacedBoard, PlacedCard, PlacedSmu

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 1e-4))
LAW = Rheostat(1e5, 9e3, 128)
MODELS = ["2400", "2450", "2612B", "B2902A"]
ON = {
    "2400": [":SOUR:VOLT 0.25", ":SENS:CURR:PROT 2e-4", ":OUTP 1"],
    "2450": [":SOUR:VOLT 0.25", ":SOUR:VOLT:ILIM 2e-4", ":OUTP 1"],
    "2612B": ["smua.source.levelv=0.25", "smua.source.limiti=2e-4", "smua.source.output=1"],
    "B2902A": [":SOUR1:VOLT 0.25", ":SENS1:CURR:PROT 2e-4", ":OUTP1 1"],
}
AMPERES = {
    "2400": [":SOUR:FUNC CURR", ":SOUR:CURR 1e-5", ":SENS:VOLT:PROT 0.5"],
    "2450": [":SOUR:FUNC CURR", ":SOUR:CURR 1e-5", ":SOUR:CURR:VLIM 0.5"],
    "2612B": ["smua.source.func=0", "smua.source.leveli=1e-5", "smua.source.limitv=0.5"],
    "B2902A": [":SOUR1:FUNC:MODE CURR", ":SOUR1:CURR 1e-5", ":SENS1:VOLT:PROT 0.5"],
}


def ladder():
    return hl.Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)


def served(model):
    return VirtualBench(
        ladder(),
        [PlacedSmu("smu", model, (1,)), PlacedSmu("other", "2400", (2,)), PlacedCard("card", LAW, codes=(7, 9))],
        conductances=3e-5,
    )


def table(bench, model, **keys):
    channels = [
        {"address": bench.address("smu"), "node": 1, "model": model},
        {"address": bench.address("other"), "node": 2, "model": "2400"},
    ]
    card = {"address": bench.address("card"), "full": 1e5, "wiper": 9e3, "positions": 128}
    return SmuBackend.Settings(channels=channels, edges=card, timeout=1.0, **keys)


def messages(path):
    """Return every message that was sent, from a wire log."""
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [line[3].removesuffix("\\n") for line in lines if line[2] == ">"]


@pytest.mark.parametrize(
    "commands", [ON, AMPERES], ids=["voltage source that is on", "current source that is off"]
)
@pytest.mark.parametrize("model", MODELS)
def test_state_is_read_and_nothing_is_changed(model, commands, tmp_path):
    with served(model) as bench:
        smu = bench.instrument("smu")
        for command in [*commands[model], "nonsense that leaves an error in the queue"]:
            smu.execute(command.encode())
        before = [snapshot(bench.instrument(name)) for name in ("smu", "other", "card")]
        circuit = snapshot(bench.plane)
        log = tmp_path / "wire.log"
        one, other, card = SmuBackend.status(table(bench, model, wire_log=str(log)))
        after = [snapshot(bench.instrument(name)) for name in ("smu", "other", "card")]
        assert differences(before, after) == []
        assert differences(circuit, snapshot(bench.plane)) == []
        assert len(smu.errors) > 0  # also the error is still there for its owner
    first = one.outputs[0]
    assert (one.reported_by, first.node, first.on) == ("instrument", "1", commands is ON)
    if commands is ON:
        assert (first.source, first.level, first.limit) == ("voltage", pytest.approx(0.25), pytest.approx(2e-4))
    else:
        assert (first.source, first.level, first.limit) == ("current", pytest.approx(1e-5), pytest.approx(0.5))
    assert len(one.outputs) == (2 if model in ("2612B", "B2902A") else 1)
    assert other.any_on is False
    assert card.facts == {"edges": "2 edges with codes 7, 9"}
    sent = messages(log)
    assert sent
    assert all(only_reads(message) for message in sent)


@pytest.mark.parametrize("model", MODELS)
def test_owner_is_asked_and_the_instrument_is_not(model, tmp_path):
    log, quiet = tmp_path / "owner.log", tmp_path / "status.log"
    with (
        served(model) as bench,
        SmuBackend.open(table(bench, model, wire_log=str(log)), ladder(), LIMITS) as network,
    ):
        network.measure(np.array([[0.3]]))
        before = messages(log)
        found = SmuBackend.status(table(bench, model, wire_log=str(quiet)))
        assert messages(log) == before
        assert messages(quiet) == []
        one, other, card = found
        assert [report.reported_by for report in found[:2]] == ["owner", "owner"]
        assert "as it was set there last; the instrument was not read" in one.note
        assert (one.outputs[0].on, one.outputs[0].level, one.outputs[0].node) == (True, 0.3, "n1")
        assert (other.outputs[0].source, other.outputs[0].limit) == ("current", 0.5)
        network.switch_off()
        assert [report.any_on for report in SmuBackend.status(table(bench, model))[:2]][1] is False
        assert card.reported_by in ("owner", "none")
    assert [report.outputs[0].on for report in found[:2]] == [True, True]


def test_instrument_that_does_not_answer_is_named_and_the_others_are_read():
    with served("2450") as bench:
        bench.faults("smu").muted = True
        one, other, _ = SmuBackend.status(table(bench, "2450"))
    assert (one.reported_by, one.any_on) == ("none", None)
    assert "no answer within" in one.note
    assert other.reported_by == "instrument"


def test_another_instrument_is_sent_nothing_but_its_identification(tmp_path):
    log = tmp_path / "wire.log"
    with served("2400") as bench:
        one, *_ = SmuBackend.status(table(bench, "2450", wire_log=str(log)))
        smu = normal_address(bench.address("smu"))
    assert one.reported_by == "none"
    assert "expects a 2450" in one.note
    assert [line.split("\t")[3] for line in log.read_text().splitlines() if f"\t{smu}\t>" in line] == ["*IDN?\\n"]


@pytest.mark.parametrize("fault", ["garbled", "late", "fragmented", "reset"])
def test_damaged_replies_end_the_reading_of_that_instrument(fault):
    with served("2450") as bench:
        bench.faults("smu").inject(fault, count=30)
        one, other, _ = SmuBackend.status(table(bench, "2450"))
    assert one.reported_by == ("instrument" if fault in ("late", "fragmented") else "none")
    assert other.reported_by == "instrument"


def test_wrong_address_does_not_prevent_the_reading_of_the_others():
    with served("2450") as bench:
        settings = table(bench, "2450")
        wrong = settings.channels[0].model_copy(update={"address": "socket://127.0.0.1:1"})
        found = SmuBackend.status(settings.model_copy(update={"channels": (wrong, settings.channels[1])}))
    assert [report.reported_by for report in found] == ["none", "instrument", "instrument"]


def test_board_is_read_and_nothing_is_changed(tmp_path):
    try:
        host_library()
    except SetupError as error:
        pytest.skip(str(error))
    topology = hl.Topology.random(8, 14, inputs=3, outputs=2, seed=5)
    with VirtualBench(topology, [PlacedBoard("board", wire="tcp")], conductances=5e-5) as bench:
        board = bench.board("board")
        board.exchange(b"SOUR:VOLT 1,0.5\n")
        before = board.dac_codes(), board.switches(), board.edge_codes().tolist(), board.is_safe
        log = tmp_path / "wire.log"
        (one,) = BoardBackend.status(BoardBackend.Settings(address=bench.address("board"), wire_log=str(log)))
        assert (board.dac_codes(), board.switches(), board.edge_codes().tolist(), board.is_safe) == before
    assert one.reported_by == "instrument"
    assert [output.name for output in one.outputs if output.on] == ["input 1"]
    assert one.outputs[1].level == pytest.approx(0.5, abs=1e-3)
    assert one.facts["any output driven"] == "yes"
    assert one.facts["edges"].startswith("32 edges with codes ")
    assert all(only_reads(message) for message in messages(log))


def test_reports_of_another_process_are_checked():
    from hwlearn.network.reports import InstrumentReport, OutputReport

    report = InstrumentReport("a", "owner", "id", (OutputReport("channel 1", True, "voltage", 0.1, 1e-3, "x"),))
    assert InstrumentReport.from_fields(json.loads(json.dumps(report.fields()))) == report
    for wrong in ({}, {"outputs": 3}, {**report.fields(), "instrument": 3}, {**report.fields(), "outputs": [{}]}):
        with pytest.raises(SetupError, match="not valid"):
            InstrumentReport.from_fields(wrong)


MAY_CHANGE = """
:OUTP 1|*RST|*ESR?|*TST?|*OPC?|*CAL?|SYST:ERR?|:SYST:ERR:NEXT?|syst:error:next?|READ?|:MEAS:VOLT?|MEASURE?|:INIT
FETC?|STAT:QUES?|:STATUS:OPERATION:EVENT?|TRAC:DATA?|:OUTP?;:OUTP 1|print(smua.measure.v())|a=1|EDGE:DATA #10
print(errorqueue.next())|print(smua.source.output) smua.source.output=1|print(status.measurement.event)
"""


@pytest.mark.parametrize("message", [*MAY_CHANGE.replace("\n", "|").split("|"), "*IDN?\n:OUTP 1"])
def test_messages_that_may_change_an_instrument_are_refused(message):
    assert not only_reads(message)


def test_only_queries_of_drivers_are_known():
    from hwlearn_drivers.smu.registry import FAMILIES

    for family in FAMILIES:
        queries = family.status_queries(1)
        each = [queries.output, queries.function, *queries.levels.values(), *queries.limits.values()]
        assert all(only_reads(query) for query in [*each, *queries.flags.values()])
        assert not any(re.search("ERR|READ|MEAS", query) for query in each)
