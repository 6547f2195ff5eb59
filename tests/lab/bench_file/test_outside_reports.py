"""Bench files and records of other editors, and values that people write; test names begin with the row."""

import codecs
import tomllib

import pytest

from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.circuit.spice import read_spice
from hwlearn.errors import DataError, SetupError, TopologyError, UnitError
from hwlearn.lab.bench.bench import open_bench
from hwlearn.lab.bench_file.file import load_bench_file
from hwlearn.storage.toml_text import toml_tables, toml_text, toml_value
from hwlearn.units import parse_quantity, unit_of


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_row_19_bench_file_of_windows_editors_is_read(bench_path, encoding, end):
    text = bench_path.read_text(encoding="utf-8")
    before = load_bench_file(bench_path).tables
    bench_path.write_bytes(("# Größe\n" + text).replace("\n", end).encode(encoding))
    assert load_bench_file(bench_path).tables == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# gr\u00f6\u00dfe\n".encode("latin-1"), r"byte 4, line 1: 0xf6 is not UTF-8"),
        ("[network]\nkind = 1".encode("utf-16-le"), r"byte 1, line 1: a NUL character"),
        (b"[network]\n# \x00\n", r"byte 12, line 2: a NUL character"),
    ],
)
def test_row_19_other_encodings_are_refused_by_byte_and_line(bench_path, content, message):
    bench_path.write_bytes(content)
    with pytest.raises(SetupError, match=rf"bench file .*small\.toml cannot be read as text: {message}"):
        load_bench_file(bench_path)


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 5000, "a = 1\na = 2", "a = {", "[a]\n[a]"])
def test_toml_that_is_damaged_or_absurd_is_refused(bench_path, text):
    bench_path.write_text(text)
    with pytest.raises(SetupError, match=r"bench small is not valid TOML"):
        load_bench_file(bench_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_row_19_calibration_record_with_a_mark_is_read(tmp_path, encoding):
    record = CalibrationRecord(topology="0" * 16, instruments=(), made={}, package="1")
    path = tmp_path / "calibration.toml"
    record.save(path)
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    assert CalibrationRecord.load(path) == record
    path.write_bytes(codecs.BOM_UTF8 + b"\xff")
    with pytest.raises(SetupError, match=r"calibration file .* byte 3, line 1: 0xff is not UTF-8"):
        CalibrationRecord.load(path)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("10 k\u2126", "ohm", 1e4),  # ohm sign
        ("10 k\u03a9", "ohm", 1e4),  # Greek letter
        ("50 \u00b5s", "s", 50e-6),  # micro sign
        ("50 \u03bcs", "s", 50e-6),  # Greek letter
        ("50\u00a0\u00b5A", "A", 50e-6),  # space that does not break
        ("\u2212" + "50 mV", "V", -0.05),  # minus sign
    ],
)
def test_row_26_signs_of_word_processors_are_understood(text, unit, value):
    assert parse_quantity(text, unit) == value


@pytest.mark.parametrize("text", ["10 \u2127", "50 \u03bc\u03bcV", "1e" + "9" * 5000 + " V", "\u2013" + "5 V"])
def test_other_signs_are_refused(text):
    with pytest.raises(UnitError):
        parse_quantity(text, "V")


def test_unit_of_a_title_has_a_symbol():
    assert unit_of("k\u2126") == ("ohm", 3)
    assert unit_of("u") is None
    assert unit_of("kW") is None


def test_row_26_d2_number_where_text_is_wanted_is_shown_with_quotes(bench_path):
    changes = ["backend.kind=virtual-smu", "backend.model=2400"]
    with pytest.raises(
        SetupError, match=r"backend\.model = 2400: .*text in quotes.*: model = .2400., or --set"
    ) as caught:
        open_bench(bench_path, changes)
    advice = str(caught.value).partition("--set '")[2].rstrip("'")
    assert advice == 'backend.model="2400"'
    assert load_bench_file(bench_path, [changes[0], advice]).tables["backend"]["model"] == "2400"


@pytest.mark.parametrize("name", ["C:\\runs\\new", "größe", "\U0001f600", 'quote"s', "a\x7fb", "tab\tbed"])
def test_row_26_names_of_files_are_valid_toml(name):
    line = f"file = {toml_value(name)}"
    assert tomllib.loads(line)["file"] == name
    assert toml_tables(toml_text({"calibration": {"file": name}})) == {"calibration": {"file": name}}


def test_row_26_name_that_toml_cannot_hold_is_refused():
    with pytest.raises(SetupError, match="has bytes that are no characters"):
        toml_value("bad\udcff")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "none"])
def test_name_that_no_file_can_have_is_refused(bench_path, name):
    with pytest.raises(SetupError, match="there is no bench"):
        load_bench_file(name + ".toml")
    with pytest.raises(SetupError, match="there is no bench"):
        load_bench_file(name)
    with pytest.raises(DataError, match="there is no data file"):
        open_bench(bench_path, {"data.source": name + ".csv"})
    with pytest.raises(TopologyError, match="cannot read netlist file"):
        read_spice(name)
    with pytest.raises(SetupError, match="there is no calibration file"):
        _ = open_bench(bench_path, {"calibration.file": name}).calibration
