"""The made trace has what it is said to have."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.toys.accesses import JOBS, accesses


def test_the_same_seed_is_the_same_trace():
    one, other = accesses(60, 100, seed=5), accesses(60, 100, seed=5)
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_array_equal(one.dataset, other.dataset)
    assert len(accesses(60, 100, seed=6)) != len(one)


@pytest.mark.statistical
def test_as_many_accesses_as_tasks_and_jobs_make(seed):
    trace = accesses(140, 1000, seed=seed)
    # 75 tasks a day, times 6.7 / 7 for weekends, of a geometric number of jobs each.
    tasks = 75 * (5 * 1.1 + 2 * 0.6) / 7 * 140
    mean, variance = 1 / 0.35, (1 - 0.35) / 0.35**2
    spread = np.sqrt(tasks * (mean**2 + variance))
    # Jobs of the last half day may begin after the end.
    assert abs(len(trace) - tasks * JOBS) < 5 * spread + 0.5 * 75 * 3
    born = np.asarray(trace.born)[trace.dataset]
    assert (trace.time >= born).all()


def test_a_new_campaign_is_read_more():
    def share(campaign: float | None) -> float:
        trace = accesses(200, 400, seed=1, campaign=campaign)
        new = np.asarray(trace.born)[trace.dataset] >= 100
        return float(new[trace.time > 120].mean())

    assert share(100.0) > share(None) + 0.1


def test_nothing_is_refused():
    with pytest.raises(InputError, match="make no trace"):
        accesses(0)
