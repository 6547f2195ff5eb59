"""``hwlearn init --like declared``, and a virtual board that obeys it, opened as a bench file says."""

import json
import sys

import pytest

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn.storage.toml_text import toml_text
from hwlearn_drivers.bench.backend import BenchBackend
from hwlearn_drivers.declared.declaration import load_declaration
from hwlearn_sim.bench.rehearsal import rehearsed_board

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(12e-6, 1e-3))


def test_init_writes_a_declaration_that_loads(hwlearn, folder):
    ended = hwlearn("init", "my.toml", "--like", "declared")
    assert ended.code == 0, ended.err
    assert load_declaration(str(folder / "my.toml")) == load_declaration("example")
    assert hwlearn("init", "my.toml", "--like", "declared").code == 2
    assert "did you mean 'declared'" in hwlearn("init", "other.toml", "--like", "declare").err[-1]


def test_serve_needs_a_bench_or_a_protocol(hwlearn):
    ended = hwlearn("sim", "serve")
    assert ended.code == 2
    assert "--protocol" in ended.err[-1]
    assert "there is no protocol file" in hwlearn("sim", "serve", "--protocol", "no.toml").err[-1]


@pytest.mark.parametrize("terminator", ["lf", "crlf", "cr"])
@pytest.mark.parametrize("checksum", ["", '[checksum]\nkind = "crc-16-modbus"\nform = "*{checksum:04X}"\n'])
def test_rehearsed_board_opens_as_its_tables_say(folder, terminator, checksum):
    """Every end of line and a checksum, on a pseudo-terminal where there is one."""
    text = load_text().replace('terminator = "lf"', f'terminator = "{terminator}"') + checksum
    (folder / "my.toml").write_text(text, encoding="ascii")
    topology = hl.Topology.crossbar(8, 3, inputs=range(8), outputs=range(3))
    served, terminals = rehearsed_board(str(folder / "my.toml"), topology, LIMITS)
    if terminator == "cr" and sys.platform == "win32":
        pytest.skip("a socket has no end of line of its own")
    with served:
        board = {
            "name": "board",
            "model": "declared",
            "address": served.address("board"),
            "protocol": str(folder / "my.toml"),
        }
        table = {"instruments": [board], "terminals": terminals, "edges": {"programmer": "board"}, "settle": 0}
        with BenchBackend.open(BenchBackend.Settings(**table), topology, LIMITS) as network:
            network.program([1e-4] * topology.n_edges)
            read = network.measure([[0.1, -0.1, 0.2, 0, 0, 0, 0.3, 0.1]])
            assert read.voltages.shape == (1, 3)
            assert read.voltages[0] == pytest.approx([0.075] * 3, abs=2e-3)
        assert served.instrument("board").hardware.is_off


def load_text():
    from hwlearn_drivers.declared.examples import DECLARED

    return DECLARED.read_text(encoding="ascii")


def test_protocol_is_found_beside_the_bench_file(hwlearn, folder, tmp_path_factory, monkeypatch):
    """A bench file in another folder names its protocol relative to itself; so does a stored run."""
    bench = hl.open_bench("declared-board").file
    (folder / "my.toml").write_text(load_text(), encoding="ascii")
    tables = {name: dict(table) for name, table in bench.tables.items()}
    tables["backend"]["instruments"] = [{**tables["backend"]["instruments"][0], "protocol": "my.toml"}]
    (folder / "bench.toml").write_text(toml_text(tables), encoding="utf-8")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    ended = hwlearn("off", folder / "bench.toml", "--json")
    assert json.loads(ended.out[-1])["off"] is False  # virtual: nothing stays on
    opened = hl.open_bench(folder / "bench.toml")
    assert str(folder / "my.toml") in opened.text()
    (folder / "my.toml").write_text(load_text().replace("channels = 9", "chanels = 9"), encoding="ascii")
    with pytest.raises(SetupError, match=r"my\.toml, line \d+"):
        hl.open_bench(folder / "bench.toml")
