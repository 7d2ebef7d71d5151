"""Topologies: labels by counts, tail probabilities even on background, and the prior's rates."""

import numpy as np
import pytest
from scipy.stats import binom, chi2

from colliderkit.errors import InputError
from colliderkit.methods.search.topologies import RARE, Tails, Topologies
from colliderkit.methods.search.trigger import Trigger
from methods.search.test_trigger import Radius

COLUMNS = ["met_pt", "e1_pt", "e2_pt", "log(1 + mu1_pt)", "j1_pt", "j10_pt", "j1_eta"]
ONE = Topologies(objects={"a": ["x0"]}, edges={"a": [1]}, smallest=50)


def test_labels_are_counts_of_objects():
    kinds = Topologies()
    assert kinds.names[:2] == ["0 leptons, 0-1 jets", "0 leptons, 2-3 jets"]
    assert kinds.names[5] == "1 lepton, 4+ jets"
    assert kinds.names[6] == "2+ leptons, 0-1 jets"
    table = np.zeros((4, len(COLUMNS)))
    table[:, 0] = 99.0  # missing momentum is no lepton
    table[1, 3] = 0.7
    table[2, [1, 2, 3]] = 5.0
    table[3, [4, 5]] = 30.0
    table[:, 6] = 1.0  # nor is an angle a jet
    assert [kinds.names[i] for i in kinds.labels(table, COLUMNS)] == [
        "0 leptons, 0-1 jets",
        "1 lepton, 0-1 jets",
        "2+ leptons, 0-1 jets",
        "0 leptons, 2-3 jets",
    ]


@pytest.mark.parametrize(
    ("counts", "names", "group"),
    [
        ([60, 70, 0, 80], ["a", "b", "d"], [0, 1, 0, 2]),  # what was never seen: the smallest
        ([60, 20, 35, 80], ["a", "d", RARE], [0, 2, 2, 1]),
        ([60, 20, 5, 80], ["d", RARE], [1, 1, 1, 0]),  # too few together take the next
    ],
)
def test_rare_topologies_are_one(counts, names, group):
    class Four(Topologies):
        names = ("a", "b", "c", "d")

    found = Four(smallest=50).grouped(np.repeat(np.arange(4), counts))
    assert found.names == names
    np.testing.assert_array_equal(found.of, group)


def tails(scores, of, names=("a", "b"), **more) -> Tails:
    return Tails.measured(scores, of, np.ones(len(scores)), names=names, **more)


def test_no_rank_in_a_topology_is_favoured():
    """Each of n + 1 exchangeable scores is the new one: p <= i / (n + 1) for i of them, exactly."""
    count, random = 40, np.random.default_rng(1)
    scores = random.standard_cauchy(count + 1)
    p = []
    for i in range(count + 1):
        rest = np.append(np.delete(scores, i), random.normal(size=9))
        of = np.repeat([0, 1], [count, 9])
        p.append(tails(rest, of).tail(scores[i : i + 1], np.zeros(1, int))[0])
    for i in range(1, count + 1):
        assert (np.array(p) < i / (count + 1) + 1e-12).sum() == i


def test_a_tail_probability_is_known_between_the_events_and_beyond():
    scores, of = np.array([1.0, 2.0, 4.0, 10.0]), np.array([0, 0, 0, 1])
    found = tails(scores, of)
    zero = np.zeros(4, int)
    np.testing.assert_allclose(
        found.tail(np.array([4.0, 3.0, 2.0, 1.0]), zero), np.array([1, 1.5, 2, 3]) / 4
    )
    # Beyond the last an exponential of the mean excess over the lowest of the top, (1 + 3) / 2.
    np.testing.assert_allclose(found.tail(np.array([6.0]), zero[:1]), np.exp(-1) / 4)
    np.testing.assert_allclose(found.tail(np.array([10.0]), np.ones(1, int)), 0.5)


