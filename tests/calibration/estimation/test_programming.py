"""Programming noise is estimated with the gains, and distinguished from errors of the model."""

from dataclasses import replace

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibration.edges import CampaignSettings, EdgeCampaign, estimate_edges
from hwlearn.calibration.estimation.elimination import Elimination
from hwlearn.calibration.estimation.unknowns import Prior, Spreads, Unknowns
from hwlearn.calibration.estimation.whitening import Block
from hwlearn.errors import SetupError
from hwlearn.lab.calibration.verdicts import edge_verdict
from hwlearn_sim import KirchhoffTwin

VOLTAGES = {"nudges": (), "current_readout": False}
CURRENTS = {"nudges": ("clamp", "current"), "current_readout": True}
RANDOM = CampaignSettings(design="random")
SMALL = (10, 16, 4, 3)


class Swapped(KirchhoffTwin):
    """A bench whose edges 3 and 7 have each other's address."""

    def _program(self, conductances):
        order = np.arange(len(conductances))
        order[[3, 7]] = 7, 3
        done = super()._program(conductances[order])
        return replace(done, reached=done.reached[order])


class Stuck(KirchhoffTwin):
    """A bench that does not notice that edge 5 never moves."""

    def _program(self, conductances):
        done = super()._program(conductances)
        true = self._truth.conductances.copy()
        true[5] = 2e-5
        self._truth = self._truth.with_conductances(true)
        return done


@pytest.fixture
def fit_of(bench_limits, raw_flaws):
    """Return a function that estimates the edges of a bench of a class with programming noise."""

    def fit(kind, write_noise, options=CURRENTS, seed=1, wire=None):
        top = hl.Topology.random(*SMALL[:2], inputs=SMALL[2], outputs=SMALL[3], seed=100 + seed)
        real = top
        if wire is not None:
            real = hl.Topology(
                top.n_nodes, top.edges, top.inputs, top.outputs, top.ground, fixed_edges=[wire],
                fixed_conductances=[1e-5],
            )  # fmt: skip
        twin = kind(real, bench_limits, raw_flaws(write_noise=write_noise), seed=seed, **options)
        return estimate_edges(twin, hl.Kirchhoff(top, np.full(top.n_edges, 5e-5)), RANDOM, 5)

    return fit


@pytest.mark.parametrize("edges", [3, 40])
def test_elimination_equals_the_joint_least_squares_solution(edges):
    """Deviations as unknowns of their own give the same step, covariance, deviations and likelihood."""
    rng, layout, tau = np.random.default_rng(edges), Unknowns(edges, 2, 1), 0.3
    prior = Prior.of(layout, Spreads(), np.zeros(edges, bool), 1.0)
    J = [rng.normal(size=(12, layout.size)) for _ in range(3)]
    r = [rng.normal(size=12) for _ in range(3)]
    d = 0.1 * rng.normal(size=(3, edges))
    blocks = [Block(b, A, np.arange(12) > 7, np.array([8.0, 4.0])) for A, b in zip(J, r, strict=True)]
    x = 0.1 * rng.normal(size=layout.size)
    linear = Elimination(blocks, d, np.arange(edges))
    found = linear.solve(tau, prior, x)

    whole = np.zeros((36, layout.size + 3 * edges))
    for c in range(3):
        whole[12 * c : 12 * c + 12, : layout.size] = J[c]
        whole[12 * c : 12 * c + 12, layout.size + c * edges : layout.size + (c + 1) * edges] = J[c][:, :edges]
    precision = np.concatenate([prior.sigma**-2, np.full(3 * edges, tau**-2)])
    matrix = whole.T @ whole + np.diag(precision)
    gradient = whole.T @ np.concatenate(r) - precision * np.concatenate([x - prior.mean, d.ravel()])
    step = np.linalg.solve(matrix, gradient)
    np.testing.assert_allclose(found.step, step[: layout.size], atol=1e-9)
    np.testing.assert_allclose(
        found.covariance, np.linalg.inv(matrix)[: layout.size, : layout.size], rtol=1e-7, atol=1e-12
    )
    turned = linear.deviations(tau, found.step)
    np.testing.assert_allclose((turned - d).ravel(), step[layout.size :], atol=1e-9)
    hat = np.einsum("ij,jk,ik->i", whole, np.linalg.inv(matrix), whole)
    current = np.tile(np.arange(12) > 7, 3)
    np.testing.assert_allclose(linear.used(tau, found.covariance), [hat[~current].sum(), hat[current].sum()])

    def likelihood(one):
        """-2 log of the marginal density of the readings, linearised to no deviations."""
        off = np.concatenate([b + A[:, :edges] @ e for A, b, e in zip(J, r, d, strict=True)])
        off = off + np.concatenate(J) @ (x - prior.mean)
        wide = np.concatenate(J) * prior.sigma
        covariance = np.eye(36) + wide @ wide.T
        for c in range(3):
            part = slice(12 * c, 12 * c + 12)
            covariance[part, part] += one**2 * J[c][:, :edges] @ J[c][:, :edges].T
        return off @ np.linalg.solve(covariance, off) + np.linalg.slogdet(covariance)[1]

    other = linear.solve(0.1, prior, x)
    assert other.cost - found.cost == pytest.approx(likelihood(0.1) - likelihood(tau))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(VOLTAGES, id="voltages"),
        pytest.param(CURRENTS, id="currents", marks=pytest.mark.slow),
    ],
)
def test_programming_noise_is_found_and_trusted(fit_of, options):
    fit = fit_of(KirchhoffTwin, 0.02, options)
    assert abs(fit.programming.sigma - 0.02) < 4 * fit.programming.sigma_error
    assert fit.programming.is_significant
    assert fit.repeats.agrees
    assert fit.noise_factor == fit.current_noise_factor == 1
    assert edge_verdict(fit, 0.01)[0]
    assert "one programming of an edge deviates by" in edge_verdict(fit, 0.01)[1]
    np.testing.assert_allclose(
        fit.programmed_sigma, fit.gains * np.hypot(fit.gain_sigma / fit.gains, fit.programming.sigma)
    )


