"""`EdgeCampaign`: chooses the next configuration, takes its readings and fits; it can be stored and continued."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

import numpy as np

from hwlearn.arrays import BoolArray
from hwlearn.calibration.estimation.averaging import average
from hwlearn.calibration.estimation.design import Knowledge, excitation, high_configuration, random_configuration
from hwlearn.calibration.estimation.excitation import Excitation, Readings
from hwlearn.calibration.estimation.fits.converters import ConverterFit
from hwlearn.calibration.estimation.fits.edges import EdgeFit, common_scale_sigma, scale_is_known
from hwlearn.calibration.estimation.fits.wires import WireFit, with_possible_sources
from hwlearn.calibration.estimation.posterior import Posterior, estimate
from hwlearn.calibration.estimation.programming import ProgrammingNoise, RepeatedProgramming
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.settings import CampaignSettings
from hwlearn.calibration.estimation.terminals import TerminalSet
from hwlearn.calibration.estimation.unknowns import CONVERTER_BLOCKS, Prior, Unknowns
from hwlearn.calibration.estimation.whitening import Block, Noise
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import SetupError
from hwlearn.network.network import Network

_CANDIDATES: Final = 8
"""Number of random configurations of which the most informative is taken."""

_UNSTATED_VOLTS: Final = 1e-3
"""Read noise assumed for the first design where neither the hardware nor the caller states one."""


class EdgeCampaign:
    """Configurations measured so far, and the choice of the next one.

    Parameters
    ----------
    terminals : TerminalSet
    settings : CampaignSettings
    readings : sequence of Readings
        Earlier measurements.

    Examples
    --------
    ::

        campaign = EdgeCampaign.of(network, model)
        while len(campaign.readings) < 16:
            campaign.add(campaign.next().measure(network))
            store(campaign.state())
        fit = campaign.fit()
    """

    def __init__(
        self, terminals: TerminalSet, settings: CampaignSettings, readings: Sequence[Readings] = ()
    ) -> None:
        self.terminals: TerminalSet = terminals
        self.settings: CampaignSettings = settings
        self._layout = Unknowns.of(terminals.topology, settings.spreads.edge_offset_S is not None)
        self._readings: tuple[Readings, ...] = ()
        self._posterior: Posterior | None = None
        for one in readings:
            self.add(one)

    @classmethod
    def of(
        cls,
        network: Network,
        model: Kirchhoff,
        settings: CampaignSettings | None = None,
        readings: Sequence[Readings] = (),
    ) -> Self:
        """Return a campaign on a network; nothing is measured.

        Parameters
        ----------
        network : Network
        model : Kirchhoff
            Circuit of the network, including known wires.
        settings : CampaignSettings, optional
        readings : sequence of Readings
            Earlier measurements.

        Raises
        ------
        SetupError
            If the model is of another network, or a nudge conductance is wrong.
        """
        chosen = CampaignSettings() if settings is None else settings
        return cls(TerminalSet.of(network, model, chosen.nudge_siemens, chosen.dac_step_V), chosen, readings)

    @classmethod
    def from_state(cls, network: Network, model: Kirchhoff, state: Mapping[str, Any]) -> Self:
        """Return the campaign that `state` described, to continue it.

        Raises
        ------
        SetupError
            If the state is damaged, or of another network.
        """
        if state.get("topology") != model.topology.fingerprint:
            raise SetupError("this campaign was measured on another network; start a new one")
        try:
            settings = CampaignSettings.from_state(state["settings"])
            readings = [Readings.from_state(one) for one in state["readings"]]
        except (KeyError, TypeError) as error:
            raise SetupError(f"the stored campaign is damaged ({error}); start a new one") from error
        return cls.of(network, model, settings, readings)

    def state(self) -> dict[str, Any]:
        """Return the campaign as plain data (numbers, text, lists, dicts, None), for JSON."""
        return {
            "topology": self.terminals.topology.fingerprint,
            "settings": self.settings.state(),
            "readings": [one.state() for one in self._readings],
        }

    @property
    def readings(self) -> tuple[Readings, ...]:
        """Measurements so far, one entry per configuration."""
        return self._readings

    def next(self) -> Excitation:
        """Return the configuration and patterns to measure next; the same at every call until readings are added.

        The choice follows from the seed and the readings so far, so a continued campaign makes the same choices.
        """
        number = len(self._readings)
        rng = np.random.default_rng([self.settings.seed, number])
        by_information = self.settings.design == "information"
        posterior = self._fitted() if number and by_information else None
        prior = self._prior()
        known = Knowledge(
            prior.mean if posterior is None else posterior.mean,
            np.diag(prior.sigma**2) if posterior is None else posterior.covariance,
            *self._sigma(),
        )
        stuck = self._stuck()
        # wires are measured best where all devices conduct well, devices where they differ
        drawn = high_configuration if self._layout.n_lines and number % 2 == 0 else random_configuration
        best: Excitation | None = None
        for _ in range(_CANDIDATES if by_information else 1):
            g = drawn(self.terminals.limits, self._layout.n_edges, rng)
            model = EdgeModel(self.terminals.topology, self._layout, np.where(stuck, self._middle(), g))
            one = excitation(self.terminals, model, known, self.settings.patterns, rng, self.settings.design)
            one = replace(one, conductances=g)
            if best is None or one.expected_information > best.expected_information:
                best = one
        if best is None:
            raise SetupError("no configuration was considered")
        return best

    def again(self, number: int) -> Excitation:
        """Return a measured configuration with the same patterns, to program it a second time.

        Raises
        ------
        SetupError
            If there is no configuration of this number.
        """
        if not 0 <= number < len(self._readings):
            raise SetupError(f"there is no configuration {number} to repeat; {len(self._readings)} were measured")
        one = self._readings[number]
        return Excitation(np.clip(one.reached, *self.terminals.limits.conductance), one.phases)

    def add(self, readings: Readings) -> None:
        """Add the readings of one configuration.

        Raises
        ------
        SetupError
            If they do not fit the network.
        """
        if readings.reached.shape != (self._layout.n_edges,) or len(readings.phases) != len(readings.readouts):
            raise SetupError("these readings are of another network")
        self._readings = (*self._readings, readings)
        self._posterior = None

    def fit(self) -> EdgeFit:
        """Return the estimate from the readings so far.

        Raises
        ------
        SetupError
            If nothing was measured yet, or no read noise is known.
        """
        if not self._readings:
            raise SetupError("nothing was measured yet; add the readings of at least one configuration")
        stuck = self._stuck()
        found, programming = average(self._fitted())
        found = with_possible_sources(self._models()[-1], found)
        if not found.prior.groups["edges"].members.size:
            raise SetupError("no edge of this network changes when it is programmed; check the programmer")
        spread = found.prior.spread("edges")
        weight = found.determined["edges"] + found.prior.groups["edges"].weight
        edges = self._layout.blocks["log_gain"]
        scale_sigma = common_scale_sigma(found.covariance[edges, edges], stuck)
        spreads = (found.prior.spread("converter_gain"), found.prior.spread("converter_offset"))
        return EdgeFit(
            model=self._models()[-1],
            unknowns=found.mean,
            covariance=found.covariance,
            stuck=stuck,
            scale_known=scale_is_known(scale_sigma, spread, stuck),
            scale_sigma=scale_sigma,
            spread=spread,
            spread_sigma=spread / math.sqrt(2 * weight),
            converters=ConverterFit.from_unknowns(self._layout, found.mean, found.covariance, spreads),
            misfit=found.volts_misfit,
            noise_factor=found.noise.volts_factor,
            current_misfit=found.amperes_misfit,
            current_noise_factor=found.noise.amperes_factor,
            noise_readings=self.settings.noise_readings,
            programming=programming,
            repeats=self._repeated(found, programming),
            wires=WireFit.of(self._models()[-1], found),
            configurations=len(self._readings),
            rows=found.volts_misfit.rows + found.amperes_misfit.rows,
        )

    # --- parts of the estimate ------------------------------------------------------------------------

    def _fitted(self) -> Posterior:
        if self._posterior is None:
            self._posterior = estimate(self._models(), self._readings, self._prior(), self._noise())
        return self._posterior

    def _models(self) -> list[EdgeModel]:
        stuck, middle = self._stuck(), self._middle()
        return [
            EdgeModel(self.terminals.topology, self._layout, np.where(stuck, middle, one.reached))
            for one in self._readings
        ]

    def _prior(self) -> Prior:
        low, high = np.log(self.terminals.limits.conductance)
        prior = Prior.of(self._layout, self.settings.spreads, self._stuck(), float(high - low) / math.sqrt(12))
        known = self.settings.converters
        if known is None:
            return prior
        places = np.arange(self._layout.blocks[CONVERTER_BLOCKS[0]].start, self._layout.size)
        if len(known.values) != len(places):
            raise SetupError("these converters are of a network with other terminals; calibrate them again")
        return prior.knowing_jointly(places, known.values, known.covariance)

    def _stuck(self) -> BoolArray:
        stuck = np.zeros(self._layout.n_edges, dtype=bool)
        for one in self._readings:
            stuck |= one.failed
        return stuck

    def _middle(self) -> float:
        low, high = self.terminals.limits.conductance
        return math.sqrt(low * high)

    def _noise(self) -> Noise:
        given = self.settings
        return Noise(
            given.read_sigma,
            given.current_sigma,
            self.terminals.applied_sigma,
            volts_readings=given.noise_readings,
        )

    def _sigma(self) -> tuple[float, float | None]:
        """Return the uncertainties of a voltage and of a current reading as known now; None if unknown."""
        if not self._readings:
            return self.settings.read_sigma or _UNSTATED_VOLTS, None
        noise = self._noise() if self._posterior is None else self._posterior.noise
        last = self._readings[-1]
        read = any(readout.source_currents is not None for readout in last.readouts)
        return noise.of_volts(last.readouts[0].voltage_sigma), noise.of_amperes(last) if read else None

    def _repeated(self, found: Posterior, programming: ProgrammingNoise) -> RepeatedProgramming | None:
        models = self._models()

        def block(number: int) -> Block:
            return Block.of(models[number], self._readings[number], found.mean, found.noise)

        pairs = [(block(first), block(second)) for first, second in _repeats(self._readings)]
        return RepeatedProgramming.of(pairs, found.prior.groups["edges"].members, programming)


def _repeats(readings: Sequence[Readings]) -> list[tuple[int, int]]:
    """Return pairs of configurations with the same patterns: the second is a repeat of the first."""
    return [
        (first, second)
        for second in range(len(readings))
        for first in range(second)
        if readings[first].is_repeated_by(readings[second])
    ]
