"""The simulator against caches that are written out, bounds, and closed cases."""

from collections import OrderedDict

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.methods.operations.caches import OWN, Scores, replay, share_closed


def made(seed: int = 0, *, equal: bool = False) -> Accesses:
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 61)
    size = np.ones(60) if equal else random.lognormal(0, 1, 60)
    dataset = random.choice(60, 3000, p=shares / shares.sum())
    return Accesses(np.sort(random.uniform(0, 30, 3000)), dataset, size)


def of_sequence(letters: str, size: float = 1.0) -> Accesses:
    sets = np.array([ord(letter) - ord("a") for letter in letters])
    return Accesses(np.arange(len(sets), dtype=float), sets, np.full(sets.max() + 1, size))


def written_out(accesses: Accesses, capacity: float, *, lru: bool) -> tuple[int, float]:
    cache: OrderedDict[int, float] = OrderedDict()
    misses, missed = 0, 0.0
    for x in accesses.dataset.tolist():
        if x in cache:
            if lru:
                cache.move_to_end(x)
            continue
        misses, missed = misses + 1, missed + accesses.size[x]
        if accesses.size[x] > capacity:
            continue
        while cache and sum(cache.values()) + accesses.size[x] > capacity:
            cache.popitem(last=False)
        cache[x] = float(accesses.size[x])
    return misses, missed


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
@pytest.mark.parametrize("policy", ["lru", "fifo"])
def test_lru_and_fifo_are_those_that_are_written_out(policy, share):
    accesses = made()
    capacity = share * accesses.size.sum()
    found = replay(accesses, capacity, policy)
    misses, missed = written_out(accesses, capacity, lru=policy == "lru")
    assert found.misses == misses
    assert found.missed == pytest.approx(missed, rel=1e-12)
    assert found.accesses == len(accesses)


@pytest.mark.parametrize(
    ("policy", "misses"),
    # By hand, two places, a b a c a b: LRU drops b for c; FIFO drops a for c and b for a.
    [("lru", 4), ("fifo", 5), ("lfu", 4), ("belady", 4)],
)
def test_a_sequence_by_hand(policy, misses):
    assert replay(of_sequence("abacab"), 2.0, policy).misses == misses


def test_belady_has_the_fewest_misses_of_equal_sizes():
    """Of all sequences of decisions: tried one by one on a short trace of three places."""
    accesses = of_sequence("abcdabeabcdeadcb")
    sets = accesses.dataset.tolist()

    def fewest(k: int, cache: frozenset[int]) -> int:
        if k == len(sets):
            return 0
        if sets[k] in cache:
            return fewest(k + 1, cache)
        if len(cache) < 3:
            return 1 + fewest(k + 1, cache | {sets[k]})
        return 1 + min(fewest(k + 1, cache - {gone} | {sets[k]}) for gone in cache)

    assert replay(accesses, 3.0, "belady").misses == fewest(0, frozenset())
    assert replay(accesses, 3.0, "belady-size").misses == fewest(0, frozenset())


def test_scores_of_the_oldest_alone_are_lru():
    accesses = made()
    rate = np.random.default_rng(1).random((3, 60))
    for share in (0.1, 0.3):
        capacity = share * accesses.size.sum()
        scores = Scores(rate, np.array([0.0, 10.0, 20.0]), oldest=0.0)
        assert replay(accesses, capacity, scores) == replay(accesses, capacity, "lru")


def test_a_short_memory_of_what_was_read_is_lru_too():
    """Of exp(-age / time) the oldest is the least, however often it was read before."""
    accesses = made(2)
    capacity = 0.2 * accesses.size.sum()
    scores = Scores(np.zeros((1, 60)), np.zeros(1), strength=[1.0], time=[0.03])
    lru = replay(accesses, capacity, "lru")
    assert abs(replay(accesses, capacity, scores).misses - lru.misses) < 0.15 * lru.misses


