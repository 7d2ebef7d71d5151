"""ROC curves against scikit-learn, closed forms and their own errors."""

import math

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from sklearn.metrics import roc_auc_score, roc_curve

from colliderkit.errors import InputError
from colliderkit.metrics import auc, rejection, roc

SEPARATION = 2.0


def gaussians(count, seed, separation=SEPARATION):
    """Scores of background N(0, 1) and signal N(separation, 1), half and half."""
    random = np.random.default_rng(seed)
    label = np.repeat([0, 1], count)
    return random.normal(size=2 * count) + separation * label, label


def true_background(signal_efficiency, separation=SEPARATION):
    return ndtr(ndtri(signal_efficiency) - separation)


@pytest.mark.parametrize("digits", [15, 1, 0])
def test_auc_is_that_of_scikit_learn_with_ties_and_weights(digits):
    score, label = gaussians(700, 1)
    score = score.round(digits)
    weight = np.random.default_rng(2).exponential(size=len(score))
    assert auc(score, label).value == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    weighted = roc_auc_score(label, score, sample_weight=weight)
    assert auc(score, label, weight).value == pytest.approx(weighted, abs=1e-12)


def test_curve_is_that_of_scikit_learn():
    score, label = gaussians(300, 3)
    score = score.round(1)
    curve = roc(score, label)
    background, signal, threshold = roc_curve(label, score, drop_intermediate=False)
    np.testing.assert_allclose(curve.background_efficiency, background, atol=1e-15)
    np.testing.assert_allclose(curve.signal_efficiency, signal, atol=1e-15)
    np.testing.assert_array_equal(curve.threshold, threshold)


def test_auc_by_hand_with_a_tie():
    # Pairs: (3, 2) right, (3, 1) right, (2, 2) half, (2, 1) right: 3.5 of 4.
    assert auc([3, 2, 2, 1], [1, 1, 0, 0]).value == 3.5 / 4


def test_delong_error_is_the_definition():
    score, label = gaussians(60, 4)
    score = score.round(1)
    signal, background = score[label == 1], score[label == 0]
    pairs = (signal[:, None] > background) + 0.5 * (signal[:, None] == background)
    variance = pairs.mean(1).var(ddof=1) / 60 + pairs.mean(0).var(ddof=1) / 60
    assert auc(score, label).error == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_auc_of_two_gaussians():
    area = auc(*gaussians(200_000, 5))
    truth = ndtr(SEPARATION / math.sqrt(2))
    assert abs(area.value - truth) < 3 * area.error
    assert area.error < 5e-4


def test_auc_survives_a_monotone_map_and_swaps_sides():
    score, label = gaussians(500, 6)
    area = auc(score, label)
    assert auc(np.exp(3 * score), label) == area
    swapped = auc(score, 1 - label)
    assert swapped.value == pytest.approx(1 - area.value, abs=1e-14)
    assert swapped.error == pytest.approx(area.error, rel=1e-10)
    assert rejection(np.tanh(score / 9), label, 0.3) == rejection(score, label, 0.3)


def test_integer_weights_are_repeated_events():
    score, label = gaussians(400, 7)
    times = np.random.default_rng(8).integers(0, 4, size=len(score))
    repeated = np.repeat(score, times), np.repeat(label, times)
    assert auc(score, label, times).value == pytest.approx(auc(*repeated).value, abs=1e-12)
    ours, theirs = rejection(score, label, 0.4, times), rejection(*repeated, 0.4)
    assert ours.value == pytest.approx(theirs.value, rel=1e-12)
    # Repetition pretends to more events than there are; weights do not.
    assert ours.error > theirs.error


def test_a_common_factor_of_the_weights_changes_nothing():
    score, label = gaussians(400, 9)
    for scale in (1e-6, 17.0):
        weight = np.where(label == 1, scale, 3 * scale)
        assert auc(score, label, weight).error == pytest.approx(auc(score, label).error, rel=1e-9)
        ours, plain = rejection(score, label, 0.8, weight), rejection(score, label, 0.8)
        assert (ours.value, ours.error) == pytest.approx((plain.value, plain.error), rel=1e-9)


def test_negative_weights_cancel_the_events_they_stand_for():
    score, label = gaussians(300, 10)
    doubled = np.concatenate([score, score[:50], score[:50]])
    labels = np.concatenate([label, label[:50], label[:50]])
    weight = np.concatenate([np.ones(len(score)), np.ones(50), -np.ones(50)])
    assert auc(doubled, labels, weight).value == pytest.approx(auc(score, label).value, abs=1e-12)
    ours, plain = rejection(doubled, labels, 0.5, weight), rejection(score, label, 0.5)
    assert ours.value == pytest.approx(plain.value, rel=1e-12)
    assert ours.error > plain.error


