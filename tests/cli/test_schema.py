"""``hwlearn init --schema``."""

import json

from typer.testing import CliRunner

from hwlearn.cli import app


def test_schema_is_written_once(tmp_path):
    path = tmp_path / "bench.schema.json"
    done = CliRunner().invoke(app, ["init", "--schema", str(path)])
    assert done.exit_code == 0, done.output
    assert "#:schema ./bench.schema.json" in done.output
    kinds = json.loads(path.read_text())["properties"]["backend"]["properties"]["kind"]["enum"]
    assert {"sim", "smu", "board", "virtual-smu"} <= set(kinds)
    again = CliRunner().invoke(app, ["init", "--schema", str(path)])
    assert again.exit_code == 2
    assert "already exists" in again.output


def test_bench_file_beside_the_schema_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (["first.toml"], ["--schema"], ["second.toml"], ["board.toml", "--like", "declared"]):
        assert CliRunner().invoke(app, ["init", *arguments]).exit_code == 0
    heads = {file.name: file.read_text().splitlines()[0] for file in tmp_path.glob("*.toml")}
    assert heads["second.toml"] == "#:schema ./bench.schema.json"
    assert heads["first.toml"].startswith("# ")  # there was no schema yet
    assert heads["board.toml"].startswith("# ")  # no bench file
    first, second = ((tmp_path / f"{name}.toml").read_text() for name in ("first", "second"))
    assert second.partition("\n")[2] == first
