"""Columns on the scale of their ranks."""

import numpy as np
import pytest
from scipy.special import ndtri

from colliderkit.methods.unfolding.marginals import EDGE, Marginals


def test_a_normal_column_is_its_own_scale() -> None:
    x = np.random.default_rng(1).normal(2, 3, (200_000, 1))
    inside = np.abs(x[:, 0] - 2) < 6
    found = Marginals.of(x)(x)
    assert np.array_equal(found[:, :1], x)
    # A quantile's error is sqrt(q (1 - q) / N) over the density: below 0.01 out to two sigma.
    assert found[inside, 1] == pytest.approx((x[inside, 0] - 2) / 3, abs=0.03)


def test_any_rising_map_of_a_column_has_the_same_ranks() -> None:
    x = np.random.default_rng(2).normal(size=(10_001, 1))
    # At the knots, which are events of the sample, the two agree exactly.
    at = np.quantile(x, np.linspace(0, 1, 201))[:, None]
    plain, steep = (Marginals.of(table)(points)[:, 1] for table, points in ((x, at), (x**3, at**3)))
    assert steep == pytest.approx(plain, abs=1e-12)


def test_values_that_many_share_have_the_middle_of_their_ranks() -> None:
    column = np.array([0.0] * 500 + [1.0] * 500)[:, None]
    found = Marginals.of(column)(column)[:, 1]
    assert np.unique(found) == pytest.approx(ndtri([0.25, 0.75]), abs=0.02)


def test_beyond_the_sample_the_scale_ends() -> None:
    marginals = Marginals.of(np.linspace(0, 1, 1_000)[:, None])
    found = marginals(np.array([[-5.0], [7.0]]))[:, 1]
    assert found == pytest.approx([ndtri(EDGE), ndtri(1 - EDGE)])


def test_a_constant_column_stays_finite() -> None:
    assert np.isfinite(Marginals.of(np.ones((10, 2)))(np.ones((3, 2)))).all()
