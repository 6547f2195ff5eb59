"""The potentiometers: all at once, one by one, and read back."""

from __future__ import annotations

from .rig import Rig
from .wire_blocks import block


def test_edges_stand_at_their_middle_when_new(rig: Rig) -> None:
    assert rig.ask_words("EDGE:DATA?") == rig.edges
    assert set(rig.edges) == {128}


def test_all_at_once(rig: Rig) -> None:
    codes = [(k * 37 + 5) % 256 for k in range(32)]
    rig.say("EDGE:DATA ", block(codes))
    assert rig.edges == codes
    assert rig.ask_words("EDGE:DATA?") == codes
    assert [int(rig.ask(f"EDGE:CODE? {k}")) for k in range(32)] == codes
    assert rig.errors() == []


def test_one_by_one(rig: Rig) -> None:
    for k in range(32):
        rig.say(f"EDGE:CODE {k},{255 - k}")
    assert rig.edges == [255 - k for k in range(32)]
    assert rig.errors() == []


def test_edges_outlive_power(rig: Rig) -> None:
    rig.say("EDGE:CODE 17,3")
    rig.power_on()
    assert rig.ask("EDGE:CODE? 17") == "3"
    assert rig.edges[17] == 3


def test_edges_move_while_inputs_are_driven(rig: Rig) -> None:
    rig.say("SOUR:VOLT 0,0.3")
    rig.say("EDGE:CODE 1,9")
    assert rig.errors() == []
    assert rig.edges[1] == 9
