"""The JSON schema of bench files, with the package jsonschema as the referee."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path

import pytest

from hwlearn.errors import HwlearnError
from hwlearn.installed import entry_points
from hwlearn.lab.bench.json_schema import bench_schema
from hwlearn.lab.bench_file.file import load_bench_file, shipped_benches

SCHEMA = bench_schema()
BENCHES = Path(__file__).parents[3] / "hwlearn" / "lab" / "benches"


@pytest.fixture(scope="module")
def validator():
    import jsonschema  # it takes a second, which every worker would wait for while it collects tests

    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def shipped(name):
    return tomllib.loads((BENCHES / f"{name}.toml").read_text(encoding="utf-8"))


def test_schema_is_one(validator):
    assert validator.schema is SCHEMA
    for bound in ('"gt"', '"ge"', '"lt"', '"le"'):
        assert bound not in json.dumps(SCHEMA)


@pytest.mark.parametrize("name", shipped_benches())
def test_shipped_benches_fit(name, validator):
    validator.validate(shipped(name))


def test_templates_of_benches_fit(validator):
    tables = [
        tomllib.loads(Path(point.load()).read_text(encoding="utf-8"))
        for point in entry_points(group="hwlearn.templates")
    ]
    benches = [one for one in tables if "backend" in one]  # others describe a board
    assert len(benches) >= 2
    for one in benches:
        validator.validate(one)
    benches[0]["backend"]["instruments"][0]["adress"] = "Dev1"
    assert "adress" in next(validator.iter_errors(benches[0])).message


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("limits", "voltage", True),
        ("limits", "voltage", "half a volt"),
        ("limits", "conductance", ["1 uS"]),
        ("network", "rows", 0),
        ("network", "kind", "crosbar"),
        ("train", "nudge", "clmap"),
        ("train", "rate", 0),
        ("train", "kappa", -1.0),
        ("data", "test_fraction", 1),
        ("backend", "kind", "simulation"),
        ("backend", "adc_bit", 12),
        ("backend", "adc_bits", "12"),
        ("tarin", "epochs", 3),
    ],
)
def test_what_the_schema_refuses_is_refused_when_the_file_is_read(table, key, value, tmp_path, validator):
    tables = copy.deepcopy(shipped("iris"))
    tables.setdefault(table, {})[key] = value
    assert list(validator.iter_errors(tables))
    from hwlearn.lab.bench.bench import Bench
    from hwlearn.storage.toml_text import toml_text

    (tmp_path / "bench.toml").write_text(toml_text(tables), encoding="utf-8")
    with pytest.raises(HwlearnError):
        Bench(load_bench_file(tmp_path / "bench.toml"))