def test_the_prior_shares_out_the_rate_in_closed_form():
    """A cut q < r keeps r pi_t of the stream in each topology, with p_t < r pi_t / f_t there."""
    random = np.random.default_rng(2)
    of = np.repeat([0, 1, 2], [6_000, 3_000, 999])
    scores = random.exponential(size=len(of)) * np.array([1, 5, 0.1])[of]
    total, names = 10_000, ("a", "b", "c")
    for prior, pi in {
        "stream": np.array([6_000, 3_000, 999]) / 9_999,
        "even": np.full(3, 1 / 3),
        "given": np.array([0.0, 0.25, 0.75]),
    }.items():
        given = {"b": 1.0, "c": 3.0} if prior == "given" else prior
        found = tails(scores, of, names, prior=given)
        np.testing.assert_allclose(found.prior, pi)
        cut = found.cut(0.01)
        assert cut == pytest.approx(0.01)
        # Held-out event number i in its topology has p = i / (n_t + 1) and q = i / ((n + 1) pi).
        q = np.exp(found.combined(scores, of))
        kept = np.array([(q[of == i] <= cut * (1 + 1e-9)).sum() for i in range(3)])
        np.testing.assert_array_equal(kept, np.floor(0.01 * pi * total + 1e-6))
        share = found.shares / found.shares.sum()
        p = found.tail(scores, of)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(q, p * share[of] / pi[of], rtol=2e-3)
        # The same cut, as one on the score of each topology.
        limits = found.thresholds(1.0001 * cut)
        np.testing.assert_array_equal(q < 1.0001 * cut, scores > limits[of])


def test_what_a_topology_lacks_the_others_get():
    of = np.repeat([0, 1], [90, 9])
    found = tails(np.arange(99.0), of, prior="even")
    # Half of 0.3 is more than topology 1 has, 0.09: it is kept whole, the other gives the rest.
    assert found.cut(0.3) * 0.5 == pytest.approx(0.3 - 0.09)
    q = np.exp(found.combined(np.arange(99.0), of))
    assert (q < found.cut(0.3) + 1e-9)[of == 1].all()
    assert (q < found.cut(0.3) + 1e-9)[of == 0].sum() == 21
    with pytest.raises(InputError, match=r"that have a prior hold 0.09 of the stream, and 0.3 of"):
        tails(np.arange(99.0), of, prior={"b": 1.0}).cut(0.3)


def test_weights_undo_a_prescale_in_the_tails():
    scores = np.arange(1.0, 101.0)
    whole = tails(scores, np.zeros(100, int), ("a",))
    few = scores > 50
    taken = few | (np.arange(100) % 5 == 2)
    part = Tails.measured(
        scores[taken], np.zeros(taken.sum(), int), np.where(few, 1.0, 5.0)[taken], names=("a",)
    )
    at, zero = np.array([60.0, 97.0]), np.zeros(2, int)
    # The same but for the one event more, whose weight is the mean one.
    one = 10 / 100
    np.testing.assert_allclose(part.tail(at, zero), whole.tail(at, zero), atol=one)


