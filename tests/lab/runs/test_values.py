"""A run of a network of transistors and resistors: values with their units, from the bench file to the report."""

import json
import re
import sqlite3

import exported_files
import numpy as np
import pytest
from interruptions import new_run, train_part
from noisy_benches import write_bench

import hwlearn as hl
from hwlearn.errors import CircuitError, LimitError, SetupError
from hwlearn.lab.checks import check_bench
from hwlearn.lab.runs import draw_run

GATES = [0, 1, 2, 3, 5, 6, 7, 8, 9, 11]


@pytest.fixture
def bench_path(tmp_path):
    return write_bench(tmp_path, "sim transistors", epochs=2)


def test_run_stores_values_with_their_units(bench_path, tmp_path):
    run = new_run(bench_path, tmp_path / "runs")
    result = train_part(run)
    assert run.values().tolist() == result["conductances"]
    with run.contents() as contents:
        kinds = contents.kinds_of_values()
        assert [(kind.parameter.name, kind.parameter.unit, kind.edges.tolist()) for kind in kinds] == [
            ("gate voltage", "V", GATES),
            ("conductance", "S", [4, 10]),
        ]
        assert [(kind.parameter.low, kind.parameter.high) for kind in kinds] == [(0.4, 8.0), (1e-6, 1e-4)]
        values = contents.values(contents.kept_steps()[0])
    assert (values[GATES] >= 0.4).all()
    assert (values[[4, 10]] <= 1e-4).all()
    with pytest.raises(CircuitError, match="has a gate voltage in V, no conductance; use values"):
        run.conductances()
    with sqlite3.connect(run.folder / "run.sqlite") as db:
        units = dict(db.execute("SELECT name, unit FROM variables"))
    assert (units["requested"], units["gradient"]) == ("V, S", "cost/V, cost/S")
    assert draw_run(run, tmp_path / "report.png").stat().st_size > 10_000
    assert run.bench().topology == hl.open_bench(bench_path).topology


def test_data_of_a_run_have_the_units_of_its_values(bench_path, tmp_path):
    pytest.importorskip("xarray", reason="the extra `data` is not installed")
    run = new_run(bench_path, tmp_path / "runs")
    train_part(run)
    data = hl.open_run(run.folder).to_xarray()
    assert [data[name].attrs["units"] for name in ("requested", "reached", "gradient")] == [
        "V, S",
        "V, S",
        "V, V^2/S",
    ]
    assert [(kind["name"], kind["unit"]) for kind in json.loads(data.attrs["values"])] == [
        ("gate voltage", "V"),
        ("conductance", "S"),
    ]
    np.testing.assert_array_equal(data.requested[-1], run.values())
    assert exported_files.npz(run, tmp_path) == []


def test_check_states_the_bias_of_nudges(bench_path):
    with hl.open_bench(bench_path) as bench:
        checks = {check.name: check for check in check_bench(bench)}
    assert checks["programming"].result == "fail"  # one edge is stuck
    found = checks["bias of nudges"].found
    assert re.search(
        r"equilibrium propagation \d\.\d+ \(0\.9\d\) at 2 mV, .*at 200 mV; coupled learning 0\.9", found
    )


@pytest.mark.parametrize(
    ("setting", "error", "words"),
    [
        ("network.elements=[{edges=[12], element={kind='mosfet', vto=1, kp=1e-4}}]", SetupError, "edge 12, but"),
        ("network.elements=[{edges=[1, 1], element={kind='ohmic'}}]", SetupError, "edge 1 two elements"),
        ("network.element={kind='mosfet', vto=1}", SetupError, r"network\.element\.kp is missing"),
        ("network.element={kind='mosfet', vto=1, kp=0}", SetupError, r"Mosfet\.kp is 0"),
        ("limits.gate_voltage=['0.4 V', '11 V']", LimitError, "accept 0 to 10 V"),
        ("limits.gate_voltage=['8 V', '0.4 V']", LimitError, "the smaller first"),
        ("limits.gate_voltage=['0.4 S', '8 V']", SetupError, "'0.4 S' is not in V"),
        ("backend.device_spread={vt=1}", SetupError, "unknown key backend.device_spread.vt.*vto"),
        ("backend.device_spread={}", SetupError, "the table is empty"),
        ("backend.device_spread={kp='half'}", SetupError, "no percentage such as '0.5 %'"),
        ("backend.value_bits={gate_voltage=0}", SetupError, "greater than or equal to 1"),
    ],
)
def test_wrong_setting_of_transistors_is_refused_in_one_line(bench_path, setting, error, words):
    with pytest.raises(error, match=words) as caught, hl.open_bench(bench_path, [setting]):
        pass
    assert "\n" not in str(caught.value)


def test_missing_range_names_the_key(bench_path):
    text = bench_path.read_text(encoding="utf-8")
    bench_path.write_text(text.replace('gate_voltage = ["400 mV", "8 V"]\n', ""), encoding="utf-8")
    with pytest.raises(LimitError, match=r"no range of the gate voltage .*give limits\.gate_voltage"):
        hl.open_bench(bench_path)


def test_initial_values_are_drawn_in_their_ranges(bench_path):
    values = hl.open_bench(bench_path, ["train.initial=random"]).trainer().model.values
    assert (values[GATES].min() < 2, values[GATES].max() > 5) == (True, True)
    assert (values[[4, 10]] < 1e-4).all()
    assert len(np.unique(values)) == 12
