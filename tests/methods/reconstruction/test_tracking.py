"""Finding tracks: helices are found, chains are what they are, and odd events are answered."""

from dataclasses import replace

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits
from colliderkit.methods.reconstruction import doublets
from colliderkit.methods.reconstruction.doublets import (
    Doublets,
    Triplets,
    arcs,
    consecutive,
    helices,
    learn_map,
    make_doublets,
    make_triplets,
)
from colliderkit.methods.reconstruction.edge_tracks import EdgeTracks
from colliderkit.methods.reconstruction.embedded_tracks import EmbeddedTracks, chained, condensed
from colliderkit.methods.reconstruction.helix_tracks import HelixTracks
from colliderkit.methods.reconstruction.tracking import HitGraph, linked
from colliderkit.metrics.tracking import Interest, figures
from colliderkit.sources.toys.tracker import CURVATURE, FIELD, PIXELS, helix_hits
from colliderkit.training.settings import Training

EFFICIENCY, FAKES = "efficiency, double majority", "fakes, double majority"


@pytest.fixture(scope="module")
def events() -> TrackerHits:
    return helix_hits(30, vertices=10, particles=10, noise=1.0, seed=8)


@pytest.fixture(scope="module")
def fitted(events) -> HelixTracks:
    return HelixTracks().fit(events.at(slice(0, 20)), progress=False)


def test_a_doublet_knows_its_helix_exactly():
    layers = tuple(replace(layer, across=0.0, along=0.0) for layer in PIXELS)
    hits = helix_hits(2, vertices=1, particles=40, layers=layers, missed=0.0, seed=3)
    # Through the beam: vertices within 0.01 mm of it.
    first, second = consecutive(hits)
    made = helices(hits, first, second, 0 * first)
    owner = hits.particle_rows()[first]
    particles = hits.particles
    wanted = -particles.charge * CURVATURE * FIELD / particles.pt
    long = made.length > 30
    np.testing.assert_allclose(made.curvature[long], wanted[owner][long], atol=1e-4)
    cot = (particles.pz / particles.pt)[owner]
    np.testing.assert_allclose(made.cot[long], cot[long], rtol=2e-3, atol=2e-3)
    z0 = particles.vz[owner]
    np.testing.assert_allclose(made.z0[long], z0[long], atol=0.5)
    assert arcs(np.array([3.0]), np.array([0.0]))[0] == [3.0]


def test_the_windows_hold_the_true_steps_and_few_others(events):
    train, test = events.at(slice(0, 20)), events.at(slice(20, None))
    known = learn_map(train, pt=0.3)
    made = make_doublets(test, known)
    first, second = consecutive(test)
    count = len(test.x)
    true = np.isin(first * count + second, made.inner * count + made.outer)
    assert true.mean() > 0.98
    graph = HitGraph.of(test, known, 16)
    kept = np.isin(first * count + second, graph.doublets.inner * count + graph.doublets.outer)
    assert kept.sum() > 0.95 * true.sum()
    # Most of what shares no helix with a neighbour is gone.
    assert len(graph.doublets) < 0.7 * len(made)
    # Residuals of true triplets are in units of their width.
    steps = dict(zip(first.tolist(), second.tolist(), strict=True))
    triplets, own = graph.triplets, graph.doublets
    a, b = own.inner[triplets.before], own.outer[triplets.before]
    c = own.outer[triplets.after]
    good = np.array(
        [steps.get(i) == j and steps.get(j) == k for i, j, k in zip(a, b, c, strict=True)]
    )
    for residual in (triplets.across[good], triplets.along[good]):
        assert 0.7 < np.diff(np.quantile(residual, [0.16, 0.84]))[0] / 2 < 1.4


def test_doublets_of_events_at_once_are_those_of_each(events, fitted):
    two = events.at([0, 1])
    both = make_doublets(two, fitted.map_)
    singly = [make_doublets(events.at([n]), fitted.map_) for n in (0, 1)]
    pairs = {(int(a), int(b)) for a, b in zip(both.inner, both.outer, strict=True)}
    shift = int(two.offsets[1])
    one = {
        (int(a) + n * shift, int(b) + n * shift)
        for n in (0, 1)
        for a, b in zip(singly[n].inner, singly[n].outer, strict=True)
    }
    assert pairs == one
    few = HitGraph.of(two, fitted.map_, 1).doublets
    assert len(few) < len(both)
    assert np.bincount(few.inner).max() == np.bincount(few.outer).max() == 1


