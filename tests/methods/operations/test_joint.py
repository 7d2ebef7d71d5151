"""Joint p-values are exact for any sample size, any tests and any correlation of them."""

import itertools

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.operations.joint import Joint


@pytest.mark.parametrize("combination", ["smallest", "fisher"])
def test_the_rate_is_exact_over_all_orders(combination):
    """Of n + 1 runs each in turn is judged by the others: their p-values are 1/(n+1) ... 1."""
    x = np.random.default_rng(1).normal(size=(40, 3))
    x[:, 1] += 2 * x[:, 0]  # as correlated as one likes
    p = []
    for i in range(len(x)):
        joint = Joint(["a", "b", "c"], np.delete(x, i, 0), 0.05, combination)
        p.append(joint.combined(x[i : i + 1])[0])
    ranks = np.sort(p) * 40
    # Two that are the quantile of a test each are equally far off: then no more are flagged.
    assert all((ranks < k + 0.5).sum() <= k for k in range(1, 41))
    assert (np.abs(ranks - np.arange(1, 41)) > 0.5).sum() <= 2


def test_far_off_in_one_test_is_flagged_by_few_runs():
    """All that are first in one of eight tests have the same rank; the farthest is ahead."""
    calibration = np.random.default_rng(2).normal(size=(39, 8))
    joint = Joint([str(i) for i in range(8)], calibration, 0.05, "smallest")
    new = np.zeros((1, 8))
    new[0, 5] = 30
    assert joint.combined(new)[0] == 1 / 40


def test_one_test_is_its_rank():
    joint = Joint(["a"], np.arange(19.0)[:, None], 0.05, "smallest")
    np.testing.assert_allclose(joint.combined([[18.5], [17.5], [-1.0]]), [1 / 20, 2 / 20, 1.0])
    np.testing.assert_allclose(joint.each([[18.5], [17.5], [-1.0]])[:, 0], [1 / 20, 2 / 20, 1.0])


def test_pieces_change_nothing(monkeypatch):
    from colliderkit.methods.operations import joint as module

    random = np.random.default_rng(2)
    joint = Joint(["a", "b"], random.normal(size=(50, 2)), 0.05, "smallest")
    new = random.normal(1, 1, (30, 2))
    whole = joint.combined(new)
    monkeypatch.setattr(module, "PIECE", 1)
    np.testing.assert_array_equal(joint.combined(new), whole)


def test_what_is_worse_in_each_test_is_no_better_jointly():
    random = np.random.default_rng(3)
    joint = Joint(["a", "b"], random.normal(size=(99, 2)), 0.05, "smallest")
    for a, b in itertools.pairwise(np.sort(random.normal(0, 2, (40, 2)), axis=0)):
        first, second = joint.combined(np.stack([a, b]))
        assert second <= first


def test_too_few_runs_for_the_rate():
    with pytest.raises(InputError, match="give 19 good runs"):
        Joint(["a"], np.zeros((18, 1)), 0.05, "smallest")
    with pytest.raises(InputError, match="combination is 'mean'"):
        Joint(["a"], np.zeros((30, 1)), 0.05, "mean")


@pytest.mark.statistical
def test_good_runs_are_flagged_at_the_rate(seed):
    """Calibrated anew each time, the mean rate is floor(a (n + 1)) / (n + 1), here .05."""
    random = np.random.default_rng(seed)
    flagged = 0
    for _ in range(200):
        x = random.normal(size=(59, 3))
        joint = Joint(["a", "b", "c"], x[:39], 0.05, "smallest")
        flagged += int((joint.combined(x[39:]) <= 0.05).sum())
    # Of 4,000, in 200 groups that share a calibration: variance of a beta-binomial.
    n, a, b = 20, 2, 38
    variance = n * a * b * (a + b + n) / ((a + b) ** 2 * (a + b + 1)) * 200
    assert abs(flagged - 200) < 4.5 * variance**0.5
