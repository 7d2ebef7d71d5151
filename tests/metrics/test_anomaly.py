"""Figures of merit of anomaly scores against exact efficiencies."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from colliderkit.errors import InputError
from colliderkit.metrics.anomaly import dark_machines, signal_efficiency


def two_normals(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    score = np.concatenate([random.normal(size=count), random.normal(2, 1, count)])
    return score, np.repeat([0, 1], count)


def test_a_cut_that_is_counted_by_hand():
    score, label = np.arange(20.0), np.repeat([0, 1], 10)
    score[:10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12.5]  # one background event among the signal
    score[10:12] = [0.5, 2.5]  # and two signal events among the background
    # The loosest cut that passes one background event of ten is above 8.
    assert signal_efficiency(score, label, 0.1).value == pytest.approx(0.8)


@pytest.mark.statistical
def test_errors_are_those_of_repetitions(seed):
    found = [signal_efficiency(*two_normals(seed + i, 5000), 1e-2) for i in range(60)]
    exact = norm.sf(norm.isf(1e-2) - 2)
    pulls = np.array([(v.value - exact) / v.error for v in found])
    assert abs(pulls.mean()) < 4 / 60**0.5
    assert 0.6 < pulls.std() < 1.5


def test_less_than_one_background_event_is_no_measurement():
    figures = dark_machines(*two_normals(1, 5000))
    assert list(figures) == ["AUC", *(f"eps_S at eps_B = {x:g}" for x in (1e-2, 1e-3, 1e-4))]
    assert math.isfinite(figures["eps_S at eps_B = 0.001"].value)
    assert math.isnan(figures["eps_S at eps_B = 0.0001"].value)


def test_a_signal_that_never_passes_is_known_to_one_event():
    score = np.concatenate([np.arange(100.0), -np.arange(1.0, 51.0)])
    found = signal_efficiency(score, np.repeat([0, 1], [100, 50]), 0.1)
    assert found.value == 0
    assert found.error == pytest.approx(1 / 50)


def test_weights_count_as_events():
    score, label = two_normals(2, 2000)
    twice = signal_efficiency(np.repeat(score, 2), np.repeat(label, 2), 0.01)
    heavy = signal_efficiency(score, label, 0.01, np.full(len(score), 2.0))
    assert heavy.value == pytest.approx(twice.value, abs=1e-3)


def test_an_efficiency_outside_0_and_1_is_refused():
    with pytest.raises(InputError, match="lies outside"):
        signal_efficiency(*two_normals(1, 10), 1.0)
