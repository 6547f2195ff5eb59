"""Calibration records: saved records are read back exactly, and invalid ones are refused."""

import tomllib
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwlearn as hl
from hwlearn.calibrated.record import CalibrationRecord, identity
from hwlearn.calibrated.sections import (
    ConverterRecord,
    EdgeRecord,
    LineRecord,
    NoiseRecord,
    PulseRecord,
    VerifyRecord,
)
from hwlearn.errors import SetupError
from hwlearn.storage.atomic_file import write_atomically

TOPOLOGY = hl.Topology.random(8, 12, inputs=3, outputs=2, seed=1)
SMUS = ("Keithley 2450, serial 01, at TCPIP::10.0.0.1::INSTR", "Keithley 2450, serial 02, at GPIB::3")

any_number = st.floats(-1e6, 1e6)
size = st.floats(0, 1e6)
positive = st.floats(1e-6, 1e6)


def each(values, count):
    return st.lists(values, min_size=count, max_size=count)


n_in, n_out, n_edges = TOPOLOGY.n_inputs, TOPOLOGY.n_outputs, TOPOLOGY.n_edges
drives = st.fixed_dictionaries(
    {
        "drive_gain": each(positive, n_out),
        "drive_gain_sigma": each(size, n_out),
        "drive_offset_V": each(any_number, n_out),
        "drive_offset_sigma_V": each(size, n_out),
    }
)
converters = st.builds(
    lambda known, driven: ConverterRecord(**known, **driven),
    st.fixed_dictionaries(
        {
            "input_gain": each(positive, n_in),
            "input_gain_sigma": each(size, n_in),
            "input_offset_V": each(any_number, n_in),
            "input_offset_sigma_V": each(size, n_in),
            "reading_gain": each(positive, n_out),
            "reading_gain_sigma": each(size, n_out),
            "reading_offset_V": each(any_number, n_out),
            "reading_offset_sigma_V": each(size, n_out),
            "common_gain_sigma": size,
        }
    ),
    st.one_of(st.just({}), drives),
)
noise = st.builds(
    NoiseRecord,
    reading_sigma_V=each(size, n_out),
    stated_sigma_V=size,
    floor_V=size,
    averages=st.integers(1, 4096),
    lag=any_number,
    lag_sigma=size,
    settle_s=st.none() | size,
)
lines = st.builds(LineRecord, source_ohm=each(any_number, n_in), source_sigma_ohm=each(size, n_in), chi=size)
edges = st.builds(
    EdgeRecord,
    gain=each(positive, n_edges),
    gain_sigma=each(size, n_edges),
    scale_sigma=size,
    scale_known=st.booleans(),
    chi=size,
    configurations=st.integers(1, 99),
    stuck=st.lists(st.integers(0, n_edges - 1), unique=True, max_size=4),
)
verified = st.builds(
    VerifyRecord,
    chi=size,
    rms_V=size,
    nominal_rms_V=size,
    noise_V=size,
    configurations=st.integers(1, 9),
    readings=st.integers(1, 999),
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def records(draw):
    record = CalibrationRecord.of(TOPOLOGY, tuple(draw(st.lists(names, max_size=3))))
    found = {"converters": converters, "noise": noise, "lines": lines, "edges": edges, "verify": verified}
    for step in draw(st.lists(st.sampled_from(sorted(found)), unique=True)):
        when = draw(st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)))
        record = record.with_step(step, draw(st.none() | found[step]), when.replace(tzinfo=UTC))
    return record


@given(records())
@settings(deadline=None)
def test_record_is_read_back_as_written(record):
    back = CalibrationRecord.parse(record.text())
    assert back == record
    assert back.text() == record.text()
    back.check(TOPOLOGY, record.instruments)
    tomllib.loads(record.text())


@pytest.fixture
def record():
    """A record with an edge and a converter section, on two instruments."""
    found = CalibrationRecord.of(TOPOLOGY, SMUS)
    ones, small = np.ones(n_in), np.full(n_in, 1e-4)
    part = ConverterRecord(
        input_gain=1.01 * ones,
        input_gain_sigma=small,
        input_offset_V=0.002 * ones,
        input_offset_sigma_V=small,
        reading_gain=[0.99, 1.0],
        reading_gain_sigma=[1e-4, 1e-4],
        reading_offset_V=[1e-3, -1e-3],
        reading_offset_sigma_V=[1e-5, 1e-5],
        common_gain_sigma=0.01,
    )
    gains = EdgeRecord(
        gain=np.linspace(0.8, 1.2, n_edges),
        gain_sigma=np.full(n_edges, 0.01),
        scale_sigma=0.01,
        scale_known=True,
        chi=1.0,
        configurations=16,
    )
    return found.with_step("converters", part).with_step("edges", gains)


@pytest.fixture
def path(record, tmp_path):
    """The record's file."""
    record.save(tmp_path / "calibration.toml")
    return tmp_path / "calibration.toml"


def refused(call, *words):
    with pytest.raises(SetupError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def test_record_is_saved_and_loaded(record, path):
    assert CalibrationRecord.load(path) == record
    assert not list(path.parent.glob(".calibration*"))


def test_record_of_another_topology_is_refused(record):
    other = hl.Topology.random(8, 12, inputs=3, outputs=2, seed=2)
    refused(lambda: record.check(other, SMUS), "another topology", other.fingerprint, "hwlearn calibrate")


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ((SMUS[0].replace("01", "07"), SMUS[1]), ("serial 01", "serial 07")),
        ((SMUS[1], SMUS[0]), ("serial 01", "serial 02")),
        (SMUS[:1], ("serial 02",)),
        ((), ("no instrument",)),
    ],
)
def test_record_of_another_instrument_is_refused(record, there, words):
    refused(lambda: record.check(TOPOLOGY, there), *words)


