"""`SmuBackend`: settings, errors before and while opening, dry run, OFF by bench file."""

from importlib.metadata import entry_points

import pytest
from pydantic import ValidationError

from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError, SetupError
from hwlearn.network.limits import Limits
from hwlearn_drivers.errors import InstrumentError, LinkError, OutputsMayBeOnError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_drivers.smu.dry_answers import DryAnswers

LIMITS = Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(2e-5, 1e-3))


@pytest.fixture
def triangle():
    return Topology(3, [(0, 1), (1, 2), (0, 2)], [0], [1], ground=2, names=["in", "out", "gnd"])


def table(**changes):
    """Return a valid table for a dry run, with changes."""
    whole = {
        "channels": [
            {"address": "GPIB0::24::INSTR", "model": "2612B", "channel": "a", "node": "in"},
            {"address": "GPIB0::24::INSTR", "model": "2612B", "channel": "b", "node": 1, "four_wire": True},
        ],
        "edges": "100 uS",
        "settle": 0,
        "dry_run": True,
    }
    return whole | changes


def settings(**changes):
    return SmuBackend.Settings(**table(**changes))


def test_backend_is_registered():
    (found,) = [entry for entry in entry_points(group="hwlearn.backends") if entry.name == "smu"]
    assert found.load() is SmuBackend


def test_quantities_accept_units():
    read = settings(settle="20 ms", ramp_step="10 mV", voltage_sigma="50 uV", current_range="10 uA", timeout="5 s")
    assert (read.settle, read.ramp_step, read.voltage_sigma) == (0.02, 0.01, 5e-5)
    assert (read.current_range, read.timeout, read.voltage_range) == (1e-5, 5.0, "limits")
    assert read.edges == 1e-4
    assert settings(edges=["100 uS", 2e-4, "1 mS"]).edges == (1e-4, 2e-4, 1e-3)
    card = settings(edges={"address": "COM3", "full": "100 kohm", "places": [2, 0, 1]}).edges
    assert (card.full, card.wiper, card.places) == (1e5, 100.0, (2, 0, 1))
    assert [channel.channel for channel in read.channels] == [1, 2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"npcl": 1},
        {"channels": []},
        {"channels": [{"address": "COM3"}]},
        {"channels": [{"address": "COM3", "node": 0, "chanel": 1}]},
        {"channels": [{"address": "COM3", "node": 0, "model": "2500"}]},
        {"channels": [{"address": "COM3", "node": 0, "channel": "c"}]},
        {"settle": "20 mV"},
        {"settle": -1},
        {"nplc": 0},
        {"edges": "100 ohm"},
        {"edges": {"address": "COM3", "size": 8}},
        {"current_range": "automatic"},
        {"kind": "sim"},
    ],
)
def test_invalid_settings_are_rejected(wrong):
    with pytest.raises(ValidationError):
        settings(**wrong)


def test_settings_are_immutable():
    with pytest.raises(ValidationError):
        settings().nplc = 10


def test_dry_run_measures_programs_and_prints(triangle, capsys, tmp_path):
    log = tmp_path / "wire.log"
    with SmuBackend.open(settings(wire_log=log, nplc=0.1), triangle, LIMITS) as network:
        readout = network.measure([[0.25]])
        done = network.program([1e-4] * 3)
    assert readout.voltages.shape == (1, 1)
    assert not done.failed.any()
    printed = capsys.readouterr().out
    assert "smua.source.levelv=0.25" in printed
    assert "smub.sense=1" in printed
    assert "smua.measure.nplc=0.1" in printed
    assert "smua.source.rangev=0.5" in printed
    assert "smua.source.levelv=0.25" in log.read_text(encoding="ascii")
    assert log.read_text(encoding="ascii").rstrip().endswith("closed")


