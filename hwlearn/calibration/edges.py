"""Estimate of all edge conductances of a network from measurements at its terminals.

In one configuration, n terminals give at most n (n - 1) / 2 independent numbers, so several programmed
configurations are measured. Each edge conducts ``gain * reached`` with one unknown gain; converters that are not
calibrated are fitted jointly. Voltages do not depend on the common scale of all conductances: it takes a measured
current or a known resistor to determine it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hwlearn.calibration.estimation.campaign import EdgeCampaign
from hwlearn.calibration.estimation.fits.edges import EdgeFit
from hwlearn.calibration.estimation.prediction import Prediction
from hwlearn.calibration.estimation.settings import CampaignSettings
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.network import Network

__all__ = [
    "MOST_REPEATS",
    "CampaignProgress",
    "CampaignSettings",
    "EdgeCampaign",
    "EdgeFit",
    "Prediction",
    "estimate_edges",
]

MOST_REPEATS: Final = 4
"""Largest number of configurations that are programmed a second time."""

_ENOUGH_FREEDOM: Final = 16.0
"""Degrees of freedom of the repeats with which no more are needed."""


@dataclass(frozen=True)
class CampaignProgress:
    """Progress of a campaign.

    Attributes
    ----------
    configuration, configurations : int
        Measured configurations, and their number at the end.
    campaign : EdgeCampaign
    """

    configuration: int
    configurations: int
    campaign: EdgeCampaign

    @property
    def fit(self) -> EdgeFit:
        """Estimate so far; it is computed when it is read."""
        return self.campaign.fit()


def estimate_edges(
    network: Network,
    model: Kirchhoff,
    settings: CampaignSettings | None = None,
    configurations: int = 16,
    progress: Callable[[CampaignProgress], None] | None = None,
) -> EdgeFit:
    """Measure configurations and estimate every edge; the network is left in the last configuration.

    If the readings show programming noise, up to `MOST_REPEATS` configurations are programmed a second time. Their
    readings distinguish it from errors of the model (`EdgeFit.repeats`).

    Parameters
    ----------
    network : Network
        It is programmed and measured.
    model : Kirchhoff
        Circuit with the network's edges, terminals and nodes, and with the known wires.
    settings : CampaignSettings, optional
    configurations : int
        Number of configurations to program.
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
    campaign = EdgeCampaign.of(network, model, settings)
    while len(campaign.readings) < configurations:
        campaign.add(campaign.next().measure(network))
        if progress is not None:
            progress(CampaignProgress(len(campaign.readings), configurations, campaign))
    fit = campaign.fit()
    # not the configuration that is programmed now: hardware may skip edges that are at their target already
    numbers = [k for last in range(configurations - 1, 0, -2) for k in (last - 1, last)]
    for number in numbers[:MOST_REPEATS]:
        shown = 0.0 if fit.repeats is None else fit.repeats.misfit.dof
        if not fit.programming.is_significant or shown >= _ENOUGH_FREEDOM:
            break
        campaign.add(campaign.again(number).measure(network))
        fit = campaign.fit()
    return fit
