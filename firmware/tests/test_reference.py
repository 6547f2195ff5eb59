"""Hypothesis streams of messages: the board agrees with its reference model after each."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from shares import examples

from .play import Stage, damage
from .record import Record
from .reference import Reference
from .streams import RECORDS, Unit, Writer

DICE = st.integers(0, 2**32).map(Random)
WRITERS = [
    "query", "setting", "limit", "edges", "sequence", "bad_block", "syntax", "calibration", "safety", "hold",
]  # fmt: skip


class BoardMachine(RuleBasedStateMachine):
    """State machine of everything that a host can send to a board."""

    def __init__(self, library: Path) -> None:
        super().__init__()
        self.stage = Stage(library)

    @initialize(record=st.sampled_from(RECORDS))
    def begin(self, record: Record | None) -> None:
        self.stage.begin(record)

    @rule(kind=st.sampled_from(WRITERS), dice=DICE)
    def message(self, kind: str, dice: Random) -> None:
        self.stage.message(getattr(Writer(dice), kind), dice)

    @rule(channel=st.integers(-1, 16), uV=st.integers(-2_600_000, 2_600_000), dice=DICE)
    def voltage(self, channel: int, uV: int, dice: Random) -> None:
        data = b"SOUR:VOLT %d,%de-6" % (channel, uV)
        self.stage.message(lambda _: Unit(data, lambda board: board.voltage(channel, uV), last=True), dice)

    @rule(mask=st.integers(-1, 16), dice=DICE)
    def close(self, mask: int, dice: Random) -> None:
        self.stage.message(
            lambda _: Unit(b"ROUT:CLOS %d" % mask, lambda board: board.close(mask), last=True), dice
        )

    @rule(narrower=st.floats(0, 1.1), dice=DICE)
    def narrow(self, narrower: float, dice: Random) -> None:
        uV = round(self.stage.model.volts_uV * narrower)
        data = b"SOUR:LIM:VOLT %de-6" % uV
        self.stage.message(lambda _: Unit(data, lambda board: board.limit_volts(uV), last=True), dice)

    @rule()
    def next_error(self) -> None:
        self.stage.next_error()

    @rule()
    def silence(self) -> None:
        self.stage.silence()

    @rule(dice=DICE)
    def cut(self, dice: Random) -> None:
        data = Writer(dice).sequence(self.stage.model).data
        self.stage.cut(data[: dice.randrange(data.index(b"#") + 1, len(data))])

    @rule(dice=DICE)
    def cancel(self, dice: Random) -> None:
        self.stage.cancel(Writer(dice).voltage(self.stage.model).data[: dice.randrange(10)])

    @rule(dice=DICE, value=st.integers(0, 255), record=st.sampled_from(RECORDS))
    def damage(self, dice: Random, value: int, record: Record | None) -> None:
        if self.stage.model.record:
            damage(self.stage, Writer(dice), dice)
        self.stage.fence(value)
        self.stage.begin(record)

    @rule()
    def power_cycle(self) -> None:
        self.stage.rig.power_on()
        self.stage.model.power_on()
        self.stage.guard(self.stage.model.windows)

    @invariant()
    def agree(self) -> None:
        self.stage.state()
        self.stage.no_violation()


def test_board_agrees_with_the_reference_model(host_library: Path) -> None:
    class Machine(BoardMachine):
        def __init__(self) -> None:
            super().__init__(host_library)

    checks = list(HealthCheck)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples(60), stateful_step_count=40, deadline=None, suppress_health_check=checks
        ),
    )


def test_comparison_detects_a_faulty_model(host_library: Path) -> None:
    """A model with wider limits than the board must fail the comparison."""

    class Lenient(Reference):
        def limit_volts(self, uV: int) -> None:
            self.volts_uV = uV

    stage = Stage(host_library)
    stage.begin(Record())
    stage.model = Lenient(Record())
    data = b"SOUR:LIM:VOLT 2.5"
    stage.message(lambda _: Unit(data, lambda board: board.limit_volts(2_500_000), last=True), Random(0))
    with pytest.raises(AssertionError, match="-222"):
        stage.next_error()
