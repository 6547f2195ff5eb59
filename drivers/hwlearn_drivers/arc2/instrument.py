"""`Arc2`: one ArC TWO, with every channel at 0 V between operations and on every exit path.

One file because every operation shares the exit path that brings the channels to 0 V.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from hwlearn.arrays import FloatArray
from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn_drivers.arc2.channel_limits import Arc2ChannelLimits
from hwlearn_drivers.arc2.library import (
    VendorInstrument,
    VendorLibrary,
    open_vendor,
    vendor_errors,
)
from hwlearn_drivers.arc2.readings import channel_readings, check_number
from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.errors import HaltedError, LinkError, LinkTimeout, OutputsMayBeOnError
from hwlearn_drivers.instrument import open_outputs

log = logging.getLogger("hwlearn_drivers")
Control = Literal["internal", "header"]
_T = TypeVar("_T")
_POLL_S = 1e-4
_OLD_READINGS = 1000  # more than any interrupted sample leaves behind


class Arc2:
    """One instrument, opened with `open`. Every channel is at 0 V between two operations.

    An operation fills the vendor's queue and executes it. If it ends in any way but success, every channel is
    brought to 0 V at once. This also executes the rest of the queue: held levels within the limits, for some
    microseconds. A pulse never stays in a queue: it is queued and executed within one call of the vendor's
    library. If this call fails, the vendor's object is dropped together with its queue.

    Parameters
    ----------
    library : VendorLibrary
    reopen : callable
        Opens a new object of the vendor, which resets every DAC to 0 V.
    number : int
        Number of the instrument on USB.
    channel_limits : Arc2ChannelLimits
    timeout_s : float
        Maximum time to wait until a queue is executed.
    control : "internal" or "header"
        Where the daughterboard connects the channels.
    """

    claim: Claim
    """Released when the instrument is closed."""

    def __init__(
        self,
        library: VendorLibrary,
        reopen: Callable[[], VendorInstrument],
        number: int,
        channel_limits: Arc2ChannelLimits,
        timeout_s: float,
        control: Control,
    ) -> None:
        self.number, self.channel_limits, self.timeout_s, self.control = number, channel_limits, timeout_s, control
        self.name = f"ArC TWO {number}"
        self.claim = Claim(self.name, None)
        self._library, self._reopen = library, reopen
        self._vendor: VendorInstrument | None = None
        self._holds_pulse = False
        self._halted = self._closed = False

    @property
    def claimed(self) -> Claim:
        """The claim of the instrument."""
        return self.claim

    def report(self) -> InstrumentReport:
        """Return its channels as this process has set them, without a call to it."""
        output = OutputReport("every channel", on=False if self._halted or self._closed else None)
        facts = {"between two operations": "every channel is at 0 V"}
        return InstrumentReport(self.name, "owner", f"ArC Instruments {self.name}", (output,), facts)

    @classmethod
    def open(
        cls,
        library: VendorLibrary,
        number: int,
        firmware: Path,
        channel_limits: Arc2ChannelLimits,
        timeout_s: float = 3.0,
        control: Control = "internal",
    ) -> Self:
        """Open an instrument, bring every channel to 0 V first, and register it in `open_outputs`.

        Raises
        ------
        SetupError, LinkError
            As `hwlearn_drivers.arc2.library.open_vendor`.
        """
        arc = cls(
            library, lambda: open_vendor(library, number, firmware), number, channel_limits, timeout_s, control
        )
        arc.start()
        return arc

    def start(self) -> None:
        """Open the vendor's object, bring every channel to 0 V, and set the daughterboard's control.

        Raises
        ------
        SetupError, LinkError
            As `open`.
        """
        self._vendor = self._reopen()
        open_outputs.watch(self)
        try:
            self.ground()
            self._choose_control()
        except BaseException:
            self.close()
            raise

    @property
    def halted(self) -> bool:
        """Whether `halt` switched the outputs off; nothing is sent until `rearm`."""
        return self._halted

    @property
    def closed(self) -> bool:
        """Whether the instrument was closed."""
        return self._closed

    # --- off ----------------------------------------------------------------------------------------

    def halt(self, reopen: bool = True) -> None:
        """Bring every channel to 0 V, write-only and without a query; nothing else is sent until `rearm`.

        Parameters
        ----------
        reopen : bool
            Whether to reopen the instrument and try again if that fails.

        Raises
        ------
        OutputsMayBeOnError
            If it could not be sent, even after the instrument was reopened.
        """
        self._halted = True
        if self._vendor is not None and not self._holds_pulse:
            try:
                self._send_off()
                return
            except LinkError as error:
                if not reopen:
                    raise self._may_be_on(error) from error
                log.warning("%s; reopening it", error)
        elif not reopen:
            raise self._may_be_on("it must be reopened")
        try:
            self._replace()
        except Exception as error:
            raise self._may_be_on(error) from error

    def _may_be_on(self, reason: object) -> OutputsMayBeOnError:
        return OutputsMayBeOnError(
            f"OUTPUTS MAY BE ON: EVERY CHANNEL OF {self.name.upper()} ({reason}); switch it off by hand"
        )

    def _send_off(self) -> None:
        with vendor_errors(self._library, "bringing every channel to 0 V"):
            self._opened.ground_all()
            self._opened.execute()

    def _replace(self) -> None:
        """Drop the vendor's object with its queue, and open another one with every channel at 0 V.

        The library closes an instrument only when its object is deleted, and an instrument can have only one
        object at a time.
        """
        self._vendor = None
        self._vendor = self._reopen()
        self._holds_pulse = False
        self._send_off()

    def close(self) -> None:
        """Bring every channel to 0 V and release the instrument; closing twice has no effect.

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
            self.claim.release()

    # --- on again -----------------------------------------------------------------------------------

    def rearm(self) -> None:
        """Allow commands again after `halt`, after old readings have been discarded.

        Raises
        ------
        HaltedError
            If `open_outputs.halt_open` switched it off; only `reconnect` allows commands again.
        LinkError
            If the instrument stays busy or does not run out of old readings; use `reconnect` then.
        """
        if not self._halted:
            return
        self._refuse_after_final_off()
        self._wait()
        with vendor_errors(self._library, "discarding old readings"):
            for _ in range(_OLD_READINGS):
                if self._pick(self._library.ReadType.Voltage) is None:
                    break
            else:
                raise LinkError(f"{self.name} keeps returning old readings; reconnect it")
        self._halted = False

    def reconnect(self) -> None:
        """Reopen the instrument with every channel at 0 V; its queue and old readings are lost.

        Raises
        ------
        LinkError
            If it cannot be opened.
        """
        if self._closed:
            raise LinkError(f"{self.name} was closed")
        open_outputs.allow_again(self)
        self._halted = True
        self._replace()
        log.warning("%s is connected again, every channel at 0 V", self.name)
        self._halted = False
        self._choose_control()

    def _refuse_after_final_off(self) -> None:
        reason = open_outputs.halted_because(self)
        if reason is not None:
            raise HaltedError(
                f"outputs were switched off: {reason}; {self.name} stays off until it is reconnected"
            )

    # --- operations ---------------------------------------------------------------------------------

    def ground(self) -> None:
        """Bring every channel to 0 V, and wait until this is done."""
        with self._operation("bringing every channel to 0 V") as send:
            send(lambda: self._opened.ground_all())
            send(lambda: self._opened.execute())
            self._wait()

    def read_crosspoint(self, low: int, high: int, volts: float) -> float:
        """Hold ``low`` at ``-volts`` and every other channel at 0 V; return the amperes that ``high`` delivers.

        Raises
        ------
        LimitError
            If the voltage exceeds the channel limit; nothing was applied.
        LinkError
            If the command fails.
        GarbledReplyError
            If the reading is not finite.
        """
        self.channel_limits.check_volts(self.name, volts)
        with self._operation(f"reading channels {low} and {high}") as send:
            amperes = float(send(lambda: self._opened.read_one(low, high, float(volts))))
            check_number(self.name, amperes, f"the current of channel {high}")
            return amperes

    def pulse_crosspoint(self, low: int, high: int, volts: float, width_s: float, read_volts: float) -> float:
        """Pulse ``high`` to ``volts/2`` and ``low`` to ``-volts/2`` with all others at 0 V, then read.

        Returns
        -------
        float
            Amperes that ``high`` delivers at ``read_volts`` after the pulse, as `read_crosspoint`.

        Raises
        ------
        LimitError
            If a voltage or the width exceeds its limit; nothing was applied.
        LinkError, GarbledReplyError
            As `read_crosspoint`; it is then unknown whether the pulse was applied.
        """
        self.channel_limits.check_volts(self.name, read_volts)
        self.channel_limits.check_pulse(self.name, volts, width_s)
        nanos = round(width_s * 1e9)

        def command() -> float:
            self._holds_pulse = True
            amperes = self._opened.pulseread_one(low, high, float(volts), nanos, float(read_volts))
            self._holds_pulse = False
            return float(amperes)

        with self._operation(f"pulsing channels {low} and {high}") as send:
            amperes = send(command)
            check_number(self.name, amperes, f"the current of channel {high}")
            return amperes

    @contextmanager
    def phase(self) -> Iterator[Callable[[Mapping[int, float], Sequence[int], float, bool], tuple[Any, Any]]]:
        """Hold levels and read, one set of levels after the other; at the end every channel is at 0 V.

        Yields
        ------
        callable
            ``(levels, floating, settle_s, averaging) -> (volts, amperes)``: holds channels at levels, floats
            others, waits, and returns the readings of all 64 channels: volts of held and floating channels,
            amperes delivered by held channels, NaN elsewhere.
        """
        with self._operation("holding levels") as send:
            send(lambda: self._opened.connect_to_gnd([]))

            def hold(
                levels: Mapping[int, float], floating: Sequence[int], settle_s: float, averaging: bool
            ) -> tuple[FloatArray, FloatArray]:
                for volts in levels.values():
                    self.channel_limits.check_volts(self.name, volts)
                held = sorted(levels)
                if floating:
                    send(lambda: self._opened.open_channels(list(floating)))
                send(lambda: self._opened.config_channels([(c, float(levels[c])) for c in held], None))
                send(lambda: self._opened.delay(round(settle_s * 1e9)))
                send(lambda: self._opened.vread_channels_deferred(sorted([*held, *floating]), averaging))
                send(lambda: self._opened.read_slice_open_deferred(held, False))
                send(lambda: self._opened.execute())
                self._wait(settle_s)
                volts_read = send(lambda: self._pick(self._library.ReadType.Voltage))
                amperes_read = send(lambda: self._pick(self._library.ReadType.Current))
                return channel_readings(self.name, volts_read), channel_readings(self.name, amperes_read)

            yield hold
            send(lambda: self._opened.ground_all())
            send(lambda: self._opened.execute())
            self._wait()

    # --- access to the vendor's object --------------------------------------------------------------

    @contextmanager
    def _operation(self, doing: str) -> Iterator[Callable[[Callable[[], _T]], _T]]:
        """Yield a function that sends one command; bring every channel to 0 V if the operation fails."""

        def send(command: Callable[[], _T]) -> _T:
            open_outputs.check_awake()
            if self._halted:
                self._refuse_after_final_off()
                raise HaltedError(
                    f"{self.name} was switched off; nothing is sent until it is rearmed or reconnected"
                )
            with vendor_errors(self._library, doing):
                return command()

        try:
            yield send
        except BaseException:
            self.halt()
            raise

    @property
    def _opened(self) -> VendorInstrument:
        """The vendor's object; never keep it in a variable, because only its deletion closes the instrument."""
        if self._vendor is None or self._closed:
            raise LinkError(f"{self.name} was closed")
        return self._vendor

    def _choose_control(self) -> None:
        mode = self._library.ControlMode
        with self._operation("setting the daughterboard's control") as send:
            send(lambda: self._opened.set_control_mode(mode.Header if self.control == "header" else mode.Internal))
            send(lambda: self._opened.execute())
            self._wait()

    def _wait(self, longer_s: float = 0.0) -> None:
        """Wait until the queue is executed; the vendor's own wait has no timeout."""
        deadline = time.monotonic() + self.timeout_s + longer_s
        while True:
            with vendor_errors(self._library, "waiting"):
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
