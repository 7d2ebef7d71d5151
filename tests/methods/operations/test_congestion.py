"""Forecasts of congestion: closed forms of chains, and nothing from the future."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.operations.congestion import FORECASTS, CongestionForecast, features
from colliderkit.sources.network.counters import LinkCounters
from colliderkit.training.settings import Training
from contracts.cases.network import counters

TRAINING = Training(epochs=2, batch_size=256, learning_rate=3e-3)


def made(kind: str, **options) -> CongestionForecast:
    options = {"horizons": (1, 5), "lags": 3, "day": 100, "training": TRAINING} | options
    return CongestionForecast(kind=kind, **options)


def chain(intervals: int, links: int, on: float, off: float, seed: int) -> LinkCounters:
    """Queues that fill and empty as a Markov chain, with nothing else to see."""
    random = np.random.default_rng(seed)
    state = np.zeros((intervals, links))
    for t in range(1, intervals):
        go = random.uniform(size=links)
        state[t] = np.where(state[t - 1] > 0, go > off, go < on)
    return LinkCounters.checked(np.stack([0.5 + 0 * state, state, 0 * state], 2))


@pytest.mark.statistical
@pytest.mark.parametrize("kind", ["persistence", "logistic", "trees"])
def test_a_markov_chain_is_known(kind, seed):
    """P(on in h | on) = s + (1 - s) r^h, s = on / (on + off), r = 1 - on - off."""
    on, off = 0.05, 0.2
    history = chain(4000, 4, on, off, seed)
    training = Training(epochs=8, batch_size=512, learning_rate=1e-2, schedule="cosine")
    method = made(kind, training=training).fit(history, seed=seed, progress=False)
    found = method.predict_proba(history)
    share, rate = on / (on + off), 1 - on - off
    for i, h in enumerate((1, 5)):
        for now in (True, False):
            exact = share + (now - share) * rate**h
            rows = history.congested == now
            # On h intervals that overlap, and on runs of 1 / (1 - rate) of one state.
            error = (exact * (1 - exact) / rows[:3200].sum() * h * 2 / (1 - rate)) ** 0.5
            assert abs(found[:, :, i][rows].mean() - exact) < 4 * error + 0.01


def test_a_link_that_was_quiet_for_long_has_a_probability():
    """0.6^1500 and 0.4^900 are numbers whose reciprocals are none."""
    state = chain(3000, 4, 0.3, 0.7, 1)["queue"].copy()
    state[600:2200, 0] = 0
    state[900:2000, 1] = 0
    history = LinkCounters.checked(np.stack([0.5 + 0 * state, state, 0 * state], 2))
    found = made("smoothing").fit(history, progress=False).predict_proba(history)
    assert ((found >= 0) & (found <= 1)).all()


def test_a_day_is_known_by_its_profile():
    hour = np.arange(2400) % 240
    busy = ((hour >= 100) & (hour < 120))[:, None] * np.array([1.0, 0.0])
    history = LinkCounters.checked(np.stack([0 * busy, busy, 0 * busy], 2))
    method = made("daily-profile", day=240).fit(history, progress=False)
    found = method.predict_proba(history)
    for i, h in enumerate((1, 5)):
        # In the middle of an hour of the profile, away from its edges.
        assert found[2000 - 240 + 50 - h, 0, i] < 0.1  # nothing is busy here
        assert found[240 * 5 + 110 - h, 0, i] > 0.8
        assert found[240 * 5 + 110 - h, 1, i] < 0.1


def test_of_smoothing_the_weight_follows_the_chain():
    """Of a chain that forgets at once the best memory is long, of one that stays it is short."""
    quick = made("smoothing").fit(chain(3000, 4, 0.3, 0.7, 1), progress=False)
    stays = made("smoothing").fit(chain(3000, 4, 0.01, 0.02, 1), progress=False)
    assert quick.tables_["memory"][0] < 0.1 < stays.tables_["memory"][0]


@pytest.mark.parametrize("kind", FORECASTS)
def test_nothing_is_known_of_the_future(kind):
    history = counters(1)
    method = made(kind).fit(history, progress=False)
    whole = method.predict_proba(history)
    assert whole.shape == (400, 3, 2)
    assert (whole >= 0).all()
    assert (whole <= 1).all()
    part = method.predict_proba(history.between(0, 250))
    np.testing.assert_allclose(part, whole[:250], atol=1e-6)  # sums of another batch


def test_features_are_of_the_past():
    history = counters(2)
    table = features(history, 4, 100)
    np.testing.assert_array_equal(features(history.between(0, 300), 4, 100), table[:300])
    np.testing.assert_array_equal(table[:, :, 0], history["utilisation"].astype(np.float32))
    np.testing.assert_array_equal(table[3:, :, 3], history["utilisation"][:-3].astype(np.float32))
    # Of another link its number says nothing: links in another order give rows in that order.
    order = np.array([2, 0, 1])
    other = LinkCounters.checked(
        history.values[:, order], feeds=history.feeds[np.ix_(order, order)]
    )
    np.testing.assert_allclose(features(other, 4, 100), table[:, order], atol=1e-6)


def test_another_topology_is_forecast():
    method = made("logistic").fit(counters(1), progress=False)
    assert method.predict_proba(chain(100, 7, 0.1, 0.1, 1)).shape == (100, 7, 2)


def test_what_is_wrong_is_said():
    with pytest.raises(InputError, match="40 intervals, of which the last 20%"):
        made("trees", horizons=(1, 15)).fit(counters(1, 40), progress=False)
    quiet = LinkCounters.checked(np.zeros((200, 2, 3)))
    with pytest.raises(InputError, match="some have to be, and some not"):
        made("trees").fit(quiet, progress=False)
    with pytest.raises(InputError, match="kind 'guess' is none of"):
        made("guess").fit(counters(1), progress=False)
    with pytest.raises(InputError, match="give the same"):
        more = LinkCounters.checked(
            np.zeros((9, 2, 4)), names=["utilisation", "queue", "loss", "x"]
        )
        made("persistence").fit(counters(1), progress=False).predict_proba(more)
