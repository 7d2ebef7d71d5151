"""ABCD: unbiased for independent scores, biased as computed for others, and mended by training."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.methods.search.abcd import ABCD
from colliderkit.methods.search.double_disco import ABCDisCoTEC
from colliderkit.methods.search.plane import (
    Counts,
    checks,
    cut_counts,
    likelihood_ratio,
    strength_of,
)
from colliderkit.metrics.roc import auc
from colliderkit.sources.toys.abcd import AbcdToy
from colliderkit.training.settings import Training

TOY = AbcdToy()
CUTS = (0.8, 1.0)
CORRELATED = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])


def poisson(expected: Floats, toys: int, seed: int) -> list[Counts]:
    random = np.random.default_rng(seed)
    return [Counts(n, n) for n in random.poisson(expected, (toys, 2, 2)).astype(float)]


def test_the_pair_is_independent_and_shares_the_separation() -> None:
    pair = TOY.pair()
    np.testing.assert_allclose(pair.T @ TOY.covariance @ pair, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(np.array(TOY.shift) @ pair, TOY.separation / np.sqrt(2))
    assert TOY.nonclosure(pair, CUTS) == pytest.approx(0, abs=1e-4)
    x, label = TOY.sample(100_000, 100_000, 1)
    found = auc((x @ pair)[:, 0], label)
    assert found.value == pytest.approx(TOY.independent_auc, abs=5 * found.error)


@pytest.mark.statistical
def test_independent_scores_give_an_unbiased_estimate_with_honest_errors(seed: int) -> None:
    toys = poisson(5_000 * TOY.regions(TOY.pair(), CUTS), 2_000, seed)
    errors = [np.hypot(c.expected.error, c.observed**0.5) for c in toys]
    gaps = np.array([c.observed - c.expected.value for c in toys])
    pulls = gaps / np.array(errors)
    # Of about 170 events: the error of a count follows its fluctuation, which skews by a tenth.
    assert pulls.mean() == pytest.approx(0, abs=0.05 + 4 / len(pulls) ** 0.5)
    assert pulls.std() == pytest.approx(1, abs=0.03 + 4 / (2 * len(pulls)) ** 0.5)


@pytest.mark.statistical
def test_correlated_scores_are_biased_as_computed(seed: int) -> None:
    exact = TOY.nonclosure(CORRELATED, CUTS)
    assert exact > 1
    x, _ = TOY.sample(200_000, 0, [seed, 2])
    found = Counts.of(x @ CORRELATED, np.ones(len(x)), CUTS).closure
    assert found.value == pytest.approx(exact, abs=5 * found.error)


def test_the_significance_is_the_test_of_independence() -> None:
    n = np.array([[900.0, 210.0], [180.0, 70.0]])
    g = chi2_contingency(n, correction=False, lambda_="log-likelihood").statistic
    assert likelihood_ratio(n) == pytest.approx(g)
    # What may not close costs significance; without a limit nothing is left.
    values = [likelihood_ratio(n, closure) for closure in (0.01, 0.1, 0.5, 5.0)]
    assert g > values[0] > values[1] > values[2] > values[3] > 0
    assert values[-1] < 0.1
    assert likelihood_ratio(np.outer([90, 10], [80.0, 20]) / 100) == pytest.approx(0, abs=1e-9)


@pytest.mark.statistical
def test_the_significance_is_normal_without_a_signal(seed: int) -> None:
    toys = poisson(3_000 * TOY.regions(TOY.pair(), CUTS), 1_000, seed)
    q = np.array([likelihood_ratio(c.sums) for c in toys])
    # chi2 of one degree of freedom: mean 1, variance 2.
    assert q.mean() == pytest.approx(1, abs=0.05 + 4 * (2 / len(q)) ** 0.5)


@pytest.mark.statistical
def test_the_strength_counts_the_signal_that_leaks(seed: int) -> None:
    background = 5_000 * TOY.regions(TOY.pair(), CUTS)
    signal = np.array([[10.0, 30.0], [25.0, 90.0]])
    exact = Counts(background + signal, background + signal)
    assert strength_of(exact, Counts(signal, signal)).value == pytest.approx(1, rel=1e-3)
    # Without the leak in B, C and D the excess would be taken for less.
    assert exact.observed - exact.expected.value < signal[1, 1]
    found = [
        strength_of(c, Counts(signal, signal)) for c in poisson(background + signal, 1_000, seed)
    ]
    pulls = np.array([(mu.value - 1) / mu.error for mu in found])
    assert pulls.mean() == pytest.approx(0, abs=0.1 + 4 / len(pulls) ** 0.5)
    assert pulls.std() == pytest.approx(1, abs=0.05 + 4 / (2 * len(pulls)) ** 0.5)


def test_validation_regions_hold_no_event_of_a() -> None:
    x, _ = TOY.sample(20_000, 0, 3)
    scores = x @ TOY.pair()
    found = checks(scores, np.ones(len(x)), CUTS, 3)
    assert [check.axis for check in found] == ["x"] * 3 + ["y"] * 3
    below = [(scores[:, axis] < CUTS[axis]).sum() for axis in (0, 1)]
    for check in found:
        assert check.counts.sums.sum() == below["xy".index(check.axis)]
        assert check.boundary < CUTS["xy".index(check.axis)]
        closure = check.counts.closure
        assert abs(closure.value) < 4 * closure.error


def test_counts_at_many_cuts_are_those_at_each() -> None:
    x, _ = TOY.sample(500, 0, 4)
    scores, weight = x[:, :2], np.linspace(0.5, 2, 500)
    edges = np.array([-0.5, 0.2, 1.1]), np.array([0.0, 0.9])
    table = cut_counts(scores, weight, edges)
    for i, cut_x in enumerate(edges[0]):
        for j, cut_y in enumerate(edges[1]):
            np.testing.assert_allclose(
                table[i, j], Counts.of(scores, weight, (cut_x, cut_y)).sums, rtol=1e-9
            )


def test_cuts_follow_the_expected_significance() -> None:
    x, label = TOY.sample(40_000, 40_000, 5)
    weight = np.where(label == 1, 100 / 40_000, 1.0)
    method = ABCD().fit(x @ TOY.pair(), label, weight=weight)
    found = method.signal_, method.background_

    def expected(cuts: Floats) -> float:
        shares = 40_000 * TOY.regions(TOY.pair(), tuple(cuts))
        moved = AbcdToy(TOY.correlation).regions(TOY.pair(), tuple(cuts - TOY.separation / 2**0.5))
        return likelihood_ratio(shares + 100 * moved) ** 0.5

    best = max(
        expected(np.array([a, b])) for a in np.linspace(0, 3, 16) for b in np.linspace(0, 3, 16)
    )
    assert expected(method.cuts_) > 0.9 * best
    assert found[0] is not None
    assert found[0].sums.sum() == pytest.approx(100)
    assert method.estimate(x[label == 0] @ TOY.pair()).contamination == pytest.approx(
        (1 + found[0].sums[1, 0] / found[1].sums[1, 0])
        * (1 + found[0].sums[0, 1] / found[1].sums[0, 1])
        / (1 + found[0].sums[0, 0] / found[1].sums[0, 0])
        - 1
    )


@pytest.mark.slow
@pytest.mark.statistical
def test_training_makes_scores_that_close(seed: int) -> None:
    """Unconstrained scores are one score; a limit on both terms makes two. The median of three."""
    x, label = TOY.sample(16_000, 8_000, [seed, 6])
    test, truth = TOY.sample(50_000, 10_000, [seed, 7])
    training = Training(epochs=20, batch_size=1_024, learning_rate=3e-3)

    def trained(limits: dict[str, float | None], seed: int) -> tuple[float, float, float]:
        method = ABCDisCoTEC(shares=(0.5, 0.7, 0.8), training=training, **limits)
        try:
            scores = method.fit(x, label, seed=seed, progress=False).scores(test)
        except InputError:  # no cuts: a training that ends so is the worst of the three
            return np.inf, 0.0, 0.0
        found = Counts.of(scores[truth == 0], np.ones(50_000), method.cuts_).closure
        areas = [auc(scores[:, k], truth).value for k in (0, 1)]
        return abs(found.value), min(areas), max(areas)

    none = trained({"correlation": None, "nonclosure": None}, seed)
    assert none[0] > 3
    assert none[1] == pytest.approx(TOY.best_auc, abs=0.01)
    both = np.median([trained({"nonclosure": 0.05}, seed + k) for k in range(3)], axis=0)
    assert both[0] < 1
    # Two linear scores would have the independent AUC each; the short training loses some.
    assert both[1] > TOY.independent_auc - 0.1
    assert both[2] < TOY.best_auc


@pytest.mark.parametrize(
    ("method", "args", "sentence"),
    [
        (ABCD(), (np.zeros((9, 3)),), "have 3 columns; ABCD takes two scores"),
        (ABCD(), (np.random.default_rng(1).random((9, 2)),), "cuts are chosen by a signal"),
        (ABCD(cuts=(0.5,)), (np.zeros((9, 2)),), "cuts has 1 numbers"),
        (ABCD(cuts=(0.5, 0.5)), (np.zeros((9, 2)),), "region B has no events"),
        (ABCD(), (np.zeros((9, 2)), np.arange(9)), "that of event 2 .counted from 0. is 2"),
        (ABCD(), (np.zeros((9, 2)), np.ones(9)), "no background among the events"),
        (ABCDisCoTEC(), (np.zeros((9, 2)), np.zeros(9)), "y: has one class"),
    ],
)
def test_what_cannot_be_estimated_is_said(method, args, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        method.fit(*args, progress=False)


def test_data_with_an_empty_region_is_refused() -> None:
    x, _ = TOY.sample(2_000, 0, 8)
    method = ABCD(cuts=CUTS).fit(x @ TOY.pair())
    with pytest.raises(InputError, match="region B has no events"):
        method.estimate(np.full((5, 2), 3.0))
