"""A campaign of configurations: proposes the next, takes its readings, fits; it can be stored and gone on with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

import numpy as np

from hwlearn.arrays import BoolArray
from hwlearn.calibration.estimation.converter_fit import ConverterFit
from hwlearn.calibration.estimation.design import Bench, Design, excitation, random_configuration
from hwlearn.calibration.estimation.edge_fit import EdgeFit, common_scale_sigma, scale_is_known
from hwlearn.calibration.estimation.excitation import Excitation, Readings
from hwlearn.calibration.estimation.posterior import Misfit, Noise, Posterior, estimate
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.unknowns import CONVERTER_BLOCKS, Layout, Prior, Spreads
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import SetupError
from hwlearn.network.network import Network

_CANDIDATES: Final = 8
"""Random configurations among which the most telling is taken."""

_UNSTATED_VOLTS: Final = 1e-3
"""Read noise that the first design supposes where nothing was read yet and nobody stated it."""


@dataclass(frozen=True, eq=False)
class CampaignSettings:
    """What a campaign was started with; see `estimate_edges`."""

    patterns: int = 24
    seed: int = 0
    design: Design = "information"
    read_sigma: float | None = None
    current_sigma: float | None = None
    spreads: Spreads = field(default_factory=Spreads)
    converters: ConverterFit | None = None

    def __post_init__(self) -> None:
        if self.patterns < 1:
            raise SetupError(f"patterns is {self.patterns}; at least 1 must be measured in a configuration")
        if self.design not in ("information", "random"):
            raise SetupError(f"design is {self.design!r}; it must be 'information' or 'random'")
        for name in ("read_sigma", "current_sigma"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SetupError(f"{name} is {value}; it must be positive and finite")


class EdgeCampaign:
    """Configurations measured so far, and what to measure next.

    Parameters
    ----------
    bench : Bench
        Circuit, limits, drives.
    settings : CampaignSettings
    readings : sequence of Readings
        What was measured before.

    Examples
    --------
    ::

        campaign = EdgeCampaign.of(network, model)
        while len(campaign.readings) < 16:
            campaign.add(campaign.next().measure(network))
            store(campaign.state())
        fit = campaign.fit()
    """

    def __init__(self, bench: Bench, settings: CampaignSettings, readings: Sequence[Readings] = ()) -> None:
        self.bench, self.settings = bench, settings
        self._layout = Layout.of(bench.topology, settings.spreads.edge_offset_S is not None)
        self._readings: tuple[Readings, ...] = ()
        self._posterior: Posterior | None = None
        for one in readings:
            self.add(one)

    @classmethod
    def of(
        cls,
        network: Network,
        model: Kirchhoff,
        *,
        patterns: int = 24,
        seed: int = 0,
        converters: ConverterFit | None = None,
        read_sigma: float | None = None,
        current_sigma: float | None = None,
        spreads: Spreads | None = None,
        nudge_siemens: float | None = None,
        dac_step_V: float | None = None,
        design: Design = "information",
    ) -> Self:
        """Return a new campaign on a network; nothing is measured yet. Parameters as `estimate_edges`.

        Raises
        ------
        SetupError
            If a setting is wrong, or the model is of another network.
        """
        settings = CampaignSettings(
            patterns, seed, design, read_sigma, current_sigma, spreads or Spreads(), converters
        )
        return cls(bench_of(network, model, nudge_siemens, dac_step_V), settings)

    @classmethod
    def from_state(cls, network: Network, model: Kirchhoff, state: Mapping[str, Any]) -> Self:
        """Return the campaign that `state` described, to go on with.

        Raises
        ------
        SetupError
            If the state is damaged, or of another network.
        """
        if state.get("topology") != model.topology.fingerprint:
            raise SetupError("this campaign was measured on another network; start a new one")
        try:
            stored = dict(state["settings"])
            stored["spreads"] = Spreads(**stored["spreads"])
            if stored["converters"] is not None:
                stored["converters"] = ConverterFit.from_state(stored["converters"])
            settings = CampaignSettings(**stored)
            readings = [Readings.from_state(one) for one in state["readings"]]
            bench = bench_of(network, model, state["nudge_siemens"], state["dac_step_V"])
        except (KeyError, TypeError) as error:
            raise SetupError(f"the stored campaign is damaged ({error}); start a new one") from error
        return cls(bench, settings, readings)

    def state(self) -> dict[str, Any]:
        """Return everything as plain data (numbers, text, lists, dicts, None), for JSON."""
        s = self.settings
        return {
            "topology": self.bench.topology.fingerprint,
            "nudge_siemens": self.bench.nudge_siemens,
            "dac_step_V": self.bench.dac_step_V,
            "settings": {
                "patterns": s.patterns,
                "seed": s.seed,
                "design": s.design,
                "read_sigma": s.read_sigma,
                "current_sigma": s.current_sigma,
                "spreads": asdict(s.spreads),
                "converters": None if s.converters is None else s.converters.state(),
            },
            "readings": [one.state() for one in self._readings],
        }

    @property
    def readings(self) -> tuple[Readings, ...]:
        """What was measured so far, one a configuration."""
        return self._readings

    def next(self) -> Excitation:
        """Return what to program and measure next: the same again until readings are added.

        It follows from the seed and the readings so far, so that a resumed campaign goes the same way.
        """
        number = len(self._readings)
        rng = np.random.default_rng([self.settings.seed, number])
        spare = self.settings.design == "information"
        posterior = self._fitted() if number and spare else None
        prior = self._prior()
        mean = prior.mean if posterior is None else posterior.mean
        covariance = np.diag(prior.sigma**2) if posterior is None else posterior.covariance
        stuck = self._stuck()
        best: Excitation | None = None
        for _ in range(_CANDIDATES if spare else 1):
            g = random_configuration(self.bench.limits, self._layout.n_edges, rng)
            model = EdgeModel(self.bench.topology, self._layout, np.where(stuck, self._middle(), g))
            one = excitation(
                self.bench,
                model,
                mean,
                covariance,
                self._sigma(),
                self.settings.patterns,
                rng,
                self.settings.design,
            )
            one = replace(one, conductances=g)
            if best is None or one.expected_information > best.expected_information:
                best = one
        if best is None:
            raise SetupError("no configuration was considered")
        return best

    def add(self, readings: Readings) -> None:
        """Take the readings of one configuration.

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
        """Return what the readings tell so far.

        Raises
        ------
        SetupError
            If nothing was measured yet, or no read noise is known.
        """
        if not self._readings:
            raise SetupError("nothing was measured yet; add the readings of at least one configuration")
        found, stuck = self._fitted(), self._stuck()
        if not found.prior.groups["edges"].members.size:
            raise SetupError("no edge of this network moves when it is programmed; check the programmer")
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
            chi2_per_dof=_per_dof(found.volts_misfit),
            noise_factor=found.noise.volts_factor,
            current_chi2_per_dof=_per_dof(found.amperes_misfit),
            current_noise_factor=found.noise.amperes_factor,
            configurations=len(self._readings),
            rows=found.volts_misfit.rows + found.amperes_misfit.rows,
        )

    # --- what it rests on -----------------------------------------------------------------------------

    def _fitted(self) -> Posterior:
        if self._posterior is None:
            self._posterior = estimate(self._models(), self._readings, self._prior(), self._noise())
        return self._posterior

    def _models(self) -> list[EdgeModel]:
        stuck, middle = self._stuck(), self._middle()
        return [
            EdgeModel(self.bench.topology, self._layout, np.where(stuck, middle, one.reached))
            for one in self._readings
        ]

    def _prior(self) -> Prior:
        low, high = np.log(self.bench.limits.conductance)
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
        low, high = self.bench.limits.conductance
        return math.sqrt(low * high)

    def _noise(self) -> Noise:
        return Noise(self.settings.read_sigma, self.settings.current_sigma, self.bench.applied_sigma)

    def _sigma(self) -> tuple[float, float | None]:
        """Return the uncertainty of a voltage and of a current reading as far as it is known now."""
        if not self._readings:
            return self.settings.read_sigma or _UNSTATED_VOLTS, None
        noise = self._noise() if self._posterior is None else self._posterior.noise
        last = self._readings[-1]
        read = any(readout.source_currents is not None for readout in last.readouts)
        return noise.of_volts(last.readouts[0].voltage_sigma), noise.of_amperes(last) if read else None


def _per_dof(misfit: Misfit) -> float:
    return misfit.chi2 / misfit.dof if misfit.dof > 0 else math.nan


def bench_of(
    network: Network, model: Kirchhoff, nudge_siemens: float | None = None, dac_step_V: float | None = None
) -> Bench:
    """Return what a design must respect on a network.

    Raises
    ------
    SetupError
        If the model's circuit does not have the network's edges and terminals.
    """
    mine, top = model.topology, network.topology
    same = (
        mine.n_nodes == top.n_nodes
        and np.array_equal(mine.edges, top.edges)
        and np.array_equal(mine.inputs, top.inputs)
        and np.array_equal(mine.outputs, top.outputs)
        and mine.ground == top.ground
    )
    if not same:
        raise SetupError("the model's circuit has other nodes, edges or terminals than the network")
    for name, value in (("nudge_siemens", nudge_siemens), ("dac_step_V", dac_step_V)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise SetupError(f"{name} is {value}; it must be positive and finite")
    return Bench(mine, network.limits, network.nudges, nudge_siemens, dac_step_V, network.resolution)
