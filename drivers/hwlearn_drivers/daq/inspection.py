"""State of a DAQ device that is not in use: what it reports of itself, and the outputs that it reads back."""

from __future__ import annotations

from collections.abc import Mapping

from hwlearn.errors import HwlearnError
from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn_drivers.daq.calls.calls import DaqCalls, ScanChannel
from hwlearn_drivers.daq.facts import DeviceFacts, narrowest, range_text
from hwlearn_drivers.daq.sampling import PADDING_S, make_sampling
from hwlearn_drivers.daq.scan import Scan, readback_of

_SAMPLES = 10
_OFF_V = 0.01
"""Largest reading of an output at 0 V: offsets of output and input."""

_TIMEOUT_S = 1.0


def inspect_daq(calls: DaqCalls, nodes: Mapping[str, str]) -> InstrumentReport:
    """Return the report of a device; outputs are read through internal channels, and nothing is written.

    Parameters
    ----------
    calls : DaqCalls
    nodes : mapping of str to str
        Node at each channel in use.

    Raises
    ------
    HwlearnError
        If there is no such device.
    """
    facts = calls.facts()
    volts, note = _levels(calls, facts)
    outputs = []
    for channel in facts.outputs:
        level = volts.get(channel)
        on = None if level is None else abs(level) > _OFF_V
        outputs.append(OutputReport(channel, on, "voltage", level, node=nodes.get(channel, "")))
    stated = {
        "outputs": f"{len(facts.outputs)}, {', '.join(map(range_text, facts.output_ranges))}"
        if facts.outputs
        else "none",
        "inputs": f"{len(facts.inputs)}, {', '.join(map(range_text, facts.input_ranges))}"
        if facts.inputs
        else "none",
        "digital lines": str(len(facts.lines)),
    }
    if facts.simulated:
        stated["simulated"] = "by NI-DAQmx: its readings are made up"
    identity = f"NI {facts.product} (serial {facts.serial})"
    return InstrumentReport(calls.device, "instrument", identity, tuple(outputs), stated, note)


def _levels(calls: DaqCalls, facts: DeviceFacts) -> tuple[dict[str, float], str]:
    """Return the volts of outputs that internal channels read, and why others are not known."""
    if not facts.outputs:
        return {}, ""
    unknown = "an analog output cannot be read back on this device: it may hold its last voltage"
    if not facts.inputs or facts.simultaneous:
        return {}, unknown
    readable = [channel for channel in facts.outputs if calls.input_exists(readback_of(channel))]
    if not readable:
        return {}, unknown
    widest = max(one[1] for one in facts.input_ranges)
    limits = narrowest(facts.input_ranges, widest)
    assert limits is not None
    try:
        listed = [ScanChannel(readback_of(channel), "DEFAULT", limits) for channel in readable]
        settle_s = 1 / facts.input_rate_Hz + PADDING_S
        sampling = make_sampling(len(listed), facts.input_rate_Hz, False, settle_s, _SAMPLES, None)
        scan = Scan(calls, listed, sampling, _TIMEOUT_S)
        try:
            found = scan.acquire()
        finally:
            scan.close()
    except HwlearnError as error:
        return {}, f"its outputs were not read: {error}"
    return {channel: found.volts[readback_of(channel)] for channel in readable}, ""
