"""Ensembles of scores."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics import combine, ensemble_rejection, over_seeds, rejection


def test_combine_by_hand():
    scores = [[0.1, 0.9], [0.2, 0.5], [0.9, 0.4]]
    np.testing.assert_allclose(combine(scores), [0.4, 0.6])
    np.testing.assert_allclose(combine(scores, "median"), [0.2, 0.5])


def test_median_of_classes_stays_a_probability():
    scores = np.random.default_rng(0).dirichlet(np.ones(3), size=(5, 40))
    middle = combine(scores, "median")
    assert middle.shape == (40, 3)
    np.testing.assert_allclose(middle.sum(1), 1)
    two = np.stack([scores[..., 0], 1 - scores[..., 0]], axis=-1)
    np.testing.assert_allclose(combine(two, "median")[:, 0], np.median(scores[..., 0], axis=0))


def test_ensemble_of_independent_noise_gains():
    random = np.random.default_rng(1)
    label = np.repeat([0, 1], 20_000)
    common = random.normal(size=40_000) + 2 * label
    members = common + random.normal(size=(9, 40_000))
    row = ensemble_rejection(members, label, 0.5)
    singles = over_seeds([rejection(m, label, 0.5) for m in members])
    assert (row.single.value, row.single.error) == (singles.mean, singles.std)
    # Noise of variance 1 per member is 1/9 in the mean: eps_B = Phi(-2 / sqrt(1 + 1/9)).
    assert abs(row.mean.value - 1 / 0.02889) < 4 * row.mean.error
    assert row.single.value < row.median.value < row.mean.value


def test_one_row_of_scores_is_no_ensemble():
    with pytest.raises(InputError, match="members, events"):
        combine([0.1, 0.2])


def test_a_member_with_a_lower_limit_makes_the_row_one() -> None:
    label = np.array([0] * 50 + [1] * 50)
    perfect = np.linspace(0, 1, 100)
    found = ensemble_rejection(np.stack([perfect, -perfect]), label, 0.3)
    assert found.single.lower_limit
    assert found.single.value <= 1.0 + 1e-12
    assert found.single.value > 0
