"""ACTS as a source: the same bits for a seed, particles and positions that fit, tracks of hits."""

import filecmp
from dataclasses import replace

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics.tracking import Interest, figures
from colliderkit.sources.acts import simulation
from colliderkit.sources.acts.shards import generate_tracks
from colliderkit.sources.acts.simulation import PIXEL_VOLUMES, Guns, collisions
from colliderkit.sources.files.hits import TRACKS, read_hits
from colliderkit.sources.files.tracks import PARAMETERS, read_tracks

GUNS = Guns(2, 10, (0.5, 5.0), 2.0)


def test_hits_truth_and_tracks(tmp_path):
    pytest.importorskip("acts")
    for name in ("one", "two"):
        generate_tracks(5, tmp_path / name, guns=GUNS, tracks=True, seed=3, shard=3, progress=False)
    for name in ("hits", "particles", "tracks"):
        paths = [tmp_path / folder / f"{name}.parquet" for folder in ("one", "two")]
        assert filecmp.cmp(*paths, shallow=False)
    hits = read_hits(tmp_path / "one").hits
    assert len(hits) == 5
    assert hits.number.tolist() == [0, 1, 2, 3, 4]
    # Hits of a primary lie where its momentum points, within what the field turns.
    rows = hits.particle_rows()
    first = (hits.r < 40) & (rows >= 0)
    first &= hits.particles.primary[np.maximum(rows, 0)]
    turned = np.arctan2(hits.y, hits.x)[first] - hits.particles.phi[rows[first]]
    assert np.abs((turned + np.pi) % (2 * np.pi) - np.pi).max() < 0.3
    r = np.sort(hits.r[np.isin(hits.volume, [8])])
    assert 30 < r[0] < 34
    pixels = hits.where(np.isin(hits.volume, PIXEL_VOLUMES))
    tracks = read_tracks(tmp_path / "one" / TRACKS, pixels)
    found = figures(pixels, tracks, Interest())
    assert found["efficiency, double majority"].value > 0.9
    assert found["fakes, double majority"].value < 0.1


def test_the_kalman_filter_fits_tracks_with_pulls_of_unit_width():
    pytest.importorskip("acts")
    from colliderkit.sources.acts.refit import fit_tracks

    guns = Guns(10, 10, (0.5, 5.0), 2.0)
    hits = simulation.simulate(guns, 5, seed=4).hits
    hits = hits.where(np.isin(hits.volume, PIXEL_VOLUMES))
    # Of one particle the hits are on two tracks of which one is too short, of one on none.
    tracks = np.where(hits.particle == 2, 0, hits.particle)
    first = np.flatnonzero((hits.particle == 1) & (hits.event == 0))
    tracks[first[:1]] = 999
    fitted = fit_tracks(hits, tracks)
    assert 450 < fitted.tried < 500
    assert fitted.tried - 10 < len(fitted.event) <= fitted.tried
    assert not np.isin(fitted.track, [2, 999]).any()
    np.testing.assert_array_equal(fitted.track, fitted.particle)  # which fit is of which track
    made = hits.particles
    keys = made.event * 10_000 + made.id
    row = np.searchsorted(keys, fitted.event * 10_000 + fitted.particle)
    np.testing.assert_allclose(fitted.truth[:, 2], made.phi[row])
    pulls = fitted.pulls[fitted.primary & np.isfinite(fitted.pulls).all(1)]
    assert len(pulls) > 400
    for i, name in enumerate(PARAMETERS):
        core = pulls[np.abs(pulls[:, i]) < 5, i]
        assert len(core) > 0.97 * len(pulls), name
        # The width of 400 pulls is known to 3.5%, and its tails are not normal.
        assert 0.8 < core.std() < 1.2, name
        assert abs(np.median(core)) < 0.3, name
    assert len(fit_tracks(hits.at(slice(0, 0)), tracks[:0]).event) == 0
    assert len(fit_tracks(hits.at([0]), 0 * tracks[: hits.offsets[1]]).event) == 0
    with pytest.raises(InputError, match="of another detector"):
        fit_tracks(replace(hits, z=hits.z + 3.0), tracks)
    with pytest.raises(InputError, match="module 0, which the TrackML detector"):
        fit_tracks(replace(hits, module=0 * hits.module), tracks)


def test_other_seeds_make_other_events_and_numbers_are_checked(tmp_path):
    with pytest.raises(InputError, match="count is 0"):
        generate_tracks(0, tmp_path / "x", guns=GUNS)
    with pytest.raises(InputError, match="0 vertices of 10 particles"):
        generate_tracks(1, tmp_path / "x", guns=Guns(0, 10, (0.5, 5.0), 2.0))
    with pytest.raises(InputError, match="pileup is -1"):
        generate_tracks(1, tmp_path / "x", pileup=-1.0)


def test_without_the_wheel_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "acts", None)
    simulation.acts_module.cache_clear()
    try:
        with pytest.raises(InputError, match=r"colliderkit\[tracking\]"):
            simulation.simulate(GUNS, 1, seed=1)
    finally:
        simulation.acts_module.cache_clear()


def test_collisions_are_overlaid_with_vertices_of_their_own():
    import awkward as ak

    one = {"px": 1.0, "py": 0.0, "pz": 0.5, "E": 2.0, "pid": 211, "charge": 1}
    inside, outside = one | {"x": 0.0, "y": 0.0, "z": 0.0}, one | {"x": 2e3, "y": 0.0, "z": 0.0}
    neutral = inside | {"charge": 0, "pid": 22}
    record = ak.Array([[inside, outside, neutral]] * 4)
    pool = ak.Array([[inside, inside], [inside]])
    made = collisions(record, pool, 6.0, seed=[1, 2])
    assert len(made.offsets) == 5
    for n in range(4):
        own = slice(made.offsets[n], made.offsets[n + 1])
        labels = made.vertex[own]
        assert set(labels) == set(range(1, labels.max() + 1))
        assert (labels == 1).sum() == 1  # what is neutral, or born outside, is dropped
        # Particles of one collision are born in one place.
        for label in set(labels):
            assert np.ptp(made.z[own][labels == label]) == 0
