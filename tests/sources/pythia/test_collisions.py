"""Whole events with pileup from Pythia: who is of which collision, and the same from shards."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.pileup import Particles
from colliderkit.sources.detector.timing import Timing
from colliderkit.sources.files.collisions import read_collisions
from colliderkit.sources.pythia import jets
from colliderkit.sources.pythia.collisions import collisions, places_of, vertices_of
from colliderkit.sources.pythia.shards import generate


def test_vertices_need_two_tracks_and_room():
    place = np.array([[0.0, 0.5, 3.0, 3.2], [5.0, 1.0, 9.0, np.nan]])
    tracks = np.array([[9, 2, 1, 2], [0, 1, 0, 0]])
    # 0 and 0.5 are one, 3.0 has a single track, 3.2 stands alone; of the second event none is seen.
    assert vertices_of(place, tracks).tolist() == [2, 0]


def test_a_collision_without_particles_has_no_place():
    """The collisions 1 and 3 of the first event leave nothing; the others keep their order."""
    z = ak.Array([[0.0, 0.0, 7.0, 9.0], [1.0]])
    particles = ak.zip(
        {"collision": ak.Array([[0, 0, 2, 4], [1]]), "z": z, "charge": ak.ones_like(z),
         "px": ak.ones_like(z), "py": ak.ones_like(z), "pz": ak.zeros_like(z)}
    )  # fmt: skip
    columns, order = places_of(particles)
    assert columns["vertex_z"].tolist() == [[0, 7, 9], [0, 1]]
    assert columns["interactions"].tolist() == [2, 1]
    assert order[0, [0, 2, 4]].tolist() == [0, 1, 2]
    assert order[1, [0, 1]].tolist() == [0, 1]


QUICK = {"pileup": 5.0, "seed": 3, "settings": "PartonLevel:MPI = off"}


@pytest.fixture(scope="module")
def pool():
    """Collisions to overlay that are quicker made than minimum bias."""
    return jets.events("dijets", 60)


@pytest.fixture
def few(monkeypatch, pool):
    monkeypatch.setattr(jets, "minimum_bias", lambda seed: pool)


def test_events_know_their_collisions(few, tmp_path):
    path = tmp_path / "events.parquet"
    generate("pileup-qcd", 12, path, progress=False, **QUICK)
    events, _ = read_collisions(path)
    particles = Particles.of(events)
    known, hard = particles.known, particles.truth == 1
    charged = np.asarray(ak.flatten(events["particles", "charge"])) != 0
    np.testing.assert_array_equal(known, charged & (np.abs(particles.eta) < 2.5))
    np.testing.assert_array_equal(particles.leading, known & hard)
    assert particles.pt.min() > 0.1
    assert np.abs(particles.eta).max() < 4
    assert (np.asarray(ak.num(events["vertex_z"])) == np.asarray(events["interactions"]) + 1).all()
    assert particles.vertex.max() > 1
    # Tracks point at the place of their collision, as the hard ones at 0.
    z0 = np.asarray(ak.flatten(events["particles", "z0"]))
    error = np.asarray(ak.flatten(events["particles", "z0_error"]))
    tracks = particles.leading & (particles.pt > 1)
    assert np.median(np.abs(z0[tracks] / error[tracks])) < 1.5
    assert np.median(np.abs(z0[particles.vertex > 0])) > 10


def test_the_detector_keeps_tracks_and_shares(few):
    events = collisions("pileup-qcd", 10, detector=True, **QUICK)
    particles = Particles.of(events)
    charge = np.asarray(ak.flatten(events["particles", "charge"]))
    np.testing.assert_array_equal(particles.known, charge != 0)
    assert (particles.truth[particles.known] == particles.leading[particles.known]).all()
    share = particles.truth[~particles.known]
    assert ((share > 0) & (share < 1)).any()
    # What is hard of all that is seen is about what the hard collision made.
    exact = Particles.of(collisions("pileup-qcd", 10, **QUICK))
    ratio = particles.sums(particles.truth * particles.pt) / exact.sums(exact.truth * exact.pt)
    assert 0.6 < np.median(ratio) < 1.2
    assert np.array_equal(particles.vertices, exact.vertices)


def test_what_has_no_collisions_is_refused(tmp_path):
    with pytest.raises(InputError, match="'qcd' is not of whole events"):
        collisions("qcd", 1)
    with pytest.raises(InputError, match="makes no pairs"):
        generate("pileup-qcd", 1, tmp_path / "x.parquet", paired=True)


def test_times_are_beside_the_same_events(few, tmp_path):
    bare = collisions("pileup-qcd", 12, **QUICK)
    path = tmp_path / "timed.parquet"
    generate("pileup-qcd", 12, path, progress=False, timing=Timing(20.0), **QUICK)
    events, said = read_collisions(path)
    assert "time from particles.time" in said[0]
    events = events[np.argsort(events["event"])]
    assert events["event"].tolist() == bare["event"].tolist()
    for name in bare["particles"].fields:
        assert ak.all(events["particles", name] == bare["particles", name]), name
    assert (ak.num(events["vertex_time"]) == ak.num(events["vertex_z"])).to_list() == [True] * 12
    particles = Particles.of(events)
    tracks = particles.leading & ~np.isnan(particles.time) & (particles.mass < 0.14)
    hard = np.asarray(events["vertex_time"][:, 0])[particles.event]
    away = (particles.time - hard)[tracks & (particles.mass > 0.13)]  # pions
    assert np.std(away) == pytest.approx(20.0, abs=5 * 20 / np.sqrt(2 * len(away)))
    assert np.nanstd((particles.time - hard)[~tracks]) > 100


def test_towers_have_the_mean_time_of_what_is_in_them(few):
    events = collisions("pileup-qcd", 6, detector=True, timing=Timing(0.0), **QUICK)
    particles = Particles.of(events)
    hard = np.asarray(events["vertex_time"][:, 0])[particles.event]
    photons = ~particles.known & (particles.truth == 1) & (particles.mass == 0)
    early = (particles.time - hard)[photons & ~np.isnan(particles.time)]
    assert np.median(np.abs(early)) < 1.0
    with pytest.raises(InputError, match="timing is of whole events with pileup"):
        generate("qcd", 1, "x.parquet", timing=Timing())
