"""Events like those of the LHC Olympics: made once, read back, mixed, moved."""

import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources import read_table
from colliderkit.sources.datasets.lhc_olympics import (
    Dijets,
    cluster_dijets,
    inject,
    make_dijets,
    read_dijets,
    shift,
)


def sample(count, label, first=0):
    random = np.random.default_rng(label)
    event = first + np.arange(count)
    features, mass = random.random((count, 4)), random.uniform(3000, 4000, count)
    return Dijets(features, mass, np.full(count, label), np.ones(count), event)


def test_events_are_made_once_and_read_back(tmp_path):
    paths = [make_dijets(tmp_path, label, 20, seed=2) for label in (0, 1)]
    first = paths[0].stat().st_mtime_ns
    assert make_dijets(tmp_path, 0, 20, seed=2).stat().st_mtime_ns == first
    events = read_dijets(paths, least=0.0)
    assert np.bincount(events.label).tolist() == [20, 20]
    assert len(np.unique(events.event)) == 40
    assert np.isfinite(events.features).all()
    assert (events.features[:, :2] >= 0).all()
    assert (events.weight == 1).all()
    above = read_dijets(paths, least=3300.0)
    assert len(above) == (events.mass > 3300).sum()


def test_signal_is_injected_without_repetition():
    mixed = inject(sample(50, 0), sample(30, 1, first=100), 20, seed=1)
    assert np.bincount(mixed.label).tolist() == [50, 20]
    assert len(np.unique(mixed.event)) == 70
    with pytest.raises(InputError, match="31 signal events are asked for, and there are 30"):
        inject(sample(50, 0), sample(30, 1), 31, seed=1)


def test_shifted_masses_know_the_mass_of_the_pair():
    events = sample(50, 0)
    moved = shift(events)
    np.testing.assert_allclose(moved.features[:, 0] - events.features[:, 0], 0.1 * events.mass)
    np.testing.assert_allclose(moved.features[:, 1] - events.features[:, 1], 0.1 * events.mass)
    np.testing.assert_array_equal(moved.features[:, 2:], events.features[:, 2:])


@pytest.mark.filterwarnings("ignore:.*read as pt, eta, phi")
def test_published_events_are_clustered_to_pairs_of_jets(tmp_path):
    """Jets of two particles each, back to back: masses by hand; events without a hard jet go."""
    random = np.random.default_rng(4)
    count = 30
    pt = random.uniform(800, 1500, (count, 2))
    values = np.zeros((count, 3 * 5 + 1), np.float32)
    axes = np.stack([np.full(count, 0.5), np.full(count, 0.5 - np.pi)], 1)
    eta, split = random.uniform(-1, 1, (count, 2)), random.uniform(0.05, 0.3, (count, 2))
    slots = []
    for i in range(2):
        for share, side in ((0.7, -0.3), (0.3, 0.7)):
            phi = axes[:, i] + side * split[:, i]
            slots.append((share * pt[:, i], eta[:, i], phi))
    slots = np.moveaxis(np.array(slots), 2, 0)
    order = np.argsort(-slots[:, :, 0], axis=1)
    values[:, :12] = np.take_along_axis(slots, order[:, :, None], axis=1).reshape(count, 12)
    values[:, -1] = np.arange(count) % 2
    with h5py.File(tmp_path / "events.h5", "w") as file:
        group = file.create_group("df")
        group["axis0"], group["axis1"] = np.arange(16), np.arange(count)
        group["block0_items"], group["block0_values"] = np.arange(16), values
    out = cluster_dijets(tmp_path / "events.h5", tmp_path / "pairs.parquet")
    table = read_table(out, "mj1, mj2, mjj, tau21_1, label", event="event")
    jet = np.sqrt(2 * 0.7 * 0.3 * pt**2 * (1 - np.cos(split)))
    momentum = pt * np.sqrt(1 - 2 * 0.21 * (1 - np.cos(split)))
    kept = (momentum > 1200).any(1)
    assert 0 < kept.sum() < count
    np.testing.assert_array_equal(table.event, np.flatnonzero(kept))
    np.testing.assert_array_equal(table["label"], np.arange(count)[kept] % 2)
    np.testing.assert_allclose(table["mj1"], jet.min(1)[kept], rtol=1e-3)
    np.testing.assert_allclose(table["mj2"], jet.max(1)[kept], rtol=1e-3)
    np.testing.assert_allclose(table["tau21_1"], 0, atol=1e-4)
    vectors = [(p * np.cos(f), p * np.sin(f), p * np.sinh(e), p * np.cosh(e))
               for p, e, f in np.moveaxis(slots, 0, 2)]  # fmt: skip
    x, y, z, energy = np.sum(vectors, axis=0)
    np.testing.assert_allclose(
        table["mjj"], np.sqrt(energy**2 - x**2 - y**2 - z**2)[kept], rtol=1e-3
    )
