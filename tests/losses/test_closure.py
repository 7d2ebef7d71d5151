"""The losses of two scores: zero in the mean for independent ones, and what they are for others."""

import numpy as np
import torch

from colliderkit.losses.closure import NonClosure, PairCorrelation, double_cross_entropy
from colliderkit.losses.decorrelation import distance_correlation


def logits(events: int, correlation: float, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    covariance = [[1, correlation], [correlation, 1]]
    return torch.from_numpy(random.multivariate_normal([0, 0], covariance, events))


def test_independent_scores_have_a_mean_of_zero() -> None:
    loss, zeros = NonClosure(shares=(0.5, 0.8)), torch.zeros(400)
    found = [float(loss(logits(400, 0, s), zeros, torch.ones(400))) for s in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 300**0.5


def test_a_sharp_step_counts_the_regions() -> None:
    z, n = logits(200_000, 0.5, 1), 200_000
    found = NonClosure(shares=(0.8,), softness=1e-6)(z, torch.zeros(n), torch.ones(n))
    cuts = torch.quantile(z, 0.8, dim=0)
    deltas = []
    for half in z.split(n // 2):
        x, y = (half > cuts).double().T
        a, b, c, d = (x * y).mean(), (x * (1 - y)).mean(), ((1 - x) * y).mean(), None
        d = 1 - a - b - c
        deltas.append(2 * (a * d - b * c) / (a * d + b * c))
    torch.testing.assert_close(found, deltas[0] * deltas[1], rtol=1e-3, atol=0)


def test_the_correlation_moves_both_scores() -> None:
    z = logits(500, 0.7, 2).requires_grad_()
    found = PairCorrelation()(z, torch.zeros(500), torch.ones(500))
    x, y = torch.sigmoid(z.detach()).unbind(1)
    torch.testing.assert_close(
        found.detach().double(), distance_correlation(x, y, unbiased=True), rtol=1e-6, atol=0
    )
    (slope,) = torch.autograd.grad(found, z)
    assert (slope.abs().sum(0) > 0).all()


def test_batches_without_background_give_nothing() -> None:
    z = logits(6, 0, 3).requires_grad_()
    for loss in (NonClosure(), PairCorrelation()):
        value = loss(z, torch.ones(6), torch.ones(6))
        assert float(value.detach()) == 0
        assert not torch.autograd.grad(value, z)[0].any()


def test_two_classifiers_add() -> None:
    z, target = logits(50, 0, 4), torch.arange(50) % 2
    p = torch.sigmoid(z)
    by_hand = -torch.where(target[:, None] == 1, p.log(), (1 - p).log()).sum(1)
    torch.testing.assert_close(
        double_cross_entropy(z, target, torch.full((50,), 2.0, dtype=torch.float64)),
        2 * by_hand.mean(),
    )
