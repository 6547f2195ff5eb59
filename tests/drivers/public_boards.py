"""Boards that others designed, written by hand from their published firmware, on pseudo-terminals and one circuit.

Nothing here uses a declaration or a simulator of this package: lines are parsed as the firmware parses them, and
the circuit is solved as a dense system.
"""

from __future__ import annotations

import contextlib
import os
import pty
import threading
import tty

import numpy as np


class Circuit:
    """Resistors between nodes; ideal sources hold some of them, ground is 0 V."""

    def __init__(self, n_nodes, edges, ground=None):
        self.n, self.edges, self.ground = n_nodes, [tuple(map(int, edge)) for edge in edges], ground
        self.siemens = np.full(len(self.edges), 1e-4)
        self.held: dict[int, float] = {}
        self.lock = threading.Lock()

    def volts(self, node):
        """Return the voltage of a node; solves the whole circuit each time."""
        with self.lock:
            G = np.zeros((self.n, self.n))
            for (a, b), g in zip(self.edges, self.siemens, strict=True):
                G[[a, b], [a, b]] += g
                G[[a, b], [b, a]] -= g
            held = dict(self.held)
            if self.ground is not None:
                held[self.ground] = 0.0
            right = np.zeros(self.n)
            for k, volts in held.items():
                G[k] = 0.0
                G[k, k], right[k] = 1.0, volts
            return float(np.linalg.solve(G, right)[node])

    def hold(self, node, volts):
        with self.lock:
            self.held[node] = volts


class Board:
    """A board on a pseudo-terminal: each received line may print some lines."""

    ends = b"\n"

    def __init__(self, circuit):
        self.circuit, self.heard = circuit, []
        self.mute_after = 1 << 30  # messages that it answers
        self._master, self._slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.address = os.ttyname(self._slave)
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self):
        pending = b""
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 4096):
                pending += data
                while self.ends in pending:
                    line, _, pending = pending.partition(self.ends)
                    text = line.decode("ascii").strip("\r\n")
                    self.heard.append(text)
                    for reply in self.obey(text):
                        if len(self.heard) <= self.mute_after:
                            os.write(self._master, f"{reply}\r\n".encode("ascii"))

    def obey(self, line):
        raise NotImplementedError

    def close(self):
        os.close(self._slave)
        self._thread.join(5)
        os.close(self._master)


class FastDac(Board):
    """folk-lab/FastDAC: RAMP_SMART, GET_DAC and GET_ADC in millivolts; ACK before each reply."""

    def __init__(self, circuit, dacs, adcs):
        self.dacs, self.adcs = dacs, adcs  # channel -> node
        self.levels = [0] * 8  # 16-bit codes
        super().__init__(circuit)

    def obey(self, line):
        operation, *words = line.split(",")
        if operation == "*IDN?":
            return ["ACK", "FASTDAC_UNIT-FOLK2_SERVICE"]
        if operation == "*RDY?":
            return ["ACK", "READY"]
        if operation not in ("RAMP_SMART", "GET_DAC", "GET_ADC"):
            return ["NOP"]
        if len(words) != {"RAMP_SMART": 3}.get(operation, 1):
            return ["SYNTAX_ERROR"]
        channel = int(words[0])
        if not 0 <= channel < (4 if operation == "GET_ADC" else 8):
            return ["RANGE_ERROR"]
        if operation == "GET_DAC":
            return ["ACK", f"{self.levels[channel] * 10000 / 32768:.4f}"]
        if operation == "GET_ADC":
            volts = self.circuit.volts(self.adcs[channel]) if channel in self.adcs else 0.0
            return ["ACK", f"{1e3 * volts:.4f}"]
        millivolts = float(words[1])
        if not -10000 <= millivolts <= 10000:
            return ["RANGE_ERROR"]
        self.levels[channel] = round(millivolts * 32768 / 10000)
        if channel in self.dacs:
            self.circuit.hold(self.dacs[channel], self.levels[channel] * 10 / 32768)
        return ["ACK", "RAMP_FINISHED"]


class PftlDaq(Board):
    """PFTL DAQ: codes of 12 and 10 bits; what was set is printed."""

    def __init__(self, circuit, dacs, adcs):
        self.dacs, self.adcs, self.codes = dacs, adcs, [2048, 2048]
        super().__init__(circuit)

    def obey(self, line):
        if line == "*IDN?":
            return ["PFTL DAQ device. Rev 02.2024"]
        if line.startswith("OUT:CH") and line.endswith("?"):
            channel = int(line[6:-1])
            return [str(self.codes[channel])] if channel < 2 else ["ERROR: Invalid channel number"]
        if line.startswith("OUT:CH") and " " in line:
            channel, value = map(int, line[6:].split(" "))
            if channel >= 2:
                return ["ERROR: Invalid channel number"]
            if value >= 4096:
                return ["ERROR: Out of range"]
            self.codes[channel] = value
            # a Due reaches from 0.55 V to 2.75 V; the circuit's ground is at 1.65 V
            self.circuit.hold(self.dacs[channel], 0.55 + 2.2 * value / 4095 - 1.65)
            return [str(value)]
        if line.startswith("MEAS:CH") and line.endswith("?"):
            channel = int(line[7:-1])
            if channel >= 8:
                return ["ERROR: Invalid channel number"]
            volts = 1.65 + (self.circuit.volts(self.adcs[channel]) if channel in self.adcs else -1.65)
            return [str(min(max(int(volts / 3.3 * 1023 + 0.5), 0), 1023))]
        return [f"ERROR: UNKNOWN COMMAND{line}"]


class ArduinoToDaq(Board):
    """LiMe-NanoBioeng/Arduino-to-DAQ: AO is not answered, AI0:3 prints a list, R prints the duty."""

    def __init__(self, circuit, dacs, adcs):
        self.dacs, self.adcs = dacs, adcs
        super().__init__(circuit)

    def obey(self, line):
        if line[:1] == "R":
            return ["0"]
        if line[:2] == "AI":
            first, _, last = line[2:].partition(":")
            values = []
            for channel in range(int(first), int(last or first) + 1):
                volts = 2.5 + (self.circuit.volts(self.adcs[channel]) if channel in self.adcs else -2.5)
                values.append(str(min(max(int(volts / 5 * 1023 + 0.5), 0), 1023)))
            return [",".join(values)]
        if line[:2] == "AO":
            channel, _, duty = line[2:].partition("v")
            if int(channel) in self.dacs:
                self.circuit.hold(self.dacs[int(channel)], 5 * int(duty) / 255 - 2.5)
        return []


class Pots(Board):
    """Digital potentiometers, as many sketches set them: a place and a code, which are printed back."""

    full_ohm, wiper_ohm = 100e3, 130.0

    def obey(self, line):
        try:
            place, code = map(int, line.removeprefix("W").split(","))
        except ValueError:
            return ["?"]
        if not (0 <= place < len(self.circuit.siemens) and 0 <= code <= 255):
            return ["?"]
        with self.circuit.lock:
            self.circuit.siemens[place] = 1 / (self.wiper_ohm + self.full_ohm * code / 256)
        return [f"{place} {code}"]


POTS = r"""
[link]
baud = 9600

[edge]
set = "W{edge},{code}"
acknowledged = "{edge} {code}"
count = 40
law = { rheostat = { full = "100 kohm", wiper = "130 ohm" } }

[error]
pattern = '[?]'
"""
