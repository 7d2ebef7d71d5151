"""Incidents: merged, matched within a tolerance, and where they are."""

import math

import numpy as np
import pytest

from colliderkit.metrics.incidents import Incident, incidents_above, match, share


def test_scores_become_incidents():
    score = np.zeros((60, 3))
    score[10:13, 1] = 2
    score[18, 2] = 3  # six intervals later: the same incident, more of it on link 1
    score[40, 0] = 5
    assert incidents_above(score, 1.0, merge=10) == [Incident(10, 19, 1), Incident(40, 41, 0)]
    assert len(incidents_above(score, 1.0, merge=2)) == 3
    assert incidents_above(score, 9.0) == []


def test_incidents_are_matched_in_time():
    true = [Incident(10, 20, 1), Incident(50, 60, 2), Incident(90, 95, 0)]
    found = [Incident(12, 15, 1), Incident(63, 70, 0), Incident(75, 76, 1)]
    got = match(found, true, tolerance=5)
    np.testing.assert_array_equal(got.found, [1, 1, 0])
    np.testing.assert_array_equal(got.localised, [1, 0, 0])
    np.testing.assert_array_equal(got.false, [0, 0, 1])
    assert got.delay[:2].tolist() == [2, 13]
    assert math.isnan(got.delay[2])


def test_a_share_of_few():
    """Wilson's error of 5 of 10, and of none of 10, which is not known to be none."""
    assert share(np.arange(10) < 5).error == pytest.approx((0.25 / 10 + 0.0025) ** 0.5 / 1.1)
    assert share(np.zeros(10)).error > 0
    assert math.isnan(share([]).value)
