"""`DaqDevice`: one opened device, whose outputs are at 0 V before anything else happens and on every exit path.

One file because every operation shares the exit path that brings the outputs to 0 V.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from hwlearn.errors import HwlearnError
from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn.units import format_quantity
from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.daq.calls.calls import ChannelRange, DaqCalls
from hwlearn_drivers.daq.errors import is_lost
from hwlearn_drivers.daq.facts import DeviceFacts, range_text
from hwlearn_drivers.daq.library import DaqTask
from hwlearn_drivers.daq.off import write_off_all
from hwlearn_drivers.daq.plan import DaqPlan
from hwlearn_drivers.daq.scan import Scan, ScanReadings, make_scan, readback_of
from hwlearn_drivers.errors import (
    HaltedError,
    InstrumentError,
    LinkError,
    OutputsMayBeOnError,
    OutputStateError,
)
from hwlearn_drivers.instrument import open_outputs

log = logging.getLogger("hwlearn_drivers")
_T = TypeVar("_T")

_OF_LIMIT: Final = 0.02  # as inputs that are read back by other instruments
_SIGMAS: Final = 10.0


class DaqDevice:
    """One device. Its analog outputs hold their last voltage until something else is written.

    Parameters
    ----------
    calls : DaqCalls
    plan : DaqPlan
    claim : Claim
        Released when the device is closed.

    Raises
    ------
    LinkError, SetupError, UnknownInstrumentError, InstrumentError
        The device is then off and closed, as far as it can be reached.

    Attributes
    ----------
    facts : DeviceFacts
    levels : dict of str to float
        Volts of the outputs in use, as written last.
    scan : Scan or None
        None if nothing is read.
    output_range : ChannelRange or None
        None without outputs in use.
    """

    scan: Scan | None = None
    output_range: ChannelRange | None = None

    def __init__(self, calls: DaqCalls, plan: DaqPlan, claim: Claim) -> None:
        self._calls, self._plan, self.claim = calls, plan, claim
        self.facts: DeviceFacts = calls.facts()
        self._outputs: DaqTask | None = None
        self._lines: DaqTask | None = None
        self.levels: dict[str, float] = dict.fromkeys(plan.sources, 0.0)
        self._closed_lines: dict[str, bool] = dict.fromkeys(plan.lines, False)
        self._halted, self._lost, self._closed = True, False, False
        self._verified = True  # the levels were read back since they were written
        open_outputs.watch(self)
        try:
            self._set_up()
        except BaseException:
            with suppress(OutputsMayBeOnError):  # what went wrong first says more
                self.close()
            raise
        self._plan = plan.expecting(self.facts)  # from here on no other device is accepted
        self._halted = False

    @property
    def name(self) -> str:
        """Product and name of the device, for messages."""
        return self._calls.called

    @property
    def provenance(self) -> str:
        """Product, serial number, ranges and how a reading is made."""
        facts, parts = self.facts, []
        if self.output_range is not None:
            back = "read back internally" if self.scan is not None and self.scan.read_back else "not read back"
            parts.append(f"outputs {range_text(self.output_range.limits)}, {back}")
        if self.scan is not None:
            own = self.scan.sampling
            parts.append(
                f"inputs {range_text(self.scan.range)} {self._plan.configuration}, mean of {own.samples} samples "
                f"in {format_quantity(own.seconds, 's')}"
            )
        made_up = ", SIMULATED" if facts.simulated else ""
        return f"NI {facts.product}, serial {facts.serial}{made_up}, at {self._calls.device} ({'; '.join(parts)})"

    # --- off ----------------------------------------------------------------------------------------

    def halt(self, reopen: bool = True) -> None:
        """Write 0 V to the outputs and open the switches; nothing else is written until `rearm`.

        Parameters
        ----------
        reopen : bool
            Whether to try again with new tasks over all outputs, after a reset of the device if need be.

        Raises
        ------
        OutputsMayBeOnError
            If it could not be written.
        """
        self._halted = True
        try:
            self._zero()
        except HwlearnError as first:
            if not open_outputs.watched(self):
                return  # closed meanwhile by another thread, which has written 0 V
            if not reopen:
                raise self._may_be_on(f"0 V could not be written ({first})") from first
            self._lost = True  # its identity is not checked before `reconnect`
            try:
                self._release()
                write_off_all(self._calls, self.facts, self._plan.lines, not self._plan.closed_high)
            except HwlearnError as second:
                raise self._may_be_on(f"0 V could not be written ({first}; then {second})") from second
            self._note_off()

    def rearm(self) -> None:
        """Allow writes again after `halt`; the outputs stay at 0 V.

        Raises
        ------
        HaltedError
            If `open_outputs.halt_open` switched it off; only `reconnect` allows writes again.
        LinkError
            If the device was gone; `reconnect` checks its identity.
        """
        self._refuse_after_final_off()
        if self.needs_reconnect:
            raise LinkError(f"{self.name} was gone and was only switched off since then; reconnect")
        self._halted = False

    @property
    def needs_reconnect(self) -> bool:
        """Whether the device was gone, or was only switched off since then."""
        return self._lost or self._closed

    def reconnect(self) -> None:
        """Switch off, check that the same device is there, and set it up again.

        Raises
        ------
        LinkError, OutputsMayBeOnError
            If it cannot be reached.
        UnknownInstrumentError
            If there is another device of this name.
        """
        self.claim.renew()
        open_outputs.allow_again(self)
        self._halted = True
        if self._closed:
            open_outputs.watch(self)
            self._closed = False
        self._release()
        self.facts = self._calls.facts()
        self._set_up()
        self._lost = False
        self.rearm()  # refused if somebody switched it off meanwhile
        log.warning("%s: connected again, every output at 0 V", self.name)

    def close(self) -> None:
        """Write 0 V, read it back where the device can, and release it; closing twice is harmless.

        Raises
        ------
        OutputsMayBeOnError
            If 0 V could not be written, or something else is read back.
        """
        if self._closed:
            return
        try:
            self.halt()
            if not self._lost:
                self._confirm_off()
        finally:
            self._closed = True
            self._release()
            open_outputs.unwatch(self)
            self.claim.release()

    # --- outputs ------------------------------------------------------------------------------------

    def set_levels(self, volts: Mapping[str, float]) -> None:
        """Write volts to outputs, in one call; the others keep theirs. The values were checked.

        Raises
        ------
        HaltedError, LinkError, InstrumentError
        """
        levels = {**self.levels, **volts}
        self._verified = False

        def write() -> None:
            assert self._outputs is not None, "the plan has outputs"
            self.levels = levels  # first: a write that fails may have reached the device
            self._calls.write(self._outputs, list(levels.values()), ", ".join(levels))

        self._send(write)

    def set_lines(self, closed: Mapping[str, bool]) -> None:
        """Open switches, then close others.

        Raises
        ------
        HaltedError, LinkError, InstrumentError
        """
        opened = {line: state and closed.get(line, True) for line, state in self._closed_lines.items()}
        for states in (opened, {**opened, **closed}):
            if states != self._closed_lines:
                self._send(partial(self._write_lines, states))

    def _write_lines(self, states: dict[str, bool]) -> None:
        assert self._lines is not None, "the plan has lines"
        self._closed_lines = states
        high = [state is self._plan.closed_high for state in states.values()]
        self._calls.write(self._lines, high, ", ".join(states))

    # --- readings -----------------------------------------------------------------------------------

    def acquire(self) -> ScanReadings:
        """Read every input once, and compare the outputs that are read back with what was written.

        Raises
        ------
        OutputStateError
            If an output is not at its level.
        HaltedError, LinkError, InstrumentError
        """
        scan = self.scan
        assert scan is not None, "the plan has inputs"
        found = self._send(scan.acquire)
        fault = self._deviation(scan, found)
        if fault is not None:
            raise OutputStateError(
                f"{fault}; the device was reset, its output is overloaded or shorted, or somebody else wrote to "
                "it; its outputs are switched off"
            )
        self._verified = True
        return found

    def check_levels(self) -> None:
        """Read the outputs back, unless a reading has done so since they were written; see `acquire`."""
        if self.scan is not None and self.scan.read_back and not self._verified:
            self.acquire()

    def _deviation(self, scan: Scan, found: ScanReadings) -> str | None:
        """Return which output deviates from its level by more than it may; None if none does."""
        step = self.step_V or 0.0
        room = _OF_LIMIT * self._plan.limit_V + _SIGMAS * max(scan.sigma_V, scan.step_V) + step
        for channel in scan.read_back:
            volts, wanted = found.volts[readback_of(channel)], self.levels[channel]
            if not abs(volts - wanted) <= room:
                return (
                    f"output {channel} of {self.name} is at {format_quantity(volts, 'V', 6)}, "
                    f"{format_quantity(wanted, 'V', 6)} was written"
                )
        return None

    @property
    def step_V(self) -> float | None:
        """Step of the outputs in volts; None if the device does not say its resolution."""
        own = self.output_range
        if own is None or not own.bits:
            return None
        return (own.limits[1] - own.limits[0]) / 2.0**own.bits

    # --- report -------------------------------------------------------------------------------------

    @property
    def claimed(self) -> Claim:
        """The claim of the device."""
        return self.claim

    def report(self) -> InstrumentReport:
        """Return its outputs as this process has set them, without a call; see `open_outputs.ReportsItself`."""
        known = not self._lost
        outputs = [
            OutputReport(channel, bool(volts) if known else None, "voltage", volts if known else None)
            for channel, volts in self.levels.items()
        ]
        outputs += [OutputReport(line, closed if known else None) for line, closed in self._closed_lines.items()]
        identity = f"NI {self.facts.product} (serial {self.facts.serial})"
        return InstrumentReport(self._calls.device, "owner", identity, tuple(outputs))

    # ------------------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        """Switch the whole device off, check what it is, and reserve what the bench uses."""
        plan = self._plan
        write_off_all(self._calls, self.facts, plan.lines, not plan.closed_high)
        self._note_off()
        self.claim.identified(self.facts.product, self.facts.serial)
        plan.check(self._calls.called, self.facts)
        if plan.sources:
            self._outputs, self.output_range = self._calls.output_task(
                plan.sources, plan.output_limits(self.facts)
            )
        if plan.lines:
            self._lines = self._calls.line_task(plan.lines)
        self._zero()
        self.scan = make_scan(self._calls, plan, self.facts)

    def _release(self) -> None:
        """Release all channels; the outputs keep their voltage."""
        for task in (self._outputs, self._lines):
            if task is not None:
                self._calls.close(task)
        self._outputs = self._lines = None
        if self.scan is not None:
            self.scan.close()
            self.scan = None

    def _zero(self) -> None:
        """Write 0 V to the outputs in use, then open their switches; the second also if the first fails."""
        try:
            if self._outputs is not None:
                zeros = [0.0] * len(self._plan.sources)
                self._calls.write(self._outputs, zeros, ", ".join(self._plan.sources), off=True)
        finally:
            if self._lines is not None:
                open_levels = [not self._plan.closed_high] * len(self._plan.lines)
                self._calls.write(self._lines, open_levels, ", ".join(self._plan.lines), off=True)
        if (self._plan.sources and self._outputs is None) or (self._plan.lines and self._lines is None):
            raise LinkError(f"{self.name}: its channels are not reserved")
        self._note_off()

    def _note_off(self) -> None:
        self.levels = dict.fromkeys(self._plan.sources, 0.0)
        self._closed_lines = dict.fromkeys(self._plan.lines, False)

    def _confirm_off(self) -> None:
        scan = self.scan
        if scan is None or not scan.read_back:
            return
        try:
            fault = self._deviation(scan, scan.acquire())
        except (LinkError, InstrumentError) as error:
            raise self._may_be_on(f"0 V was written but not read back ({error})") from error
        if fault is not None:
            raise self._may_be_on(f"0 V was written, but {fault}")

    def _send(self, call: Callable[[], _T]) -> _T:
        """Call unless halted. OFF that came meanwhile is repeated, because the call may have followed it."""
        open_outputs.check_awake()
        self._refuse_if_halted()
        try:
            result = call()
        except (LinkError, InstrumentError) as error:
            self._lost = self._lost or is_lost(error)
            raise
        if self._halted:
            self._zero()
            self._refuse_if_halted()
        return result

    def _refuse_if_halted(self) -> None:
        if self._halted:
            self._refuse_after_final_off()
            raise HaltedError(
                f"{self.name} was switched off; nothing is written until it is rearmed or reconnected"
            )

    def _refuse_after_final_off(self) -> None:
        reason = open_outputs.halted_because(self)
        if reason is not None:
            raise HaltedError(
                f"outputs were switched off: {reason}; {self.name} stays off until it is reconnected"
            )

    def _may_be_on(self, reason: str) -> OutputsMayBeOnError:
        which = [*self._plan.sources, *self._plan.lines] or ["every output"]
        return OutputsMayBeOnError(
            f"OUTPUTS MAY BE ON: {', '.join(which).upper()} OF {self.name.upper()}; {reason}; switch them off by "
            "hand: pull the plug of the device"
        )
