"""Calorimeter hits with their truth: what is chosen, joined, refused."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits, Clusters


def three() -> CalorimeterHits:
    """Three events of 2, 0 and 3 hits, of 1, 1 and 2 particles."""
    return CalorimeterHits.checked(
        [0, 2, 2, 5],
        np.arange(15.0).reshape(5, 3),
        [1.0, 2.0, 3.0, 4.0, 5.0],
        particle_offsets=[0, 1, 2, 4],
        particle_energy=[10.0, 20.0, 30.0, 40.0],
        pdg=[22, 11, 211, -211],
        share_hit=[4, 0, 1, 2, 2, 3],
        share_particle=[3, 0, 0, 2, 3, 2],
        share_energy=[5.0, 1.0, 1.5, 1.0, 2.0, 4.0],
    )


def test_events_are_chosen_with_their_particles_and_shares() -> None:
    hits = three()
    chosen = hits.at([2, 0])
    assert chosen.counts.tolist() == [3, 2]
    assert chosen.energy.tolist() == [3, 4, 5, 1, 2]
    assert chosen.pdg.tolist() == [211, -211, 22]
    assert chosen.deposit.tolist() == [5, 7, 2.5]
    again = CalorimeterHits.joined([hits.at([0]), hits.at([1, 2])])
    for name, column in vars(hits).items():
        np.testing.assert_array_equal(getattr(again, name), column, name)


def test_the_majority_is_who_left_most_and_little_ones_are_none() -> None:
    hits = three()
    assert hits.majority().tolist() == [0, 0, 1, 0, 1]
    assert hits.majority(least=6.0).tolist() == [-1, -1, 1, -1, 1]
    assert hits.at([1]).majority().tolist() == []


def test_clusters_have_sums_and_means_by_energy() -> None:
    hits = three()
    found = Clusters.of(hits, [0, -1, 1, 1, 0], factor=[1.0, 2.0, 1.0])
    assert found.offsets.tolist() == [0, 1, 1, 3]
    assert found.collected.tolist() == [1, 5, 7]
    assert found.energy.tolist() == [1, 10, 7]
    assert found.position[2] == pytest.approx(
        (3 * np.array([6, 7, 8]) + 4 * np.array([9, 10, 11])) / 7
    )
    assert found.cluster(hits).tolist() == [0, -1, 2, 2, 1]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("position", np.full((5, 3), np.nan), r"hit 0 of event 0 .* position that is \[nan"),
        (
            "energy",
            [1, 2, 3, 0.0, 5],
            r"hit 1 of event 2 \(counted from 0\) has an energy of 0 GeV",
        ),
        ("energy", [1, 2, 3, -1, 5], "must be positive"),
        ("offsets", [0, 2, 1, 5], "do not rise from 0"),
        ("offsets", [0, 2, 2, 6], "5 positions and 5 energies for 6 hits"),
        ("share_particle", [3, 0, 0, 2, 3, 9], "a share is of a particle that does not exist"),
        ("share_particle", [3, 0, 0, 2, 0, 2], "a share of a particle of another event"),
        ("share_energy", [5, 1, 1, 0, 2, 4], "a share of energy is not positive"),
        ("particle_offsets", [0, 1, 4], "2 events of particles and 3 of hits"),
        ("pdg", [22], "4 energies and 1 kinds of 4 particles"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: object, sentence: str) -> None:
    given = {**vars(three()), name: value}
    with pytest.raises(InputError, match=sentence):
        CalorimeterHits.checked(**given, what="a.parquet")
