"""Pileup overlays against Poisson statistics and exact bookkeeping."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.detector.pileup import overlay, poisson


def collisions(lengths, seed=0):
    """Return events whose particles carry the number of their collision in pid."""
    lengths = np.asarray(lengths)
    random = np.random.default_rng(seed)
    total = lengths.sum()
    columns = {name: random.normal(size=total) for name in ("px", "py", "pz", "x", "y", "z")}
    columns["E"] = np.sqrt(sum(columns[name] ** 2 for name in ("px", "py", "pz")))
    columns["pid"] = np.repeat(np.arange(len(lengths)), lengths)
    return ak.unflatten(ak.zip(columns), lengths)


def test_none_is_the_identity():
    events = collisions([3, 0, 2])
    assert overlay(events, collisions([5, 5]), 0.0) is events


def test_the_event_itself_is_kept_first():
    events = collisions([3, 0, 2])
    mixed = overlay(events, collisions([4] * 30, seed=1), 3.0, seed=2)
    for name in events.fields:
        for i, length in enumerate((3, 0, 2)):
            assert mixed[name][i][:length].tolist() == events[name][i].tolist()


def test_mean_multiplicity_adds_up():
    events = collisions([2] * 4000)
    pool = collisions(np.random.default_rng(3).integers(0, 20, 300), seed=3)
    mixed = overlay(events, pool, 12.0, seed=4)
    added = np.asarray(ak.num(mixed)) - 2
    size = np.asarray(ak.num(pool))
    # A compound Poisson number has mean mu E[n] and variance mu E[n^2].
    error = np.sqrt(12.0 * np.mean(size**2) / len(events))
    assert added.mean() == pytest.approx(12.0 * size.mean(), abs=4 * error)
    assert added.var() == pytest.approx(12.0 * np.mean(size**2), rel=0.1)


@pytest.mark.parametrize("size", [41, 60, 64])
def test_no_collision_twice_in_one_event(size):
    mixed = overlay(collisions([0] * 500), collisions([1] * size), 15.0, seed=5)
    for event in mixed.pid.tolist():
        assert len(set(event)) == len(event)
    # All of the pool is used about equally.
    used = np.bincount(np.asarray(ak.flatten(mixed.pid)), minlength=size)
    assert used.min() > 0.5 * used.mean()


def test_the_draws_of_an_event_depend_on_its_number_alone():
    events, pool = collisions([2] * 40), collisions([3] * 100, seed=6)
    number = np.arange(40) + 7
    whole = overlay(events, pool, 5.0, event=number, seed=8)
    half = overlay(events[20:], pool, 5.0, event=number[20:], seed=8)
    assert whole[20:].tolist() == half.tolist()
    other = overlay(events, pool, 5.0, event=number, seed=9)
    assert ak.num(whole).tolist() != ak.num(other).tolist()


def test_collisions_are_turned_and_moved_rigidly():
    pool = collisions([6] * 50, seed=10)
    mixed = overlay(collisions([0] * 300), pool, 4.0, seed=11)
    flat = ak.flatten(mixed)
    source = np.asarray(flat.pid)
    place = np.concatenate([np.arange(n) % 6 for n in np.asarray(ak.num(mixed))])
    one = ak.flatten(pool)[source * 6 + place]
    for name in ("px", "x"):
        other = name.replace("x", "y")
        assert np.allclose(np.hypot(flat[name], flat[other]), np.hypot(one[name], one[other]))
    assert np.allclose(flat.pz, one.pz)
    assert np.allclose(flat.px * flat.x + flat.py * flat.y, one.px * one.x + one.py * one.y)
    shift = np.asarray(flat.z - one.z).reshape(-1, 6)
    assert np.allclose(shift, shift[:, :1])
    shift = shift[:, 0]
    assert shift.mean() == pytest.approx(0, abs=4 * 53 / np.sqrt(len(shift)))
    assert shift.std() == pytest.approx(53.0, rel=4 / np.sqrt(2 * len(shift)))


def test_poisson_quantiles():
    uniform = (np.arange(200_000) + 0.5) / 200_000
    for mu in (0.3, 5.0, 140.0):
        counts = poisson(uniform, mu)
        assert counts.mean() == pytest.approx(mu, rel=1e-3)
        assert counts.var() == pytest.approx(mu, rel=1e-2)
    assert poisson(np.array([0.0, np.exp(-2.0) - 1e-9, np.exp(-2.0) + 1e-9]), 2.0).tolist() == [
        0,
        0,
        1,
    ]


def test_what_cannot_be_overlaid_is_refused():
    events, pool = collisions([1] * 50), collisions([1] * 3)
    with pytest.raises(InputError, match=r"pool has 3; give a larger pool"):
        overlay(events, pool, 20.0)
    with pytest.raises(InputError, match=r"pileup is -1\.0"):
        overlay(events, pool, -1.0)
