"""Accuracy, pairs of classes and the confusion matrix."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score

from colliderkit.errors import InputError
from colliderkit.metrics import (
    accuracy,
    auc,
    auc_of_classes,
    best_accuracy,
    confusion,
    one_against,
    roc,
)


@pytest.fixture
def three():
    """Scores (N, 3) that know something, labels and weights."""
    random = np.random.default_rng(0)
    label = random.integers(3, size=900)
    logit = random.normal(size=(900, 3)) + 1.3 * np.eye(3)[label]
    score = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
    return score, label, random.exponential(size=900)


def test_accuracy_by_hand():
    value = accuracy([0.9, 0.5, 0.4, 0.6], [1, 1, 1, 0])
    assert value.value == 0.5
    assert value.error == pytest.approx(math.sqrt(0.5 * 0.5 / 4))
    assert accuracy([0.9, 0.5, 0.4, 0.6], [1, 1, 1, 0], threshold=0.3).value == 0.75
    assert accuracy([0.9, 0.5, 0.4, 0.6], [1, 1, 1, 0], weight=[3, 1, 1, 1]).value == 4 / 6


def test_accuracy_of_classes_is_that_of_scikit_learn(three):
    score, label, weight = three
    guess = score.argmax(1)
    assert accuracy(score, label).value == pytest.approx(accuracy_score(label, guess))
    weighted = accuracy_score(label, guess, sample_weight=weight)
    assert accuracy(score, label, weight).value == pytest.approx(weighted)


def test_best_accuracy_is_the_best_of_all_thresholds():
    random = np.random.default_rng(1)
    label = (random.random(300) < 0.2).astype(int)
    score = 0.3 * random.random(300) + 0.1 * label
    best, threshold = best_accuracy(score, label)
    every = [accuracy(score, label, threshold=t).value for t in [*score, np.inf]]
    assert best.value == pytest.approx(max(every), abs=1e-15)
    assert accuracy(score, label, threshold=threshold) == best


def test_auc_of_classes_is_that_of_scikit_learn(three):
    score, label, weight = three
    pairs = roc_auc_score(label, score, multi_class="ovo")
    assert auc_of_classes(score, label) == pytest.approx(pairs, abs=1e-12)
    rest = roc_auc_score(label, score, multi_class="ovr", sample_weight=weight)
    ours = auc_of_classes(score, label, weight, how="one-vs-rest")
    assert ours == pytest.approx(rest, abs=1e-12)


def test_one_against_another_is_the_likelihood_ratio(three):
    score, label, weight = three
    kept = label != 2
    ratio = score[kept, 1] / score[kept, 0]
    expected = auc(ratio, label[kept] == 1, weight[kept])
    assert one_against(score, label, 1, 0, weight).auc == expected
    # Against all others, with scores that sum to one, the discriminant is the score itself.
    ours = one_against(score, label, 2).auc.value
    assert ours == pytest.approx(auc(score[:, 2], label == 2).value, abs=1e-12)


def test_one_against_for_two_classes_is_the_plain_curve(three):
    score, label, _ = three
    two = score[:, :2] / score[:, :2].sum(1, keepdims=True)
    kept = label < 2
    curve = one_against(two[kept], label[kept], 1)
    plain = roc(two[kept, 1], label[kept])
    np.testing.assert_allclose(curve.signal_efficiency, plain.signal_efficiency)


def test_classes_out_of_range_are_named(three):
    score, label, _ = three
    with pytest.raises(InputError, match="class 3 against"):
        one_against(score, label, 3)
    with pytest.raises(InputError, match="class 1 against"):
        one_against(score, label, 1, [0, 1])
    with pytest.raises(InputError, match="labels from 0 to 3 do not fit 3 columns"):
        confusion(score, np.append(label[:-1], 3))


def test_confusion_is_that_of_scikit_learn(three):
    score, label, weight = three
    matrix = confusion(score, label, weight)
    expected = confusion_matrix(label, score.argmax(1), sample_weight=weight)
    np.testing.assert_allclose(matrix.sum, expected)
    np.testing.assert_allclose(matrix.fraction.sum(1), 1)
    plain = confusion(score, label)
    size = plain.sum.sum(1, keepdims=True)
    np.testing.assert_allclose(
        plain.error, np.sqrt(plain.fraction * (1 - plain.fraction) / size), atol=1e-15
    )


def test_confusion_of_an_absent_class_is_undefined_not_zero():
    matrix = confusion(np.eye(3)[[0, 1, 1]], [0, 1, 0])
    assert np.isnan(matrix.fraction[2]).all()
    np.testing.assert_allclose(matrix.fraction[0], [0.5, 0.5, 0])


def test_accuracy_of_no_weight_is_refused():
    with pytest.raises(InputError, match="weights sum to 0"):
        accuracy([0.1, 0.9], [0, 1], [0.0, 0.0])
