"""The outputs of the board are switched off on every exit path of a program."""

import os
import signal
import subprocess
import sys

import pytest
from board_rig import PLAIN
from exit_paths import ENDINGS, POSIX

from hwlearn_drivers.board.board import OFF

DRIVEN = b"SOUR:VOLT 0,0.5\nSYST:ERR?\n"

PROGRAM = """
import os, signal, sys
import hwlearn as hl
from hwlearn_drivers.board.backend import BoardBackend
{before}
limits = hl.Limits(voltage=1.0, drop=2.0, nudge=0.3, current=1e-3, conductance=(1.5e-5, 2e-4))
table = BoardBackend.Settings(address=sys.argv[1], timeout=20.0, watchdog=60)
smu = BoardBackend.open(table, hl.Topology.random(8, 14, inputs=3, outputs=2, seed=5), limits)
smu.board.write("SOUR:VOLT 0,0.5")
print("on", flush=True)
{then}
"""


def started(rig, before, then):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(before=before, then=then), rig.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@POSIX
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_exit_path_switches_outputs_off_first(board_rig, ending):
    rig = board_rig(record=PLAIN)
    before, then, code = ENDINGS[ending]
    program = started(rig, before, then)
    program.communicate(timeout=60)
    assert program.returncode == code
    rig.wait_until(lambda: rig.is_safe)
    rest = bytes(rig.heard).partition(DRIVEN)[2]
    assert rest.removeprefix(b"~~\n").startswith(OFF.encode() + b"\n")


@POSIX
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signal_while_waiting_for_a_batch_switches_outputs_off(board_rig, name):
    number = getattr(signal, name)
    rig = board_rig(record=PLAIN)
    rig.answer_instead[b"SEQ:FREE?"] = b""
    program = started(rig, "", "with smu:\n    smu.measure([[0.5, 0.1, 0.0]])")
    # the whole query must be sent first: after an incomplete block OFF is delayed
    rig.wait_until(lambda: b"SYST:ERR?\n" in bytes(rig.heard).partition(b"SEQ:FREE? ")[2])
    os.kill(program.pid, number)
    program.communicate(timeout=60)
    assert program.returncode == -number
    rig.wait_until(lambda: rig.is_safe)
    rest = bytes(rig.heard).partition(b"SEQ:FREE? ")[2].partition(b"SYST:ERR?\n")[2]
    # if the signal comes while a message is still being written, `halt` ends that message before OFF
    assert rest.removeprefix(b"~~\n").startswith(OFF.encode() + b"\n")
    assert b"SEQ:FREE?" not in rest
