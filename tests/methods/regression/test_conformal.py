"""Conformal intervals: coverage that is exact for any regression."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.methods.regression import Conformal
from colliderkit.methods.regression.conformal import conformal_quantile
from colliderkit.methods.regression.ensemble import DeepEnsemble
from colliderkit.methods.regression.quantile import QuantileRegression
from colliderkit.training.settings import Training

QUICK = Training(epochs=4, batch_size=200, learning_rate=3e-3)


def sample(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw x and y with a skewed scatter that grows with x."""
    random = np.random.default_rng(seed)
    x = random.uniform(0, 1, (count, 1))
    return x, 2 * x[:, 0] + (0.2 + x[:, 0]) * random.exponential(size=count)


@pytest.fixture(scope="module")
def fitted() -> dict[str, DeepEnsemble | QuantileRegression]:
    x, y = sample(1000, 1)
    ensemble = DeepEnsemble(members=1, hidden=(16,), training=QUICK).fit(x, y)
    quantiles = QuantileRegression(hidden=(16,), training=QUICK).fit(x, y)
    return {"scaled": ensemble, "shifted": quantiles}


def test_the_quantile_is_that_of_n_plus_one() -> None:
    scores = [5.0, 1.0, 4.0, 2.0, 3.0, 6.0, 7.0, 8.0, 9.0]
    # Of 10 with the one to come: 8 of 10, and half a step further.
    assert conformal_quantile(scores, 0.8) == 8
    assert conformal_quantile(scores, 0.81) == 9
    assert conformal_quantile(scores, 0.9) == 9
    with pytest.raises(InputError, match=r"9 calibration events do not reach a level of 0.95"):
        conformal_quantile(scores, 0.95)
    # An event of weight two is two events.
    assert conformal_quantile([1, 2, 3, 4], 0.5, [2, 1, 1, 1]) == 3


def test_coverage_is_exact_in_the_mean() -> None:
    """One more score is below the quantile in ceil((n + 1) level) of n + 1 cases, exactly."""
    n, level, tries = 20, 0.68, 20_000
    scores = np.random.default_rng(1).normal(size=(tries, n + 1))
    below = sum(row[-1] <= conformal_quantile(row[:-1], level) for row in scores)
    exact = np.ceil((n + 1) * level) / (n + 1)
    error = np.sqrt(exact * (1 - exact) / tries)
    assert below / tries == pytest.approx(exact, abs=4 * error)


@pytest.mark.parametrize("score", ["scaled", "shifted"])
@pytest.mark.parametrize("level", [0.68, 0.95])
def test_coverage_of_one_calibration_is_beta_distributed(fitted, score: str, level: float) -> None:
    """Given the calibration the coverage is Beta(k, n + 1 - k), however bad the regression."""
    n, tests = 400, 20_000
    x, y = sample(n, 2)
    low, high = (
        Conformal(fitted[score], score=score)
        .calibrate(fitted[score], x, y)
        .interval(sample(tests, 3)[0], level)
    )
    truth = sample(tests, 3)[1]
    share = ((low <= truth) & (truth <= high)).mean()
    k = int(np.ceil((n + 1) * level))
    density = beta(k, n + 1 - k)
    error = np.sqrt(density.var() + level * (1 - level) / tests)
    assert share == pytest.approx(density.mean(), abs=3 * error)


def test_fit_keeps_calibration_events_apart() -> None:
    x, y = sample(800, 4)
    found = Conformal(DeepEnsemble(members=1, hidden=(8,), training=QUICK)).fit(x, y, seed=1)
    again = Conformal(DeepEnsemble(members=1, hidden=(8,), training=QUICK)).fit(x, y, seed=1)
    assert found.factors_ == again.factors_
    assert found.factors_[0] < found.factors_[1]


def test_a_saved_one_answers_alike(fitted, tmp_path: Path) -> None:
    x, y = sample(300, 5)
    # The one that is calibrated need not be the constructor's.
    found = Conformal(DeepEnsemble(), score="shifted").calibrate(fitted["shifted"], x, y)
    again = load(found.save(tmp_path / "conformal"))
    np.testing.assert_array_equal(found.interval(x, 0.95), again.interval(x, 0.95))
    assert again.method_.name == "quantile-regression"


def test_bad_calls_are_named(fitted) -> None:
    x, y = sample(300, 6)
    with pytest.raises(InputError, match="Conformal is not fitted"):
        Conformal(DeepEnsemble()).interval(x)
    with pytest.raises(InputError, match=r"^score is 'other'"):
        Conformal(fitted["scaled"], score="other").calibrate(fitted["scaled"], x, y)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="2 calibration events do not reach"):
        Conformal(fitted["scaled"]).calibrate(fitted["scaled"], x[:2], y[:2])
    with pytest.raises(InputError, match=r"level 0.9 is not calibrated, only 0.68, 0.95"):
        Conformal(fitted["scaled"]).calibrate(fitted["scaled"], x, y).interval(x, 0.9)
    with pytest.raises(InputError, match="y is nan in event 0"):
        Conformal(fitted["scaled"]).calibrate(fitted["scaled"], x, np.full(len(x), np.nan))
    with pytest.raises(InputError, match=r"y: has shape \(299,\) for 300 events"):
        Conformal(fitted["scaled"]).fit(x, y[:-1])
    with pytest.raises(InputError, match="must not be negative"):
        conformal_quantile([1.0, 2.0], 0.5, [1.0, -1.0])
