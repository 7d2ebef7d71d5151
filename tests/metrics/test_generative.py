"""Distances between samples against what is known of Gaussians."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics.generative import (
    frechet_distance,
    frechet_physics_distance,
    kernel_physics_distance,
    maximum_mean_discrepancy,
    nearest_distances,
    neighbours,
    unbiased_frechet_distance,
    unbiased_kernel_distance,
    wasserstein,
)


def test_frechet_distance_of_commuting_gaussians() -> None:
    # |m|^2 + sum (sqrt a - sqrt b)^2 where both covariances are diagonal in one basis.
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    a, b = np.array([1.0, 2.0, 0.0]), np.array([4.0, 2.0, 9.0])
    first, second = (rotation * a) @ rotation.T, (rotation * b) @ rotation.T
    found = frechet_distance(np.zeros(3), first, np.array([1.0, 0, 2]), second)
    assert found == pytest.approx(5 + 1 + 0 + 9)


def test_fpd_of_two_gaussians_without_bias() -> None:
    random = np.random.default_rng(1)
    x = random.normal(0, 1, (20_000, 4))
    y = random.normal(0, 1, (20_000, 4)) * [1, 1, 1, 1.2] + [0.1, 0, 0, 0]
    # Each feature is divided by the reference's largest |value|.
    scale = np.abs(x).max(0)
    exact = (0.1 / scale[0]) ** 2 + (0.2 / scale[3]) ** 2
    found = frechet_physics_distance(x, y, fewest=2000, most=10_000)
    # 20,000 events: an error of 0.01 of the shift, sqrt(1/20,000) of the width.
    assert found.value == pytest.approx(exact, rel=0.25)
    same = frechet_physics_distance(x, random.normal(0, 1, (20_000, 4)), fewest=2000, most=10_000)
    assert same.value < 0.1 * exact


def test_fpd_knows_the_bias_of_few_events() -> None:
    # Samples of n events of one density are apart by b/n: the fit takes it away.
    random = np.random.default_rng(2)
    x, y = random.normal(0, 1, (2, 100_000, 10))
    few = frechet_physics_distance(x, y, fewest=500, most=2000)
    scale = np.abs(x).max(0)
    # The first-order bias at n = 500 is 2 F / n / scale^2 from the means alone.
    assert few.value < 0.2 * (2 / 500 / scale**2).sum()


def test_kpd_is_unbiased_and_finds_a_shift() -> None:
    random = np.random.default_rng(3)
    x, y = random.uniform(-1, 1, (2, 4000, 3))
    same = kernel_physics_distance(x, y, size=1000)
    assert abs(same.value) < 4 * same.error
    assert kernel_physics_distance(x, y + 0.2, size=1000).value > 20 * same.error


def test_kpd_is_the_sum_over_all_pairs() -> None:
    random = np.random.default_rng(4)
    x, y = random.normal(size=(2, 30, 5))
    found = kernel_physics_distance(x, y, batches=1, size=30)
    x, y = x / np.abs(x).max(0), y / np.abs(x).max(0)
    k = [(a @ b.T / 5 + 1) ** 4 for a, b in ((x, x), (y, y), (x, y))]
    own = sum((m.sum() - np.trace(m)) / (30 * 29) for m in k[:2])
    assert found.value == pytest.approx(own - 2 * k[2].mean(), rel=1e-4)


def test_wasserstein_of_shifted_samples_is_the_shift() -> None:
    x = np.random.default_rng(5).normal(size=5000)
    found = wasserstein(x, x + 0.3)
    assert found.value == pytest.approx(0.3)
    assert 0 < found.error < 0.05


def test_errors_name_what_is_wrong() -> None:
    good = np.ones((10, 2))
    bad = good.copy()
    bad[3, 1] = np.nan
    with pytest.raises(InputError, match="feature 1 of event 3 of the sample is nan"):
        kernel_physics_distance(good, bad)
    with pytest.raises(InputError, match=r"shapes \(10, 2\) and \(10, 3\)"):
        kernel_physics_distance(good, np.ones((10, 3)))


def test_neighbours_of_points_on_a_line() -> None:
    # Balls of the reference reach to the second neighbour: [0] 2, [1] 1, [2] 2 (to 0), [9] 8;
    # those of the sample: [0.5] 3, [1.5] 2, [3.5] 3.
    x, y = np.array([[0.0], [1], [2], [9]]), np.array([[0.5], [1.5], [3.5]])
    found = neighbours(x, y, k=2)
    assert found.precision.value == 1
    # 0.5 is in the balls of 0, 1, 2 and not of 9; 1.5 in those of 0, 1, 2 and 9 (7.5 < 8), 3.5 in
    # those of 2 and 9: 3 + 4 + 2 over k and three events.
    assert found.density.value == pytest.approx((3 + 4 + 2) / (2 * 3))
    assert found.coverage.value == 1
    # 0, 1 and 2 are within 3 of 0.5; 9 is farther than 3 from 3.5.
    assert found.recall.value == 3 / 4


def test_a_sample_of_one_mode_has_precision_and_no_coverage() -> None:
    random = np.random.default_rng(6)
    x = random.normal(size=(1000, 2)) + np.repeat([[0, 0], [50, 0]], 500, axis=0)
    found = neighbours(x, random.normal(size=(1000, 2)))
    assert found.precision.value > 0.9
    assert found.recall.value <= 0.5
    assert found.coverage.value <= 0.5


def test_neighbours_of_equal_densities() -> None:
    random = np.random.default_rng(7)
    x, y = random.normal(size=(2, 2000, 3))
    found = neighbours(x, y, k=5)
    assert found.density.value == pytest.approx(1, abs=0.05)
    # 1 - (N - 1)...(N - k) / (2N - 1)...(2N - k), within 1e-3 of 1 - 2^-5.
    assert found.coverage.value == pytest.approx(1 - 2**-5, abs=5 * found.coverage.error + 1e-3)


def test_mmd_of_gaussians() -> None:
    # E k(x, y) = prod w / sqrt(w^2 + s^2 + t^2) exp(-d^2 / 2 (w^2 + s^2 + t^2)) by dimension.
    def mean(s: float, t: float, d: float) -> float:
        total = 1.5**2 + s**2 + t**2
        return (1.5 / np.sqrt(total)) ** 2 * np.exp(-(d**2) / (2 * total))

    random = np.random.default_rng(8)
    x = random.normal(size=(20_000, 2))
    y = random.normal(scale=1.3, size=(20_000, 2)) + np.array([0.5, 0])
    found = maximum_mean_discrepancy(x, y, width=1.5)
    exact = mean(1, 1, 0) + mean(1.3, 1.3, 0) - 2 * mean(1, 1.3, 0.5)
    assert found.value == pytest.approx(exact, abs=4 * found.error)
    assert found.error < 0.1 * exact
    same = maximum_mean_discrepancy(x, random.normal(size=(20_000, 2)))
    assert abs(same.value) < 4 * same.error


def test_nearest_of_others() -> None:
    found = nearest_distances([[0.0, 0], [10, 0]], [[3.0, 4], [10, 1], [50, 50]])
    assert found == pytest.approx([5, 1])


def test_kernel_distance_of_samples_far_apart_is_a_number() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(size=(50, 2))
    far = kernel_physics_distance(x, x + 1e6, batches=2, size=50)
    # Both squared norms of x + 1e6 over F are about 1e12: the mean fourth power of that.
    assert far.value == pytest.approx(1e48, rel=0.2)


def test_the_error_of_fpd_is_how_far_seeds_scatter() -> None:
    random = np.random.default_rng(9)
    x, y = random.normal(size=(5000, 3)), random.normal(0.3, 1, (5000, 3))
    options = {"fewest": 500, "most": 2000, "bootstraps": 10}
    found = [frechet_physics_distance(x, y, seed=seed, **options) for seed in range(30)]
    scatter = np.std([v.value for v in found], ddof=1)
    # A standard deviation of 30 is known to 1/sqrt(58), the mean of 30 errors to less.
    mean = np.mean([v.error for v in found])
    assert scatter / mean == pytest.approx(1, abs=4 / np.sqrt(58))


def test_fpd_of_a_constant_column_is_that_of_the_others() -> None:
    random = np.random.default_rng(10)
    x, y = random.normal(size=(3000, 3)), random.normal(0.5, 1, (3000, 3))
    constant = [np.concatenate([t, np.full((3000, 1), 7.0)], 1) for t in (x, y)]
    options = {"fewest": 500, "most": 2000}
    first = frechet_physics_distance(x, y, **options)
    assert frechet_physics_distance(*constant, **options).value == pytest.approx(first.value)


def pulls(distance, toys: int, seed: int, *, events: int, features: int, shift: float = 0.0):
    """Pulls of a distance whose exact value is that of means `shift` apart, under its own scale."""
    found = []
    for toy in range(toys):
        random = np.random.default_rng([seed, toy])
        x = random.normal(size=(events, features))
        y = random.normal(size=(events, features)) + shift
        exact = ((shift / np.abs(x).max(0)) ** 2).sum()
        value = distance(x, y, seed=toy)
        found.append((value.value - exact) / value.error)
    return np.array(found)


@pytest.mark.statistical
@pytest.mark.parametrize(("events", "shift"), [(1000, 0.0), (1000, 0.4), (20, 0.0)])
def test_pulls_of_fpd(seed: int, events: int, shift: float) -> None:
    # benchmarks/pulls.py shows them of many more; 100 pulls have a mean known to .1 and a width
    # known to .07, so that 4.5 of each lets no seed of a thousand fail. An error 2.5 times too
    # small has a width of 2.5.
    found = pulls(unbiased_frechet_distance, 100, seed, events=events, features=6, shift=shift)
    assert abs(found.mean()) < 0.15 + 0.45
    assert 0.8 - 0.32 < found.std(ddof=1) < 1 + 0.32


@pytest.mark.statistical
def test_pulls_of_kpd_of_equal_densities(seed: int) -> None:
    found = pulls(unbiased_kernel_distance, 100, seed, events=300, features=6)
    assert abs(found.mean()) < 0.15 + 0.45
    assert 0.8 - 0.32 < found.std(ddof=1) < 1 + 0.32


def test_unbiased_kpd_is_the_sum_over_all_pairs() -> None:
    random = np.random.default_rng(11)
    x, y = random.normal(size=(2, 40, 5))
    found = unbiased_kernel_distance(x, y)
    x, y = x / np.abs(x).max(0), y / np.abs(x).max(0)
    k = [(a @ b.T / 5 + 1) ** 4 for a, b in ((x, x), (y, y), (x, y))]
    own = sum((m.sum() - np.trace(m)) / (40 * 39) for m in k[:2])
    assert found.value == pytest.approx(own - 2 * k[2].mean(), rel=1e-4)


def test_unbiased_fpd_of_samples_far_apart_has_the_error_of_their_means() -> None:
    # |m1 - m2|^2 = d^2 for one feature, with an error of 2 d sqrt(2/N), over the scale squared.
    random = np.random.default_rng(12)
    x, y = random.normal(size=(4000, 1)), random.normal(3, 1, (4000, 1))
    found = unbiased_frechet_distance(x, y)
    scale = np.abs(x).max()
    distance = y.mean() - x.mean()
    assert found.value == pytest.approx((distance / scale) ** 2, rel=0.01)
    assert found.error == pytest.approx(2 * distance * np.sqrt(2 / 4000) / scale**2, rel=0.3)


def test_unbiased_distances_need_four_events() -> None:
    for distance in (unbiased_frechet_distance, unbiased_kernel_distance):
        with pytest.raises(InputError, match="four"):
            distance(np.eye(3), np.eye(3))