def test_address_and_firmware_may_change(record):
    record.check(TOPOLOGY, ("Keithley 2450, serial 01, at USB0::1", "Keithley 2450, serial 02, at ASRL3"))
    board = "hwlearn refboard, serial HB-1, firmware 1.{}, at /dev/ttyACM{}"
    assert identity(board.format(0, 0)) == identity(board.format(1, 3)) == "hwlearn refboard, serial HB-1"


@pytest.mark.share(15)
@pytest.mark.parametrize("keep", np.linspace(0.0, 0.999, 60))
def test_file_cut_anywhere_is_refused(path, keep):
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: int(keep * len(text))], encoding="utf-8")
    refused(lambda: CalibrationRecord.load(path), "calibration.toml")


def test_file_cut_at_any_line_is_refused(path):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for kept in range(len(lines) - 1):
        path.write_text("".join(lines[:kept]), encoding="utf-8")
        refused(lambda: CalibrationRecord.load(path))


def test_changed_number_is_refused_by_the_checksum(path):
    text = path.read_text(encoding="utf-8")
    assert "0.002" in text
    path.write_text(text.replace("0.002", "0.003", 1), encoding="utf-8")
    refused(lambda: CalibrationRecord.load(path), "checksum", "changed")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("input_gain =", "input_gian =", ("converters.input_gian", "did you mean 'input_gain'")),
        ("[converters]", "[convertors]", ("convertors", "did you mean 'converters'")),
        ("scale_known =", "scale_know =", ("edges.scale_know", "'scale_known'")),
        ("topology =", "topologie =", ("calibration.topologie", "'topology'")),
        ("scale_known = true", "scale_known = 1", ("edges.scale_known = 1", "true or false")),
        ("configurations = 16", "configurations = 1.5", ("edges.configurations = 1.5", "whole number")),
        ("chi = 1.0", 'chi = "1"', ("edges.chi = '1'", "number")),
        ("chi = 1.0", "chi = -1.0", ("edges.chi", "at least 0")),
        ("chi = 1.0\n", "", ("edges.chi is missing",)),
        ("reading_gain = [0.99, 1.0]", "reading_gain = [0.99, -1.0]", ("converters.reading_gain", "positive")),
        ("reading_gain = [0.99, 1.0]", "reading_gain = [0.99, nan]", ("converters.reading_gain", "finite")),
        ("reading_gain = [0.99, 1.0]", "reading_gain = [true, 1.0]", ("converters.reading_gain", "numbers")),
        ("format = 1", "format = 2", ("format is 2", "reads 1")),
        ("+00:00", "", ("time zone",)),
    ],
)
def test_invalid_key_or_value_is_named(path, old, new, words):
    text = path.read_text(encoding="utf-8")
    assert old in text
    body = text.replace(old, new).partition("\n[end]\n")[0]
    # with a valid checksum, so that only the key is invalid
    from hwlearn.calibrated.record import _checksum

    path.write_text(f'{body}\n[end]\nchecksum = "{_checksum(body)}"\n', encoding="utf-8")
    refused(lambda: CalibrationRecord.load(path), *words)


def test_list_of_wrong_length_is_refused(record):
    longer = CalibrationRecord.parse(record.text()).with_step(
        "lines", LineRecord(source_ohm=[1.0], source_sigma_ohm=[0.1], chi=1.0)
    )
    refused(lambda: longer.check(TOPOLOGY, SMUS), "lines.source_ohm has 1 values", "3 inputs")


def test_unknown_stuck_edge_is_refused(record):
    found = record.edges.table() | {"stuck": [n_edges]}
    other = record.with_step("edges", EdgeRecord(**found))
    refused(lambda: other.check(TOPOLOGY, SMUS), f"names edge {n_edges}")


def test_missing_or_binary_file_is_refused(tmp_path):
    refused(lambda: CalibrationRecord.load(tmp_path / "none.toml"), "there is no calibration file")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    refused(lambda: CalibrationRecord.load(tmp_path / "bytes.toml"), "cannot be read")


def test_age_is_that_of_the_oldest_step(record):
    now = datetime.now(UTC)
    old = record.with_step("verify", None, now - timedelta(days=40))
    assert old.is_older_than(30, now)
    assert not old.is_older_than(41, now)
    assert not record.is_older_than(1, now)
    assert CalibrationRecord.of(TOPOLOGY, ()).age(now) == timedelta()


def test_unknown_step_is_refused(record):
    refused(lambda: record.with_step("edge", None), "did you mean 'edges'")


def test_failed_write_keeps_the_old_file(path, record, mocker):
    before = path.read_text(encoding="utf-8")
    mocker.patch.object(Path, "replace", side_effect=OSError("the disk is full"))
    refused(lambda: record.with_step("lines", None).save(path), "the disk is full")
    assert path.read_text(encoding="utf-8") == before
    assert [item.name for item in path.parent.iterdir()] == ["calibration.toml"]


def test_unwritable_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused(lambda: write_atomically(tmp_path / "file" / "x.toml", b""), "cannot write")


@pytest.mark.parametrize(
    "section", [ConverterRecord, NoiseRecord, LineRecord, PulseRecord, EdgeRecord, VerifyRecord]
)
def test_every_key_is_documented(section):
    page = (Path(__file__).parents[2] / "docs" / "calibration.md").read_text(encoding="utf-8")
    missing = {item.name for item in fields(section) if f"`{item.name}`" not in page}
    assert not missing
