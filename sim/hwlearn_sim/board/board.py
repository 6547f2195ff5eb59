"""`VirtualBoard`: the reference board's firmware with its pins connected to an analog plane."""

from __future__ import annotations

import threading
import time
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwlearn.arrays import FloatArray
from hwlearn_drivers.board.protocol import DAC_STEP_V, MIDSCALE
from hwlearn_drivers.board.record import BANKS, BoardRecord
from hwlearn_sim.board.circuit import BoardCircuit
from hwlearn_sim.board.library import Analog, EdgesMoved
from hwlearn_sim.board.parts import EDGE_LAW, BoardParts
from hwlearn_sim.devices.programmed import Devices
from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.session import Line, Session

_TICK_S: Final = 0.01
_LONGEST_TICK_S: Final = 0.05
"""Limits the firmware's time step: after a stall of the host, a block in transit must not time out."""


class Controller(Protocol):
    """The board's microcontroller and peripheral chips, native or emulated; see `NativeBoard`."""

    @property
    def eeprom(self) -> Any:
        """The 4096 bytes of the EEPROM, readable and writable."""

    def power_on(self) -> None:
        """Boot."""

    def receive(self, data: bytes) -> None:
        """Pass received bytes to the firmware."""

    def transmit(self) -> bytes:
        """Return the bytes that the firmware has sent since the last call."""

    def advance_us(self, us: int) -> None:
        """Advance the firmware's time."""

    def attach(self, analog: Analog, edges: EdgesMoved) -> None:
        """Connect the board to a simulated circuit."""

    def set_transfer(self, switches: int, transfer: ArrayLike) -> None:
        """Compute ADC voltages as ``transfer`` (8, 16) times DAC voltages for this state of the switches."""

    def forget_transfers(self) -> None:
        """Discard all transfer matrices."""

    def set_converters(
        self,
        dac_gain: ArrayLike,
        dac_offset: ArrayLike,
        adc_gain: ArrayLike,
        adc_offset: ArrayLike,
        noise_volts: float,
        seed: int,
    ) -> None:
        """Set the true errors of the converters."""

    def noise_state(self) -> NDArray[np.uint64]:
        """Return the state (6,) of the noise."""

    def restore_noise(self, state: NDArray[np.uint64]) -> None:
        """Continue the noise from a state (6,)."""

    def dac_codes(self) -> list[int]:
        """Return the code at each DAC channel."""

    def switches(self) -> int:
        """Return the closed nudge switches."""

    def edge_codes(self) -> NDArray[np.uint8]:
        """Return the code of each edge."""


