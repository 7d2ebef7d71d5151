"""Boosted trees as tensors: the same answers as scikit-learn's."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from colliderkit.errors import InputError
from colliderkit.networks.boosted_trees import BoostedTrees


def table(classes=2, events=1000, seed=0, missing=0.0):
    random = np.random.default_rng(seed)
    y = random.integers(classes, size=events)
    x = random.normal(size=(events, 5)) + 0.7 * y[:, None] * np.array([1, -1, 0.5, 0, 0])
    x[:, 3] = np.round(x[:, 3], 1)
    x[random.random(x.shape) < missing] = np.nan
    # The gap tells the class: which way NaN goes matters.
    x[(y == 1) & (random.random(events) < 5 * missing), 4] = np.nan
    return x.astype(np.float32), y


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_probabilities_are_those_of_sklearn(classes, missing):
    x, y = table(classes, missing=missing)
    weight = np.random.default_rng(1).exponential(size=len(y))
    options = {"max_iter": 20, "learning_rate": 0.2}
    truth = HistGradientBoostingClassifier(random_state=3, **options).fit(x, y, weight)
    trees = BoostedTrees.fit(x, y, weight, seed=3, **options)
    fresh, _ = table(classes, seed=7, missing=missing)
    logits = trees(torch.from_numpy(fresh))
    assert logits.shape == (len(fresh), classes)
    assert logits.dtype == torch.float32
    probability = logits.softmax(1).numpy()
    np.testing.assert_allclose(probability, truth.predict_proba(fresh), rtol=0, atol=1e-6)


def test_values_at_a_threshold_go_left_as_in_sklearn():
    # 1 and the next float32: their midpoint, the threshold, rounds to one of the two.
    low, high = np.float32(1), np.nextafter(np.float32(1), np.float32(2))
    for a, b in ((low, high), (high, np.nextafter(high, np.float32(2)))):
        x = np.repeat([a, b], 50).reshape(-1, 1)
        y = np.repeat([0, 1], 50)
        trees = BoostedTrees.fit(x, y, max_iter=20)
        assert (trees(torch.from_numpy(x)).argmax(1).numpy() == y).all()


def test_logits_are_the_weighted_log_ratio():
    # One column of three values: the best tree knows ln(W1/W0) of each.
    random = np.random.default_rng(4)
    x = random.integers(3, size=(900, 1)).astype(np.float32)
    y = random.integers(2, size=900)
    weight = random.exponential(size=900) * np.where(y == 1, 5, 1)
    trees = BoostedTrees.fit(x, y, weight, max_iter=60, learning_rate=0.5, min_samples_leaf=1)
    sums = np.array([[weight[(x[:, 0] == b) & (y == k)].sum() for k in (0, 1)] for b in range(3)])
    logits = trees(torch.tensor([[0.0], [1.0], [2.0]])).numpy()
    np.testing.assert_allclose(
        logits[:, 1] - logits[:, 0], np.log(sums[:, 1] / sums[:, 0]), atol=1e-4
    )


def test_the_seed_repeats_a_fit():
    x, y = table(events=1000)
    options = {"max_iter": 20, "early_stopping": True}
    rows = torch.from_numpy(x)
    one, two, again = (BoostedTrees.fit(x, y, seed=s, **options)(rows) for s in (1, 2, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


@pytest.mark.parametrize("classes", [2, 3])
def test_saved_and_loaded_without_the_data(classes, tmp_path):
    x, y = table(classes, missing=0.1)
    trees = BoostedTrees.fit(x, y, max_iter=10)
    save_file(trees.state_dict(), tmp_path / "trees.safetensors")
    again = BoostedTrees(**trees.options)
    again.load_state_dict(load_file(tmp_path / "trees.safetensors"))
    assert torch.equal(again(torch.from_numpy(x)), trees(torch.from_numpy(x)))


def test_an_empty_batch_and_infinities_are_answered():
    x, y = table()
    trees = BoostedTrees.fit(x, y, max_iter=5)
    assert trees(torch.zeros(0, 5)).shape == (0, 2)
    assert trees(torch.tensor([[torch.inf, -torch.inf, 0, 0, 0]])).isfinite().all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weight": -np.ones(1000)}, "weights >= 0"),
        ({"weight": np.zeros(1000)}, "not all 0"),
        ({"y": np.zeros(1000)}, r"classes \[0.0\]"),
        ({"categorical_features": [1]}, "numbers only"),
    ],
)
def test_bad_input_is_named(change, sentence):
    x, y = table()
    with pytest.raises(InputError, match=sentence):
        BoostedTrees.fit(**{"x": x, "y": y, **change})


@pytest.mark.parametrize("loss", ["squared_error", "gamma"])
def test_a_regression_is_that_of_sklearn(loss):
    x, _ = table(missing=0.1)
    y = np.exp(np.nan_to_num(x[:, 0])) + 0.1
    weight = np.random.default_rng(1).exponential(size=len(y))
    options = {"max_iter": 20, "learning_rate": 0.2, "loss": loss}
    truth = HistGradientBoostingRegressor(random_state=3, **options).fit(x, y, weight)
    trees = BoostedTrees.fit_regression(x, y, weight, seed=3, **options)
    fresh, _ = table(seed=7, missing=0.1)
    found = trees(torch.from_numpy(fresh)).numpy()
    assert found.shape == (len(fresh), 1)
    expected = truth.predict(fresh)
    np.testing.assert_allclose(
        found[:, 0], np.log(expected) if loss == "gamma" else expected, rtol=1e-5, atol=1e-5
    )
    again = BoostedTrees(**trees.options)
    again.load_state_dict(trees.state_dict())
    np.testing.assert_array_equal(again(torch.from_numpy(fresh)).numpy(), found)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_splits_between_quantiles_are_those_of_sklearn_without_weights(missing):
    """Columns of fewer values than quantiles: the same trees, and the same answers to all."""
    x, y = table(2, missing=missing)
    x = np.round(x, 1)
    fresh = np.round(table(2, seed=7, missing=missing)[0], 1)
    held = fresh, table(2, seed=7)[1], np.ones(len(fresh))
    options = {"max_iter": 20, "learning_rate": 0.2, "early_stopping": True}
    ours, theirs = (
        BoostedTrees.fit(x, y, np.ones(len(y)), seed=3, validation=held, quantiles=q, **options)
        for q in (255, None)
    )
    # What is in neither table may lie between an edge and scikit-learn's middle.
    seen = [np.isin(fresh[:, i], x[:, i]) | np.isnan(fresh[:, i]) for i in range(5)]
    known = torch.from_numpy(fresh[np.all(seen, 0)])
    np.testing.assert_allclose(ours(known).numpy(), theirs(known).numpy(), atol=1e-5)


def test_quantiles_of_a_constant_column():
    random = np.random.default_rng(5)
    y = random.integers(2, size=400)
    x = np.column_stack([np.ones(400), y + random.normal(0, 0.1, 400)])
    trees = BoostedTrees.fit(x, y, np.ones(400), quantiles=20, max_iter=20)
    answer = trees(torch.from_numpy(x.astype(np.float32))).argmax(1).numpy()
    assert (answer == y).mean() > 0.95