def mixed(count: int, seed: object) -> np.ndarray:
    """Two topologies of the stream, by the sign of x0, with scores of different sizes."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 3))
    return x * np.where(x[:, :1] > 0.7, 4.0, 1.0)


@pytest.mark.statistical
def test_tails_of_new_events_are_even_and_the_rate_is_the_target(seed):
    trigger = Trigger(Radius(), target=0.02, input_rate=1.0, topologies=ONE)
    trigger.fit(mixed(4_000, seed), seed=seed)
    ratios = []
    below = np.zeros(2)
    tried = np.zeros(2)
    for i in range(40):
        trigger.update(mixed(2_000, [seed, i]))
        new = mixed(2_000, [seed, 100 + i])
        ratios.append(trigger.rate(new).value / 0.02)
        p, of = trigger.tail_probability(new), trigger.topology(new)
        below += [(p[of == t] < 0.1).sum() for t in (0, 1)]
        tried += np.bincount(of, minlength=2)
    # Of counting above the thresholds and in the new events.
    error = np.sqrt(2 / (0.02 * 2_000 * 40))
    assert abs(np.mean(ratios) - 1) < 4.5 * error
    for share, number in zip(below / tried, tried, strict=True):
        # What sets the tails is as many events again.
        assert abs(share / 0.1 - 1) < 4.5 * np.sqrt(2 * 0.9 / (0.1 * number))
    # One cut on the score keeps hardly any but those of the larger score.
    plain = Trigger(Radius(), target=0.02, input_rate=1.0).fit(mixed(4_000, seed), seed=seed)
    new = mixed(20_000, [seed, 500])
    assert plain.keeps(new)[new[:, 0] <= 0].mean() < trigger.keeps(new)[new[:, 0] <= 0].mean()
    even = Trigger(Radius(), target=0.02, input_rate=1.0, topologies=ONE, prior="even")
    even.fit(mixed(20_000, seed), seed=seed)
    kept = np.bincount(even.topology(new)[even.keeps(new)], minlength=2)
    # Half of the kept events in each, up to what set the thresholds.
    assert (
        binom.ppf(1e-5, kept.sum(), 0.5) - 30 < kept[0] < binom.ppf(1 - 1e-5, kept.sum(), 0.5) + 30
    )


@pytest.mark.statistical
def test_the_rate_of_many_topologies_has_no_bias(seed):
    """Nine topologies with known tails, the rarest with two events above its threshold."""
    shares = np.array([0.25, 0.30, 0.15, 0.10, 0.06, 0.02, 0.07, 0.04, 0.01])
    random, ratios = np.random.default_rng(seed), []
    for _ in range(60):
        of = random.choice(9, 20_000, p=shares)
        scores = random.chisquare(3, len(of)) * (1 + of)
        found = tails(scores, of, "abcdefghi")
        limits = found.thresholds(found.cut(0.01))
        ratios.append((shares * chi2.sf(limits / (1 + np.arange(9)), 3)).sum() / 0.01)
    counting = 200**-0.5
    assert abs(np.mean(ratios) - 1) < 4.5 * counting / 60**0.5
    assert abs(np.std(ratios) / counting - 1) < 4.5 / 120**0.5


def test_own_scores_are_of_the_topology(tmp_path):
    trigger = Trigger(Radius(), target=0.1, input_rate=1.0, topologies=ONE, own=True)
    events = mixed(2_000, 1)
    trigger.fit(events, seed=1)
    assert list(trigger.scorers_) == trigger.groups_.names == ["0 a", "1+ a"]
    assert sum(s.events_ for s in trigger.scorers_.values()) == trigger.scorer_.events_
    assert set(trigger.thresholds()) == {"0 a", "1+ a"}
    of = trigger.topology(events)
    limits = np.array(list(trigger.thresholds().values()))
    np.testing.assert_array_equal(trigger.keeps(events), trigger.raw_score(events) > limits[of])


def test_bad_input_is_one_sentence():
    events = mixed(2_000, 1)

    def fit(kinds=ONE, prior="stream", data=events, **more):
        Trigger(Radius(), target=0.1, input_rate=1.0, topologies=kinds, prior=prior, **more).fit(
            data
        )

    with pytest.raises(InputError, match="own and prior are of topologies, and there are none"):
        fit(None, own=True)
    with pytest.raises(InputError, match=r"no column is one of the jets \(j\?_pt, j10_pt\); .* x0"):
        fit(Topologies(objects={"jets": ["j?_pt", "j10_pt"]}, edges={"jets": [2]}))
    with pytest.raises(InputError, match="objects a and edges of b; give both for the same kinds"):
        fit(Topologies(objects={"a": ["x0"]}, edges={"b": [1]}))
    with pytest.raises(InputError, match=r"edges of a are \[2, 1\]; give rising counts from 1"):
        fit(Topologies(objects={"a": ["x0"]}, edges={"a": [2, 1]}))
    with pytest.raises(InputError, match=r"a topology takes topologies\.smallest = 5000; give"):
        fit(Topologies(objects={"a": ["x0"]}, edges={"a": [1]}, smallest=5_000))
    with pytest.raises(InputError, match="all events that are trained on are of one"):
        fit(Topologies(objects={"a": ["x0"]}, edges={"a": [1]}, above=99.0))
    with pytest.raises(InputError, match=r"'c' is no topology of this stream; .* 0 a; 1\+ a"):
        fit(prior={"c": 1.0})
    with pytest.raises(InputError, match="no topology has one above 0"):
        fit(prior={"0 a": 0.0})
    with pytest.raises(InputError, match="prior is 'flat'; choose stream, even"):
        fit(prior="flat")
    plain = Trigger(Radius(), target=0.1, input_rate=1.0).fit(events)
    with pytest.raises(InputError, match="the trigger knows no topologies; fit one with"):
        plain.tail_probability(events)
