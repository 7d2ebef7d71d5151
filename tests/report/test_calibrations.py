"""What a page says of calibrations, on events whose answer is known."""

import numpy as np
import pytest

from colliderkit.metrics.response import resolution_ratio
from colliderkit.report.calibrations import Calibrations

COUNT = 40_000
EDGES = tuple(np.geomspace(50, 500, 9).tolist())


@pytest.fixture(scope="module")
def calibrations():
    """Return two calibrations of the same events: one has .8 of the scatter of the other."""
    random = np.random.default_rng(1)
    truth = np.exp(random.uniform(np.log(50), np.log(500), COUNT))
    features = random.uniform(size=(COUNT, 3))
    noise = 0.1 * random.normal(size=COUNT)
    trend = 0.04 * (features[:, 1] - 0.5)
    answers = {"wide": noise, "narrow": 0.8 * noise, "bent": trend + 1e-3 * noise}
    return Calibrations(
        title="pt",
        label="True pt",
        edges=EDGES,
        truth=truth,
        features={f"feature {i}": column for i, column in enumerate(features.T)},
        weights={"flat": np.ones(COUNT), "falling": 50 / truth},
        responses={(name, "flat"): [np.exp(answer)] for name, answer in answers.items()},
    )


def test_a_narrower_response_has_that_ratio(calibrations):
    narrow, wide = (calibrations.responses[name, "flat"][0] for name in ("narrow", "wide"))
    ratio = resolution_ratio(narrow, wide, calibrations.truth, EDGES)
    # Quantiles of exp(.8 x) and exp(x): sinh(.08) / sinh(.1), but for the scatter of medians.
    assert ratio.value == pytest.approx(np.sinh(0.08) / np.sinh(0.1), abs=0.005)
    assert ratio.error < 0.005
    assert resolution_ratio(wide, wide, calibrations.truth, EDGES).value == 1


def test_a_trend_is_seen_along_its_feature_alone(calibrations):
    (trends,) = calibrations.trends("bent", "flat")
    assert list(trends) == list(calibrations.features)
    bent = trends.pop("feature 1")
    # The middles of eight bins of a uniform feature.
    middle = (np.arange(8) + 0.5) / 8 - 0.5
    assert bent.value == pytest.approx(np.exp(0.04 * middle), abs=1e-3)
    assert bent.largest().value == pytest.approx(0.04 * 7 / 16, abs=1e-3)
    for other in trends.values():
        worst = other.largest()
        assert worst.value < 5 * worst.error


def test_closure_is_in_bins_of_the_truth(calibrations):
    (curve,) = calibrations.profiles("wide", "flat")
    assert np.all(np.abs(curve.value - 1) < 5 * curve.error)
    assert curve.spread == pytest.approx(0.1, rel=0.1)
