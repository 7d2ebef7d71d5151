"""Replicas and tape against what can be counted by hand, and the order of what is known."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.methods.operations.placement import keep_on_disk, recalls, replicas, waits
from colliderkit.sources.toys.accesses import accesses


def test_replicas_minimise_the_sum_of_n2_over_r():
    """Against all ways to place replicas of three sets of one size."""
    expected, size = np.array([10.0, 4.0, 1.0]), np.ones(3)
    for disk in (3, 4, 6, 9):
        number = replicas(expected, size, float(disk))
        assert number.min() >= 1
        assert number.sum() <= disk
        every = [(a, b, c) for a in range(1, 9) for b in range(1, 9) for c in range(1, 9)
                 if a + b + c <= number.sum()]  # fmt: skip
        best = min((expected**2 / np.array(r)).sum() for r in every)
        assert (expected**2 / number).sum() == pytest.approx(best)
    with pytest.raises(InputError, match="the disk has 2 GB and one replica of each"):
        replicas(expected, size, 2.0)


def test_a_wait_by_hand():
    # Ten accesses on day 0, none later but one on day 3: a replica serves 5 a day.
    time = np.append(np.linspace(0, 0.9, 10), [3.0, 4.5])
    trace = Accesses(time, np.zeros(12, int), np.ones(1))
    found = waits(trace, lambda day: np.ones(1), 1.0, begin=0.0)
    # Day 0: 10 x (0 + 5) / 5; day 3: 1 x .5 / 5; day 4 the same.
    assert found.days == pytest.approx((10.0 + 0.1 + 0.1) / 12)
    assert (found.disk, found.accesses) == (1.0, 12)


def test_kept_on_disk_is_what_a_recall_a_gb_is_likeliest_of():
    expected, size = np.array([0.1, 5.0, 5.0, 0.0]), np.array([0.1, 1.0, 4.0, 1.0])
    np.testing.assert_array_equal(keep_on_disk(expected, size, 1.2), [True, True, False, False])
    assert keep_on_disk(expected, size, 0.0).sum() == 0
    assert keep_on_disk(expected, size, 10.0).all()


def test_recalls_by_hand_and_the_order_of_knowledge():
    trace = Accesses(np.array([0.0, 8.0, 8.1, 9.0, 15.0]), np.array([0, 1, 0, 0, 1]), np.ones(2),
                     born=np.array([-1.0, -1.0]))  # fmt: skip
    none = recalls(trace, lambda day: np.ones(2), 0.0, begin=7.0)
    assert (none.recalls, none.recalled, none.accesses) == (3, 3.0, 4)  # 0 and 1, then 1
    made = accesses(120, 200, seed=1)
    truth = recalls(made, lambda day: made.counts(day, day + 7), 0.2, begin=60.0)
    blind = recalls(made, lambda day: np.ones(200), 0.2, begin=60.0)
    last = recalls(made, lambda day: made.counts(day - 7, day), 0.2, begin=60.0)
    # The smallest of all make few recalls, of many GB: a forecast of zero is no chance of zero.
    assert truth.recalls < min(last.recalls, blind.recalls)
    assert truth.recalled < last.recalled < blind.recalled
    busy = waits(made, lambda day: made.counts(day, day + 7), 1.5, begin=60.0).days
    assert busy < waits(made, lambda day: np.ones(200), 1.5, begin=60.0).days
