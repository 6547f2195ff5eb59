"""Checks which SMU channel is connected to which node."""

from __future__ import annotations

from collections.abc import Mapping

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn_drivers.smu.channel import SmuChannel


def check_terminals(topology: Topology, wired: Mapping[int, str]) -> None:
    """Reject a wiring (node to channel name) that omits an input or output, or uses another node.

    Raises
    ------
    SetupError
    """
    terminals = {*topology.inputs.tolist(), *topology.outputs.tolist()}
    for node in sorted(terminals):
        if node not in wired:
            kind = "input" if node in topology.inputs else "output"
            raise SetupError(f"{kind} {topology.names[node]} has no SMU channel; add one to backend.channels")
    for node, name in wired.items():
        if node not in terminals:
            place = topology.names[node] if 0 <= node < topology.n_nodes else node
            raise SetupError(f"{name} is connected to {place}, which is neither input nor output")


def check_wiring(topology: Topology, limits: Limits, channels: Mapping[int, SmuChannel]) -> None:
    """Reject channels (by node) that omit a terminal, are used twice, or have a limit above those of the bench.

    Raises
    ------
    SetupError
    """
    check_terminals(topology, {node: channel.name for node, channel in channels.items()})
    for channel in channels.values():
        if channel.channel_limit.volts > limits.voltage or channel.channel_limit.amperes > limits.current:
            raise SetupError(f"the channel limit of {channel.name} is higher than the limits of the bench")
    if len({id(channel) for channel in channels.values()}) != len(channels):
        raise SetupError("one SMU channel is connected to two nodes")