def test_bench_that_repeats_needs_no_repeat(fit_of):
    fit = fit_of(KirchhoffTwin, 0.0)
    assert not fit.programming.is_significant
    assert fit.programming.sigma < 5e-4
    assert fit.repeats is None
    assert fit.configurations == 5
    passed, verdict = edge_verdict(fit, 0.01)
    assert passed
    assert "programming repeats within 0.0" in verdict


@pytest.mark.parametrize(
    ("kind", "write_noise"),
    [
        (Stuck, 0.005),
        pytest.param(Stuck, 0.0, marks=pytest.mark.slow),
        pytest.param(Swapped, 0.0, marks=pytest.mark.slow),
        pytest.param(Swapped, 0.005, marks=pytest.mark.slow),
    ],
)
def test_error_of_the_model_is_not_taken_for_programming_noise(fit_of, kind, write_noise):
    fit = fit_of(kind, write_noise, VOLTAGES)
    passed, verdict = edge_verdict(fit, 0.01)
    assert not passed
    assert "programmed twice" in verdict


@pytest.mark.slow
def test_wire_that_the_model_lacks_is_not_taken_for_programming_noise(fit_of):
    fit = fit_of(KirchhoffTwin, 0.005, VOLTAGES, wire=(0, 5))
    assert not edge_verdict(fit, 0.01)[0]
    assert fit.repeats.sigma < 0.02 < fit.programming.sigma


def test_noise_estimated_from_few_readings_is_not_exact(raw_bench):
    """A read noise that is 20 % too small is a misfit only if it is known well."""
    twin, model = raw_bench(1, SMALL, VOLTAGES)
    verdicts = {}
    for count in (None, 30):
        settings = CampaignSettings(read_sigma=0.8e-3, noise_readings=count, design="random")
        verdicts[count] = edge_verdict(estimate_edges(twin, model, settings, 5), 0.01)
    assert not verdicts[None][0]
    assert "times their noise" in verdicts[None][1]
    assert verdicts[30][0]


def test_repeat_is_recognised_after_storing(raw_bench):
    twin, model = raw_bench(2, SMALL, VOLTAGES, write_noise=0.02)
    campaign = EdgeCampaign.of(twin, model, RANDOM)
    for _ in range(3):
        campaign.add(campaign.next().measure(twin))
    campaign.add(campaign.again(1).measure(twin))
    resumed = EdgeCampaign.from_state(twin, model, campaign.state())
    assert campaign.fit().repeats == resumed.fit().repeats
    assert campaign.fit().repeats.misfit.dof > 3
    with pytest.raises(SetupError, match="no configuration 9 to repeat"):
        campaign.again(9)
