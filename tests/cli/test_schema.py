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