def test_rejection_takes_the_tightest_cut_that_reaches_the_efficiency():
    # Falling score: S B S B S B S B S B; 2 of 5 signals are reached after 1 of 5 background.
    score, label = -np.arange(10.0), np.tile([1, 0], 5)
    assert rejection(score, label, 0.4).value == 5.0
    # 0.5 lies on the flat piece between the second and the third signal: 2 of 5 background.
    assert rejection(score, label, 0.5).value == 2.5
    assert rejection(score, label, 1.0).value == 1.25


def test_rejection_interpolates_linearly_across_a_tie():
    # One tied group holds everything: the curve is the diagonal.
    assert rejection(np.zeros(100), np.tile([0, 1], 50), 0.3).value == pytest.approx(1 / 0.3)


def test_rejection_is_exact_at_efficiencies_that_rounding_would_miss():
    # 0.3 of 1000 signals is the 300th; behind it stand 100 background events at once.
    label = np.concatenate([np.ones(300), np.zeros(100), np.ones(700), np.zeros(900)])
    label = np.insert(label, 0, 0)
    assert rejection(-np.arange(2001.0), label, 0.3).value == pytest.approx(1001)


def test_without_background_the_rejection_is_a_lower_limit():
    score = np.concatenate([np.linspace(0.6, 1, 100), np.linspace(0, 0.4, 3000)])
    limit = rejection(score, np.repeat([1, 0], [100, 3000]), 0.3)
    assert limit.lower_limit
    assert math.isnan(limit.error)
    # Of 3000 events none seen: with eps_B = 1 / limit the chance for that is 5%.
    assert (1 - 1 / limit.value) ** 3000 == pytest.approx(0.05, rel=0.01)
    assert str(limit) == "> 1001"


def pulls(toys, count, signal_efficiency, weighted=False):
    truth = 1 / true_background(signal_efficiency)
    result = []
    for seed in range(toys):
        score, label = gaussians(count, seed)
        weight = None
        if weighted:
            weight = np.random.default_rng(seed + 10**6).exponential(size=len(score))
        value = rejection(score, label, signal_efficiency, weight)
        result.append((value.value - truth) / value.error)
    return np.array(result)


@pytest.mark.parametrize("weighted", [False, True])
def test_error_of_the_rejection_is_right(weighted):
    pull = pulls(400, 5000, 0.5, weighted)
    # Five standard errors: 1 / sqrt(400) of the mean, 1 / sqrt(800) of the width.
    assert abs(pull.mean()) < 0.25
    assert abs(pull.std() - 1) < 0.18


@pytest.mark.slow
@pytest.mark.parametrize("signal_efficiency", [0.3, 0.8])
def test_pulls_of_the_rejection(signal_efficiency):
    pull = pulls(1500, 10_000, signal_efficiency)
    # The inverse of a fluctuating eps_B is skewed: the mean pull tends to -0.5 / sqrt(passing).
    passing = 10_000 * true_background(signal_efficiency)
    assert abs(pull.mean() + 0.5 / math.sqrt(passing)) < 4 / math.sqrt(1500)
    assert abs(pull.std() - 1) < 4 / math.sqrt(3000)


@pytest.mark.slow
def test_auc_and_the_square_of_its_error_are_unbiased():
    truth = ndtr(SEPARATION / math.sqrt(2))
    areas = [auc(*gaussians(1000, seed)) for seed in range(2000)]
    value = np.array([area.value for area in areas])
    assert abs(value.mean() - truth) < 4 * value.std() / math.sqrt(2000)
    claimed = np.mean([area.error**2 for area in areas])
    # The variance of 2000 toys is known to sqrt(2 / 2000).
    assert abs(value.var() / claimed - 1) < 4 * math.sqrt(2 / 2000)


@pytest.mark.parametrize(
    ("score", "label", "weight", "sentence"),
    [
        ([0.1, np.nan], [0, 1], None, "score is NaN in event 1"),
        ([0.1, 0.2], [1, 1], None, r"labels are \[1\]"),
        ([0.1, 0.2], [0, 2], None, "needs 0 and 1"),
        ([0.1, 0.2], [0, 1], [1.0, np.nan], "weight is NaN in event 1"),
        ([0.1, 0.2], [0, 1], [1.0, 0.0], "weights of the signal sum to 0"),
        ([0.1, 0.2], [0, 1], [-1.0, 1.0], "weights of the background sum to -1"),
        ([0.1, 0.2, 0.3], [0, 1], None, "shapes"),
    ],
)
def test_bad_input_is_named(score, label, weight, sentence):
    with pytest.raises(InputError, match=sentence):
        roc(score, label, weight)


@pytest.mark.parametrize("signal_efficiency", [0.0, 1.2, -1.0])
def test_efficiency_outside_the_unit_interval_is_refused(signal_efficiency):
    with pytest.raises(InputError, match="outside"):
        rejection([0.0, 1.0], [0, 1], signal_efficiency)
