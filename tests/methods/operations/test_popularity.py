"""Forecasts by hand, strict in time, and better than a baseline where there is more to know."""

import dataclasses

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.methods.operations.eviction import Eviction
from colliderkit.methods.operations.popularity import (
    KINDS,
    Popularity,
    deviance,
    forecasts,
    log_error,
)
from colliderkit.sources.toys.accesses import accesses


def steady(rates: list[float], days: int = 200, seed: int = 0) -> Accesses:
    """Data sets that are read at a constant rate, from before the first day on."""
    random = np.random.default_rng(seed)
    dataset = np.repeat(np.arange(len(rates)), random.poisson(np.array(rates) * days))
    time = random.uniform(0, days, len(dataset))
    order = np.argsort(time)
    return Accesses(time[order], dataset[order], np.ones(len(rates)), born=np.zeros(len(rates)) - 1)


@pytest.mark.statistical
@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_rate_is_found(kind, seed):
    rates = np.array([8.0, 2.0, 0.5])
    trace = steady(np.repeat(rates, 20), seed=seed)  # trees need leaves to learn from
    method = Popularity(kind=kind).fit(trace.before(150))
    found = np.mean([method.predict(trace, day) for day in np.arange(150, 190, 7)], axis=0)
    # The mean of 20 sets and six weeks, each from a week or more: at least so many are counted.
    found, expected = found.reshape(3, 20).mean(1), 7 * rates
    assert np.all(np.abs(found - expected) < 5 * np.sqrt(expected / 120) + 0.1 * expected)


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_later_is_not_looked_at(kind):
    trace = accesses(150, 80, seed=1)
    method = Popularity(kind=kind).fit(trace.before(100))
    day = 120.0
    other = np.random.default_rng(0).permutation(80)
    later = np.where(trace.time >= day, other[trace.dataset], trace.dataset)
    changed = dataclasses.replace(trace, dataset=later)
    for known in (changed, trace.before(day)):
        np.testing.assert_array_equal(method.predict(known, day), method.predict(trace, day))
    assert method.predict(trace, day)[np.asarray(trace.born) >= day].sum() == 0


def test_the_closed_forms():
    trace = Accesses(np.array([0.0, 6.0, 13.0, 13.5]), np.array([0, 1, 0, 0]), np.ones(2))
    last = Popularity(kind="last", horizon=7.0)
    last.chosen_, last.until_ = 0.0, 14.0
    np.testing.assert_array_equal(last.predict(trace, 14.0), [2.0, 1e-3])
    decay = Popularity(kind="decay", horizon=7.0)
    decay.chosen_ = 2.0
    expected = 7 / 2 * np.exp(-np.array([14.0, 1.0, 0.5]) / 2).sum()
    assert decay.predict(trace, 14.0)[0] == pytest.approx(expected)
    smoothed = Popularity(kind="smoothed", horizon=7.0)
    smoothed.chosen_ = 1.0
    kernel = np.exp(-(np.array([0.5, 1.5]) ** 2) / 2)
    assert smoothed.predict(trace, 14.0)[0] == pytest.approx(kernel @ [2, 1] / kernel.sum())
    mean = Popularity(kind="mean", horizon=7.0)
    mean.chosen_ = 0.0
    np.testing.assert_allclose(mean.predict(trace, 14.0), [3 * 7 / 14, 7 / 8])


def test_deviance_and_error():
    assert deviance(np.array([3.0, 2.0]), np.array([3.0, 2.0])) == 0
    assert deviance(np.array([2.0]), np.array([0.0])) == pytest.approx(4.0)
    assert log_error(np.array([np.e - 1]), np.array([0.0])) == pytest.approx(1.0)


@pytest.mark.statistical
def test_trees_learn_what_repeating_does_not_know(seed):
    """Every set is read for 20 days after it is born, and never again."""
    random = np.random.default_rng(seed)
    born = np.repeat(np.arange(200.0), 2)
    time = (born[:, None] + np.sort(random.uniform(0, 20, (len(born), 60)), axis=1)).ravel()
    order = np.argsort(time)
    trace = Accesses(time[order], np.repeat(np.arange(len(born)), 60)[order], np.ones(len(born)),
                     born=born)  # fmt: skip
    found = {}
    for kind in ("trees", "last", "mean"):
        method = Popularity(kind=kind).fit(trace.before(140.0))
        days = np.arange(140.0, 185.0, 7.0)
        each = [(method.predict(trace, d), trace.counts(d, d + 7), trace.known(d)) for d in days]
        found[kind] = np.mean([log_error(f[k], n[k]) for f, n, k in each])
    assert found["trees"] < 0.7 * min(found["last"], found["mean"])


def test_training_again_sees_a_new_regime():
    trace = accesses(200, 80, seed=2, campaign=100)
    method = Popularity(kind="trees").fit(trace.before(90))
    days = np.arange(100.0, 190.0, 10.0)
    once, again = (forecasts(method, trace, days, refit=r) for r in (None, 40.0))
    np.testing.assert_array_equal(once[:3], again[:3])  # 40 days are not over
    assert not np.array_equal(once[-1], again[-1])


def test_an_eviction_is_chosen_before_it_is_judged():
    trace = accesses(200, 150, seed=3)
    past = trace.before(120)
    method = Eviction(Popularity(kind="decay"), every=7.0).fit(past, progress=False)
    assert method.choice_ == {k: v for k, v in min(
        method.tried_, key=lambda tried: tried["misses"]).items() if k != "misses"}  # fmt: skip
    # What comes later changes nothing of the choice.
    again = Eviction(Popularity(kind="decay"), every=7.0).fit(past, progress=False)
    assert again.choice_ == method.choice_
    found = method.replay(trace)
    assert found.accesses == (trace.time >= method.popularity_.until_).sum()
    assert 0 < found.ratio < 1
    with pytest.raises(InputError, match="the eviction was chosen on accesses up to"):
        method.replay(trace, since=60.0)
    with pytest.raises(InputError, match="a cache is judged on later ones"):
        method.replay(past)


def test_what_cannot_be_learned_from_is_named():
    trace = accesses(60, 30, seed=1)
    with pytest.raises(InputError, match="the accesses span 19 days"):
        Popularity().fit(trace.before(20))
    with pytest.raises(InputError, match="kind 'arima' is unknown"):
        Popularity(kind="arima").fit(trace)  # type: ignore[arg-type]
    method = Popularity().fit(accesses(90, 30, seed=1))
    bare = dataclasses.replace(trace, features={})
    with pytest.raises(InputError, match="trained with the feature 'group'"):
        method.predict(bare, 50.0)
    with pytest.raises(InputError, match="the size of data set set1 is 0"):
        Accesses(np.zeros(2), np.arange(2), np.array([1.0, 0.0]))
    with pytest.raises(InputError, match=r"time of access 1 .* is before"):
        Accesses(np.array([1.0, 0.0]), np.zeros(2, int), np.ones(1))
    with pytest.raises(InputError, match="the catalogue has 1"):
        Accesses(np.zeros(2), np.arange(2), np.ones(1))
