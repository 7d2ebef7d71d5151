"""Matching of tracks and particles, exact on events made by hand."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits
from colliderkit.metrics.tracking import (
    Interest,
    by_bins,
    figures,
    hit_weights,
    match,
    of_interest,
    pull_counts,
    pull_figures,
    trackml_score,
)

PARTICLE = [1, 1, 1, 1, 2, 2, 2, 2, 0, 0]


def matched(track, particle=PARTICLE, event=None, **options):
    """The numbers of tracks that match by double majority, LHC and perfect, and found particles."""
    found = match(np.zeros(len(track)) if event is None else event, particle, track, **options)
    kinds = ("double majority", "LHC", "perfect")
    return [int(found.matched(kind).sum()) for kind in kinds], found


def test_the_truth_is_perfect():
    counts, found = matched([5, 5, 5, 5, 9, 9, 9, 9, 0, 0])
    assert counts == [2, 2, 2]
    assert found.majority.tolist() == [0, 1]
    assert found.hits.tolist() == found.shared.tolist() == found.made.tolist() == [4, 4]


def test_a_particle_split_in_halves_is_found_by_none_and_duplicated_by_lhc():
    counts, found = matched([1, 1, 2, 2, 3, 3, 3, 3, 0, 0])
    # Half is not more than half; both pieces are pure.
    assert counts == [1, 3, 1]
    interest = np.ones(2, dtype=bool)
    assert found.efficiency(interest, "double majority").value == 0.5
    assert found.duplicates(interest).value == pytest.approx(1 / 3)
    assert found.duplicates(interest, "double majority").value == 0
    assert found.fakes(interest, "double majority").value == pytest.approx(2 / 3)


def test_merged_particles_are_neither_found():
    counts, found = matched([1] * 8 + [0, 0])
    assert counts == [0, 0, 0]
    # Equally shared, it counts for the smaller id.
    assert found.majority.tolist() == [0]
    assert found.shared.tolist() == [4]


def test_noise_on_a_track_counts_against_its_purity():
    counts, _ = matched([1, 1, 1, 1, 2, 2, 2, 2, 1, 0])
    assert counts == [2, 2, 1]  # 4 of 5 hits are above three quarters
    counts, _ = matched([1, 1, 1, 0, 2, 2, 2, 2, 1, 0])
    assert counts == [2, 1, 1]  # 3 of 4 are three quarters, and not more


def test_a_track_of_noise_alone_is_a_fake_without_a_particle():
    counts, found = matched([0, 0, 0, 0, 0, 0, 0, 0, 7, 7])
    assert counts == [0, 0, 0]
    assert found.majority.tolist() == [-1]
    for interest in (np.ones(2, dtype=bool), np.zeros(2, dtype=bool), None):
        assert found.fakes(interest, "double majority").value == 1


def test_tracks_of_other_particles_are_neither_found_nor_fakes():
    _, found = matched([1, 1, 2, 2, 3, 3, 3, 3, 0, 0])
    only_second = np.array([False, True])
    assert found.fakes(only_second, "double majority").value == 0
    assert found.efficiency(only_second, "perfect").value == 1


def test_events_are_apart_and_short_tracks_are_none():
    event = [0, 0, 0, 1, 1, 1]
    counts, found = matched([1, 1, 1, 1, 1, 1], [3, 3, 3, 3, 3, 4], event)
    assert found.event.tolist() == [0, 1]
    assert found.of_event.tolist() == [0, 1, 1]
    assert counts == [2, 1, 1]
    counts, found = matched([1, 1, 1, 2, 2, 0], [3, 3, 3, 3, 3, 4], event, fewest=3)
    assert found.track.tolist() == [1]
    assert found.made.tolist() == [3, 2, 1]


def test_nothing_at_all():
    counts, found = matched([], [])
    assert counts == [0, 0, 0]
    assert np.isnan(found.efficiency(np.zeros(0, dtype=bool), "LHC").value)
    counts, found = matched([0, 0], [0, 0])
    assert counts == [0, 0, 0]
    with pytest.raises(InputError, match="2 labels of tracks and 3 particles"):
        match([0, 0, 0], [1, 1, 1], [1, 1])


def test_the_score_is_the_weight_on_good_tracks_of_their_particle():
    weight = np.array([0.1, 0.2, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1, 0.0, 0.0])
    event = np.zeros(10)
    assert trackml_score(event, PARTICLE, PARTICLE, weight, 1).tolist() == pytest.approx([1.0])
    # The first loses a hit to the second track, where it is of the minority.
    track = [1, 2, 1, 1, 2, 2, 2, 2, 0, 0]
    assert trackml_score(event, PARTICLE, track, weight, 1)[0] == pytest.approx(0.8)
    split = [1, 1, 3, 3, 2, 2, 2, 2, 0, 0]
    assert trackml_score(event, PARTICLE, split, weight, 1)[0] == pytest.approx(0.5)
    none = trackml_score(event, PARTICLE, np.zeros(10), weight, 2)
    assert none[0] == 0
    assert np.isnan(none[1])  # an event without weights


def made_hits(sizes=(5, 3), pt=(3.0, 0.5)) -> TrackerHits:
    """Straight lines along x at growing radius, one a particle, and one hit of noise."""
    r = np.concatenate([30.0 * np.arange(1, n + 1) for n in sizes] + [[200.0]])
    particle = np.concatenate([np.repeat(np.arange(1, len(sizes) + 1), sizes), [0]])
    return TrackerHits.checked(
        np.zeros(len(r)),
        r,
        np.zeros(len(r)),
        r,
        particle=particle,
        particles={
            "event": np.zeros(len(sizes)),
            "id": np.arange(1, len(sizes) + 1),
            "px": np.array(pt),
            "py": np.zeros(len(sizes)),
            "pz": np.array(pt),
        },
    )


def test_weights_are_largest_at_the_ends_and_of_high_momenta():
    hits = made_hits(sizes=(9, 9, 3), pt=(3.0, 0.5, 9.0))
    weight = hit_weights(hits)
    assert weight.sum() == pytest.approx(1)
    # 10, 8, 6, 5, 3, 3, 3, 5, 6 for nine hits; a fifth for 0.5 GeV; none for three hits or noise.
    first = np.array([10, 8, 6, 5, 3, 3, 3, 5, 6]) / 49 / 1.2
    np.testing.assert_allclose(weight[:9], first)
    np.testing.assert_allclose(weight[9:18], first / 5)
    assert not weight[18:].any()


def test_the_denominator_is_what_is_stated():
    hits = made_hits()
    matches = match(hits.event, hits.particle, hits.particle)
    for interest, wanted in (
        (Interest(pt=0.4), [True, True]),
        (Interest(pt=0.9), [True, False]),
        (Interest(pt=0.4, hits=4), [True, False]),
        (Interest(pt=0.4, eta=0.5), [False, False]),  # both at eta = arcsinh(1)
    ):
        assert of_interest(hits, matches, interest).tolist() == wanted
    found = figures(hits, hits.particle, Interest(pt=0.4))
    assert found["efficiency, perfect"].value == 1
    assert found["fakes among all tracks"].value == 0
    assert found["TrackML score"].value == pytest.approx(1)


def test_shares_in_bins():
    found = by_bins(
        np.array([True, False, True, True]), np.array([0.5, 0.6, 1.5, 9.0]), [0, 1, 2, 3]
    )
    assert found["centre"].tolist() == [0.5, 1.5]
    assert found["share"].tolist() == [0.5, 1.0]


def test_the_width_of_pulls_is_of_those_within_five_and_the_rest_is_counted():
    given = {"d0": np.r_[np.repeat([-2.0, 2.0], 50), 7.0, -90.0]}
    found = pull_figures(given)
    # Of two values alone the fourth moment is the square of the variance: no scatter is left.
    assert found["pull width, d0"].value == pytest.approx(2 * (100 / 99) ** 0.5)
    assert found["pull width, d0"].error == 0
    assert found["pulls beyond 5, d0"].value == pytest.approx(2 / 102)
    counts = pull_counts(given)["d0"]
    assert len(counts) == 42
    assert (counts[0], counts[-1], sum(counts)) == (1, 1, 102)
    # Of a normal the width's error is s / sqrt(2 K), and m4 = 3 s^4.
    normal = np.random.default_rng(1).normal(size=20_000)
    width = pull_figures({"z0": normal})["pull width, z0"]
    assert width.error == pytest.approx(1 / (2 * 20_000) ** 0.5, rel=0.05)
