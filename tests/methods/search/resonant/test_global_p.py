"""Global p-values: closed forms of the trials, and data that lose their bump and nothing else."""

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import kstest

from colliderkit.errors import InputError
from colliderkit.methods.search.resonant.global_p import global_p, pseudo_experiments, without_bump
from colliderkit.methods.search.spectrum import excess
from colliderkit.sources.toys.resonance import Resonance

EDGES = np.linspace(2500, 4900, 31)
REGION = (3300.0, 3700.0)


def test_the_trials_are_those_of_independent_windows(seed):
    random = np.random.default_rng([seed, 4])
    found = global_p(1e-6, random.random((4000, 12)).min(1))
    assert found.trials.value == pytest.approx(12, abs=4 * found.trials.error)
    assert found.trials.error == pytest.approx(12 / np.sqrt(4000), rel=0.1)
    assert found.value.value == pytest.approx(12e-6, rel=0.1)
    assert found.counted.value == 1 / 4001
    assert found.searches == 4000


def test_where_both_can_be_known_counting_and_extrapolation_agree(seed):
    null = np.random.default_rng([seed, 5]).random((4000, 6)).min(1)
    found = global_p(0.05, null)
    exact = 1 - 0.95**6
    assert found.counted.value == pytest.approx(exact, abs=4 * found.counted.error)
    assert found.value.value == pytest.approx(exact, abs=4 * found.value.error)


def test_p_values_that_are_none():
    for null in ([], [1.5], [[0.1]]):
        with pytest.raises(InputError, match="p-values from 0 to 1"):
            global_p(0.5, null)


@pytest.mark.statistical
def test_a_bump_is_spread_and_the_rest_stays(seed):
    """Masses become smooth, features keep their trend, and each event is used once.

    What is spread over 400 to both sides is still an excess, of a quarter of the significance
    in the mean; that of one data set varies by 1.5.
    """
    sizes, shares = [], []
    for i in range(5):
        events = Resonance(distance=(2.0,), shift=1.0).events(40_000, 800, [seed, 6, i])
        before = excess(events.mass, region=REGION, edges=EDGES, orders=(2, 3))
        rows, mass = without_bump(events.mass, edges=EDGES, reach=400.0, seed=seed)
        np.testing.assert_array_equal(np.sort(rows), np.arange(len(events)))
        after = excess(mass, region=REGION, edges=EDGES, orders=(2, 3))
        sizes.append((before.significance, after.significance))
        high = events.features[rows, 0] > 3.0
        inside = (mass > REGION[0]) & (mass < REGION[1])
        beside = (mass > 3150) & (mass < 3850) & ~inside
        shares.append(high[inside].mean() / high[beside].mean())
    mean = np.mean(sizes, 0)
    assert mean[0] > 6
    assert mean[1] < 0.6 * mean[0]
    assert np.mean(shares) < 1.5
    outside = (events.mass < EDGES[0]) | (events.mass >= EDGES[-1])
    np.testing.assert_array_equal(mass[outside], events.mass[outside])
    # The trend is that of before; the signal's feature is spread over more than the window.
    x = events.features[rows, 0]
    slope = np.polyfit(mass / 1000, x, 1)[0]
    assert slope == pytest.approx(np.polyfit(events.mass / 1000, events.features, 1)[0, 0], abs=0.1)
    signal = events.features[:, 0] > 3.0
    was = (events.mass > REGION[0]) & (events.mass < REGION[1])
    around = (events.mass > 3150) & (events.mass < 3850) & ~was
    assert signal[was].mean() > 4 * signal[around].mean()


@pytest.mark.statistical
def test_pseudo_experiments_of_one_window_have_its_local_p_values(seed):
    events = Resonance().events(20_000, 0, [seed, 7])
    found = excess(events.mass, region=REGION, edges=EDGES, orders=(2, 2))
    toys = pseudo_experiments(found, [REGION], family="dijet", toys=500, seed=seed)
    assert kstest(toys, "uniform").pvalue > 1e-4
    several = pseudo_experiments(
        found,
        [(found.edges[i], found.edges[i + 4]) for i in range(3, 23)],
        family="dijet",
        toys=500,
    )
    assert several.mean() < 0.3
    assert several.min() >= ndtr(-6)
