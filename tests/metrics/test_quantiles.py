"""The quantile error against its expectation, and of the camel's fit against Fisher's."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics.quantiles import (
    equivalent_events,
    expected_error,
    quantile_error,
    share_error,
)
from colliderkit.sources.toys.camel import Camel, fit_camel


@pytest.mark.parametrize(("count", "quantiles"), [(7, 2), (50, 10), (400, 3)])
def test_the_expectation_of_n_events_is_exact(count: int, quantiles: int) -> None:
    edges = np.arange(1, quantiles) / quantiles
    random = np.random.default_rng(1)
    found = [quantile_error(random.random(count), edges) for _ in range(3000)]
    exact = (1 - 1 / quantiles) / count
    assert expected_error(count, quantiles) == exact
    assert np.mean(found) == pytest.approx(exact, abs=3 * np.std(found) / 3000**0.5)
    worth = equivalent_events(found, quantiles)
    assert abs(worth.value - count) < 3 * worth.error


def test_by_hand() -> None:
    # Shares 1/2, 1/2, 0 of thirds; edges belong to the upper quantile.
    assert quantile_error([0.1, 1.0], [1.0, 2.0]) == pytest.approx(2 / 36 + 1 / 9)
    assert quantile_error([0.1, 1.5, 2.5], [1.0, 2.0]) == pytest.approx(0)
    assert quantile_error([0.1, 1.5], [1.0], weight=[3.0, 1.0]) == pytest.approx(2 / 16)
    assert share_error([0.75, 0.25]) == pytest.approx(2 / 16)


def test_quantiles_of_the_camel_have_equal_shares() -> None:
    camel = Camel(0.3, -2.0, 3.0, 0.5, 2.0)
    np.testing.assert_allclose(camel.shares(camel.quantiles(7)), 1 / 7, atol=1e-12)
    x = np.linspace(-30, 40, 200_001)
    assert camel.density(x).sum() * (x[1] - x[0]) == pytest.approx(1, abs=1e-9)
    assert quantile_error(camel.sample(100_000, 1), camel.quantiles(7)) < 4e-5


def test_the_fit_is_as_good_as_fisher_allows() -> None:
    camel, count = Camel(), 400
    edges = camel.quantiles(20)
    found = [share_error(fit_camel(camel.sample(count, [1, i])).shares(edges)) for i in range(60)]
    expected = camel.fit_error(count, edges)
    assert np.mean(found) == pytest.approx(expected, abs=3 * np.std(found) / 60**0.5)
    # Five parameters instead of nineteen shares: the fit is worth several samples.
    assert 2 < expected_error(count, 20) / expected < 19


def test_the_fit_puts_the_lower_peak_first() -> None:
    fitted = fit_camel(Camel(0.2, -5.0, 1.0, 1.0, 0.5).sample(20_000, 3))
    np.testing.assert_allclose(fitted.parameters, (0.2, -5.0, 1.0, 1.0, 0.5), atol=0.04)


def test_nonsense_is_a_sentence() -> None:
    with pytest.raises(InputError, match="one or more"):
        quantile_error([], [1.0])
    with pytest.raises(InputError, match="must rise"):
        quantile_error([1.0], [2.0, 1.0])
    with pytest.raises(InputError, match="five finite events"):
        fit_camel([1.0, 2.0])
