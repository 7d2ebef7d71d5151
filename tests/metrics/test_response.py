"""Location and spread in bins, against what is known of normal and exponential numbers."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics.response import closure, profile


@pytest.mark.parametrize("statistic", ["mean", "median", "mode"])
def test_normal_numbers_have_their_location_and_spread(statistic: str) -> None:
    random = np.random.default_rng(1)
    along = random.uniform(0, 4, 200_000)
    values = 3 + along + 2 * random.normal(size=len(along))
    found = profile(values - along, along, [0, 1, 2, 4], statistic=statistic)
    assert np.abs(found.value - 3).max() < 4 * found.error.max()
    assert np.abs(found.spread - 2).max() < 4 * found.spread_error.max()
    assert found.count == pytest.approx([50_000, 50_000, 100_000], rel=0.02)


@pytest.mark.parametrize(("statistic", "error"), [("mean", 1.0), ("median", np.sqrt(np.pi / 2))])
def test_errors_are_those_of_normal_numbers(statistic: str, error: float) -> None:
    values = np.random.default_rng(2).normal(size=40_000)
    found = profile(values, np.zeros(len(values)), [-1, 1], statistic=statistic)
    # The error of the error of a quantile, taken from one sample, is a few percent.
    assert found.error[0] == pytest.approx(error / 200, rel=0.1)
    wanted = 1 / np.sqrt(2 * 40_000) if statistic == "mean" else 1.179 / 200 / np.sqrt(1.6)
    assert found.spread_error[0] == pytest.approx(wanted, rel=0.15)


def test_spread_error_of_the_central_68_percent_is_its_scatter() -> None:
    random = np.random.default_rng(3)
    zeros = np.zeros(1000)
    found = [
        profile(random.normal(size=1000), zeros, [-1, 1], statistic="median") for _ in range(300)
    ]
    spread = np.std([p.spread[0] for p in found])
    # 300 samples know their scatter to 4%.
    assert np.mean([p.spread_error[0] for p in found]) == pytest.approx(spread, rel=0.13)


def test_mode_of_a_skewed_density_is_not_its_mean() -> None:
    # Gamma(3): mean 3, median 2.674, mode 2.
    values = np.random.default_rng(4).gamma(3, size=400_000)
    zeros = np.zeros(len(values))
    mean, median, mode = (
        profile(values, zeros, [-1, 1], statistic=s).value[0] for s in ("mean", "median", "mode")
    )
    assert mean == pytest.approx(3, abs=0.01)
    assert median == pytest.approx(2.674, abs=0.01)
    # The smoothing, h = .9 s n^(-1/7) = .23, moves it by -h^2 p''' / 2 p'' = h^2.
    assert mode == pytest.approx(2 + 0.23**2, abs=0.06)


def test_weights_are_copies() -> None:
    random = np.random.default_rng(5)
    values, along = random.normal(size=500), random.uniform(size=500)
    weight = random.integers(1, 4, 500)
    copies = np.repeat(np.arange(500), weight)
    edges = [0, 0.5, 1]
    for statistic in ("mean", "median"):
        weighted = profile(values, along, edges, weight=weight, statistic=statistic)
        repeated = profile(values[copies], along[copies], edges, statistic=statistic)
        assert weighted.value == pytest.approx(repeated.value, abs=0.01)
        assert weighted.centre == pytest.approx(repeated.centre)


def test_closure_gives_bias_and_response() -> None:
    random = np.random.default_rng(6)
    truth = random.uniform(50, 100, 20_000)
    estimate = truth * (1.02 + 0.1 * random.normal(size=len(truth)))
    found = closure(estimate, truth, [50, 75, 100])
    assert found.response == pytest.approx([1.02, 1.02], abs=0.005)
    assert found.relative_resolution == pytest.approx([0.1, 0.1], rel=0.03)
    assert found.bias == pytest.approx(0.02 * found.centre, abs=0.4)
    feature = random.normal(size=len(truth))
    assert closure(estimate, truth, [-1, 0, 1], along=feature).response[0] == pytest.approx(
        1.02, abs=0.01
    )


def test_there_is_no_response_where_the_truth_changes_its_sign() -> None:
    truth = np.linspace(-1, 1, 100)
    found = closure(truth + 0.1 * np.sin(37 * truth), truth, [-1, 0, 1])
    assert np.isnan(found.response).all()
    assert np.isfinite(found.bias).all()


@pytest.mark.parametrize(
    ("values", "edges", "statistic", "message"),
    [
        (np.arange(10.0), [0, 0], "mean", "do not rise"),
        (np.arange(10.0), [0, 1], "middle", "'middle' is unknown"),
        (np.arange(10.0), [0, 1], "mean", "from 0 to 1 has 2 events"),
        (np.ones(10), [0, 9], "mean", "resolution in the bin from 0 to 9 cannot be defined"),
        (np.full(10, 0.1), [0, 9], "median", "cannot be defined"),
    ],
)
def test_bad_input_is_named(values, edges, statistic, message) -> None:
    with pytest.raises(InputError, match=message):
        profile(values, np.arange(10.0), edges, statistic=statistic)
