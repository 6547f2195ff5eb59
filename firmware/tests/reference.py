"""Reference model of the board's replies to complete messages, written after the reference card.

Every output reads 0 V, so every reading is known. If the card does not define which of several errors is
reported, the model permits each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from .record import MICRO, Record, crc16, dac_range, dac_window, nearest
from .wire_blocks import block, framed

MID, FLOATING, ZERO_VOLTS = 32768, 0xFFFF, 32000
INPUTS, OUTPUTS, DACS, EDGES = 8, 4, 16, 32
QUEUE = 8

Codes = frozenset[int]


class Refused(Exception):
    """The board must report one of these codes and change no output."""

    def __init__(self, codes: Codes) -> None:
        self.codes = codes


def micro(uV: int) -> bytes:
    """Return microvolts in the format of the board."""
    return b"%s%d.%06d" % (b"-" if uV < 0 else b"", abs(uV) // 1_000_000, abs(uV) % 1_000_000)


class Windows:
    """Record and narrowed limits, converted to codes."""

    def __init__(self, record: Record, volts_uV: int, nudge_uV: int) -> None:
        self.dac = [dac_window(dac, volts_uV * MICRO) for dac in record.dacs]
        self.safe = [dac_range(dac, volts_uV * MICRO) for dac in record.dacs]
        pairs = list(zip(record.adcs[:OUTPUTS], record.dacs[INPUTS : INPUTS + OUTPUTS], strict=True))
        one_dac, one_adc = Fraction(5_000_000, 65536), Fraction(5_120_000, 65536)  # uV
        self.nudge_dac_codes = [nearest(nudge_uV / (one_dac * (1 + dac.gain))) for _, dac in pairs]
        self.nudge_adc_codes = [nearest(nudge_uV / (one_adc * (1 + adc.gain))) for adc, _ in pairs]
        self.slope = [
            nearest(2**18 * (Fraction(128, 125) * (1 + adc.gain) / (1 + dac.gain) - 1)) for adc, dac in pairs
        ]
        self.shift = [nearest((adc.offset_uV - dac.offset_uV) / (one_dac * (1 + dac.gain))) for adc, dac in pairs]

    def nudge_code(self, output: int, adc_code: int) -> int:
        """Return the DAC code at the voltage of an ADC code."""
        d = adc_code - ZERO_VOLTS
        return MID + d + (d * self.slope[output] + 131072 >> 18) + self.shift[output]


windows = lru_cache(maxsize=1024)(Windows)


class Reference:
    """Model of one board; each method is a message that returns the reply or raises Refused."""

    def __init__(self, record: Record | None) -> None:
        self.record = record
        self.generation = record.generation if record else 0
        self.edges = [128] * EDGES
        self.power_on()

    def power_on(self) -> None:
        """Set the power-up state."""
        self.queue: list[Codes] = []
        self.ese, self.wdog_ms = 0, 2000
        self.tripped = self.off = False
        self.held = 0
        self.load_record()
        self.reset()
        if self.record is None:
            self.push(frozenset([-340]))

    def load_record(self) -> None:
        """Apply the limits of the record."""
        record = self.record
        self.volts_uV, self.nudge_uV = (record.volts_uV, record.nudge_uV) if record else (0, 0)
        self.edge_range = (record.edge_low, record.edge_high) if record else (0, 0)
        self.windows = self._find_windows()

    def _find_windows(self) -> Windows:
        return windows(self.record or Record(), self.volts_uV, self.nudge_uV)

    def push(self, codes: Codes) -> None:
        """Queue an error."""
        if len(self.queue) == QUEUE:
            self.queue[-1] = frozenset([-350])
        else:
            self.queue.append(codes)

    def safe(self) -> None:
        """Open the switches and set every DAC to midscale."""
        self.dacs, self.closed = [MID] * DACS, 0

    def switch_off(self) -> None:
        """OUTP OFF or CAN."""
        self.safe()
        self.off = self.off or self.held > 0

    def count(self) -> None:
        """Count a change, if a host holds the board; the count starts again at 1."""
        if self.held:
            self.held = self.held % 65535 + 1

    def allow(self, present: int, following: int) -> None:
        """OUTP:ARM."""
        self.refuse(
            (not 0 <= present <= 65535, -222), (not 0 <= following <= 65535, -222), (present != self.held, -200)
        )
        if following != present:
            self.held, self.off = following, False

    @property
    def driving(self) -> bool:
        """Whether any output is driven."""
        return self.closed != 0 or self.dacs != [MID] * DACS

    def silence(self) -> None:
        """Apply a silence longer than the watchdog time."""
        if self.driving:
            self.safe()
            self.tripped = True
            self.push(frozenset([-240]))

    def refuse(self, *faults: tuple[bool, int]) -> None:
        """Raise Refused with the codes of the true conditions, if any."""
        codes = frozenset(code for found, code in faults if found)
        if codes:
            raise Refused(codes)

    def _drive_faults(self) -> tuple[tuple[bool, int], ...]:
        return (self.record is None, -340), (self.off, -200), (self.tripped, -240)

    # Settings

    def reset(self) -> None:
        """*RST."""
        self.safe()
        self.settle, self.average, self.sides = 200, 1, 2
        self.unlocked = False

    def clear_status(self) -> None:
        """*CLS."""
        self.queue.clear()

    def wdog(self, ms: int) -> None:
        """SYST:WDOG."""
        self.refuse((not 50 <= ms <= 60_000, -222))
        self.wdog_ms = ms

    def clear_wdog(self) -> None:
        """SYST:WDOG:CLE."""
        self.tripped = False

    def sequence_settings(self, settle: int | None, average: int | None, sides: int | None) -> None:
        """SEQ:SETT, SEQ:AVER or SEQ:SIDE."""
        if settle is not None:
            self.refuse((not 0 <= settle <= 50_000, -222))
            self.settle = settle
        if average is not None:
            self.refuse((average not in (1, 2, 4, 8, 16, 32, 64), -222))
            self.average = average
        if sides is not None:
            self.refuse((sides not in (1, 2), -222))
            self.sides = sides

    def limit_volts(self, uV: int) -> None:
        """SOUR:LIM:VOLT."""
        self.refuse((not 1 <= uV <= self.volts_uV, -222))
        self.volts_uV = uV
        self.windows = self._find_windows()
        self.safe()

    def limit_nudge(self, uV: int) -> None:
        """SOUR:LIM:NUDG."""
        self.refuse((not 1 <= uV <= self.nudge_uV, -222))
        self.nudge_uV = uV
        self.windows = self._find_windows()
        self.safe()

    def limit_edges(self, low: int, high: int) -> None:
        """SOUR:LIM:EDGE."""
        self.refuse((not self.edge_range[0] <= low <= high <= self.edge_range[1], -222))
        self.edge_range = low, high

    # Outputs

    def voltage(self, channel: int, uV: int) -> None:
        """SOUR:VOLT."""
        faults = [*self._drive_faults(), (not 0 <= channel < DACS, -222), (abs(uV) > self.volts_uV, -222)]
        code = MID
        if self.record and 0 <= channel < DACS:
            code = nearest(self.record.dacs[channel].dac_code(uV * MICRO))
            low, high = self.windows.dac[channel]
            faults += [(not low <= code <= high, -222), (self.closed != 0 and channel < INPUTS, -221)]
            output = channel - INPUTS
            if 0 <= output < OUTPUTS and self.closed >> output & 1:
                faults.append((not self._near(output, code), -222))
        self.refuse(*faults)
        self.dacs[channel] = code

    def _near(self, output: int, code: int) -> bool:
        return abs(code - self.windows.nudge_code(output, ZERO_VOLTS)) <= self.windows.nudge_dac_codes[output]

    def close(self, mask: int) -> None:
        """ROUT:CLOS."""
        faults = [*self._drive_faults(), (not 0 <= mask < 16, -222)]
        for j in range(OUTPUTS):
            if mask >> j & 1 and not self.closed >> j & 1:
                faults.append((not self._near(j, self.dacs[INPUTS + j]), -222))
        self.refuse(*faults)
        self.closed = mask

    def open(self) -> None:
        """ROUT:OPEN."""
        self.closed = 0

    def set_edges(self, codes: dict[int, int], whole: bool = True) -> None:
        """EDGE:DATA or EDGE:CODE; codes by edge."""
        low, high = self.edge_range
        self.refuse(
            (self.record is None, -340),
            (self.closed != 0, -221),
            (not whole and any(not 0 <= edge < EDGES for edge in codes), -222),
            (any(not low <= code <= high for code in codes.values()), -222),
        )
        for edge, code in codes.items():
            self.edges[edge] = code

    # Sequences

    def bad_block(self) -> None:
        """Reject a block with wrong CRC or length, or an interrupted one."""
        raise Refused(frozenset([-161]))

    def sequence(self, kind: str, rows: Sequence[Sequence[int]], eta: int = 0) -> bytes:
        """SEQ:FREE?, SEQ:NUDG? or SEQ:TWOP?; eta in 1/4096."""
        nudges = range(INPUTS, INPUTS + (OUTPUTS * self.sides if kind == "NUDG" else 0))
        channels = [*range(INPUTS), *(INPUTS + (k - INPUTS) % OUTPUTS for k in nudges)]
        windows = [self.windows.dac[channel] for channel in channels]
        outside = any(
            not low <= code <= high and (k < INPUTS or code != FLOATING)
            for row in rows
            for k, (code, (low, high)) in enumerate(zip(row[: len(channels)], windows, strict=True))
        )
        eta_wrong = kind == "TWOP" and not 1 <= eta <= 32767
        self.refuse(*self._drive_faults(), (self.closed != 0, -221), (outside or eta_wrong, -222))
        self.safe()
        phases = {"FREE": 1, "NUDG": self.sides, "TWOP": 1 + self.sides}[kind]
        answer: list[int] = []
        for row in rows:
            answer.append(int(not self._nudged(kind, row[INPUTS:], eta)))
            answer += [ZERO_VOLTS] * (OUTPUTS * phases)
        return block(answer)

    def _nudged(self, kind: str, words: Sequence[int], eta: int) -> bool:
        if kind == "NUDG":
            return all(code == FLOATING or self._near(k % OUTPUTS, code) for k, code in enumerate(words))
        if kind == "TWOP":
            return all(t == FLOATING or self._target_allowed(j, t, eta) for j, t in enumerate(words))
        return True

    def _target_allowed(self, output: int, target: int, eta: int) -> bool:
        product = eta * (target - ZERO_VOLTS)
        step = (abs(product) + 2048 >> 12) * (1 if product >= 0 else -1)
        low, high = self.windows.dac[INPUTS + output]
        return abs(step) <= self.windows.nudge_adc_codes[output] and all(
            0 <= v <= 65535 and low <= self.windows.nudge_code(output, v) <= high
            for v in (ZERO_VOLTS + step, ZERO_VOLTS - step)[: self.sides]
        )

    # Calibration

    def unlock(self, serial: str) -> None:
        """CAL:UNL."""
        self.unlocked = serial == (self.record.serial if self.record else "0")
        self.refuse((not self.unlocked, -224))

    def calibrate(self, record: Record, plausible: bool = True) -> None:
        """CAL:DATA."""
        self.refuse((not self.unlocked, -203), (self.closed != 0, -221), (not plausible, -222))
        self.generation = (self.generation + 1) % 256 if self.record else 0
        self.record = record
        self.unlocked = False
        self.safe()
        self.load_record()

    # Queries

    def next_error(self) -> Codes:
        """SYST:ERR?: return the permitted codes."""
        return self.queue.pop(0) if self.queue else frozenset([0])

    def query(self, query: str, index: int = 0) -> bytes:
        """Return the reply to a query of settings or state."""
        record = self.record
        if query == "CAL:DATA?":
            self.refuse((record is None, -340))
            assert record is not None
            whole = record.encode()[:3] + bytes([self.generation]) + record.encode()[4:-2]
            return framed(whole + crc16(whole).to_bytes(2, "little"))
        if query == "SOUR:VOLT?":
            self.refuse((not 0 <= index < DACS, -222))
            dac = (record.dacs if record else Record().dacs)[index]
            nominal = (self.dacs[index] - MID) * Fraction(78125, 1024) * (1 + dac.gain)
            return micro(nearest(nominal) + dac.offset_uV)
        if query == "MEAS:VOLT?":
            self.refuse((not 0 <= index < 8, -222))
            return micro(record.adcs[index].offset_uV if record else 0)
        if query == "SYST:STAT?":
            codes = b"".join(code.to_bytes(2, "little") for code in self.edges)
            return b"%d,%d" % (-self.held if self.off else self.held, crc16(codes))
        if query == "EDGE:CODE?":
            self.refuse((not 0 <= index < EDGES, -222))
            return b"%d" % self.edges[index]
        numbers = {
            "*OPC?": 1,
            "*ESE?": self.ese,
            "*TST?": int(record is None),
            "SYST:ERR:COUN?": len(self.queue),
            "SYST:WDOG?": self.wdog_ms,
            "SYST:WDOG:TRIP?": int(self.tripped),
            "OUTP?": int(self.driving),
            "ROUT:CLOS?": self.closed,
            "SEQ:SETT?": self.settle,
            "SEQ:AVER?": self.average,
            "SEQ:SIDE?": self.sides,
        }
        if query in numbers:
            return b"%d" % numbers[query]
        return {
            "SYST:CAP?": b"2,8,4,32,256,3072",
            "SOUR:LIM:VOLT?": micro(self.volts_uV),
            "SOUR:LIM:NUDG?": micro(self.nudge_uV),
            "SOUR:LIM:EDGE?": b"%d,%d" % self.edge_range,
            "EDGE:DATA?": block(self.edges),
        }[query]
