"""Counting collisions: unbiased at each number, better with more that tells it, and its error."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.pileup import ACTIVITY
from colliderkit.methods.reconstruction.interactions import GROWING, InteractionCounter

RISE = np.array([0.9, 30.0, 20.0, 0.0, 0.4, 1.0, 70.0, 18.0, 20.0])


def drawn(n: np.ndarray, seed: int) -> np.ndarray:
    """Activity of n collisions: vertices that merge, the rest with a common scatter."""
    random = np.random.default_rng(seed)
    common = random.normal(size=len(n))[:, None]
    own = random.normal(size=(len(n), len(RISE)))
    mean = np.outer(n, RISE)
    mean[:, 0] -= 0.0015 * n**2
    return mean + np.sqrt(n + 1)[:, None] * RISE * (0.8 * common + 0.5 * own)


@pytest.mark.statistical
def test_the_number_is_right_in_the_mean_at_each_number(seed):
    # The training knows four numbers alone, as a study of four samples does: its ends draw nothing.
    random = np.random.default_rng(seed)
    train = np.repeat([20.0, 60.0, 100.0, 140.0], 500)
    counter = InteractionCounter.learn(drawn(train, seed + 1), train)
    for n in (5.0, 20.0, 140.0, 160.0):
        test = np.full(2000, n)
        found, error = counter.count(drawn(test, int(random.integers(1 << 30))))
        # The mean of what is learned is known to its own statistics, some .2% here.
        assert abs(found.mean() - n) < 4 * found.std() / 2000**0.5 + 0.005 * n + 0.1
        assert found.std() == pytest.approx(error.mean(), rel=0.15)


def test_more_that_tells_makes_it_sharper():
    n = np.tile(np.arange(10.0, 150.0), 10)
    both = InteractionCounter.learn(drawn(n, 1), n)
    alone = InteractionCounter.learn(drawn(n, 1), n, names=("vertices",))
    x = drawn(n, 2)
    assert (both.count(x)[0] - n).std() < 0.9 * (alone.count(x)[0] - n).std()
    assert len(both.columns) == len(GROWING) == len(ACTIVITY) - 1


def test_without_scatter_it_is_exact_and_stays_in_its_range():
    n = np.arange(0.0, 60.0)
    exact = np.outer(n, RISE)
    counter = InteractionCounter.learn(exact, n)
    np.testing.assert_allclose(counter.count(exact)[0], n, atol=1e-3)
    assert counter.count(100 * exact[-1:])[0][0] == 2 * counter.most
    assert counter.count(-exact[-1:])[0][0] == 0
    assert counter.count(np.zeros((0, 9)))[0].shape == (0,)


@pytest.mark.parametrize(
    ("x", "n", "names", "match"),
    [
        (np.ones((30, 9)), np.arange(30), ("tracks",), "'tracks' is no activity"),
        (np.ones((30, 8)), np.arange(30), GROWING, "has shape"),
        (np.ones((30, 9)), np.arange(29), GROWING, "interactions have shape"),
        (np.ones((30, 9)), np.arange(30) - 1, GROWING, "negative"),
        (np.ones((30, 9)), np.ones(30), GROWING, "different numbers"),
        (np.full((30, 9), np.nan), np.arange(30), GROWING, "event 0 is not finite"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(x, n, names, match):
    with pytest.raises(InputError, match=match):
        InteractionCounter.learn(x, n, names=names)
