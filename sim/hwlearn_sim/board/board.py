"""`VirtualBoard`: the reference board's own firmware, its pins on the analog plane, its wire anybody's."""

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
"""A computer that stalls must not make a block time out whose bytes are on their way."""


class Controller(Protocol):
    """The board's microcontroller with its chips, native or emulated; see `NativeBoard`."""

    @property
    def eeprom(self) -> Any:
        """Its 4096 bytes, to read and to write."""

    def power_on(self) -> None:
        """Boot."""

    def receive(self, data: bytes) -> None:
        """Let bytes arrive."""

    def transmit(self) -> bytes:
        """Return what it has said since."""

    def advance_us(self, us: int) -> None:
        """Let time pass."""

    def attach(self, analog: Analog, edges: EdgesMoved) -> None:
        """Join it to an analog world."""

    def set_transfer(self, switches: int, transfer: ArrayLike) -> None:
        """Let ADC volts be ``transfer`` (8, 16) times DAC volts while exactly these switches are closed."""

    def forget_transfers(self) -> None:
        """Let the analog world be asked again."""

    def set_converters(
        self,
        dac_gain: ArrayLike,
        dac_offset: ArrayLike,
        adc_gain: ArrayLike,
        adc_offset: ArrayLike,
        noise_volts: float,
        seed: int,
    ) -> None:
        """Set the converters' true errors."""

    def dac_codes(self) -> list[int]:
        """Return the code at each DAC channel."""

    def switches(self) -> int:
        """Return the closed nudge switches."""

    def edge_codes(self) -> NDArray[np.uint8]:
        """Return the code of each edge."""


class VirtualBoard:
    """A board that is switched on, provisioned with a calibration record, and on no wire yet.

    Parameters
    ----------
    controller : Controller
        Who runs the firmware.
    circuit : BoardCircuit
        Where its pins hang.
    devices : Devices
        What its edges really make of their codes.
    parts : BoardParts
        What its converters and nudge resistors really are.
    record : BoardRecord
        What its EEPROM says of them.
    noise_V : float
        Standard deviation of one conversion of its ADC.
    seed : int
        The noise follows from it.

    Notes
    -----
    Every method may be called from any thread. Time passes for the firmware in its own waits, and in `idle`.
    """

    def __init__(
        self,
        controller: Controller,
        circuit: BoardCircuit,
        devices: Devices,
        parts: BoardParts,
        record: BoardRecord,
        noise_V: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.controller, self.record = controller, record
        self._circuit, self._devices, self._parts = circuit, devices, parts
        self._lock = threading.RLock()
        self._shown: tuple[int, list[int]] | None = None
        self._looked_at = time.monotonic()
        data = record.encode()
        controller.eeprom[BANKS[0] : BANKS[0] + len(data)] = data
        controller.set_converters(
            parts.dac_gain, parts.dac_offset, parts.adc_gain, parts.adc_offset, noise_V, seed
        )
        controller.attach(self._convert, self._move_edges)
        controller.power_on()
        self._move_edges(controller.edge_codes())
        self._show()

    # --- the wire -----------------------------------------------------------------------------------

    def session(self, line: Line, faults: Faults) -> Session:
        """Begin to talk to a client."""
        return _ByteSession(line, self, faults)

    def exchange(self, data: bytes) -> bytes:
        """Let bytes arrive, and return what the board says then."""
        with self._lock:
            self._look_around()
            if data:
                self.controller.receive(data)
                self._show()
            return self.controller.transmit()

    def idle(self) -> float:
        """Let the time pass that has passed since the last call; return in how many seconds to do so again."""
        with self._lock:
            now = time.monotonic()
            elapsed, self._looked_at = now - self._looked_at, now
            self._look_around()
            self.controller.advance_us(round(1e6 * min(elapsed, _LONGEST_TICK_S)))
            self._show()
        return _TICK_S

    # --- probes -------------------------------------------------------------------------------------

    def dac_codes(self) -> list[int]:
        """Return the code that stands at each of the 16 DAC channels."""
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

    # --- the analog world ---------------------------------------------------------------------------

    def _convert(self, switches: int, dac_volts: FloatArray) -> FloatArray | None:
        """Answer the firmware's ADC, by the shortcut where there is one."""
        transfer = self._circuit.transfer(switches)
        if transfer is not None:
            self.controller.set_transfer(switches, transfer)
            return None
        self._circuit.drive(switches, dac_volts)
        self._shown = None
        return self._circuit.output_volts()

    def _move_edges(self, codes: NDArray[np.uint8]) -> None:
        plane = self._circuit.plane
        nominal = EDGE_LAW.siemens(codes[: plane.topology.n_edges].astype(np.int64))
        plane.set_conductances(self._devices.written(nominal))
        self._look_around()

    def _look_around(self) -> None:
        """Forget the shortcut if anything else on the plane has changed."""
        if self._circuit.surroundings_changed():
            self.controller.forget_transfers()

    def _show(self) -> None:
        """Let the plane have what stands at the terminals now, for everybody else on it."""
        state = self.controller.switches(), self.controller.dac_codes()
        if state != self._shown:
            self._shown = state
            nominal = (np.array(state[1]) - MIDSCALE) * DAC_STEP_V
            self._circuit.drive(state[0], nominal * (1 + self._parts.dac_gain) + self._parts.dac_offset)


class _ByteSession(Session):
    """One client of the board: bytes go through as they are, for the firmware has a parser of its own."""

    def __init__(self, line: Line, board: VirtualBoard, faults: Faults) -> None:
        super().__init__(line, faults)
        self._board = board

    def receive(self, data: bytes) -> bool:
        """Pass on what has come; tell whether the connection is to live on."""
        return self._pass_on(self._board.exchange(data))

    def flush(self) -> None:
        """Send what is due, and what the board has said of its own accord."""
        super().flush()
        if not self._pass_on(self._board.exchange(b"")):
            raise ConnectionResetError("the line is to drop")

    def _pass_on(self, said: bytes) -> bool:
        return not said or self._answer(said)

    @property
    def busy(self) -> bool:
        """Always: the board may have something to say whenever time has passed."""
        return True
