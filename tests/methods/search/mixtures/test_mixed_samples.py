"""Training on mixed samples: the line of probabilities, and Gaussians whose best is known."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.methods.search.mixtures.proportions import LabelProportions
from colliderkit.methods.search.mixtures.without_labels import (
    WithoutLabels,
    principal_weights,
    retained,
)
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.roc import auc
from colliderkit.sources.toys.mixtures import GaussianClasses
from colliderkit.training.settings import Training

TOY = GaussianClasses(2)
TWO = {"gluons": 0.2, "quarks": 0.8}
FOUR = {"a": 0.3, "b": 0.8, "c": 0.2, "d": 0.6}
QUIET = {"progress": False}
TEST = TOY.sample([6000, 6000], [0, 1], 99)
# AUC is known to sqrt(.92 .08 / 6000) of either class; what a training loses comes on top.
CLOSE = 0.01


def tagger(**changes):
    training = Training(epochs=12, batch_size=256, learning_rate=1e-2)
    options = {"features": TOY.columns, "options": {"hidden": [16]}, "training": training}
    return Tagger("mlp", **(options | changes))


def exact_probabilities(fractions, shares):
    """P(a | x) of the test events."""
    ratio = np.exp(TOY.log_ratio(TEST))[:, None]
    density = np.asarray(shares) * (np.asarray(fractions) * ratio + 1 - np.asarray(fractions))
    return density / density.sum(1, keepdims=True)


def quality(score):
    return float(auc(score, TEST.truth))


def signal(method):
    return method.predict_proba(TEST)[:, 1]


def test_every_weight_that_rises_with_the_fractions_gives_the_best_curve():
    fractions, shares = list(FOUR.values()), [0.4, 0.3, 0.2, 0.1]
    probabilities = exact_probabilities(fractions, shares)
    best = quality(TOY.log_ratio(TEST))
    for weights in np.random.default_rng(1).normal(size=(30, 4)):
        covariance = np.cov(fractions, weights, aweights=shares)[0, 1]
        expected = best if covariance > 0 else 1 - best
        assert quality(probabilities @ weights) == pytest.approx(expected, abs=1e-9)


def test_the_principal_axis_of_exact_probabilities_is_that_of_the_fractions():
    fractions, shares = np.array([0.2, 0.6, 0.3, 0.8]), np.array([0.4, 0.3, 0.2, 0.1])
    # With the classes' own share among all, as the events of a training have it.
    signal_share = fractions @ shares
    random = np.random.default_rng(2)
    rows = random.choice(
        len(TEST), 8000, p=np.where(TEST.truth == 1, signal_share, 1 - signal_share) / 6000
    )
    weights = principal_weights(exact_probabilities(fractions, shares)[rows])
    # An affine function of the fractions, up to the counting of the mean of P(a | x).
    slope, offset = np.polyfit(fractions, weights, 1)
    assert slope > 0
    np.testing.assert_allclose(weights, slope * fractions + offset, atol=0.05 * slope)


def test_what_weights_retain():
    fractions = [0.2, 0.5, 0.8]
    assert retained([0, 0.5, 1], fractions, [1, 1, 1]) == pytest.approx(1)
    assert retained([3, 0, -3], fractions, [1, 1, 1]) == pytest.approx(1)
    # Two samples made of three: variance between .35 and .8 over that of all, .045 / .06.
    assert retained([0, 0, 1], fractions, [1, 1, 1]) == pytest.approx(0.75)
    assert retained([0, 1, 0], fractions, [1, 1, 1]) == pytest.approx(0)


@pytest.mark.statistical
@pytest.mark.parametrize("loss", ["absolute", "WMSE", "WCE", "likelihood"])
def test_label_proportions_find_the_classes(loss, seed):
    found = []
    for i in range(3):
        data = TOY.sample([3000] * 2, list(TWO.values()), [seed, i])
        method = LabelProportions(tagger(), fractions=TWO, loss=loss)
        found.append(quality(signal(method.fit(data, seed=seed + i, **QUIET))))
    assert np.median(found) > TOY.auc - CLOSE


@pytest.mark.statistical
def test_wrong_fractions_still_give_the_classifier(seed):
    found = []
    small = Training(epochs=2, batch_size=32, learning_rate=1e-2)  # large batches drown the choice
    for i in range(3):
        data = TOY.sample([8000] * 2, list(TWO.values()), [seed, i])
        fractions = {"gluons": 0.35, "quarks": 0.7}
        wrong = LabelProportions(tagger(training=small), fractions=fractions)
        found.append(quality(signal(wrong.fit(data, seed=seed + i, **QUIET))))
    assert np.median(found) > TOY.auc - CLOSE


@pytest.mark.statistical
@pytest.mark.parametrize("known", [True, False])
def test_four_samples_need_no_labels_and_no_fractions(known, seed):
    samples = dict(sorted(FOUR.items(), key=lambda item: item[1]))
    found = []
    for i in range(3):
        data = TOY.sample([2000] * 4, list(samples.values()), [seed, i])
        method = WithoutLabels(
            tagger(), samples=tuple(samples), fractions=samples if known else None
        ).fit(data, seed=seed + i, **QUIET)
        found.append(quality(signal(method)))
        assert method.weights_.min() == 0
        assert method.weights_.max() == 1
    assert np.median(found) > TOY.auc - CLOSE


@pytest.mark.statistical
def test_trees_need_no_change(seed):
    data = TOY.sample([4000] * 2, list(TWO.values()), seed)
    small = {"max_iter": 40, "max_leaf_nodes": 6}
    method = WithoutLabels(Tagger("boosted-trees", features=TOY.columns, options=small))
    method.fit(data, **QUIET)
    assert quality(signal(method)) > TOY.auc - 3 * CLOSE
    # Of two samples the score is the probability of the second.
    np.testing.assert_array_equal(signal(method), method.sample_probabilities(TEST)[:, 1])


@pytest.mark.parametrize("kind", ["proportions", "two samples", "three samples"])
def test_a_start_is_where_the_training_begins(kind, tmp_path):
    pure = TOY.sample([1000, 1000], [0, 1], 5)
    start = tagger().fit(pure, **QUIET)
    still = tagger(training=Training(epochs=1, batch_size=256, learning_rate=1e-12))
    names = ("a", "b", "c")[: 3 if kind == "three samples" else 2]
    data = TOY.sample([500] * len(names), [0.2, 0.8, 0.5][: len(names)], 6)
    if kind == "proportions":
        method = LabelProportions(still, fractions=TWO, start=start)
    else:
        method = WithoutLabels(still, samples=names, start=start)
    again = load(method.fit(data, **QUIET).save(tmp_path / "fit"))
    if len(names) == 2:
        np.testing.assert_allclose(signal(again), start.predict_proba(TEST)[:, 1], atol=1e-5)
    else:  # the last layer is fresh, those before are the start's
        begun, given = (m.model_.state_dict() for m in (again.tagger_, start))
        same = [n for n in given if n in begun and begun[n].shape == given[n].shape]
        assert len(same) >= 3
        for name in same:
            np.testing.assert_allclose(begun[name], given[name], atol=1e-6)


DATA = TOY.sample([200, 200], [0.2, 0.8], 1)
THREE = TOY.sample([200, 200, 200], [0.2, 0.5, 0.8], 1)


@pytest.mark.parametrize(
    ("method", "data", "sentence"),
    [
        (LabelProportions(tagger(), fractions={"a": 0.5, "b": 0.5}), DATA, "equal fractions"),
        (LabelProportions(tagger(), fractions={"a": 0.5}), DATA, "two (mixed samples )?are needed"),
        (LabelProportions(tagger(), fractions={"a": 0.5, "b": 1.2}), DATA, "at most 1"),
        (LabelProportions(tagger(), fractions=TWO), DATA[:200], r"all jets are of class \[0\]"),
        (LabelProportions(tagger(), fractions={**TWO, "c": 0.5}), DATA, "'c' has no events"),
        (LabelProportions(tagger(), fractions=TWO), THREE, "do not fit 2 classes"),
        (
            LabelProportions(Tagger("boosted-trees", features=TOY.columns), fractions=TWO),
            DATA,
            "no gradient trains boosted-trees",
        ),
        (WithoutLabels(tagger(), samples=("a",)), DATA, "two are needed"),
        (WithoutLabels(tagger(), fractions=TWO), DATA, "give one for each"),
        (WithoutLabels(tagger(regress=("x0",))), DATA, "leave regress out"),
        (WithoutLabels(tagger(classes=("a", "b", "c"))), DATA, "teach two"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_one_sentence(method, data, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        method.fit(data, **QUIET)
    assert str(error.value).count("\n") == 0


def test_a_start_of_another_network_is_refused():
    start = tagger(options={"hidden": [8]}).fit(DATA, **QUIET)
    with pytest.raises(InputError, match=r"start has the options .*; give the same"):
        WithoutLabels(tagger(), start=start).fit(DATA, **QUIET)


def test_batches_of_proportions_are_small_where_none_are_named():
    for loss, size in (("WMSE", 16), ("likelihood", None)):
        plain = tagger(training=Training(epochs=1, learning_rate=1e-2))
        method = LabelProportions(plain, fractions=TWO, loss=loss).fit(DATA, **QUIET)
        assert method.tagger_.training.batch_size == size
        assert method.method.training.batch_size is None
