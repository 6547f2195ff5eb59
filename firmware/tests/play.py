"""Send random streams to a board and to its reference model; as a program, print a summary.

python -m firmware.tests.play LIBRARY --streams 1000 --seed 1
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

from .record import MICRO, Record, dac_range
from .reference import Reference, Refused, Windows
from .rig import Rig
from .streams import RECORDS, Unit, Writer, damaged

EVERYTHING_ZERO = [[0.0] * 16] * 8
WHOLE_EEPROM = b"\xff" * 4096
TIMEOUT_S = 0.12  # longer than the block timeout


class Stage:
    """A board with a network that reads 0 V, its reference model, and counters."""

    def __init__(self, library: Path) -> None:
        self.rig = Rig(library, None)
        for switches in range(16):
            self.rig.transfer(switches, EVERYTHING_ZERO)
        self.seen: Counter[str] = Counter()
        self.begin(None)

    def begin(self, record: Record | None) -> None:
        """Switch on with only this record in the EEPROM."""
        self.rig.eeprom[:] = WHOLE_EEPROM
        if record:
            self.rig.provision(record.encode())
        self.rig.power_on()
        self.model = Reference(record)
        self.model.edges = self.rig.edges
        self.sent: list[bytes] = []
        self.guarded = self.model.windows
        self.rig.allow(self.guarded.safe)

    def guard(self, windows: Windows) -> None:
        """Count DAC codes outside these windows from now on."""
        if windows is not self.guarded:
            self.no_violation()
            self.guarded = windows
            self.rig.allow(windows.safe)

    def no_violation(self) -> None:
        """Check that no DAC was loaded with a code outside its limits."""
        broken = self.rig.violations()
        assert broken == 0, self.failure(f"{broken} loads outside the limits")

    def failure(self, what: str) -> str:
        """Return a failure message with the last bytes sent."""
        return f"{what}, after {self.sent[-4:]!r}"

    def send(self, data: bytes, gaps: Iterable[tuple[int, float]] = ()) -> None:
        """Send bytes with pauses (in seconds) at given positions."""
        self.sent.append(data)
        start = 0
        for at, pause in gaps:
            self.rig.send(data[start:at])
            self.rig.advance(pause)
            start = at
        self.rig.send(data[start:])

    def message(self, write: Callable[[Reference], Unit], dice: Random) -> None:
        """Write units, send them as one message, and compare the replies with the model."""
        answers, data, refused = [], b"", False
        while True:
            unit = write(self.model)
            data += spell(unit, dice)
            if not refused:
                try:
                    answer = unit.play(self.model)
                    if changes(unit.data):
                        self.model.count()
                    answers += [answer] if answer is not None else []
                except Refused as fault:
                    self.model.push(fault.codes)
                    refused = True  # the rest of the message is ignored
            if unit.last or dice.random() < 0.75:
                break
            data += b";"
        self.exchange(data, answers, dice)

    def exchange(self, data: bytes, answers: list[bytes], dice: Random) -> None:
        """Send a message after the model has executed it."""
        before, after = self.guarded, self.model.windows
        if before is not after:  # the limits change within the message
            self.no_violation()
            pairs = zip(before.safe, after.safe, strict=True)
            self.rig.allow([(min(a, c), max(b, d)) for (a, b), (c, d) in pairs])
        self.send(data + b"\n", random_gaps(len(data), dice))
        self.guard(after)
        self.seen["messages"] += 1
        expected, reply = b";".join(answers) + b"\n" if answers else b"", self.rig.fetch()
        assert reply == expected, self.failure(f"replied {reply!r} instead of {expected!r}")

    def state(self) -> None:
        """Compare the probes with the model."""
        rig, model = self.rig, self.model
        assert rig.dacs == model.dacs, self.failure(f"DACs are at {rig.dacs} instead of {model.dacs}")
        assert rig.switches == model.closed, self.failure(f"switches {rig.switches} instead of {model.closed}")
        assert rig.edges == model.edges, self.failure(f"edges {rig.edges} instead of {model.edges}")

    def next_error(self) -> None:
        """Read one error and check that the model permits it."""
        expected = self.model.next_error()
        self.rig.send(b"SYST:ERR?\n")
        reply = self.rig.fetch()
        code = int(reply.split(b",")[0])
        assert code in expected, self.failure(f"error {reply!r} instead of {sorted(expected)}")
        self.seen[str(code)] += 1

    def silence(self) -> None:
        """Send nothing for longer than the watchdog time."""
        self.rig.advance(self.model.wdog_ms / 1000 + 0.005)
        self.model.silence()
        self.sent.append(b"(silence)")

    def cut(self, data: bytes) -> None:
        """Send an incomplete block and wait until it is discarded."""
        self.send(data)
        self.rig.advance(TIMEOUT_S)
        self.model.push(frozenset([-161]))

    def cancel(self, data: bytes) -> None:
        """Send CAN after a part of a message."""
        self.send(data + b"\x18")
        self.model.switch_off()

    def fence(self, value: int) -> None:
        """Check that after silence and a newline the board replies again, and that OUTP OFF works."""
        self.rig.advance(TIMEOUT_S)
        self.rig.send(b"\n")
        self.rig.fetch()
        self.rig.send(b"*ESE %d;*ESE?\n" % value)
        reply = self.rig.fetch()
        assert reply == b"%d\n" % value, self.failure(f"replied {reply!r} to the query of {value}")
        self.rig.send(b"OUTP OFF\n")
        assert self.rig.is_safe(), self.failure("OUTP OFF left something driven")
        self.no_violation()


def changes(data: bytes) -> bool:
    """Return whether the board counts this command: it changes outputs, limits, settings, edges or calibration."""
    header = data.split(b" ")[0].upper()
    if header.startswith(b"*"):
        return header == b"*RST"
    return not header.endswith((b"?", b":ARM"))


def spell(unit: Unit, dice: Random) -> bytes:
    """Return the bytes of a unit; its header has a leading colon or not."""
    return b":" + unit.data if unit.data[:1].isalpha() and dice.random() < 0.5 else unit.data


def random_gaps(size: int, dice: Random) -> list[tuple[int, float]]:
    """Draw up to two short pauses in a message."""
    if size == 0 or dice.random() < 0.7:
        return []
    return [(at, 0.03 * dice.random()) for at in sorted(dice.choices(range(size), k=dice.choice((1, 2))))]


def play_stream(stage: Stage, dice: Random) -> None:
    """Send one stream: messages with known results, then possibly damaged ones, then a final check."""
    writer = Writer(dice)
    stage.begin(dice.choice(RECORDS))
    for _ in range(dice.randrange(1, 8)):
        form = dice.random()
        if form < 0.04:
            stage.silence()
        elif form < 0.08:
            data = writer.sequence(stage.model).data
            stage.cut(data[: dice.randrange(data.index(b"#") + 1, len(data))])
        elif form < 0.12:
            data = writer.voltage(stage.model).data
            stage.cancel(data[: dice.randrange(len(data))])
        elif form < 0.125:
            for _ in range(dice.randrange(6, 12)):
                stage.message(writer.syntax, dice)
        else:
            stage.message(writer.unit, dice)
        if dice.random() < 0.9:
            stage.next_error()
    while stage.model.queue:
        stage.next_error()
    stage.state()
    stage.no_violation()
    if stage.model.record and dice.random() < 0.6:
        damage(stage, writer, dice)
    stage.fence(dice.randrange(256))
    stage.seen["streams"] += 1


def damage(stage: Stage, writer: Writer, dice: Random) -> None:
    """Send damaged messages; at most an accidental reboot restores the limits of the record."""
    record = stage.model.record
    assert record is not None
    stage.rig.allow([dac_range(dac, record.volts_uV * MICRO) for dac in record.dacs])
    for _ in range(dice.randrange(1, 4)):
        data = writer.unit(stage.model).data + b"\n"
        if b"CAL" not in data.upper():
            stage.send(damaged(data, dice), random_gaps(len(data), dice))
            stage.seen["damaged"] += 1


def main() -> None:
    """Send the requested streams and print a summary as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=Path)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--first", type=int, default=0, help="number of the first stream, to repeat one of them")
    arguments = parser.parse_args()
    stage = Stage(arguments.library)
    for k in range(arguments.first, arguments.first + arguments.streams):
        try:
            play_stream(stage, Random(f"{arguments.seed}/{k}"))
        except AssertionError as wrong:
            raise SystemExit(f"seed {arguments.seed}, stream {k}: {wrong}") from wrong
    print(json.dumps(stage.seen))


if __name__ == "__main__":
    main()
