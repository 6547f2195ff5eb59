"""`Arc2`: one ArC TWO whose queue never outlives what filled it, at 0 V on every way out."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.arc2.ceiling import Arc2Ceiling
from hwlearn_drivers.arc2.library import (
    N_CHANNELS,
    VendorInstrument,
    VendorLibrary,
    in_our_words,
    open_vendor,
)
from hwlearn_drivers.errors import GarbledReplyError, HaltedError, LinkError, LinkTimeout, OutputsMayBeOnError
from hwlearn_drivers.instrument import open_outputs

log = logging.getLogger("hwlearn_drivers")

Control = Literal["internal", "header"]
_T = TypeVar("_T")
_POLL_S = 1e-4
_LEFT_BEHIND = 1000  # far more readings than any interrupted sample leaves


class Arc2:
    """One instrument. Make it with `open`; between any two of its operations every channel is at 0 V.

    An operation fills the vendor's queue and executes it. What ends one but its success brings every channel to
    0 V at once, which flushes what is left of the queue: held levels that were checked, for some microseconds.
    A pulse is never left in a queue: it is queued and executed within one call of the vendor's library, and if
    that call fails the queue is given up together with the vendor's object.

    Parameters
    ----------
    library : VendorLibrary
    reopen : callable
        Opens the vendor's object anew, which resets every DAC to 0 V.
    number : int
    ceiling : Arc2Ceiling
    timeout_s : float
        Longest wait for what the driver itself waits for.
    control : "internal" or "header"
        Where the daughterboard leads the channels.
    """

    def __init__(
        self,
        library: VendorLibrary,
        reopen: Callable[[], VendorInstrument],
        number: int,
        ceiling: Arc2Ceiling,
        timeout_s: float,
        control: Control,
    ) -> None:
        self.number, self.ceiling, self.timeout_s, self.control = number, ceiling, timeout_s, control
        self.name = f"ArC TWO {number}"
        self._library, self._reopen = library, reopen
        self._vendor: VendorInstrument | None = None
        self._holds_pulse = False
        self._halted = self._closed = False

    @classmethod
    def open(
        cls,
        library: VendorLibrary,
        number: int,
        firmware: Path,
        ceiling: Arc2Ceiling,
        timeout_s: float = 3.0,
        control: Control = "internal",
    ) -> Self:
        """Open an instrument, bring every channel to 0 V before anything else, and watch over it.

        Raises
        ------
        SetupError, LinkError
            As `hwlearn_drivers.arc2.library.open_vendor`.
        """
        arc = cls(library, lambda: open_vendor(library, number, firmware), number, ceiling, timeout_s, control)
        arc._vendor = arc._reopen()
        open_outputs.watch(arc)
        try:
            arc.ground()
            arc._choose_control()
        except BaseException:
            arc.close()
            raise
        return arc

    @property
    def halted(self) -> bool:
        """Whether the outputs were switched off in a hurry and nothing goes out until `rearm`."""
        return self._halted

    @property
    def closed(self) -> bool:
        """Whether the instrument was let go."""
        return self._closed

    # --- off ----------------------------------------------------------------------------------------

    def halt(self) -> None:
        """Bring every channel to 0 V, write-only and asking nothing first; nothing else goes out until `rearm`.

        Raises
        ------
        OutputsMayBeOnError
            If it could not be sent, not even after the instrument was opened anew.
        """
        self._halted = True
        if self._vendor is not None and not self._holds_pulse:
            try:
                self._send_off()
                return
            except LinkError as error:
                log.warning("%s; opening it anew", error)
        try:
            self._replace()
        except Exception as error:
            raise OutputsMayBeOnError(
                f"OUTPUTS MAY BE ON: EVERY CHANNEL OF {self.name.upper()} ({error}); switch it off by hand"
            ) from error

    def _send_off(self) -> None:
        with in_our_words(self._library, "bringing every channel to 0 V"):
            self._opened.ground_all()
            self._opened.execute()

    def _replace(self) -> None:
        """Give the vendor's object up with all that it has queued, and open another, every channel at 0 V.

        The library has no other way to close an instrument than to forget its object, and no second object can
        have the instrument before.
        """
        self._vendor = None
        self._vendor = self._reopen()
        self._holds_pulse = False
        self._send_off()

    def close(self) -> None:
        """Bring every channel to 0 V and let the instrument go; closing twice is harmless.

        Raises
        ------
        OutputsMayBeOnError
            As `halt`.
        """
        if self._closed:
            return
        try:
            self.halt()
        finally:
            self._closed = True
            self._vendor = None
            open_outputs.unwatch(self)

    # --- on again -----------------------------------------------------------------------------------

    def rearm(self) -> None:
        """Let commands out again after `halt`, once nothing of before is left to be taken for a new reading.

        Raises
        ------
        LinkError
            If the instrument does not come to rest, or keeps readings back; `reconnect` opens it anew.
        """
        if not self._halted:
            return
        self._wait()
        with in_our_words(self._library, "dropping old readings"):
            for _ in range(_LEFT_BEHIND):
                if self._pick(self._library.ReadType.Voltage) is None:
                    break
            else:
                raise LinkError(f"{self.name} does not run out of old readings; open it anew")
        self._halted = False

    def reconnect(self) -> None:
        """Open the instrument anew, with every channel at 0 V.

        Raises
        ------
        LinkError
            If it cannot be opened; a fresh firmware is loaded, so whatever was queued or read before is gone.
        """
        if self._closed:
            raise LinkError(f"{self.name} was closed")
        self._halted = True
        self._replace()
        log.warning("%s is connected again, every channel at 0 V", self.name)
        self._halted = False
        self._choose_control()

    # --- operations ---------------------------------------------------------------------------------

    def ground(self) -> None:
        """Bring every channel to 0 V, and wait until it is done."""
        with self._operation("bringing every channel to 0 V") as tell:
            tell(lambda: self._opened.ground_all())
            tell(lambda: self._opened.execute())
            self._wait()

    def read_crosspoint(self, low: int, high: int, volts: float) -> float:
        """Hold ``low`` at ``-volts`` and every other channel at 0 V; return the amperes that ``high`` delivers.

        Raises
        ------
        LimitError
            If the voltage is beyond the ceiling; nothing was applied.
        LinkError
            If the instrument does not do it.
        GarbledReplyError
            If what it reads is no number.
        """
        self.ceiling.check_volts(self.name, volts)
        with self._operation(f"reading channels {low} and {high}") as tell:
            amperes = float(tell(lambda: self._opened.read_one(low, high, float(volts))))
            self._check_finite(amperes, f"the current of channel {high}")
            return amperes

    def pulse_crosspoint(self, low: int, high: int, volts: float, width_s: float, read_volts: float) -> float:
        """Pulse ``high`` to ``volts/2`` and ``low`` to ``-volts/2``, all others at 0 V; then read.

        Returns
        -------
        float
            Amperes that ``high`` delivers at ``read_volts`` after the pulse, as `read_crosspoint`.

        Raises
        ------
        LimitError
            If a voltage or the width is beyond the ceiling or what the instrument makes; nothing was applied.
        LinkError, GarbledReplyError
            As `read_crosspoint`; whether the pulse was applied is then not known.
        """
        self.ceiling.check_volts(self.name, read_volts)
        self.ceiling.check_pulse(self.name, volts, width_s)
        nanos = round(width_s * 1e9)

        def command() -> float:
            self._holds_pulse = True
            amperes = self._opened.pulseread_one(low, high, float(volts), nanos, float(read_volts))
            self._holds_pulse = False
            return float(amperes)

        with self._operation(f"pulsing channels {low} and {high}") as tell:
            amperes = tell(command)
            self._check_finite(amperes, f"the current of channel {high}")
            return amperes

    @contextmanager
    def phase(self) -> Iterator[Callable[[Mapping[int, float], Sequence[int], float, bool], tuple[Any, Any]]]:
        """Hold levels and read, one set after the other; at the end every channel is at 0 V.

        Yields
        ------
        callable
            ``(levels, floating, settle_s, averaging) -> (volts, amperes)``: hold channels at levels, float
            others, wait, and return what all 64 channels read (NaN where they were not asked): volts of the
            floating and held ones, amperes delivered by the held ones.
        """
        with self._operation("holding levels") as tell:
            tell(lambda: self._opened.connect_to_gnd([]))

            def hold(
                levels: Mapping[int, float], floating: Sequence[int], settle_s: float, averaging: bool
            ) -> tuple[FloatArray, FloatArray]:
                for volts in levels.values():
                    self.ceiling.check_volts(self.name, volts)
                held = sorted(levels)
                if floating:
                    tell(lambda: self._opened.open_channels(list(floating)))
                tell(lambda: self._opened.config_channels([(c, float(levels[c])) for c in held], None))
                tell(lambda: self._opened.delay(round(settle_s * 1e9)))
                tell(lambda: self._opened.vread_channels_deferred(sorted([*held, *floating]), averaging))
                tell(lambda: self._opened.read_slice_open_deferred(held, False))
                tell(lambda: self._opened.execute())
                self._wait(settle_s)
                volts_read = tell(lambda: self._pick(self._library.ReadType.Voltage))
                amperes_read = tell(lambda: self._pick(self._library.ReadType.Current))
                return self._reading(volts_read), self._reading(amperes_read)

            yield hold
            tell(lambda: self._opened.ground_all())
            tell(lambda: self._opened.execute())
            self._wait()

    # --- what every operation passes ----------------------------------------------------------------

    @contextmanager
    def _operation(self, doing: str) -> Iterator[Callable[[Callable[[], _T]], _T]]:
        """Let commands out one by one, and bring every channel to 0 V whatever else than success ends them."""

        def tell(command: Callable[[], _T]) -> _T:
            if self._halted:
                raise HaltedError(f"{self.name} was switched off; nothing is sent until it is used anew")
            with in_our_words(self._library, doing):
                return command()

        try:
            yield tell
        except BaseException:
            self.halt()
            raise

    @property
    def _opened(self) -> VendorInstrument:
        """The vendor's object; nobody may keep it in a variable, or it could not be let go."""
        if self._vendor is None or self._closed:
            raise LinkError(f"{self.name} was closed")
        return self._vendor

    def _choose_control(self) -> None:
        mode = self._library.ControlMode
        with self._operation("choosing the daughterboard's control") as tell:
            tell(lambda: self._opened.set_control_mode(mode.Header if self.control == "header" else mode.Internal))
            tell(lambda: self._opened.execute())
            self._wait()

    def _wait(self, longer_s: float = 0.0) -> None:
        """Wait until the queue was worked off; the vendor's own wait would never give up."""
        deadline = time.monotonic() + self.timeout_s + longer_s
        while True:
            with in_our_words(self._library, "waiting"):
                busy = self._opened.busy()
            if not busy:
                return
            if time.monotonic() > deadline:
                raise LinkTimeout(
                    f"{self.name} was not done within {self.timeout_s:g} s; look at its cable, then reconnect"
                )
            time.sleep(_POLL_S)

    def _pick(self, kind: Any) -> FloatArray | None:
        return self._opened.pick_one(self._library.DataMode.All, kind)

    def _reading(self, values: FloatArray | None) -> FloatArray:
        shape = None if values is None else np.shape(values)
        if values is None or shape != (N_CHANNELS,):
            raise GarbledReplyError(
                f"{self.name} has no reading of {N_CHANNELS} channels where one is due ({shape})"
            )
        return np.asarray(values, dtype=np.float64)

    def _check_finite(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            raise GarbledReplyError(f"{self.name} reads {value} for {what}; it may be beyond its range")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