def test_the_truth_as_a_forecast_is_better_than_lru():
    accesses = made(3, equal=True)  # accesses are independent: the best is to keep the popular
    rate = (1 / np.arange(1, 61))[None]
    scores = Scores(rate, np.zeros(1))
    ratios = {p: replay(accesses, 12.0, p, since=10).ratio for p in ("lru", "belady")}
    ours = replay(accesses, 12.0, scores, since=10).ratio
    assert ratios["belady"] < ours < ratios["lru"]
    assert 0 < share_closed(ours, ratios["lru"], ratios["belady"]) < 1


def test_a_forecast_is_used_from_its_day_on():
    accesses = of_sequence("abca")
    # On day 2 the cache of two holds a and b; the forecast of that day says which one goes.
    rate = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    early = Scores(rate, np.array([0.0, 2.5]))
    late = Scores(rate, np.array([0.0, 2.0]))
    assert replay(accesses, 2.0, early).misses == 3  # b goes, and a hits
    assert replay(accesses, 2.0, late).misses == 4  # a goes, and misses


def test_warming_counts_no_misses_and_bytes_are_of_sizes():
    accesses = of_sequence("abab", size=2.5)
    found = replay(accesses, 10.0, "lru", since=2.0)
    assert (found.accesses, found.misses, found.read, found.missed) == (2, 0, 5.0, 0.0)
    whole = replay(accesses, 10.0, "lru")
    assert (whole.ratio, whole.byte_ratio) == (0.5, 0.5)


def test_what_is_larger_than_the_cache_passes_by():
    accesses = Accesses(np.arange(4.0), np.array([0, 1, 0, 1]), np.array([1.0, 5.0]))
    for policy in ("lru", "lfu", "fifo", "belady", "belady-size"):
        assert replay(accesses, 2.0, policy).misses == 3


def test_what_cannot_be_replayed_is_named():
    accesses = of_sequence("ab")
    with pytest.raises(InputError, match=r"capacity of a cache is 0 GB"):
        replay(accesses, 0.0, "lru")
    with pytest.raises(InputError, match=r"cache policy 'mru' is unknown; choose one of lru"):
        replay(accesses, 1.0, "mru")


def test_sets_that_fill_a_cache_to_the_last_byte_fit():
    # Ten of 0.1 GB are 0.9999999999999999 GB in one order and 1.1 GB after others have gone.
    random = np.random.default_rng(0)
    tenths = Accesses(np.arange(5000.0), random.integers(0, 30, 5000), np.full(30, 0.1))
    ones = Accesses(tenths.time, tenths.dataset, np.ones(30))
    for policy in OWN:
        assert replay(tenths, 0.7, policy).misses == replay(ones, 7.0, policy).misses


def test_libcachesim_counts_the_same_misses():
    pytest.importorskip("libcachesim")
    from colliderkit.methods.operations import cache_policies

    accesses = made(4)
    whole = Accesses(accesses.time, accesses.dataset, np.ceil(accesses.size * 1000) / 1000)
    capacity = np.floor(200 * whole.size.sum()) / 1000
    known = cache_policies.POLICIES
    for ours, name in (("lru", "LRU"), ("fifo", "FIFO"), ("belady", "Belady")):
        cache_policies.POLICIES = known | {ours: name}
        peer = cache_policies.replay_with_libcachesim(whole, capacity, ours, 0)
        found = replay(whole, capacity, ours)
        if ours == "belady":  # it samples, and breaks ties in another way
            assert peer.misses == pytest.approx(found.misses, rel=0.02)
        else:
            assert peer.misses == found.misses
            assert peer.byte_ratio == pytest.approx(found.byte_ratio, rel=1e-9)
    cache_policies.POLICIES = known
    for policy in ("arc", "s3-fifo", "sieve", "gdsf", "w-tinylfu"):
        assert 0 < replay(whole, capacity, policy, since=10).ratio < 1
