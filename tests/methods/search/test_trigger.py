"""The trigger: rates that are the target in the mean, with the error that is quoted."""

from typing import ClassVar

import awkward as ak
import numpy as np
import pytest
from scipy.stats import binom, chi2

from colliderkit.errors import InputError
from colliderkit.methods.calibration import TruthRegression
from colliderkit.methods.method import Method
from colliderkit.methods.search.trigger import Trigger

COLUMNS = 3


class Radius(Method):
    """The squared distance from zero: of normal columns a score whose tail is known."""

    name: ClassVar[str] = "radius"
    events_: int

    def fit(self, events, *, event=None, weight=None, seed=0, folder=None, resume=False,
            progress=True):  # fmt: skip
        self._begin(seed=seed, folder=folder, resume=resume)
        self.events_ = len(events)
        return self

    def score(self, events):
        return (np.asarray(events) ** 2).sum(1)


def stream(count: int, seed: object, width: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, width, (count, COLUMNS))


def tail(trigger: Trigger) -> float:
    """The true share of the stream above the threshold, over the target's."""
    return float(chi2.sf(trigger.threshold_, COLUMNS) / trigger.share)


@pytest.mark.statistical
@pytest.mark.parametrize(("count", "share"), [(2_000, 0.01), (3_333, 0.0033)])
def test_the_rate_is_the_target_in_the_mean_with_the_quoted_error(seed, count, share):
    trigger = Trigger(Radius(), target=share, input_rate=1.0)
    trigger.fit(stream(2 * count + 500, seed), seed=seed)
    ratios = np.array([tail(trigger.update(stream(count, [seed, i]))) for i in range(400)])
    error = trigger.updates_[-1].error
    assert error == pytest.approx((share * count) ** -0.5)
    # The place of a threshold is a whole number: q (n + 1) is rounded by up to a half.
    rounding = 0.5 / (share * count)
    assert abs(ratios.mean() - 1) < rounding + 4 * error / 400**0.5
    assert abs(ratios.std() / error - 1) < rounding + 4 / 800**0.5


class Score(Radius):
    """Events are their scores."""

    def score(self, events):
        return np.asarray(events)[:, 0]


@pytest.mark.parametrize(("count", "share"), [(219, 0.05), (250, 0.05), (249, 0.1)])
def test_no_rank_is_favoured(count, share):
    """Of n + 1 exchangeable scores each is the new one: k of them are kept, exactly.

    k is q (n + 1), rounded. So the rate has no bias, for any density of the score.
    """
    scores = np.random.default_rng(1).standard_cauchy((count + 1, 1))
    trigger = Trigger(Score(), target=share, input_rate=1.0).fit(stream(1_000, 1))
    others = [np.delete(scores, i, 0) for i in range(count + 1)]
    kept = [trigger.update(rest).keeps(scores[i : i + 1])[0] for i, rest in enumerate(others)]
    assert sum(kept) == round(share * (count + 1))


@pytest.mark.statistical
def test_updates_of_a_steady_stream_are_within_their_errors(seed):
    """The bar: 1e-3 of the input with 1e5 events an update, within 10% + 2 counting errors."""
    trigger = Trigger(Radius(), target=1_000, input_rate=1_000_000)
    trigger.fit(stream(200_000, seed), seed=seed)
    met = 0
    for i in range(12):
        trigger.update(stream(100_000, [seed, i]))
        rate = trigger.rate(stream(100_000, [seed, 100 + i]))
        error = np.hypot(rate.error, trigger.expected().error)
        met += abs(rate.value - 1_000) < 100 + 2 * error
    # Beyond 10% and two errors, 0.27 in all, are 1 of 50 at the most.
    assert met >= binom.ppf(1e-4, 12, 0.98)
    before = [(u.before, u.before_error) for u in trigger.updates_[1:]]
    pulls = [(b - 1_000) / np.hypot(e, 100) for b, e in before]
    assert np.isnan(trigger.updates_[0].before)
    assert abs(np.mean(pulls)) < 4 / len(pulls) ** 0.5


