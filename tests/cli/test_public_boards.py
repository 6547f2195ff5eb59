"""Three boards with public firmware, declared: train, check, calibrate, off, dry run, replay."""

import json
import sys
import time

import pytest

from hwlearn_drivers.address import normal_address
from hwlearn_drivers.declared.declaration import BOARDS as BOARDS_FOLDER

if sys.platform == "win32":
    pytest.skip("Windows has no ptys", allow_module_level=True)

from public_boards import POTS, ArduinoToDaq, Circuit, FastDac, PftlDaq, Pots

BOARDS = {
    "fastdac": (FastDac, ["0", "1"], ["0"], [0, 1], [0], 0.5, 2e-3),
    "pftl-daq": (PftlDaq, ["0", "1"], ["0"], [0, 1], [0], 0.5, 5e-3),
    "arduino-to-daq": (ArduinoToDaq, ["2", "3"], ["0"], [2, 3], [0], 1.5, 1e-2),
}
N_NODES, GROUND = 5, 4
EDGES = [(0, 2), (0, 3), (1, 3), (1, 2), (3, 2), (3, 4), (2, 4)]  # 0, 1: inputs; 2: output; 3: hidden

BENCH = """
[network]
kind = "edges"
nodes = 5
edges = [[0, 2], [0, 3], [1, 3], [1, 2], [3, 2], [3, 4], [2, 4]]
inputs = [0, 1]
outputs = [2]
ground = 4

[limits]
voltage = "{volts} V"
drop = "{drop} V"
nudge = "{volts} V"
current = "10 mA"
conductance = ["12 uS", "1 mS"]

[backend]
kind = "bench"
edges = {{ programmer = "pots" }}
slew_V_per_s = 1e5
ramp_step = "10 V"
settle = 0

[[backend.instruments]]
name = "board"
model = "declared"
protocol = "{protocol}"
address = "{board}"

[[backend.instruments]]
name = "pots"
model = "declared"
protocol = "pots.toml"
address = "{pots}"

[[backend.terminals]]
node = 0
source = "board:{in0}"
[[backend.terminals]]
node = 1
source = "board:{in1}"
[[backend.terminals]]
node = 2
read = "board:{out}"

[data]
source = "teacher"
samples = 4
amplitude = "{volts} V"

[train]
rule = "analytic"
rate = 0.15
epochs = 12
"""


@pytest.fixture(params=BOARDS)
def lab(request, folder):
    """The fakes of one board and of the potentiometers on one circuit, and a bench file for them."""
    make, channels, reads, dacs, adcs, volts, _ = BOARDS[request.param]
    circuit = Circuit(N_NODES, EDGES, GROUND)
    for node in (0, 1):
        circuit.hold(node, 0.0)
    board = make(circuit, dict(zip(dacs, (0, 1), strict=True)), dict(zip(adcs, (2,), strict=True)))
    pots = Pots(circuit)
    (folder / "pots.toml").write_text(POTS, encoding="ascii")
    # what only waits for a real board to start is left out
    text = (BOARDS_FOLDER / f"{request.param}.toml").read_text(encoding="ascii")
    quick = "\n".join(line for line in text.splitlines() if not line.startswith("boots_in"))
    quick = quick.replace('timeout = "2 s"', 'timeout = "1 s"')
    (folder / "board.toml").write_text(quick, encoding="ascii")
    words = {"in0": channels[0], "in1": channels[1], "out": reads[0], "volts": volts, "drop": 2 * volts}
    bench = BENCH.format(protocol="board.toml", board=board.address, pots=pots.address, **words)
    (folder / "bench.toml").write_text(bench, encoding="ascii")
    yield request.param, board, pots, circuit
    board.close()
    pots.close()


@pytest.mark.share(1)
def test_board_trains(lab, hwlearn, without_reports):
    """The error falls to what the converters resolve, and every output is at 0 V afterwards."""
    circuit = lab[3]
    ended = hwlearn("train", "bench.toml", "--json")
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in ended.out]
    costs = [line["train"]["cost"] for line in lines if line["event"] == "epoch"]
    assert min(costs) < 0.2 * costs[0]
    assert max(abs(volts) for volts in circuit.held.values()) <= 0.02


