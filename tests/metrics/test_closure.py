"""Agreement of samples, effective size and gaps, against what is known exactly."""

import numpy as np
import pytest

from colliderkit.metrics.closure import agreement, effective_size, gaps


def test_effective_size_of_equal_weights_is_their_number() -> None:
    assert effective_size(np.full(7, 0.3)) == pytest.approx(7)
    assert effective_size([3.0, 1.0]) == pytest.approx(16 / 10)
    assert effective_size([1.0, -1.0]) == 0


def test_pulls_of_equal_densities_are_standard() -> None:
    random = np.random.default_rng(3)
    chi2 = []
    for _ in range(300):
        x, y = random.normal(size=4000), random.normal(size=3000)
        weight = random.gamma(2, 1, 4000)
        found = agreement(x, y, source_weight=weight, bins=15)
        assert found.ndf == 14
        chi2.append(found.chi2)
    # A chi2 of 14 degrees of freedom: mean 14, variance 28.
    assert np.mean(chi2) == pytest.approx(14, abs=4 * np.sqrt(28 / 300))


def test_shares_are_those_of_the_weights() -> None:
    found = agreement([0.5, 1.5], [0.5, 0.5], source_weight=[3, 1], edges=[0, 1, 2])
    assert found.source.tolist() == [0.75, 0.25]
    assert found.target.tolist() == [1.0, 0.0]


def test_a_gap_is_named_with_its_share() -> None:
    random = np.random.default_rng(1)
    x = random.uniform(0, 4, (20_000, 1))
    y = x[(x[:, 0] < 1) | (x[:, 0] > 2)]
    (gap,) = gaps(x, y, ["mass"])
    assert gap.column == "mass"
    assert gap.low == pytest.approx(1, abs=0.05)
    assert gap.high == pytest.approx(2, abs=0.05)
    assert gap.share == pytest.approx(0.25, abs=0.02)
    assert gaps(y, x, ["mass"]) == []


def test_equal_densities_have_no_gap() -> None:
    random = np.random.default_rng(2)
    assert gaps(random.normal(size=(5000, 3)), random.normal(size=(500, 3)), "abc") == []
