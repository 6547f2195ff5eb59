"""A share of the campaign `transistor_hidden`."""

import numpy as np
import pytest
from transistor_hidden import NAME, Engine, OneSolution, Perceptron, accuracy, of_bench, trained
from transistor_tasks import own_split

import hwlearn as hl
from hwlearn.learning.rules.rule import GradientRequest

EPOCHS = 6


@pytest.mark.slow
def test_hidden_nodes_learn_digits_in_a_few_epochs(figure):
    with hl.open_bench(NAME) as bench:
        rows = own_split(np.asarray(bench.data.targets), 100)
    used = np.setdiff1d(rows["train"], rows["validation"])
    bench, network = trained(used, 100, EPOCHS)
    found = accuracy(bench, network, rows["validation"])
    figure(f"{NAME}, {EPOCHS} of {bench.file.train.epochs} epochs, validation rows of split 100: {found:.3f}")
    assert found >= 0.93


@pytest.mark.slow
def test_rule_of_the_campaign_is_the_analytic_rule_on_a_perfect_network():
    with hl.open_bench(NAME) as bench:
        trainer, data = bench.trainer(), bench.data
        network = Engine(bench)
    request = GradientRequest(network, trainer.model, data.inputs[:16], data.targets[:16], trainer.cost)
    own, asked = OneSolution().gradient(request), hl.Analytic().gradient(request)
    np.testing.assert_allclose(own.values, asked.values, rtol=1e-6, atol=1e-9 * np.abs(asked.values).max())


def test_gradient_of_the_sparse_perceptron_agrees_with_differences():
    rng = np.random.default_rng(0)
    one = Perceptron(of_bench(), rng)
    x, y = rng.random((8, 64)), rng.integers(0, 10, 8)

    def cost():
        scores, _ = one.scores(x)
        return np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(8), y])

    for part, gradient in zip(one.weights, one.gradient(x, y), strict=True):
        place = np.unravel_index(np.abs(gradient).argmax(), part.shape)
        kept = part[place]
        above, below = (part.__setitem__(place, kept + h) or cost() for h in (1e-6, -1e-6))
        part[place] = kept
        assert gradient[place] == pytest.approx((above - below) / 2e-6, rel=1e-5)
