"""Backend plugins: how they are found, and errors for those that cannot be used."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import BaseModel

import hwlearn as hl
from hwlearn.errors import BackendError, NetworkError, SetupError
from hwlearn.lab.bench import backends
from hwlearn_sim import KirchhoffTwin
from hwlearn_sim.twin.backend import SimBackend


class Point:
    """An installed entry point."""

    def __init__(self, name, thing):
        self.name, self._thing = name, thing

    def load(self):
        if isinstance(self._thing, BaseException):
            raise self._thing
        return self._thing


@pytest.fixture
def installed(monkeypatch):
    """Return a function that installs backends for the test."""

    def install(**things):
        points = [Point(name, thing) for name, thing in things.items()]
        monkeypatch.setattr(backends, "entry_points", lambda group: points if group == "hwlearn.backends" else [])

    return install


def test_installed_backend_is_opened_with_its_own_settings(bench_path, installed):
    class Board(SimBackend):
        def open(self, settings, topology, limits):
            self.network = super().open(settings, topology, limits)
            return self.network

    installed(sim=SimBackend, myboard=Board)
    assert backends.backend_names() == ["myboard", "sim"]
    with hl.open_bench(bench_path, ["backend.kind=myboard", "backend.read_noise=1 mV"]) as bench:
        assert bench.network.imperfections.read_noise_V == 1e-3
        bench.train()


def test_backend_that_is_not_installed_or_not_importable_is_named(bench_path, installed):
    installed(sim=SimBackend, myboard=ImportError("No module named 'myboard_driver'"))
    with pytest.raises(SetupError, match="cannot be loaded: No module named 'myboard_driver'"):
        hl.open_bench(bench_path, ["backend.kind=myboard"])
    with pytest.raises(SetupError, match=r"'board', did you mean 'myboard'\?; installed are: myboard, sim"):
        hl.open_bench(bench_path, ["backend.kind=board"])
    installed()
    with pytest.raises(SetupError, match="unknown backend"):
        hl.open_bench(bench_path)


class NoOpen:
    Settings = SimBackend.Settings


class Nothing:
    pass


class LooseSettings(SimBackend):
    Settings = dict


class FailsToStart(SimBackend):
    def __init__(self):
        raise RuntimeError("no licence")


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (NoOpen, "backend 'mine' is not usable: NoOpen has no open; see hwlearn.network.backend.Backend"),
        (Nothing, "Nothing has no Settings and no open"),
        (LooseSettings, "LooseSettings.Settings is no pydantic model; derive it from hwlearn.quantities.Section"),
        (FailsToStart, "backend 'mine' cannot be loaded: no licence"),
        (backends, "backend 'mine' cannot be loaded: 'module' object is not callable"),
        (AssertionError(), "backend 'mine' cannot be loaded: AssertionError"),
        (SystemExit(3), "backend 'mine' cannot be loaded: it exits with 3"),
    ],
    ids=[
        "no open",
        "no Settings",
        "Settings of another kind",
        "constructor fails",
        "module",
        "error without text",
        "exit at import",
    ],
)
def test_unusable_backend_is_named_when_it_is_loaded(bench_path, installed, plugin, message):
    installed(mine=plugin)
    with pytest.raises(SetupError) as caught:
        hl.open_bench(bench_path, ["backend.kind=mine"])
    assert message in str(caught.value)
    assert str(caught.value).startswith("bench small: ")


def test_backend_without_a_seed_or_off_needs_neither(bench_path, installed):
    class Plain:
        class Settings(BaseModel):
            pass

        def open(self, settings, topology, limits):
            return SimBackend().open(SimBackend.Settings(), topology, limits)

    installed(plain=Plain)
    with hl.open_bench(bench_path, ["backend.kind=plain", "train.epochs=1"]) as bench:
        assert bench.seed_keys(3) == []
        assert bench.train().stopped == "finished"
    installed(sim=SimBackend)
    assert hl.open_bench(bench_path).seed_keys(3) == ["backend.seed=3"]


def opens(result):
    """Return a backend whose ``open`` returns or raises something."""

    class Plugin(SimBackend):
        seed_key = None

        def open(self, settings, topology, limits):
            if isinstance(result, Exception):
                raise result
            return result

    return Plugin


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (OSError("no such port"), "bench small: backend 'mine' cannot be opened: no such port"),
        (ValueError(), "bench small: backend 'mine' cannot be opened: ValueError"),
        (NetworkError("no reply"), "no reply"),
        (None, "bench small: backend 'mine' cannot be opened: open() returned None, which is no hwlearn.Network"),
    ],
)
def test_backend_that_cannot_be_opened_is_named(bench_path, installed, result, message):
    installed(mine=opens(result))
    bench = hl.open_bench(bench_path, ["backend.kind=mine"])
    with pytest.raises(NetworkError) as caught:
        bench.open()
    assert str(caught.value) == message


def test_backend_without_a_seed_key_is_not_seeded(bench_path, installed):
    installed(mine=opens(None))
    assert hl.open_bench(bench_path, ["backend.kind=mine"]).seed_keys(3) == []


def changed(**properties):
    """Return a backend whose network differs from what the bench file asks for."""

    class Plugin(SimBackend):
        def open(self, settings, topology, limits):
            network = super().open(settings, topology, limits)
            kind = type(network)
            fixed = {k: v for k, v in properties.items() if isinstance(getattr(kind, k, None), property)}
            network.__class__ = type("Changed", (kind,), {"__slots__": (), **fixed})
            for name, value in properties.items():
                if name not in fixed:
                    setattr(network, name, value(network) if callable(value) else value)
            return network

    return Plugin


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        (
            {"limits": lambda n: replace(n.limits, voltage=9.0)},
            "limits with voltage = 9, wider than limits.voltage",
        ),
        ({"limits": lambda n: replace(n.limits, conductance=(1e-9, 1e-4))}, "limits with conductance = (1e-09"),
        ({"limits": None}, "limits = None; they must be Limits"),
        ({"topology": hl.Topology.crossbar(2, 2)}, "as its topology; it must be that of the bench"),
        ({"topology": "ring"}, "'ring' as its topology"),
        ({"nudges": frozenset({"push"})}, "nudges = frozenset({'push'}); known are: clamp, current, resistor"),
        ({"nudges": ["clamp"]}, "nudges = ['clamp']"),
        ({"resolution": float("nan")}, "resolution = nan; it must be a finite number of at least 0"),
        ({"resolution": None}, "resolution = None"),
        ({"settle_s": -1.0}, "settle_s = -1.0"),
        ({"settle_s": "1 ms"}, "settle_s = '1 ms'"),
        ({"dac_step_V": float("inf")}, "dac_step_V = inf"),
        ({"nudge_siemens": np.zeros(99)}, "nudge_siemens = array("),
        ({"nudge_siemens": 1e-4}, "nudge_siemens = 0.0001"),
        ({"instruments": ["smu1"]}, "instruments = ['smu1']; it must be a tuple of str"),
        ({"instruments": (None,)}, "instruments = (None,)"),
        ({"closed": True}, "a network that is closed already"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_opened_network_that_does_not_fit_the_bench_is_closed_and_named(
    bench_path, installed, mocker, properties, message
):
    installed(mine=changed(**properties))
    closed = mocker.patch.object(KirchhoffTwin, "_close")
    with pytest.raises(BackendError) as caught:
        hl.open_bench(bench_path, ["backend.kind=mine"]).open()
    text = str(caught.value)
    assert "Changed returned " in text
    assert message in text
    assert closed.call_count == 1


def test_opened_network_may_have_narrower_limits(bench_path, installed):
    installed(mine=changed(limits=lambda n: replace(n.limits, voltage=0.9 * n.limits.voltage)))
    with hl.open_bench(bench_path, ["backend.kind=mine"]) as bench:
        assert bench.network.limits != bench.limits


def test_property_that_fails_is_named(bench_path, installed):
    installed(mine=changed(settle_s=property(lambda self: 1 / 0)))
    with pytest.raises(BackendError, match="Changed failed: ZeroDivisionError"):
        hl.open_bench(bench_path, ["backend.kind=mine"]).open()
