"""Figures of a forecast: exact on small examples, and errors by blocks."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from colliderkit.errors import InputError
from colliderkit.metrics.forecast import (
    alarms_at,
    average_precision,
    brier,
    by_blocks,
    lead,
    precision_recall,
)


def test_average_precision_is_the_sum_over_cuts():
    random = np.random.default_rng(1)
    truth = random.uniform(size=(500, 3)) < 0.1
    score = np.round(random.normal(size=truth.shape) + truth, 1)  # with equal ones
    found = average_precision(score, truth, block=10)
    assert found.value == pytest.approx(average_precision_score(truth.ravel(), score.ravel()))
    curve = precision_recall(score, truth)
    area = (np.diff(curve.recall, prepend=0) * curve.precision).sum()
    assert area == pytest.approx(found.value)
    assert curve.recall[-1] == 1
    assert curve.precision[-1] == pytest.approx(truth.mean())


def test_a_perfect_forecast_has_an_area_of_one_and_no_error():
    truth = np.arange(100) % 7 == 0
    found = average_precision(truth.astype(float), truth, block=10)
    assert (found.value, found.error) == (1, 0)
    assert brier(truth, truth, block=10).value == 0
    assert brier(np.full(100, 0.5), truth, block=10).value == 0.25


@pytest.mark.statistical
def test_the_error_of_a_mean_by_blocks(seed):
    """Runs of ten equal numbers: the error is that of as many tenths of them."""
    random = np.random.default_rng(seed)
    runs = np.repeat(random.normal(size=400), 10)
    found = by_blocks(runs, np.ones(4000), 10, replicas=2000, seed=1)
    # The spread of a standard deviation of 400, and of 2000 replicas.
    assert found.error == pytest.approx(0.05, rel=5 * (1 / 800 + 1 / 4000) ** 0.5)
    alone = by_blocks(runs, np.ones(4000), 1, replicas=2000, seed=1)
    assert alone.error == pytest.approx(0.05 / 10**0.5, rel=0.25)


def test_alarms_of_a_short_history():
    congested = np.zeros((12, 1), bool)
    congested[6:8] = True
    score = np.zeros((12, 1))
    score[[1, 4, 5, 10], 0] = 1
    found = alarms_at(score, congested, 0.5, window=3)
    np.testing.assert_array_equal(np.flatnonzero(found.alarms), [1, 4, 10])
    np.testing.assert_array_equal(np.flatnonzero(found.false), [1, 10])
    assert found.onsets.sum() == found.warned.sum() == 1
    assert found.leads.sum() == 2


def test_an_alarm_that_is_always_on_is_mostly_false():
    congested = np.zeros((100, 2), bool)
    congested[50] = True
    found = alarms_at(np.ones((100, 2)), congested, 0.5, window=10)
    assert found.alarms.sum() == 2 * (5 + 5)
    assert found.false.sum() == 2 * (4 + 5)
    assert found.leads.sum() == 20


def test_the_lead_keeps_false_alarms_few():
    random = np.random.default_rng(2)
    congested = np.zeros((4000, 2), bool)
    congested[100::200] = congested[101::200] = True
    score = random.uniform(size=congested.shape)
    for back in (1, 2, 3, 4):
        score[100 - back :: 200] = 2 + random.uniform(size=(20, 2))
    time, warned, found = lead(score, congested, rate=1 / 1000, window=10, block=200)
    assert found.false.sum() <= 8
    assert warned.value == 1
    assert 4 <= time.value <= 10
    nothing, none, _ = lead(0.0 * score, congested, rate=1 / 1000, window=10, block=200)
    assert nothing.value == none.value == 0


def test_what_cannot_be_judged_is_said():
    with pytest.raises(InputError, match="0 of 10 intervals and links are congested"):
        average_precision(np.ones(10), np.zeros(10), block=2)
    with pytest.raises(InputError, match="1 block of time"):
        by_blocks(np.ones(10), np.ones(10), 20)
