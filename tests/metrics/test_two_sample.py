"""The chi^2 of two histograms against its closed form and its expectation."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics.two_sample import histogram_chi2


def test_two_bins_give_the_written_chi2() -> None:
    # Halves of the reference, from 1.5 on: 2 and 2 events of it, 1 and 5 of the sample.
    found = histogram_chi2([0.0, 1.0, 2.0, 3.0], [0.5, 2.0, 2.0, 2.0, 2.0, 2.0], bins=2)
    share = np.sqrt(6 / 4)
    assert found == pytest.approx(
        (share * 2 - 1 / share) ** 2 / 3 + (share * 2 - 5 / share) ** 2 / 7
    )


def test_equal_densities_give_one_for_each_degree_of_freedom() -> None:
    random = np.random.default_rng(3)
    values = [histogram_chi2(random.normal(size=2000), random.normal(size=3000)) for _ in range(50)]
    # The variance of chi^2 / 29 is 2 / 29; the edges follow the reference.
    assert abs(np.mean(values) - 1) < 5 * (2 / 29 / 50) ** 0.5
    assert histogram_chi2(random.normal(size=2000), 1 + random.normal(size=3000)) > 10


def test_equal_values_share_a_bin() -> None:
    zeros = np.zeros(900)
    assert histogram_chi2(np.r_[zeros, np.arange(100.0)], np.r_[zeros, np.arange(100.0)]) == 0


@pytest.mark.parametrize(("values", "name"), [([], "sample"), ([np.nan, 1.0], "sample")])
def test_what_is_empty_or_not_finite_is_named(values, name) -> None:
    with pytest.raises(InputError, match=f"the {name} is empty or not finite"):
        histogram_chi2([1.0, 2.0, 3.0], values)
