"""Made monitors: rates, masks and what a fault does are those of the definition."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.monitors.calorimeter import ETA, FAULTS, PHI, made_runs, pattern


def test_the_pattern_is_always_the_same_and_masked_towers_are_empty():
    shape, masked = pattern()
    np.testing.assert_array_equal(shape, pattern()[0])
    made = made_runs(3, seed=1)
    assert made.runs.sums("occupancy")[:, masked].max() == 0
    assert made.runs.good.all()
    assert not made.towers.any()
    assert made.runs.counts["occupancy"].shape == (60, ETA, PHI)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_where_it_is_said_to_be(kind):
    made = made_runs(5, fault=kind, sections=8, seed=2)
    assert not made.runs.good.any()
    assert made.towers.any() == (kind != "scale")
    assert (made.begin < made.end).all()
    low, high = FAULTS[kind][1]
    assert ((made.size >= low) & (made.size <= high)).all()
    assert (made_runs(2, fault=kind, size=high, seed=3).size == high).all()


def test_a_dead_module_has_no_entries_from_its_begin_on():
    made = made_runs(4, fault="module", size=1.0, sections=8, seed=4)
    occupancy = made.runs.counts["occupancy"].reshape(4, 8, ETA, PHI)
    for r in range(4):
        assert occupancy[r, made.begin[r] :, made.towers[r]].max() == 0
        assert occupancy[r, : made.begin[r], made.towers[r]].min(initial=1) > 0
        assert made.towers[r].sum() > 60


@pytest.mark.statistical
def test_late_towers_are_late(seed):
    made = made_runs(20, fault="timing", size=1.0, seed=[seed, 5])
    time = made.runs.run_means("time")
    late = np.array([abs(time[r][made.towers[r]].mean()) for r in range(20)])
    entries = np.array([made.runs.sums("occupancy")[r][made.towers[r]].sum() for r in range(20)])
    error = 2 / np.sqrt(entries)  # ns, of a hit and of all of them
    assert (np.abs(late - 1) < 5 * error).all()


def test_an_unknown_fault_is_named():
    with pytest.raises(InputError, match="fault 'flood' is unknown; choose one of module"):
        made_runs(1, fault="flood", seed=1)
