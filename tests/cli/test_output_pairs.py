"""Differences of outputs on the command line: what is printed, JSON, check, and mistakes in one line."""

import json

import pytest

PAIRS = ("--set", 'data.output_pairs=[["n11", "n12"]]')


def test_train_prints_pairs_and_scores_differences(hwlearn, without_reports):
    done = hwlearn("train", "small.toml", *PAIRS)
    assert done.code == 0
    assert "data          pairs of outputs: n11 - n12; read, but not scored: n13" in done.out
    lines = [json.loads(line) for line in hwlearn("train", "small.toml", *PAIRS, "--json").out]
    assert lines[0]["output_pairs"] == [[0, 1]]
    assert lines[-1]["rms_error_V"] > 0
    assert json.loads(hwlearn("train", "small.toml", "--json").out[0])["output_pairs"] is None


def test_check_reports_the_offset_of_differences(hwlearn):
    """An offset of both outputs cancels in their difference, an offset of one does not."""
    found = hwlearn("check", "small.toml", *PAIRS, "--set", "backend.adc_offset=20 mV", "--json")
    checks = {row["name"]: row for row in map(json.loads, found.out)}
    assert checks["zero difference"]["result"] == "fail"
    assert "at n11 - n12" in checks["zero difference"]["found"]
    assert "zero difference" not in {
        json.loads(row)["name"] for row in hwlearn("check", "small.toml", "--json").out
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('[["n11", "n4"]]', "data.output_pairs: node 'n4' is no output; the outputs are: n11, n12, n13"),
        (
            '[["n11", "n112"]]',
            "data.output_pairs: there is no output 'n112', did you mean 'n12'?; the outputs are:",
        ),
        ("[[0, 0]]", "data.output_pairs: pair 0 of outputs is output 0 with itself"),
        ("[]", "data.output_pairs: there is no pair of outputs"),
        ("consecutive", "data.output_pairs: 3 outputs cannot all be in consecutive pairs"),
        ("[[0, 1.5]]", "bench small: data.output_pairs[0][1] = 1.5:"),
    ],
)
def test_mistakes_are_refused_in_one_line(hwlearn, folder, value, message):
    ended = hwlearn("train", "small.toml", "--set", f"data.output_pairs={value}")
    assert (ended.code, ended.out) == (2, [])
    (line,) = ended.err
    assert message in line
    assert not (folder / "runs").exists()


def test_misspelt_key_names_the_right_one(hwlearn):
    (line,) = hwlearn("train", "small.toml", "--set", "data.output_pair=consecutive").err
    assert "did you mean 'output_pairs'?" in line
