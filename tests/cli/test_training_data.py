"""Training data in files: what `hwlearn train` prints and keeps about them, and what it refuses first."""

import json

import pytest

from hwlearn.lab.runs.store import Run

BENCH = """
[network]
kind = "crossbar"
rows = 4
columns = 1
[limits]
voltage = "0.5 V"
drop = "1 V"
nudge = "0.2 V"
current = "1 mA"
conductance = ["1 uS", "100 uS"]
[backend]
kind = "sim"
[data]
source = "data.csv"
target_columns = ["power"]
bias = "0.3 V"
target_scaling = { volts = ["0 V", "0.2 V"] }
[train]
epochs = 2
"""
DATA = "# by hand\nx1;x2;power (kW)\n0,1;0,2;100,5\n0,3;0,1;250\n0,2;0,25;346\n"
DIALECT = "semicolons, decimal commas, a header, UTF-8, 3 rows from line 3"


@pytest.fixture
def bench(folder):
    (folder / "scaled.toml").write_text(BENCH, encoding="utf-8")
    (folder / "data.csv").write_text(DATA, encoding="utf-8")
    return folder


def test_row_10_dialect_is_printed_and_kept_in_the_run(bench, hwlearn):
    done = hwlearn("train", "scaled.toml")
    assert done.code == 0
    assert f"data          {DIALECT}" in done.out
    assert "data          target scaling: 100.5 to 346 kW as 0 to 200 mV" in done.out
    run = Run.open(next((bench / "runs").iterdir()))
    assert run.meta("data")[0] == DIALECT
    start = json.loads(hwlearn("train", "scaled.toml", "--json").out[0])
    assert start["data"][0] == DIALECT


@pytest.mark.slow
def test_row_11_errors_are_reported_in_the_unit_of_the_targets(bench, hwlearn):
    done = hwlearn("train", "scaled.toml")
    measured = next(line for line in done.out if line.startswith("measured"))
    volts, power = (float(part.split()[0]) for part in measured.partition("rms error ")[2].split(" = "))
    assert measured.strip().endswith("kW on 3 training samples")
    assert power == pytest.approx(volts / 200 * (346 - 100.5), rel=2e-3)
    assert any("kW" in line for line in hwlearn("runs").out)
    end = json.loads(hwlearn("train", "scaled.toml", "--json").out[-1])
    assert end["unit"] == "kW"
    assert end["rms_error"] == pytest.approx(end["rms_error_V"] / 0.2 * (346 - 100.5))
    run = Run.open(sorted((bench / "runs").iterdir())[0])
    (bench / "data.csv").unlink()
    assert hwlearn("report", run.folder).code == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (DATA.replace("346", "400"), None),
        ("0,1,2\n0.1,0.2,0.1\n", "header"),
        ("x1,x2,power\n0.1,0.2,9.91e37\n", "line 2, column 2 (power)"),
        ("x1,x2,power\n0.1,2,1\n", "limits.voltage"),
    ],
)
def test_row_11_wrong_data_is_refused_before_anything_is_opened(bench, hwlearn, mocker, data, words):
    (bench / "data.csv").write_text(data, encoding="utf-8")
    opened = mocker.patch("hwlearn.lab.bench.bench.opened_network", side_effect=RuntimeError("opened"))
    if words is None:  # the same file is accepted, and then opened
        with pytest.raises(Exception, match="opened"):
            hwlearn("train", "scaled.toml")
        return
    done = hwlearn("train", "scaled.toml")
    assert done.code == 2
    assert words in done.err[-1]
    assert opened.call_count == 0
    assert not (bench / "runs").exists()


def test_row_23_notes_of_a_netlist_are_printed(bench, hwlearn):
    text = "t\nV1 a 0 0\nV2 b 0 0\nV3 c 0 0\nR1 a out 1k\nR2 b out 1k\nR3 c out 1k\n.tran 1\n.print v(out)\n.end\n"
    (bench / "net.cir").write_text(
        text.replace("V3 c 0 0\n", "V3 c 0 0\nV4 d 0 0\nR4 d out 1k\n"), encoding="utf-8"
    )
    spice = BENCH.replace('kind = "crossbar"\nrows = 4\ncolumns = 1', 'kind = "spice"\nfile = "net.cir"')
    (bench / "scaled.toml").write_text(spice, encoding="utf-8")
    done = hwlearn("train", "scaled.toml")
    assert done.code == 0
    assert any(line.startswith("netlist       line 10: '.tran 1' is ignored") for line in done.out)
