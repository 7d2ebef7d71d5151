"""Significance improvement: exact values, the floor, errors and bands."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics.significance import improvement, max_improvement, over_trainings
from colliderkit.sources.toys.resonance import Resonance

# Background has the scores 0 .. 99; of the signal half is above 97.5, half at 49.5.
SCORE = np.concatenate([np.arange(100.0), np.full(10, 97.5), np.full(10, 49.5)])
LABEL = np.repeat([0, 1], [100, 20])


def test_values_are_exact():
    curve = improvement(SCORE, LABEL, floor=2)
    # Cuts at 98 keep two of the background and no signal, at 97.5 half of it.
    assert curve.background_efficiency[0] == 0.02
    assert max_improvement(SCORE, LABEL, floor=2).value == pytest.approx(0.5 / np.sqrt(0.02))
    # (1 - .5) / (20 * .5) + (1 - .02) / (4 * 100 * .02)
    error = 0.5 / np.sqrt(0.02) * np.sqrt(0.5 / 10 + 0.98 / 8)
    assert curve.largest.error == pytest.approx(error)
    # Without a cut it is 1.
    assert curve.value[-1] == 1
    np.testing.assert_allclose(curve.at([0.5, 1.0])[1], 1 / np.sqrt(0.5))


def test_the_floor_leaves_out_cuts_of_fewer_events():
    for floor in (1, 2, 5, 10, 50):
        curve = improvement(SCORE, LABEL, floor=floor)
        assert curve.background_efficiency.min() == pytest.approx(floor / 100)
    # Half of the signal at 10% of the background, or all of it at 50%.
    assert max_improvement(SCORE, LABEL, floor=10).value == pytest.approx(0.5 / np.sqrt(0.1))
    with pytest.raises(InputError, match="100 background events, fewer than the floor of 101"):
        improvement(SCORE, LABEL, floor=101)


def test_weights_count_and_equal_ones_change_nothing():
    plain = improvement(SCORE, LABEL, floor=10)
    scaled = improvement(SCORE, LABEL, np.full(len(SCORE), 3.0), floor=10)
    np.testing.assert_allclose(scaled.value, plain.value)
    np.testing.assert_allclose(scaled.error, plain.error)
    # A hundred events, of which one has nearly all the weight, count as one.
    with pytest.raises(InputError, match=r"there are 1\.2\d* background events"):
        improvement(SCORE, LABEL, np.where(SCORE == 99, 1000.0, 1.0), floor=10)


@pytest.mark.statistical
def test_the_best_score_of_the_toy_has_its_closed_form(seed):
    toy = Resonance()
    events = toy.events(100_000, 20_000, [seed, 11])
    curve = improvement(toy.log_ratio(events.features, events.mass), events.label, floor=100)
    rows = curve.background_efficiency < 0.5
    shares = curve.background_efficiency[rows]
    pull = (curve.value[rows] - toy.efficiency(shares) / np.sqrt(shares)) / curve.error[rows]
    # All points are one sample: they lie on one side together, but not far.
    assert np.abs(np.median(pull)) < 3
    assert np.abs(pull).max() < 5.5


def test_a_band_is_of_quantiles():
    band = over_trainings(np.arange(101.0))
    assert (band.median, band.low, band.high, band.trainings) == (50, 16, 84, 101)
    assert str(band.value) == "50 +34 -34"
    with pytest.raises(InputError, match="no training"):
        over_trainings([])
