"""Potentiometers: written together, one by one, and read back."""

from __future__ import annotations

from .rig import Rig
from .wire_blocks import block


def test_new_edges_are_at_midscale(rig: Rig) -> None:
    assert rig.query_words("EDGE:DATA?") == rig.edges
    assert set(rig.edges) == {128}


def test_all_edges_are_written_and_read_in_one_block(rig: Rig) -> None:
    codes = [(k * 37 + 5) % 256 for k in range(32)]
    rig.write("EDGE:DATA ", block(codes))
    assert rig.edges == codes
    assert rig.query_words("EDGE:DATA?") == codes
    assert [int(rig.query(f"EDGE:CODE? {k}")) for k in range(32)] == codes
    assert rig.errors() == []


def test_edges_are_written_one_by_one(rig: Rig) -> None:
    for k in range(32):
        rig.write(f"EDGE:CODE {k},{255 - k}")
    assert rig.edges == [255 - k for k in range(32)]
    assert rig.errors() == []


def test_edges_keep_their_codes_after_power_up(rig: Rig) -> None:
    rig.write("EDGE:CODE 17,3")
    rig.power_on()
    assert rig.query("EDGE:CODE? 17") == "3"
    assert rig.edges[17] == 3


def test_edges_can_change_while_inputs_are_driven(rig: Rig) -> None:
    rig.write("SOUR:VOLT 0,0.3")
    rig.write("EDGE:CODE 1,9")
    assert rig.errors() == []
    assert rig.edges[1] == 9