def test_triplets_that_are_looked_for_by_their_slope_are_all_that_there_are(events, fitted):
    made = make_doublets(events.at([0, 1, 2]).overlaid(3), fitted.map_)
    count = 3 * len(events.x)
    found = make_triplets(made, fitted.map_, count)
    every = [(i, j) for i in range(len(made)) for j in np.flatnonzero(made.inner == made.outer[i])]
    before, after = np.array(every).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doublets, "meetings", lambda *_: iter([(before, after)]))
        wanted = make_triplets(made, fitted.map_, count)
    assert len(wanted) > 100
    assert {*zip(found.before, found.after, strict=True)} == {
        *zip(wanted.before, wanted.after, strict=True)
    }


def test_events_too_dense_for_memory_are_refused(events, fitted, monkeypatch):
    monkeypatch.setattr(doublets, "DENSEST", 100)
    with pytest.raises(InputError, match="find tracks in fewer volumes"):
        fitted.find(events)


def test_events_are_overlaid_to_learn_from(events):
    finder = HelixTracks(overlaid=[1, 3]).fit(events, progress=False)
    assert finder.densest_ > 2 * np.diff(events.offsets).max()
    with pytest.raises(InputError, match="overlaid is"):
        HelixTracks(overlaid=[40]).fit(events, progress=False)


def chain_of(links: list[tuple[int, int]], triplets: list[tuple[int, int]], hits: int) -> HitGraph:
    """Return a graph of numbered hits on a line, with doublets and triplets as they are given."""
    inner, outer = np.array(links, dtype=np.int64).reshape(-1, 2).T
    nothing = np.zeros(len(inner))
    made = Doublets(inner, outer, 0 * inner, *([nothing] * 6))
    before, after = np.array(triplets, dtype=np.int64).reshape(-1, 2).T
    zero = np.zeros(len(before))
    r = 30.0 + 20 * np.arange(hits)
    event = TrackerHits.checked(np.zeros(hits), r, 0 * r, 0 * r)
    return HitGraph(event, made, Triplets(before, after, zero, zero))


def test_the_best_links_win_and_each_hit_is_used_once():
    #  0 -> 1 -> 2 -> 3, and 4 -> 1, 1 -> 5 beside it
    graph = chain_of(
        [(0, 1), (1, 2), (2, 3), (4, 1), (1, 5)], [(0, 1), (1, 2), (3, 4), (3, 1), (0, 4)], 6
    )
    score = np.array([3.0, 2.0, 1.0, 2.5, 1.5])
    assert linked(graph, score, 0.0).tolist() == [1, 1, 1, 1, 0, 0]
    # With the others better the same hit goes another way.
    assert linked(graph, np.array([1.0, 1.0, 1.0, 3.0, 3.0]), 0.0).tolist() == [0, 1, 0, 0, 1, 1]
    assert linked(graph, score, 1.2).tolist() == [1, 1, 1, 0, 0, 0]
    assert not linked(graph, score, 9.0).any()


def test_links_without_a_common_triplet_are_cut():
    graph = chain_of([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)], [(0, 1), (3, 4)], 6)
    # 1 and 2 meet in hit 2, 2 and 3 in hit 3, and neither pair is a triplet: the worse is cut.
    score = np.array([3.0, 3.0, 1.0, 3.0, 3.0])
    assert linked(graph, score, 0.0).tolist() == [1, 1, 1, 2, 2, 2]


def test_helices_are_found(events, fitted):
    test = events.at(slice(20, None))
    tracks = fitted.find(test)
    found = figures(test, tracks, Interest())
    assert found[EFFICIENCY].value > 0.95
    assert found[FAKES].value < 0.04
    # Tracks are numbered from 1 on in each event.
    for n in range(len(test)):
        own = tracks[test.offsets[n] : test.offsets[n + 1]]
        assert set(own) - {0} == set(range(1, own.max() + 1))
    # An event's tracks do not depend on what it is read with, or the order of its hits.
    alone = fitted.find(test.at([4]))
    np.testing.assert_array_equal(alone, tracks[test.offsets[4] : test.offsets[5]])


