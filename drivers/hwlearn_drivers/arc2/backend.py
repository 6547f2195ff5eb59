"""Backend ``arc2``: opens a crossbar on an ArC TWO."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from hwlearn.circuit.topology import Topology
from hwlearn.device_access.limits import PulseLimits
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.reports import InstrumentReport
from hwlearn.network.switched_off import SwitchedOff
from hwlearn_drivers.arc2.array import Arc2Array, Arc2Devices
from hwlearn_drivers.arc2.calls import DryLibrary, LoggedLibrary
from hwlearn_drivers.arc2.channel_limits import Arc2ChannelLimits
from hwlearn_drivers.arc2.instrument import Arc2
from hwlearn_drivers.arc2.library import (
    FULL_SCALE_V,
    N_CHANNELS,
    VendorLibrary,
    load_library,
    open_vendor,
    vendor_errors,
)
from hwlearn_drivers.arc2.network import Arc2Network
from hwlearn_drivers.arc2.pace import Arc2Pace
from hwlearn_drivers.arc2.settings import Arc2Settings
from hwlearn_drivers.arc2.wiring import Arc2Wiring
from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.claims.keys import AddressKey
from hwlearn_drivers.claims.shutdown import OffTarget, off_or_raise
from hwlearn_drivers.edges.write_verifier import WriteVerifier
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.inspection import Inspection, inspect_all
from hwlearn_drivers.transport.links.dry_run import print_line
from hwlearn_drivers.transport.wire_log import WireLog

_OFF_CALLS: Final = ("Instrument(", "ground_all(", "execute(")
"""Calls that bring every channel to 0 V; they are made even if they cannot be logged."""


class Arc2Backend:
    """Opens the ArC TWO of a ``[backend]`` table, with every channel at 0 V."""

    Settings = Arc2Settings

    @staticmethod
    def open(settings: Arc2Settings, topology: Topology, limits: Limits) -> Arc2Network:
        """Open the instrument and return its network; only 0 V is applied.

        Raises
        ------
        SetupError
            If the settings do not fit the network or the limits, or the library or the firmware is missing.
        InUseError
            If another process, or another network of this one, uses the instrument.
        LinkError
            If the instrument is not connected or does not accept its firmware.
        """
        # the channels are connected to the ends of the lines, whatever lies between them
        lines = topology if topology.wires is None else topology.without_wires()
        wiring = Arc2Wiring.of(lines, settings.rows, settings.columns)
        pulse_limits = _pulse_limits(settings, limits)
        channel_limits = _channel_limits(limits, pulse_limits)
        with ExitStack() as stack:
            wire_log = None if settings.wire_log is None else stack.enter_context(WireLog(settings.wire_log))
            library = _library(settings, wire_log)
            claim = Claim(f"ARC TWO {settings.id}", None if settings.dry_run else _key(settings))
            stack.callback(claim.release)
            arc = Arc2.open(
                library, settings.id, _firmware(settings), channel_limits, settings.timeout, settings.control
            )
            arc.claim = claim  # released when the instrument is closed
            stack.callback(arc.close)
            claim.check()
            array = Arc2Array(arc, lines, wiring, pulse_limits, limits, _devices(settings, limits))
            pace = Arc2Pace(
                settings.settle,
                settings.averaging,
                settings.current_sign,
                settings.voltage_sigma,
                settings.current_sigma,
            )
            pulses = settings.pulses
            network = Arc2Network(
                array,
                pace,
                None if pulses is None else WriteVerifier(pulses.tolerance),
                topology=topology,
                wire_log=wire_log,
            )
            stack.pop_all()  # from here on the network closes the instrument and the log
            return network

    @staticmethod
    def prepare_off(settings: Arc2Settings) -> None:
        """Import the library and find the firmware that `off` needs; the instrument is not contacted.

        Raises
        ------
        SetupError
            If the library or the firmware is missing.
        """
        _library(settings, None)
        _firmware(settings)

    @staticmethod
    def halt_open(reason: str) -> None:
        """Bring every channel that this process has open to 0 V; see `open_outputs.halt_open`."""
        open_outputs.halt_open(reason)

    @staticmethod
    def off(settings: Arc2Settings) -> list[SwitchedOff]:
        """Bring every channel to 0 V: load the firmware, which resets every DAC, then ground all channels.

        A process that uses the instrument is asked to do so; if it does not confirm, it is ended first, because
        the instrument can be opened by one process only.

        Returns
        -------
        list of SwitchedOff
            How OFF reached the instrument.

        Raises
        ------
        SetupError
            If the library or the firmware is missing.
        OutputsMayBeOnError
            If it could not be sent.
        """
        library = _library(settings, None)

        def send(check: bool) -> bool:
            _send_off(settings, library)
            return check

        name = f"ARC TWO {settings.id}"
        outputs = tuple(f"channel {number}" for number in range(N_CHANNELS))
        target = OffTarget(name, send, None if settings.dry_run else _key(settings), outputs)
        return off_or_raise([target], "EVERY CHANNEL", "switch it off by hand")

    @staticmethod
    def status(settings: Arc2Settings) -> list[InstrumentReport]:
        """Return what its owner has set; an ArC TWO not in use is not read, because opening it resets it."""
        if settings.dry_run:
            return []
        name = f"ArC TWO {settings.id}"
        note = "it is not in use, and is not read: opening an ArC TWO brings every channel to 0 V"
        return inspect_all([Inspection(name, _key(settings), lambda: InstrumentReport(name, "none", note=note))])


def _key(settings: Arc2Settings) -> AddressKey:
    return AddressKey(f"arc2:{settings.id}", exclusive=True)


def _send_off(settings: Arc2Settings, library: VendorLibrary) -> None:
    vendor = open_vendor(library, settings.id, _firmware(settings))
    with vendor_errors(library, "bringing every channel to 0 V"):
        vendor.ground_all()
        vendor.execute()


def _library(settings: Arc2Settings, wire_log: WireLog | None) -> VendorLibrary:
    name = f"ArC TWO {settings.id}"
    library: VendorLibrary = DryLibrary(settings.id) if settings.dry_run else load_library()
    if settings.dry_run:
        library = LoggedLibrary(library, lambda call: print_line(f"{name} > {call}", sys.stdout))
    if wire_log is not None:

        def log_call(call: str) -> None:
            wire_log.sent(name, call.encode("ascii", "backslashreplace"), off=call.startswith(_OFF_CALLS))

        library = LoggedLibrary(library, log_call)
    return library


def _firmware(settings: Arc2Settings) -> Path:
    return settings.firmware.expanduser()


def _pulse_limits(settings: Arc2Settings, limits: Limits) -> PulseLimits:
    """Return the pulse limits; those of readings also apply if no pulse is allowed."""
    pulses = settings.pulses
    if settings.read_voltage > limits.voltage:
        raise SetupError(
            f"backend.read_voltage = {settings.read_voltage:g} V exceeds limits.voltage = {limits.voltage:g} V"
        )
    if pulses is None:
        # only the read voltage is used: without the table no pulse is applied
        return PulseLimits(settings.read_voltage, limits.current, (1e-6, 1e-6), 1, settings.read_voltage)
    if not pulses.width[0] <= pulses.width[1]:
        raise SetupError("backend.pulses.width must be two times, the shorter first")
    return PulseLimits(pulses.voltage, pulses.current, pulses.width, pulses.most, settings.read_voltage)


def _channel_limits(limits: Limits, pulse_limits: PulseLimits) -> Arc2ChannelLimits:
    if limits.voltage > FULL_SCALE_V:
        raise SetupError(
            f"limits.voltage = {limits.voltage:g} V exceeds the {FULL_SCALE_V:g} V of an ArC TWO channel"
        )
    return Arc2ChannelLimits(limits.voltage, pulse_limits.voltage)


def _devices(settings: Arc2Settings, limits: Limits) -> Arc2Devices:
    pulses = settings.pulses
    unknown = limits.conductance[1] if settings.unknown_conductance is None else settings.unknown_conductance
    return Arc2Devices(
        settings.read_voltage,
        "rows" if pulses is None else pulses.positive,
        settings.current_sign,
        1.0 if pulses is None else pulses.headroom,
        unknown,
        pulsed=pulses is not None,
    )
