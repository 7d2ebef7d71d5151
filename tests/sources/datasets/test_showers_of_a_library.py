"""Events of a library that is made by hand: overlapping showers, and pairs of pions."""

from functools import partial

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Grid
from colliderkit.events.calorimeter.library import ShowerLibrary
from colliderkit.events.calorimeter.overlay import Clock
from colliderkit.sources.datasets.overlapping_showers import overlapping_showers
from colliderkit.sources.datasets.pion_pairs import pion_pairs
from colliderkit.sources.files.calorimeter_hits import read_hits, write_hits

# Each shower is in one cell of its layer: pi+ in the second, pi0 in the first.
LIBRARY = ShowerLibrary(
    Geometry("two", (Grid(0, 8, 8, 160.0, 160.0), Grid(1, 4, 4, 160.0, 160.0))),
    np.array([10.0, 50.0]),
    np.array([0, 1]),
    ("pi+", "pi0"),
    np.array([0, 1, 0, 1]),
    np.array([2e3, 3e3, 4e3, 5e3]),
    np.full(4, 20.0),
    np.full(4, 20.0),
    np.arange(5),
    np.array([64 + 10, 36, 64 + 10, 36]),
    np.array([20.0, 60.0, 40.0, 100.0]),
    "made by hand",
)


def test_events_have_as_many_showers_as_asked_within_the_square() -> None:
    hits = overlapping_showers(LIBRARY, 400, mean=3.0, side=200.0, readout=None, seed=4)
    counts = np.diff(hits.particle_offsets)
    # Poisson of mean 3, and one where there would be none: 3 + exp(-3).
    assert counts.mean() == pytest.approx(3.05, abs=4 * (3 / 400) ** 0.5)
    assert counts.min() == 1
    assert np.abs(hits.position[:, :2]).max() <= 100 + 40
    np.testing.assert_allclose(
        np.bincount(hits.share_hit, hits.share_energy), hits.energy, rtol=1e-12
    )
    # Calibrated, each shower is what came in.
    np.testing.assert_allclose(hits.deposit, hits.particle_energy, rtol=1e-9)
    again = overlapping_showers(LIBRARY, 400, mean=3.0, side=200.0, readout=None, seed=4)
    np.testing.assert_array_equal(again.energy, hits.energy)
    fixed = overlapping_showers(LIBRARY, 5, mean=2.0, fixed=True)
    assert np.diff(fixed.particle_offsets).tolist() == [2] * 5


def test_pairs_are_a_charged_and_a_neutral_pion_with_the_track_of_the_first() -> None:
    pairs = pion_pairs(LIBRARY, 200, reach=80.0, widths=(20.0, 40.0), readout=None, seed=1)
    assert pairs.hits.pdg.reshape(-1, 2).tolist() == [[211, 111]] * 200
    kinetic = pairs.hits.particle_energy[::2]
    assert pairs.track[:, 2] == pytest.approx(np.sqrt(kinetic**2 + 2 * 0.13957 * kinetic))
    # The pi+ leaves its energy in the cell that its track points to.
    deep = pairs.hits.position[:, 2] == 50
    place = pairs.hits.position[deep][np.argsort(pairs.hits.event[deep]), :2]
    assert (np.abs(place - pairs.track[:, :2]) <= 20).all()
    assert pairs.distance.max() <= 80 * 2**0.5 + 1e-9
    assert len(pairs.at([3, 1])) == 2
    charged = LIBRARY.of("pi+")
    with pytest.raises(InputError, match="no showers of pi0"):
        pion_pairs(charged, 5)
    with pytest.raises(InputError, match="the library holds no showers"):
        overlapping_showers(LIBRARY.at(np.arange(0)), 5)


def test_cells_are_timed_by_the_mean_of_what_is_in_them(tmp_path) -> None:
    exact = Clock(0.0, threshold=30.0)
    draw = partial(overlapping_showers, LIBRARY, 50, mean=3.0, side=100.0, readout=None, seed=4)
    bare, hits = draw(), draw(arrival=200.0, clock=exact)
    assert bare.time is None
    np.testing.assert_array_equal(bare.energy, hits.energy)
    arrival = np.full(len(hits.pdg), np.nan)
    alone = np.bincount(hits.share_hit, minlength=len(hits.energy))[hits.share_hit] == 1
    seen = alone & ~np.isnan(hits.time[hits.share_hit])
    arrival[hits.share_particle[seen]] = hits.time[hits.share_hit[seen]]
    mean = (
        np.bincount(
            hits.share_hit, hits.share_energy * arrival[hits.share_particle], len(hits.energy)
        )
        / hits.energy
    )
    known = ~np.isnan(mean) & ~np.isnan(hits.time)
    np.testing.assert_allclose(hits.time[known], mean[known], rtol=1e-9)
    assert 100 < np.nanstd(arrival) < 300
    path = write_hits(tmp_path / "hits.parquet", hits)
    np.testing.assert_array_equal(read_hits(path).time, hits.time)
    assert read_hits(write_hits(tmp_path / "bare.parquet", bare)).time is None
    with pytest.raises(InputError, match="has no times, which"):
        read_hits([str(path), str(tmp_path / "bare.parquet")])
    np.testing.assert_array_equal(
        hits.at([3, 1]).time,
        hits.time[np.r_[hits.offsets[3] : hits.offsets[4], hits.offsets[1] : hits.offsets[2]]],
    )
    with pytest.raises(InputError, match="threshold -1 MeV must not"):
        Clock(threshold=-1.0)


def test_below_the_threshold_there_is_no_time() -> None:
    found = Clock(0.0, threshold=35.0)([5.0, 5.0], [34.0, 36.0])
    np.testing.assert_array_equal(found, [np.nan, 5.0])
