"""Clusters against true particles, exact on events that are made by hand."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits, Clusters
from colliderkit.metrics.clustering import (
    f1,
    match_clusters,
    nearest_other,
    overlaps,
    ratio_over_events,
)


def made(energies: list[list[float]], *shares: tuple[int, int, float]) -> CalorimeterHits:
    """Events of hits at x = 0, 1, ... mm; shares are of (hit, particle), particles two an event."""
    flat = [e for event in energies for e in event]
    hit, particle, left = (list(column) for column in zip(*shares, strict=True))
    return CalorimeterHits.checked(
        np.cumsum([0, *map(len, energies)]),
        [[float(i), 0.0, 0.0] for i in range(len(flat))],
        flat,
        particle_offsets=2 * np.arange(len(energies) + 1),
        particle_energy=np.ones(2 * len(energies)),
        share_hit=hit,
        share_particle=particle,
        share_energy=left,
    )


# Four cells of 1 GeV; the third is shared by both particles, the fourth is noise for 0.4.
ONE = made([[1.0] * 4], (0, 0, 1.0), (1, 0, 1.0), (2, 0, 0.5), (2, 1, 0.5), (3, 1, 0.6))


def test_the_iou_counts_a_shared_hit_for_both() -> None:
    found = overlaps(ONE, Clusters.of(ONE, [0, 0, 1, 1]))
    pairs = {
        (int(c), int(p)): (s, i)
        for c, p, s, i in zip(found.cluster, found.particle, found.shared, found.iou, strict=True)
    }
    # E_t are 2.5 and 1.1 GeV, both clusters have 2.
    assert pairs[0, 0] == pytest.approx((2.0, 2.0 / (2 + 2.5 - 2)))
    assert pairs[1, 0] == pytest.approx((0.5, 0.5 / (2 + 2.5 - 0.5)))
    assert pairs[1, 1] == pytest.approx((1.1, 1.1 / (2 + 1.1 - 1.1)))
    assert set(pairs) == {(0, 0), (1, 0), (1, 1)}


def test_a_perfect_answer_a_split_one_a_merged_one_and_none() -> None:
    matching = match_clusters(ONE, Clusters.of(ONE, [0, 0, 1, 1]))
    assert (matching.efficiency().value, matching.purity().value) == (1.0, 1.0)
    assert matching.estimate / matching.truth == pytest.approx([2 / 2.5, 2 / 1.1])
    split = match_clusters(ONE, Clusters.of(ONE, [0, 1, 2, 2]))
    # Of particle 0 each half has an IoU of 1 / 2.5.
    assert (split.efficiency().value, split.purity().value) == (0.5, pytest.approx(1 / 3))
    merged = match_clusters(ONE, Clusters.of(ONE, [0, 0, 0, 0]))
    # IoU 2.5 / 4 with the larger.
    assert (merged.efficiency().value, merged.purity().value) == (0.5, 1.0)
    assert merged.iou == pytest.approx([2.5 / 4])
    nothing = match_clusters(ONE, Clusters.of(ONE, [-1] * 4))
    assert nothing.efficiency().value == 0
    assert np.isnan(nothing.purity().value)
    assert (f1(matching), f1(split), f1(merged), f1(nothing)) == (1.0, 0.4, pytest.approx(2 / 3), 0)


def test_a_threshold_is_strict_and_low_ones_are_matched_by_the_largest_sum() -> None:
    pair = made([[1.0, 1.0]], (0, 0, 1.0), (1, 0, 1.0))
    half = match_clusters(pair, Clusters.of(pair, [0, 1]))
    assert half.efficiency().value == 0  # both have an IoU of exactly one half
    low = match_clusters(pair, Clusters.of(pair, [0, 1]), threshold=0.1)
    assert len(low.cluster) == 1
    assert low.purity().value == 0.5
    # Cluster 0 shares most with particle 0, but cluster 1 shares with nobody else.
    hits = made(
        [[3.0, 2.0, 2.0]], (0, 0, 3.0), (1, 1, 2.0), (2, 0, 2.0),
    )  # fmt: skip
    found = match_clusters(hits, Clusters.of(hits, [0, 0, 1]), threshold=0.1)
    # IoU 3/7 of both largest against 2/5 + 2/5: the sum decides.
    assert sorted(zip(found.cluster, found.particle, strict=True)) == [(0, 1), (1, 0)]


def test_particles_and_clusters_of_little_energy_do_not_count() -> None:
    hits = made([[1.0, 0.05], []], (0, 0, 1.0), (1, 1, 0.05))
    matching = match_clusters(hits, Clusters.of(hits, [0, 1]), least=0.1)
    assert matching.of_interest.tolist() == [True, False, False, False]
    assert matching.counted.tolist() == [True, False]
    assert (matching.efficiency().value, matching.purity().value) == (1.0, 1.0)


def test_events_without_hits_and_noise_alone_have_no_share() -> None:
    empty = CalorimeterHits.checked([0, 0], np.zeros((0, 3)), [], particle_offsets=[0, 1],
                                    particle_energy=[1.0])  # fmt: skip
    matching = match_clusters(empty, Clusters.of(empty, []))
    assert np.isnan(matching.efficiency().value)
    assert np.isnan(matching.response()[0].value)
    noise = CalorimeterHits.checked([0, 2], np.zeros((2, 3)), [1.0, 1.0])
    with pytest.raises(InputError, match="no true particles"):
        match_clusters(noise, Clusters.of(noise, [0, 0]))


def test_the_distance_is_to_the_nearest_of_the_same_event() -> None:
    hits = made([[1.0, 1.0], [1.0]], (0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0))
    assert nearest_other(hits).tolist() == [1.0, 1.0, np.inf, np.inf]


def test_the_error_is_of_whole_events() -> None:
    # Ten events of ten particles that are all found or all lost: ten draws, and not a hundred.
    value = ratio_over_events([10] * 5 + [0] * 5, [10] * 10)
    assert value.value == 0.5
    assert value.error == pytest.approx(0.5 / 3)
    assert ratio_over_events([3, 2], [3, 2]).error == pytest.approx(1 / 7)
