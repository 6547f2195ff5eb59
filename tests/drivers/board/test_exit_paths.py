"""The outputs of the board are switched off on every exit path of a program."""

import os
import signal
import subprocess
import sys

import pytest
from board_rig import PLAIN
from exit_paths import ENDINGS, POSIX, SOME_ENDINGS, SOME_SIGNALS

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
@pytest.mark.parametrize("ending", SOME_ENDINGS)
def test_every_exit_path_switches_outputs_off_first(board_rig, ending):
    rig = board_rig(record=PLAIN)
    before, then, code = ENDINGS[ending]
    program = started(rig, before, then)
    program.communicate(timeout=60)
    assert program.returncode == code
    rig.wait_until(lambda: rig.is_safe)
    rest = bytes(rig.heard).partition(DRIVEN)[2]
    assert rest.startswith(OFF.encode() + b"\n")


WAITING = """
from hwlearn_drivers.transport.transport import Transport
read = Transport._read

def waiting(transport, *arguments):
    if "SEQ:FREE?" in arguments[1]:
        print("waiting", flush=True)
    return read(transport, *arguments)

Transport._read = waiting
"""
"""Prints a line once a batch is sent completely, also as far as the program knows."""

WRITING = """
link = type(smu.board.transport._link)
write = link.write

def interrupted(own, data):
    write(own, data[:{sent}] if b"SEQ:FREE?" in data else data)
    if b"SEQ:FREE?" in data:
        signal.raise_signal(signal.SIGTERM)

link.write = interrupted
with smu:
    smu.measure([[0.5, 0.1, 0.0]])
"""
"""A signal arrives when a part of a batch, or all of it, is sent, but the link has not confirmed that."""


@POSIX
@pytest.mark.parametrize("name", SOME_SIGNALS)
def test_signal_while_waiting_for_a_batch_switches_outputs_off(board_rig, name):
    number = getattr(signal, name)
    rig = board_rig(record=PLAIN)
    rig.answer_instead[b"SEQ:FREE?"] = b""
    program = started(rig, WAITING, "with smu:\n    smu.measure([[0.5, 0.1, 0.0]])")
    assert program.stdout.readline() == "on\n"
    assert program.stdout.readline() == "waiting\n"
    os.kill(program.pid, number)
    program.communicate(timeout=60)
    assert program.returncode == -number
    rig.wait_until(lambda: rig.is_safe)
    rest = bytes(rig.heard).partition(b"SEQ:FREE? ")[2].partition(b"SYST:ERR?\n")[2]
    assert rest.startswith(OFF.encode() + b"\n")
    assert b"SEQ:FREE?" not in rest


@POSIX
@pytest.mark.parametrize("sent", ["all", 40])
def test_signal_while_a_batch_is_being_sent_ends_it_and_repeats_off(board_rig, sent):
    """The program cannot know whether the batch is complete; so it ends the line, and repeats OFF after 150 ms."""
    rig = board_rig(record=PLAIN)
    program = started(rig, "", WRITING.format(sent="" if sent == "all" else sent))
    program.communicate(timeout=60)
    assert program.returncode == -signal.SIGTERM
    rig.wait_until(lambda: rig.is_safe)
    whole = bytes(rig.heard).partition(b"OUTP:ARM ")[2].partition(b"OUTP:ARM ")[2]
    batch, ended, offs = whole.partition(b"~~\n")
    assert ended
    assert batch.endswith(b"*ESR?;:SYST:STAT?;:SYST:ERR?\n") == (sent == "all")
    assert offs.startswith(2 * (OFF.encode() + b"\n"))
    assert b"SEQ:FREE?" not in offs
