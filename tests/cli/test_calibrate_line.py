"""The lines that `hwlearn calibrate` prints for the bench file are valid TOML, wherever the record is."""

import pytest

from hwlearn.lab.bench_file.file import load_bench_file

pytestmark = pytest.mark.usefixtures("without_rendering")


@pytest.mark.share(3)
@pytest.mark.parametrize("name", ["plain", "größe \U0001f600", 'quote" and \\', "a\x7fb"])
@pytest.mark.parametrize("table", ["", "\n[calibration]\nmost_age_days = 3.0\n"])
def test_row_26_printed_lines_make_the_bench_use_the_record(folder, bench_text, hwlearn, monkeypatch, name, table):
    place = folder / name
    place.mkdir()
    monkeypatch.chdir(place)
    bench = place / "small.toml"
    bench.write_text(bench_text + table, encoding="utf-8")
    done = hwlearn("calibrate", "small.toml", "noise")
    start = next(k for k, line in enumerate(done.out) if line.startswith("to use it"))
    assert ("write in the table" in done.out[start]) == bool(table)
    bench.write_text("\n".join([bench_text + table, *done.out[start + 1 :], ""]), encoding="utf-8")
    assert load_bench_file(bench).calibration.file == str(place / "calibration.toml")