@pytest.mark.share(1)
@pytest.mark.usefixtures("without_rendering")
def test_board_is_checked_and_calibrated(lab, hwlearn):
    checked = hwlearn("check", "bench.toml", "--json")
    results = {line["name"]: line["result"] for line in map(json.loads, checked.out)}
    for name in ("open", "identity", "programming", "superposition"):
        assert results[name] == "pass", checked.out
    calibrated = hwlearn("calibrate", "bench.toml", "converters", "--json", "--configurations", "2")
    assert calibrated.code in (0, 1), calibrated.err
    assert calibrated.out


def test_off_sends_what_the_file_says(lab, hwlearn):
    _, board, _, circuit = lab
    circuit.hold(0, 0.4)
    ended = hwlearn("off", "bench.toml")
    assert ended.code == 0
    assert "OFF was sent to every output" in ended.out[-1]
    deadline = time.monotonic() + 5
    while abs(circuit.held[0]) > 0.02:
        assert time.monotonic() < deadline, board.heard
        time.sleep(0.01)


def test_dry_run_contacts_nothing(lab, hwlearn, without_reports):
    _, board, pots, _ = lab
    ended = hwlearn("train", "bench.toml", "--dry-run", "--set", "train.epochs=1")
    assert ended.code == 0, ended.err
    assert not board.heard
    assert not pots.heard
    assert any(f"{normal_address(board.address)} > " in line for line in ended.out)
    assert any("> W0," in line for line in ended.out)


def test_mute_board_ends_the_run_with_its_name_and_exit_code_1(lab, hwlearn, without_reports):
    name, board, pots, _ = lab
    board.mute_after = 60
    ended = hwlearn("train", "bench.toml", "--json")
    assert ended.code == 1
    assert normal_address(board.address) in ended.err[-1]
    assert "OUTPUTS MAY BE ON" in ended.err[-1]  # OFF was sent, and nothing confirms it
    assert normal_address(pots.address) not in ended.err[-1]
    off = {"fastdac": "RAMP_SMART,7,0,10000", "pftl-daq": "OUT:CH1 2048", "arduino-to-daq": "AO5v128"}
    assert off[name] in board.heard[61:]


def test_stale_acknowledgement_is_not_taken_for_the_next(lab, hwlearn, without_reports):
    """A board that repeats the value before the last one is out of step: the run ends."""
    name, board, _, _ = lab
    if name != "pftl-daq":
        pytest.skip("its acknowledgements repeat no value")
    obey, last = board.obey, ["2048"]

    def stale(line):
        replies = obey(line)
        if line.startswith("OUT:CH") and not line.endswith("?") and len(board.heard) > 40:
            replies, last[0] = [last[0]], replies[0]
        return replies

    board.obey = stale
    ended = hwlearn("train", "bench.toml", "--json")
    assert ended.code == 1
    assert "not a valid reply" in ended.err[-1]


def test_recorded_run_is_replayed(lab, hwlearn, without_reports):
    """The messages of a run, recorded, stand in for the boards: the same run gives the same numbers."""
    _, board, pots, _ = lab
    short = ("--set", "train.epochs=2", "--json")
    first = hwlearn("train", "bench.toml", "--wire-log", "wire.txt", *short)
    assert first.code == 0, first.err
    heard = (len(board.heard), len(pots.heard))
    again = hwlearn("train", "bench.toml", "--set", "backend.replay=wire.txt", *short)
    assert again.code == 0, again.err
    assert (len(board.heard), len(pots.heard)) == heard
    costs = [
        [line["train"] for line in map(json.loads, ended.out) if line["event"] == "epoch"]
        for ended in (first, again)
    ]
    assert costs[0] == costs[1]
    other = hwlearn("train", "bench.toml", "--set", "backend.replay=wire.txt", "--set", "data.seed=1", *short)
    assert other.code == 1
    assert "the log has" in other.err[-1]
