"""The guardian: when it sends OFF, what its program learns, and how it is started and ended."""

import json
import os
import signal
import threading

import pytest

import hwlearn as hl
from hwlearn.circuit.linear import factor, lineage
from hwlearn.errors import NetworkError, SetupError
from hwlearn.lab.bench.guardian import guardian as program_side
from hwlearn.lab.bench.guardian.guardian import Guardian
from hwlearn.lab.bench.guardian.messages import ALIVE, BEAT
from hwlearn.lab.bench.guardian.process import Watch
from hwlearn_drivers.smu.settings import SmuSettings
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.placed import PlacedSmu

TIMEOUT_S = 0.15


class Watched:
    """A watch in a thread, with this process as its parent, and a record of what it did."""

    def __init__(self, failures=0):
        self._failures = failures
        self.events, self.answers, self.changed = [], 0, threading.Condition()
        source, self._pipe = os.pipe()
        parent = os.getppid()  # as the parent of this process lives on
        self._watch = Watch(self._off, parent, TIMEOUT_S, self._note, source)
        self._thread = threading.Thread(target=self._watch.run)
        self._thread.start()

    def _off(self):
        if self._failures:
            self._failures -= 1
            raise ConnectionError("in use by the old connection")
        self._note("off")

    def _note(self, text):
        with self.changed:
            if text == ALIVE:
                self.answers += 1
            else:
                self.events.append(text)
            self.changed.notify_all()

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.events) >= count, 10)

    def send(self, data):
        os.write(self._pipe, data)

    def end(self):
        """End the program, and wait for the end of the watch."""
        os.close(self._pipe)
        return self.joined()

    def joined(self):
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.events


def test_end_of_the_program_switches_off():
    watched = Watched()
    watched.send(b"..")
    assert watched.end() == ["off"]


def test_program_that_is_done_is_left_alone():
    watched = Watched()
    watched.send(b"..q")
    assert watched.joined() == []


def test_signs_of_life_are_answered():
    watched = Watched()
    watched.send(BEAT)
    with watched.changed:
        assert watched.changed.wait_for(lambda: watched.answers, 10)
    assert watched.end() == ["off"]


def test_program_that_cannot_switch_off_asks_for_it():
    watched = Watched()
    watched.send(b"o")
    assert watched.joined() == ["off"]


def test_off_is_repeated_while_the_old_connection_is_in_use():
    watched = Watched(failures=2)
    assert watched.end() == ["off"]


def test_silent_program_is_switched_off_once_and_again_when_it_continues():
    watched = Watched()
    watched.wait_for(2)
    assert watched.events[0].startswith("fired this program, process")
    assert "no sign of life" in watched.events[0]
    assert watched.events[1:] == ["off"]
    watched.send(b".")  # one of its threads may have been about to switch on
    watched.wait_for(3)
    watched.send(b"q")
    assert watched.joined()[1:] == ["off", "off"]


def test_bench_without_outputs_that_stay_on_has_no_guardian(bench_path):
    with pytest.raises(SetupError, match=r"safety.guardian = true, but backend 'sim' has no outputs that stay on"):
        hl.open_bench(bench_path, ["safety.guardian=true"])


def test_model_of_a_guarded_bench_is_factored_by_a_library_that_lets_other_threads_run(
    bench_text, tmp_path, monkeypatch
):
    monkeypatch.setattr(factor, "CHOLMOD_NODES", 0)
    monkeypatch.setattr(lineage, "is_installed", lambda: True)
    channels = [
        {"address": "socket://127.0.0.1:1", "node": node, "model": "2450"} for node in (0, 1, 2, 3, 11, 12, 13)
    ]
    table = f"channels = {json.dumps(channels)}".replace('": ', '" = ') + "\nedges = 1e-4"
    (tmp_path / "bench.toml").write_text(bench_text.replace('kind = "sim"', 'kind = "smu"\n' + table))
    for guarded in ("false", "true"):
        bench = hl.open_bench(tmp_path / "bench.toml", [f"safety.guardian={guarded}"])
        assert ("cholmod" in bench._model.history) == (guarded == "false")


@pytest.fixture
def served():
    """A served SMU, and the settings of the backend ``smu`` for it."""
    divider = hl.Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2)
    smus = [PlacedSmu("source", "2450", (0,)), PlacedSmu("meter", "2450", (1,))]
    with VirtualBench(divider, smus, conductances=1e-4) as bench:
        channels = [
            {"address": bench.address(name), "node": node, "model": "2450"}
            for node, name in enumerate(("source", "meter"))
        ]
        yield bench, {"channels": channels, "edges": 1e-4}


def test_guardian_process_gets_ready_and_sends_off_when_asked(served):
    bench, table = served
    smu = bench.instrument("source")
    smu.execute(b":OUTP 1")
    assert smu.execute(b":OUTP?").strip() == b"1"
    guardian = Guardian("smu", SmuSettings.model_validate(table), "bench x", 5.0)
    guardian.wait_until_ready()
    guardian.stop(outputs_off=False)
    guardian.stop()
    assert smu.execute(b":OUTP?").strip() == b"0"
    with pytest.raises(ProcessLookupError):
        os.kill(guardian.pid, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("smu", {"address": "socket://no.such.host.invalid:5025"}, "the host of .* is unknown"),
        ("smu", {"address": "nonsense"}, "'nonsense' is not an address"),
        ("nothing", {}, "unknown backend.kind = 'nothing'"),
    ],
)
def test_guardian_that_cannot_work_is_refused(served, kind, change, reason):
    _, table = served
    table = {**table, "channels": [{**channel, **change} for channel in table["channels"]]}
    guardian = Guardian(kind, SmuSettings.model_validate(table), "bench x", 1.0)
    with pytest.raises(NetworkError, match=f"bench x: safety.guardian is set, but .* cannot protect .*{reason}"):
        guardian.wait_until_ready()
    guardian.stop()


@pytest.mark.slow
def test_killed_guardian_is_noticed(served):
    _, table = served
    guardian = Guardian("smu", SmuSettings.model_validate(table), "bench x", 5.0)
    guardian.wait_until_ready()
    reasons, noticed = [], threading.Event()

    def on_loss(reason):
        reasons.append(reason)
        noticed.set()

    guardian.protect(on_loss)
    os.kill(guardian.pid, 9)
    assert noticed.wait(10)
    assert reasons == [
        f"its guardian, process {guardian.pid}, ended by itself (exit code -9); without it nothing would switch "
        "off after a kill"
    ]
    guardian.stop()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows cannot stop a process by a signal")
def test_stopped_guardian_is_noticed_and_ended(served, monkeypatch):
    monkeypatch.setattr(program_side, "_SILENT_S", 1.0)
    monkeypatch.setattr(program_side, "_END_S", 0.2)
    _, table = served
    guardian = Guardian("smu", SmuSettings.model_validate(table), "bench x", 5.0)
    guardian.wait_until_ready()
    reasons, noticed = [], threading.Event()

    def on_loss(reason):
        reasons.append(reason)
        noticed.set()

    guardian.protect(on_loss)
    assert not noticed.wait(1.5)  # while it answers, nothing happens
    os.kill(guardian.pid, signal.SIGSTOP)
    assert noticed.wait(10)
    assert f"its guardian, process {guardian.pid}, has not answered for" in reasons[0]
    guardian.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(guardian.pid, 0)
