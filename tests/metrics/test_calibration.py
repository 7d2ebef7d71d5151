"""The calibration curve of scores whose calibration is known."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics import calibration_curve


def drawn(count, seed, truth=lambda p: p):
    """Scores uniform in [0, 1] and labels drawn with probability truth(score)."""
    random = np.random.default_rng(seed)
    score = random.random(count)
    return score, (random.random(count) < truth(score)).astype(int)


def test_curve_by_hand():
    curve = calibration_curve([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1], bins=2)
    np.testing.assert_allclose(curve.predicted, [0.2, 0.9])
    np.testing.assert_allclose(curve.observed, [1 / 3, 1])
    np.testing.assert_allclose(curve.share, [0.75, 0.25])
    np.testing.assert_allclose(curve.error, [np.sqrt(0.09 + 0.16 + 0.21) / 3, 0.3])
    assert curve.expected_error.value == pytest.approx(0.75 * (1 / 3 - 0.2) + 0.25 * 0.1)


def test_a_perfect_score_shows_the_floor_alone():
    excess = []
    for seed in range(300):
        curve = calibration_curve(*drawn(2000, seed))
        excess.append((curve.expected_error.value - curve.floor.value) / curve.floor.error)
    # Mean 0 and width 1, to four standard errors.
    assert abs(np.mean(excess)) < 4 / np.sqrt(300)
    assert abs(np.std(excess) - 1) < 4 / np.sqrt(600)


def test_pulls_of_the_bins_are_standard():
    pulls = []
    for seed in range(300):
        curve = calibration_curve(*drawn(2000, seed))
        pulls.append((curve.observed - curve.predicted) / curve.error)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(6000)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(12000)


def test_a_known_miscalibration_is_found():
    # P(signal) = p^2: the mean of |p - p^2| over [0, 1] is 1/6.
    curve = calibration_curve(*drawn(400_000, 1, np.square), bins=50)
    assert abs(curve.expected_error.value - 1 / 6) < 4 * curve.expected_error.error
    assert curve.floor.value < 0.01


def test_weights_are_repeated_events_in_the_curve():
    score, label = drawn(500, 2)
    times = np.random.default_rng(3).integers(0, 3, size=500)
    ours = calibration_curve(score, label, times)
    theirs = calibration_curve(np.repeat(score, times), np.repeat(label, times))
    np.testing.assert_allclose(ours.observed, theirs.observed)
    np.testing.assert_allclose(ours.predicted, theirs.predicted)
    assert (ours.error >= theirs.error - 1e-15).all()


def test_what_is_no_probability_is_refused():
    with pytest.raises(InputError, match=r"score of event 1 is 1\.5"):
        calibration_curve([0.5, 1.5], [0, 1])
    with pytest.raises(InputError, match="score of event 0 is nan"):
        calibration_curve([np.nan, 0.5], [0, 1])
    with pytest.raises(InputError, match="positive weights"):
        calibration_curve([0.2, 0.5], [0, 1], [1.0, -1.0])
