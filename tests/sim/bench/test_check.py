"""``hwlearn check`` on virtual instruments: identity, zero, noise, superposition and reciprocity."""

import json

import pytest
from typer.testing import CliRunner

from hwlearn.cli import app


def check(*words):
    result = CliRunner().invoke(app, ["check", "virtual-smu", "--json", *words])
    return result.exit_code, {row["name"]: row for row in map(json.loads, result.stdout.splitlines())}


@pytest.mark.slow
def test_working_bench_passes_all_checks():
    code, rows = check("--set", 'backend.model=["2400", "2450", "2612B", "B2902A"]')
    assert code == 0
    assert {row["result"] for row in rows.values()} == {"pass"}
    assert {"open", "identity", "limits", "zero reading", "noise floor", "superposition", "reciprocity"} <= set(
        rows
    )
    found = rows["identity"]["found"].split("; ")
    for model in ("2400", "2450", "2612B", "B2902A"):
        assert any(model in text for text in found)
    serials = [text.split("serial ")[1].split(",")[0] for text in found]
    assert len(set(serials)) == len(serials) == 4


def test_offsets_fail_zero_reading_check():
    code, rows = check("--set", "backend.offset=0.05")
    assert code == 1
    assert rows["zero reading"]["result"] == "fail"
    assert "calibrate" in rows["zero reading"]["advice"]


@pytest.mark.slow
def test_excess_noise_fails_noise_check():
    """The stated sigma assumes a long integration time, but the instruments use a short one."""
    code, rows = check("--set", "backend.driver={nplc = 0.01, voltage_sigma = 1e-6}")
    assert code == 1
    assert rows["noise floor"]["result"] == "fail"