@pytest.mark.statistical
def test_weights_undo_a_prescale(seed):
    """Central events are kept one in five, with a weight of five: the rate is that of all."""
    trigger = Trigger(Radius(), target=0.01, input_rate=1.0).fit(stream(5_000, seed), seed=seed)
    ratios = []
    for i in range(100):
        events = stream(20_000, [seed, i])
        far = trigger.score(events) > 4
        taken = far | (np.arange(len(events)) % 5 == 0)
        trigger.update(events[taken], weight=np.where(far, 1.0, 5.0)[taken])
        ratios.append(tail(trigger))
    assert abs(np.mean(ratios) - 1) < 0.005 + 4 * np.std(ratios) / 10


def test_weights_of_jets_count_as_those_that_are_given():
    plain = stream(4_000, 1)
    weight = np.random.default_rng(2).uniform(0.5, 2, len(plain))
    jets = ak.zip({"x": plain[:, 0], "weight": weight})

    class OfJets(Radius):
        def score(self, events):
            return np.asarray(events["x"] if hasattr(events, "fields") else events[:, 0])

    one, other = (Trigger(OfJets(), target=0.01, input_rate=1.0) for _ in range(2))
    one.fit(plain).update(plain, weight=weight)
    other.fit(jets).update(jets)
    assert one.threshold_ == other.threshold_
    assert one.rate(plain, weight=weight).value == other.rate(jets).value
    with pytest.raises(InputError, match="keeps less than it sees"):
        one.set_params(target=2.0).update(plain)


def test_a_stream_that_changes_is_seen_and_followed():
    trigger = Trigger(Radius(), target=0.01, input_rate=1.0).fit(stream(40_000, 1))
    wider = stream(50_000, 2, width=1.1)
    # The same threshold lets through more: known from the width.
    expected = chi2.sf(trigger.threshold_ / 1.1**2, COLUMNS)
    rate = trigger.rate(wider)
    assert abs(rate.value - expected) < 5 * rate.error
    assert rate.value > 0.01 + 5 * rate.error
    trigger.update(wider)
    last = trigger.updates_[-1]
    assert (last.before, last.before_error) == (rate.value, rate.error)
    assert trigger.rate(wider).value == pytest.approx(0.01, abs=1 / 50_000)


def test_equal_scores_are_never_more_than_the_target():
    trigger = Trigger(Radius(), target=0.1, input_rate=1.0).fit(stream(1_000, 1))
    steps = np.round(2 * np.abs(stream(2_000, 3)))
    trigger.update(steps)
    assert trigger.rate(steps).value <= 0.1
    assert trigger.keeps(steps).sum() == (trigger.score(steps) > trigger.threshold_).sum()


def test_what_trains_sets_no_threshold():
    trigger = Trigger(Radius(), target=0.1, input_rate=1.0, held_out=0.25).fit(stream(4_000, 1))
    assert trigger.scorer_.events_ + trigger.updates_[0].events == 4_000
    assert 800 < trigger.updates_[0].events < 1_200
    again = Trigger(Radius(), target=0.1, input_rate=1.0, held_out=0.25)
    # Rows of one event are on one side.
    again.fit(np.repeat(stream(500, 1), 8, axis=0), event=np.repeat(np.arange(500), 8))
    assert again.scorer_.events_ % 8 == 0


def test_bad_input_is_one_sentence():
    for target in (10.0, 20.0):
        with pytest.raises(InputError, match=f"target is {target:g} and the stream has the input"):
            Trigger(Radius(), target=target, input_rate=10.0).fit(stream(100, 1))
    sentence = r"events set a threshold that 0.001 of the stream is above, .*give at least 10000"
    with pytest.raises(InputError, match=sentence):
        Trigger(Radius(), target=1.0, input_rate=1000.0).fit(stream(1_000, 1))
    with pytest.raises(InputError, match="TruthRegression has no score of events"):
        Trigger(TruthRegression(), target=0.1, input_rate=1.0).fit(stream(1_000, 1))
    with pytest.raises(InputError, match="a rate counts events, so that weights must not be"):
        Trigger(Radius(), target=0.1, input_rate=1.0).fit(
            stream(1_000, 1), weight=np.append(-1.0, np.ones(999))
        )
