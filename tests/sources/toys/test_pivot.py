"""The pivot's toy: its ratio, its best pivot, and the significance with a nuisance profiled."""

import numpy as np
import pytest
from scipy.stats import kstest, multivariate_normal, norm

from colliderkit.metrics.roc import auc
from colliderkit.sources.toys.pivot import PivotToy

TOY = PivotToy()


def test_the_ratio_is_that_of_the_densities() -> None:
    x = np.random.default_rng(1).normal(size=(50, 2))
    signal = multivariate_normal.logpdf(x, cov=[[1, -0.5], [-0.5, 1]])
    background = norm.logpdf(x[:, 0] - 1) + norm.logpdf(x[:, 1] - 1.7)
    np.testing.assert_allclose(TOY.log_ratio(x, 0.7), signal - background)


@pytest.mark.parametrize("z", [-2.0, 0.0, 1.5])
def test_the_pivot_is_uniform_on_the_background_at_any_z(z: float) -> None:
    x, _, _ = TOY.sample(20_000, 0, [2, round(10 * z + 50)], z)
    assert kstest(TOY.pivot(x), "uniform").pvalue > 1e-4


def test_the_pivot_is_between_one_column_and_the_ratio() -> None:
    x, label, _ = TOY.sample(100_000, 100_000, 3, 0.0)
    one, pivot, ratio = (
        auc(score, label).value for score in (-x[:, 0], TOY.pivot(x), TOY.log_ratio(x))
    )
    assert one == pytest.approx(norm.cdf(0.5**0.5), abs=0.005)
    assert one < pivot < ratio - 0.005


def test_the_significance_is_that_of_poisson_counts_where_all_is_known() -> None:
    profiled, known = TOY.significance(50, 1_000)
    assert 0 < profiled < known
    # More than that of the mere count, 2 [(s + b) ln(1 + s / b) - s].
    assert known > (2 * (1_050 * np.log(1.05) - 50)) ** 0.5
    # Without shape, s^2 <p_s^2 / p_b> / b for small signals.
    x, _, _ = TOY.sample(400_000, 0, 4, 0.0)
    ratio = np.exp(TOY.log_ratio(x))
    small = TOY.significance(0.5, 1_000)[1]
    assert small == pytest.approx(0.5 * (np.mean(ratio**2) / 1_000) ** 0.5, rel=0.05)