def test_dry_run_with_edge_card_reports_the_codes_that_were_set(triangle, capsys):
    with SmuBackend.open(settings(edges={"address": "COM3", "places": [2, 0, 1]}), triangle, LIMITS) as network:
        done = network.program([3e-5, 1e-4, 9e-4])
    assert not done.failed.any()
    assert abs(done.reached / done.requested - 1).max() < 0.2
    assert "COM3 > EDGE:DATA?;:EDGE:DATA #" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": table()["channels"][:1]}, "output out has no SMU channel"),
        ({"channels": table()["channels"][1:]}, "input in has no SMU channel"),
        ({"channels": [*table()["channels"], table()["channels"][0]]}, "node in has two"),
        ({"channels": [table()["channels"][0], table()["channels"][0] | {"node": 1}]}, "listed twice"),
        ({"channels": [table()["channels"][0] | {"node": "inn"}]}, "'inn', which the network does not have"),
        ({"channels": [table()["channels"][0] | {"node": 3}]}, "node 3, the nodes are 0 to 2"),
        ({"channels": [table()["channels"][0] | {"channel": 3}, table()["channels"][1]]}, "no channel 3"),
        (
            {"channels": [table()["channels"][0], table()["channels"][1] | {"model": "2602B"}]},
            "different models",
        ),
        ({"edges": ["1 mS", "1 mS"]}, "3 edges need one conductance or as many"),
        ({"edges": {"address": "COM3", "full": "10 kohm"}}, "the edge card covers"),
        (
            {
                "channels": [
                    *table()["channels"],
                    {"address": "GPIB0::25::INSTR", "model": "2400", "node": "gnd"},
                ]
            },
            "connected to gnd, which is neither",
        ),
    ],
)
def test_settings_that_do_not_fit_the_network_are_rejected(triangle, changes, words, capsys):
    with pytest.raises(SetupError, match=words):
        SmuBackend.open(settings(**changes), triangle, LIMITS)
    assert not open_outputs._open, "opened instruments are closed again"
    printed = capsys.readouterr().out
    assert "output=1" not in printed
    if "SMU channel" in words or "neither" in words or "twice" in words:
        assert printed == "", "rejected before any instrument is contacted"


def test_edges_outside_the_limits_are_refused(triangle):
    with pytest.raises(LimitError, match="outside limits"):
        SmuBackend.open(settings(edges="2 mS"), triangle, LIMITS)


def smus(model, faulty=False):
    """Answer like an idle SMU; a faulty one reports an error after its first setting."""
    dry = DryAnswers(model)
    state = {"faulty": False}

    def answer(line):
        if faulty and "NPLC" in line:
            state["faulty"] = True
        if line == ":SYST:ERR?" and state["faulty"]:
            state["faulty"] = False
            return b'-222,"Parameter data out of range"\n'
        reply = dry(line.encode())
        return None if reply is None else reply + b"\n"

    return answer


def two(first, second, **changes):
    channels = [
        {"address": first, "model": "2400", "node": "in"},
        {"address": second, "model": "2400", "node": "out"},
    ]
    return settings(channels=channels, dry_run=False, timeout=5.0, **changes)


def test_rejected_setting_closes_and_switches_off_all_instruments(responder, triangle):
    good, bad = responder(smus("2400")), responder(smus("2400", faulty=True))
    with pytest.raises(InstrumentError, match="-222"):
        SmuBackend.open(two(good.url, bad.url), triangle, LIMITS)
    for device in (good, bad):
        assert [line for line in device.heard if line.startswith(":OUTP")][-2:] == [":OUTP 0", ":OUTP?"]
        assert ":OUTP 1" not in device.heard


def test_missing_instrument_closes_and_switches_off_the_others(responder, triangle):
    good = responder(smus("2400"))
    with pytest.raises(LinkError, match="cannot connect"):
        SmuBackend.open(two(good.url, "socket://127.0.0.1:1"), triangle, LIMITS)
    assert good.heard[-1] == ":OUTP?"


def test_off_writes_to_every_instrument_without_a_query(responder):
    first, second = responder(lambda line: None), responder(lambda line: None)
    SmuBackend.off(two(first.url, second.url))
    for device in (first, second):
        device.wait_for(":ABOR")
        device.wait_for_the_end()
        assert device.heard == [":OUTP 0", ":ABOR", ":OUTP 0"]  # an instrument may be waiting for a trigger


def test_off_reaches_the_other_instruments_if_one_is_unreachable(responder):
    there, gone = responder(lambda line: None), responder(lambda line: None)
    gone.refuse()
    with pytest.raises(OutputsMayBeOnError, match=r"OUTPUTS MAY BE ON: EVERY CHANNEL OF socket://") as raised:
        SmuBackend.off(two(gone.url, there.url))
    assert gone.url in str(raised.value)
    assert there.url not in str(raised.value)
    there.wait_for(":OUTP 0")


def test_off_in_a_dry_run_prints_the_commands(capsys):
    SmuBackend.off(settings())
    off = ["GPIB0::24::INSTR > smua.source.output=0", "GPIB0::24::INSTR > smub.source.output=0"]
    assert capsys.readouterr().out.splitlines() == [*off, "GPIB0::24::INSTR > abort", *off]
