"""Resistances of the wire segments of a crossbar, and of its sources, from readings at the terminals.

Voltages and currents at the line ends depend on the wires, which do not change when the devices are programmed,
and on the devices, which do. Several configurations are measured and all unknowns are fitted jointly, as the step
``edges`` does: one resistance for the segments of the rows and one for those of the columns, deviations from
segment to segment, the resistance of each source, the gain of every device, and the converters. Every second
configuration has all devices near the upper end of their range, where the wires carry the largest currents.

What can be separated: the source of a row is in series with the first segment of that row only, and the devices
along the row see the further segments, so both are determined. Nothing is assumed about the sources: where the
readings do not tell them from the wires, the uncertainty of the wires is large. The last segment of a column
carries current only while its end is clamped or nudged; it is determined because all segments of a kind are
alike. Voltages do not change when all conductances are multiplied and all resistances divided by one number:
without a current, the wires are known relative to the mean conductance of the devices, and their uncertainty
contains that of this mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from hwlearn.calibration.edges import CampaignProgress, CampaignSettings, EdgeFit, estimate_edges
from hwlearn.calibration.lines import NotMeasurableError
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.network import Network

CONFIGURATIONS: Final = 6
"""Number of configurations for the wires alone."""

MOST_DEVICES: Final = 2048
"""Largest number of devices; time and memory of a joint fit grow as its third and second power."""


def measure_wires(
    network: Network,
    settings: CampaignSettings | None = None,
    configurations: int = CONFIGURATIONS,
    progress: Callable[[CampaignProgress], None] | None = None,
) -> EdgeFit:
    """Measure the wires of a crossbar; the network is left in the last configuration.

    Parameters
    ----------
    network : Network
        Its topology declares the wires; declared resistances are starting values only.
    settings : CampaignSettings, optional
    configurations : int
        Number of configurations to program.
    progress : callable, optional
        Called after each configuration.

    Returns
    -------
    EdgeFit
        With ``wires``.

    Raises
    ------
    NotMeasurableError
        If the network is no crossbar with wire resistance, or has too many devices.
    SetupError
        If the read noise is unknown.
    LimitError, ComplianceError, NetworkError
        From the network.
    """
    top = network.topology
    if top.wires is None:
        raise NotMeasurableError("the network declares no crossbar with wire resistance")
    if top.n_edges > MOST_DEVICES:
        raise NotMeasurableError(
            f"the wires are fitted jointly with all devices, at most {MOST_DEVICES}, but there are {top.n_edges}; "
            "measure a smaller array with the same lines, and declare its wire_resistance"
        )
    chosen = CampaignSettings() if settings is None else settings
    model = Kirchhoff(top, np.full(top.n_edges, network.limits.conductance[1]))
    return estimate_edges(network, model, replace(chosen, design="random"), configurations, progress)