class VirtualBoard:
    """A board that is switched on and has a calibration record. It is not served yet.

    Parameters
    ----------
    controller : Controller
        Runs the firmware.
    circuit : BoardCircuit
        The circuit that its pins are connected to.
    devices : Devices
        True conductances of its edges.
    parts : BoardParts
        True errors of its converters and nudge resistors.
    record : BoardRecord
        Calibration record in its EEPROM.
    seed : int
        Seed of the noise.

    Notes
    -----
    All methods are thread-safe. The firmware's time advances during its own waits and in `idle`.
    """

    def __init__(
        self,
        controller: Controller,
        circuit: BoardCircuit,
        devices: Devices,
        parts: BoardParts,
        record: BoardRecord,
        seed: int = 0,
    ) -> None:
        self.controller: Controller = controller
        self.record: BoardRecord = record
        self._circuit, self._devices, self._parts = circuit, devices, parts
        self._lock = threading.RLock()
        self._applied: tuple[int, list[int]] | None = None
        self._advanced_at = time.monotonic()
        data = record.encode()
        controller.eeprom[BANKS[0] : BANKS[0] + len(data)] = data
        controller.set_converters(
            parts.dac_gain, parts.dac_offset, parts.adc_gain, parts.adc_offset, parts.noise_V, seed
        )
        controller.attach(self._convert, self._move_edges)
        controller.power_on()
        self._move_edges(controller.edge_codes())
        self._apply()

    # --- the wire -----------------------------------------------------------------------------------

    def session(self, line: Line, faults: Faults) -> Session:
        """Start the session of a client."""
        return _ByteSession(line, self, faults)

    def exchange(self, data: bytes) -> bytes:
        """Pass received bytes to the board and return its reply."""
        with self._lock:
            self._check_surroundings()
            if data:
                self.controller.receive(data)
                self._apply()
            return self.controller.transmit()

    def idle(self) -> float:
        """Advance the firmware by the time since the last call; return the seconds until the next call."""
        with self._lock:
            now = time.monotonic()
            elapsed, self._advanced_at = now - self._advanced_at, now
            self._check_surroundings()
            self.controller.advance_us(round(1e6 * min(elapsed, _LONGEST_TICK_S)))
            self._apply()
        return _TICK_S

    def noise_state(self) -> NDArray[np.uint64]:
        """Return the state (6,) of the noise of the conversions."""
        with self._lock:
            return self.controller.noise_state()

    def restore_noise(self, state: NDArray[np.uint64]) -> None:
        """Continue the noise from a state (6,)."""
        with self._lock:
            self.controller.restore_noise(state)

    def power_cycle(self) -> None:
        """Switch the board off and on again: it boots, and its edges are as the firmware sets them then."""
        with self._lock:
            self.controller.power_on()
            self._move_edges(self.controller.edge_codes())
            self._apply()

    # --- probes -------------------------------------------------------------------------------------

    def dac_codes(self) -> list[int]:
        """Return the code of each of the 16 DAC channels."""
        with self._lock:
            return self.controller.dac_codes()

    def switches(self) -> int:
        """Return the closed nudge switches; bit j is output j."""
        with self._lock:
            return self.controller.switches()

    def edge_codes(self) -> NDArray[np.uint8]:
        """Return the code of each of the 32 edges."""
        with self._lock:
            return self.controller.edge_codes()

    @property
    def is_safe(self) -> bool:
        """Whether every switch is open and every DAC at midscale."""
        with self._lock:
            return self.controller.switches() == 0 and set(self.controller.dac_codes()) == {MIDSCALE}

    # --- the circuit --------------------------------------------------------------------------------

    def _convert(self, switches: int, dac_volts: FloatArray) -> FloatArray | None:
        """Return the ADC voltages, or None after setting a transfer matrix."""
        transfer = self._circuit.transfer(switches)
        if transfer is not None:
            self.controller.set_transfer(switches, transfer)
            return None
        self._circuit.drive(switches, dac_volts)
        self._applied = None
        return self._circuit.output_volts()

    def _move_edges(self, codes: NDArray[np.uint8]) -> None:
        plane = self._circuit.plane
        nominal = EDGE_LAW.siemens(codes[: plane.topology.n_edges].astype(np.int64))
        plane.set_conductances(self._devices.written(nominal))
        self._check_surroundings()

    def _check_surroundings(self) -> None:
        """Discard the transfer matrices if anything else on the plane has changed."""
        if self._circuit.surroundings_changed():
            self.controller.forget_transfers()

    def _apply(self) -> None:
        """Apply the present DAC voltages and switches to the plane, for the other instruments."""
        state = self.controller.switches(), self.controller.dac_codes()
        if state != self._applied:
            self._applied = state
            nominal = (np.array(state[1]) - MIDSCALE) * DAC_STEP_V
            self._circuit.drive(state[0], nominal * (1 + self._parts.dac_gain) + self._parts.dac_offset)


class _ByteSession(Session):
    """Session of one client of the board. Bytes pass unchanged, because the firmware parses them."""

    def __init__(self, line: Line, board: VirtualBoard, faults: Faults) -> None:
        super().__init__(line, faults)
        self._board = board

    def receive(self, data: bytes) -> bool:
        """Pass received bytes to the board; return whether to keep the connection."""
        return self._pass_on(self._board.exchange(data))

    def flush(self) -> None:
        """Send replies that are due, and bytes that the board sent without a request."""
        super().flush()
        if not self._pass_on(self._board.exchange(b"")):
            raise ConnectionResetError("a fault drops the connection")

    def _pass_on(self, sent: bytes) -> bool:
        return not sent or self._reply(sent)

    @property
    def busy(self) -> bool:
        """Always true: the board may send bytes at any time."""
        return True
