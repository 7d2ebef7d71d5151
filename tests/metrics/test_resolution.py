"""Effective widths and terms of a resolution, where both are known."""

import numpy as np
import pytest
from scipy.stats import norm

from colliderkit.errors import InputError
from colliderkit.metrics.resolution import effective_width, fit_resolution
from colliderkit.metrics.value import Value


def test_the_smallest_interval_is_taken() -> None:
    # Seven of ten in [0, .6], three far away.
    values = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 10, 20, 30]
    assert effective_width(values, 0.7) == pytest.approx(0.3)
    x = norm.ppf((np.arange(20_001) + 0.5) / 20_001)
    assert effective_width(3 * x) == pytest.approx(3, rel=2e-3)
    with pytest.raises(InputError, match="cannot be told"):
        effective_width([1.0])


def test_terms_are_found_again() -> None:
    energy = np.array([0.5, 1, 4, 16])
    widths = [Value(float(np.hypot(0.1 / e**0.5, 0.01)), 1e-4) for e in energy]
    found = fit_resolution(energy, widths)
    assert found.stochastic.value == pytest.approx(0.1, rel=1e-9)
    assert found.constant.value == pytest.approx(0.01, rel=1e-6)
    assert found.chi2 == pytest.approx(0, abs=1e-12)


def test_errors_are_those_of_repeated_fits() -> None:
    energy = np.geomspace(0.5, 16, 8)
    truth = np.hypot(0.1 / energy**0.5, 0.02)
    error = 0.02 * truth
    random = np.random.default_rng(1)
    fits = [
        fit_resolution(
            energy, [Value(*pair) for pair in zip(random.normal(truth, error), error, strict=True)]
        )
        for _ in range(400)
    ]
    for term, exact in (("stochastic", 0.1), ("constant", 0.02)):
        each = np.array([getattr(fit, term).value for fit in fits])
        claimed = np.mean([getattr(fit, term).error for fit in fits])
        # 400 repetitions know a spread to 3.5%; errors are to first order.
        assert each.std() == pytest.approx(claimed, rel=0.15)
        assert each.mean() == pytest.approx(exact, abs=4 * each.std() / 20)


def test_no_constant_term_is_zero_with_an_error() -> None:
    energy = np.array([1.0, 4.0, 16.0])
    widths = [Value(0.1, 0.001), Value(0.049, 0.001), Value(0.02, 0.001)]
    found = fit_resolution(energy, widths)
    assert found.constant.value == 0
    assert found.constant.error > 0
    with pytest.raises(InputError, match="three widths"):
        fit_resolution(energy[:2], widths[:2])
