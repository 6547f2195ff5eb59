"""Settings of every backend refuse values of the wrong type, in the same way for hardware and simulations."""

from __future__ import annotations

import math
import re
import types
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, BeforeValidator, ValidationError

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn.lab.bench.backends import backend_names, find_backend
from hwlearn.lab.bench_file.networks import NETWORKS
from hwlearn.lab.bench_file.sections import (
    CalibrationSection,
    DataSection,
    LimitsSection,
    SafetySection,
    TrainSection,
)
from hwlearn.quantities import Quantity, Section
from hwlearn_drivers.bench.registry import KINDS

BACKENDS = {point.name: point.load()() for point in entry_points(group="hwlearn.backends")}
LEAST = {
    "smu": {"channels": [{"address": "tcp://1.2.3.4:5025", "node": 0}], "edges": "1 mS"},
    "board": {"address": "serial:///dev/ttyACM0"},
    "arc2": {"firmware": "arc2.bin"},
}
"""Required keys of the backends that have any."""


def sections(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a settings class and those of the tables within it."""
    found = {model}
    for field in model.model_fields.values():
        for kind in _classes(field.annotation):
            if issubclass(kind, BaseModel):
                found |= sections(kind)
    return found


def _classes(annotation: Any) -> set[type]:
    """Return every class that an annotation mentions, at any depth."""
    inner = get_args(annotation)
    if get_origin(annotation) is Literal or not inner:
        return {annotation} if isinstance(annotation, type) else set()
    return set().union(*(_classes(part) for part in inner))


def alternatives(annotation: Any) -> set[Any]:
    """Return the alternatives of a union, without their constraints."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return set().union(*(alternatives(part) for part in get_args(annotation)))
    return {annotation}


def is_quantity(annotation: Any, metadata: list[Any]) -> bool:
    """Return whether a field accepts text with a unit."""
    if any(isinstance(part, BeforeValidator | Quantity) for part in metadata):
        return True
    if get_origin(annotation) is Annotated:
        inner, *constraints = get_args(annotation)
        return is_quantity(inner, constraints)
    return any(is_quantity(part, []) for part in get_args(annotation))


def wrong_values(model: type[BaseModel], name: str) -> list[Any]:
    """Return values of the wrong type for a number or a flag; none for other settings."""
    field = model.model_fields[name]
    kinds = alternatives(field.annotation)
    values: list[Any] = []
    if kinds & {int, float} and bool not in kinds:
        values += [True, False, {}]
    if float in kinds:
        values += [math.inf, -math.inf, math.nan]
        if str not in kinds:
            values += ["fast", "inf"]
            values += [] if is_quantity(field.annotation, field.metadata) else ["2", "2.5"]
    elif int in kinds:
        values += [2.5, 2.0] + ([] if str in kinds else ["4", "four"])
    if kinds == {bool}:
        values += ["yes", "true", 0, 1, 1.0, []]
    return values


SECTIONS = (
    {
        f"{name}.{model.__name__}": model
        for name, backend in BACKENDS.items()
        for model in sorted(sections(backend.Settings), key=lambda model: model.__name__)
    }
    | {f"bench.{kind.__name__}": kind for kind in KINDS}
    | {
        model.__name__: model
        for top in (
            *NETWORKS.values(),
            LimitsSection,
            DataSection,
            TrainSection,
            CalibrationSection,
            SafetySection,
        )
        for model in sorted(sections(top), key=lambda model: model.__name__)
    }
)


def test_all_backends_are_installed():
    assert {"arc2", "board", "sim", "smu", "virtual-board", "virtual-smu"} <= set(backend_names())


@pytest.mark.parametrize("model", SECTIONS.values(), ids=SECTIONS)
def test_settings_table_is_strict(model):
    assert issubclass(model, Section)
    config = model.model_config
    assert (config["strict"], config["allow_inf_nan"], config["extra"]) == (True, False, "forbid")


@pytest.mark.parametrize("model", SECTIONS.values(), ids=SECTIONS)
def test_number_or_flag_of_the_wrong_type_is_refused(model):
    for name in model.model_fields:
        for value in wrong_values(model, name):
            with pytest.raises(ValidationError) as caught:
                model.model_validate({name: value})
            refused = {error["loc"][0] for error in caught.value.errors() if error["type"] != "missing"}
            assert name in refused, (name, value)


def test_settings_of_every_kind_are_tried():
    tried = {
        (name, model_field)
        for name, model in SECTIONS.items()
        for model_field in model.model_fields
        if wrong_values(model, model_field)
    }
    assert {("smu.SmuSettings", key) for key in ("nplc", "baud", "dry_run", "timeout", "voltage_range")} <= tried
    assert {("board.BoardSettings", key) for key in ("averages", "watchdog", "baud", "dry_run")} <= tried
    assert {("arc2.Arc2Settings", key) for key in ("id", "settle", "averaging", "read_voltage")} <= tried
    assert {("arc2.Arc2PulseSettings", key) for key in ("most", "headroom", "current")} <= tried
    assert ("smu.ChannelSettings", "four_wire") in tried
    assert len(tried) > 100


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("smu", "nplc", True),
        ("smu", "nplc", math.inf),
        ("smu", "nplc", "2"),
        ("smu", "dry_run", "yes"),
        ("smu", "baud", "9600"),
        ("board", "averages", True),
        ("board", "averages", "4"),
        ("board", "dry_run", 1),
        ("arc2", "averaging", "no"),
        ("arc2", "id", True),
        ("sim", "averages", True),
        ("sim", "averages", "4"),
        ("virtual-smu", "positions", True),
        ("virtual-board", "averages", "4"),
    ],
)
def test_hardware_backend_refuses_a_wrong_type_in_one_line(kind, key, value):
    table = {"kind": kind, **LEAST.get(kind, {})}
    find_backend(table, "bench x")  # without the mistake it is accepted
    with pytest.raises(SetupError, match=rf"^bench x: backend\.{key} = {re.escape(repr(value))}: ") as caught:
        find_backend({**table, key: value}, "bench x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "arc2", "current_sign": True}, r"current_sign = True"),
        ({"kind": "arc2", "rows": [64]}, r"rows\[0\] = 64"),
        ({"kind": "smu", "channels": [{"address": "a", "node": -1}]}, r"channels\[0\]\.node = -1"),
        ({"kind": "smu", "edges": {"address": "a", "positions": 1}}, r"edges\.positions = 1"),
        ({"kind": "smu", "edges": {"address": "a", "places": [-1]}}, r"edges\.places\[0\] = -1"),
        ({"kind": "virtual-smu", "model": "2499"}, "'2499'; the models are: 2400"),
        ({"kind": "virtual-smu", "model": ["2450", "2499"]}, "'2499'; the models are: 2400"),
        ({"kind": "virtual-smu", "driver": {"nplc": True}}, r"backend\.driver\.nplc = True: "),
        ({"kind": "virtual-smu", "driver": {"nplc": math.inf}}, r"backend\.driver\.nplc = inf: "),
        ({"kind": "virtual-smu", "driver": {"nplcc": 1.0}}, r"backend\.driver\.nplcc = 1\.0: "),
        (
            {"kind": "virtual-board", "driver": {"watchdog": "yes"}},
            r"watchdog = 'yes': 'yes' is not a quantity in s",
        ),
        ({"kind": "virtual-board", "averages": 3}, "averages = 3: the board averages 1, 2, 4"),
        ({"kind": "virtual-board", "settle": 1.0}, "settle = 1.0: .*0.05"),
        (
            {"kind": "sim", "memristor": {"model": "vteam", "law": {"r_onn": 1.0}}},
            "no parameter 'r_onn', did you mean",
        ),
        (
            {"kind": "sim", "memristor": {"model": "soft-bounds", "law": {"g_min": "1 V"}}},
            r"backend\.memristor\.law.* g_min: '1 V' is not in S",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(map(str, value)),
)
def test_value_that_no_hardware_has_is_refused_before_anything_is_opened(table, message):
    with pytest.raises(SetupError, match=message) as caught:
        find_backend({**LEAST.get(table["kind"], {}), **table}, "bench x")
    assert "\n" not in str(caught.value)


def test_lists_and_paths_of_toml_are_accepted():
    channels = [{"address": "a", "node": "n0", "channel": "b"}, {"address": "a", "node": 1}]
    card = {"address": "c", "places": [3, 1, 2], "linear": ["1 uS", 1e-4]}
    smu = find_backend({"kind": "smu", "channels": channels, "edges": card, "wire_log": "wire.txt"}, "x")[1]
    assert [channel.channel for channel in smu.channels] == [2, 1]
    assert (smu.edges.places, smu.edges.linear) == ((3, 1, 2), (1e-6, 1e-4))
    assert smu.wire_log == Path("wire.txt")
    fixed = find_backend({"kind": "smu", "channels": channels, "edges": ["1 mS", 2e-3]}, "x")[1]
    assert fixed.edges == (1e-3, 2e-3)
    board = find_backend({"kind": "board", "address": "a", "inputs": [1, 0], "edges": [5]}, "x")[1]
    assert (board.inputs, board.edges) == ((1, 0), (5,))
    pulses = {"voltage": 2, "current": "1 mA", "width": ["1 us", 1e-4]}
    table = {"kind": "arc2", "firmware": "a/b.bin", "rows": [0, 1], "pulses": pulses}
    arc2 = find_backend(table, "x")[1]
    assert (arc2.firmware, arc2.rows, arc2.pulses.width) == (Path("a/b.bin"), (0, 1), (1e-6, 1e-4))
    assert arc2.pulses.voltage == 2.0  # a whole number for a quantity
    sim = find_backend({"kind": "sim", "nudges": ["clamp"], "device_spread": 1}, "x")[1]
    assert (sim.nudges, sim.device_spread) == (["clamp"], 1.0)
    virtual = find_backend({"kind": "virtual-smu", "model": ["2400", "2450"], "wire_log": "w"}, "x")[1]
    assert (virtual.model, virtual.wire_log) == (["2400", "2450"], Path("w"))


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (
            'kind = "crossbar"\nrows = 100000000000\ncolumns = 4',
            "rows = 1e+11 and columns = 4: 4e+11 nodes or edges",
        ),
        ('kind = "crossbar"\nrows = 10000\ncolumns = 10000', "rows = 10000 and columns = 10000: 1e+08"),
        ('kind = "grid"\nrows = 3\ncolumns = 100000000000', "rows = 3 and columns = 1e+11"),
        ('kind = "layered"\nsizes = [100000, 100000]', "sizes = [100000, 100000]: 1e+10"),
        ('kind = "random"\nnodes = 12\nedges = 1000000000000\ninputs = 4\noutputs = 2', "edges = 1e+12"),
        ('kind = "random"\nnodes = 1000000000000\nedges = 20\ninputs = 4\noutputs = 2', "nodes = 1e+12"),
        ('kind = "edges"\nnodes = 1000000000000\nedges = [[0, 1]]\ninputs = [0]\noutputs = [1]', "nodes = 1e+12"),
        ('kind = "random"\nnodes = 12\nedges = 2\ninputs = 4\noutputs = 2', ""),
        ('kind = "crossbar"\nrows = 3\ncolumns = 4\ninputs = [7]', ""),
    ],
)
def test_graph_that_cannot_be_built_is_refused_with_the_bench_and_its_table(write, bench_text, network, text):
    table = re.compile(r"\[network\].*?(?=\n\[)", re.DOTALL)
    path = write(table.sub(f"[network]\n{network}\n", bench_text))
    with pytest.raises(hl.errors.TopologyError) as caught:
        hl.open_bench(path)
    assert str(caught.value).startswith(f"bench small: [network]: {text}")
    assert "\n" not in str(caught.value)


def test_data_that_fit_into_no_memory_are_refused(bench_path):
    with pytest.raises(SetupError, match=r"data\.samples = 100000000000"):
        hl.open_bench(bench_path, {"data.samples": 10**11})