@pytest.mark.statistical
def test_networks_learn_to_find_tracks(seed):
    events = helix_hits(50, vertices=5, particles=10, noise=2.0, seed=seed + 1)
    train, test = events.at(slice(0, 35)), events.at(slice(35, None))
    training = Training(epochs=4, batch_size=4, learning_rate=5e-3, devices=1)
    options = {"width": 16, "rounds": 2, "training": training}
    for method, least in ((EdgeTracks(**options), 0.93), (EmbeddedTracks(**options), 0.8)):
        method.fit(train, seed=seed, progress=False)
        found = figures(test, method.find(test), Interest())
        assert found[EFFICIENCY].value > least
        assert found[FAKES].value < 0.1
        assert set(method.sample_) <= set(found)


@pytest.mark.parametrize("kind", ["none", "one", "two", "noise"])
def test_events_of_few_hits_have_no_tracks(kind, events, fitted):
    one = events.at([0])
    rows = {"none": 0, "one": 1, "two": 2, "noise": 0}[kind]
    keep = np.arange(len(one.x)) < rows
    if kind == "noise":
        keep = one.particle == 0
    few = one.where(keep)
    assert not fitted.find(few).any()
    assert len(fitted.find(few)) == keep.sum()


def test_other_detectors_and_positions_are_refused(events, fitted):
    one = events.at([0])
    with pytest.raises(InputError, match="no hit is on a layer that tracks were learned from"):
        fitted.find(replace(one, volume=one.volume + 20))
    bad = replace(one, x=np.where(np.arange(len(one.x)) == 3, np.nan, one.x))
    with pytest.raises(InputError, match="x is nan in hit"):
        fitted.find(bad)


def test_what_fit_cannot_learn_from_is_refused(events):
    with pytest.raises(InputError, match="1 event is given; give two or more"):
        HelixTracks().fit(events.at([0]))
    with pytest.raises(InputError, match="fit needs it"):
        HelixTracks().fit(replace(events, particle=None))
    with pytest.raises(InputError, match="all hits are on layer 0 of volume 0"):
        HelixTracks().fit(replace(events, volume=0 * events.volume, layer=0 * events.layer))
    with pytest.raises(InputError, match="steps of true tracks above 99 GeV"):
        HelixTracks(pt=99.0).fit(events)
    with pytest.raises(InputError, match="no hit is in the volumes 17"):
        HelixTracks(volumes=[17]).fit(events)
    with pytest.raises(InputError, match="loss 'chain' is none of"):
        EmbeddedTracks(loss="chain", width=4, rounds=1).fit(events)


def test_hits_outside_the_volumes_are_of_no_track(events):
    barrel = HelixTracks(volumes=[8]).fit(events.at(slice(0, 20)))
    one = events.at(slice(20, 22))
    tracks = barrel.find(one)
    assert not tracks[one.volume != 8].any()
    assert tracks[one.volume == 8].any()


def test_condensation_points_and_chains():
    x = np.array([[0.0], [0.3], [0.45], [5.0], [5.2]])
    beta = np.array([0.9, 0.5, 0.2, 0.05, 0.04])
    # Hit 1 is near a better one, and hit 2 a point of its own no more: hit 1 is better.
    assert condensed(x, beta, 0.4, 0.1).tolist() == [0, 0, -1, -1, -1]
    assert condensed(x, beta, 0.5, 0.1).tolist() == [0, 0, 0, -1, -1]
    assert condensed(x, beta, 0.4, 0.0).tolist() == [0, 0, -1, 3, 3]
    assert condensed(x, beta, 0.4, 0.95).tolist() == [-1] * 5
    assert chained(x, 0.35).tolist() == [0, 0, 0, 3, 3]


def test_triplets_share_a_hit(events, fitted):
    made = make_doublets(events.at([0]), fitted.map_)
    triplets = make_triplets(made, fitted.map_, int(events.offsets[1]))
    np.testing.assert_array_equal(made.outer[triplets.before], made.inner[triplets.after])
