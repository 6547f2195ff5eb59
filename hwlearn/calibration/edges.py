"""All edge conductances of a network from measurements at its terminals alone.

n terminals show at most n (n - 1) / 2 numbers in one configuration, so several programmed configurations are the
excitation: each edge conducts ``gain * reached`` with one unknown gain, and converters that nobody calibrated are
fitted jointly. From voltages alone the common scale of all conductances is invisible; a measured current or a
known resistor fixes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwlearn.calibration.estimation.campaign import EdgeCampaign
from hwlearn.calibration.estimation.converter_fit import ConverterFit
from hwlearn.calibration.estimation.design import Design
from hwlearn.calibration.estimation.edge_fit import EdgeFit, Prediction
from hwlearn.calibration.estimation.unknowns import Spreads
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.network import Network

__all__ = ["CampaignProgress", "EdgeCampaign", "EdgeFit", "Prediction", "estimate_edges"]


@dataclass(frozen=True)
class CampaignProgress:
    """How far a campaign has come.

    Attributes
    ----------
    configuration, configurations : int
        How many are measured, of how many.
    fit : EdgeFit
        What they tell so far.
    """

    configuration: int
    configurations: int
    fit: EdgeFit


def estimate_edges(
    network: Network,
    model: Kirchhoff,
    *,
    configurations: int = 16,
    patterns: int = 24,
    seed: int = 0,
    converters: ConverterFit | None = None,
    read_sigma: float | None = None,
    current_sigma: float | None = None,
    spreads: Spreads | None = None,
    nudge_siemens: float | None = None,
    dac_step_V: float | None = None,
    design: Design = "information",
    progress: Callable[[CampaignProgress], None] | None = None,
) -> EdgeFit:
    """Measure configurations and estimate every edge; the network is left in the last one.

    Parameters
    ----------
    network : Network
        It is programmed and measured.
    model : Kirchhoff
        Its circuit: a topology with the network's edges, terminals and nodes, and the wires that are known.
    configurations : int
        How many to program.
    patterns : int
        How many patterns to measure in each.
    seed : int
        Of the random configurations and patterns.
    converters : ConverterFit, optional
        What is known of the converters; without, they are fitted jointly.
    read_sigma, current_sigma : float, optional
        Standard uncertainty of one reading in volts and amperes, where the readouts do not state it.
    spreads : Spreads, optional
        What to expect; re-estimated from the data.
    nudge_siemens : float, optional
        The known conductance of resistor drives, to use them.
    dac_step_V : float, optional
        Step of the DACs, where it is known: patterns are then made of whole steps, and nothing is rounded.
    design : "information" or "random"
        How configurations and patterns are chosen.
    progress : callable, optional
        Called with a `CampaignProgress` after each configuration.

    Returns
    -------
    EdgeFit

    Raises
    ------
    SetupError
        If the model is of another network, or the read noise is unknown.
    LimitError, ComplianceError, NetworkError
        From the network.
    """
    campaign = EdgeCampaign.of(
        network,
        model,
        patterns=patterns,
        seed=seed,
        converters=converters,
        read_sigma=read_sigma,
        current_sigma=current_sigma,
        spreads=spreads,
        nudge_siemens=nudge_siemens,
        dac_step_V=dac_step_V,
        design=design,
    )
    while len(campaign.readings) < configurations:
        campaign.add(campaign.next().measure(network))
        if progress is not None:
            progress(CampaignProgress(len(campaign.readings), configurations, campaign.fit()))
    return campaign.fit()
