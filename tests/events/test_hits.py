"""Hits of a tracker: events apart, rows of particles, and what is refused."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits
from colliderkit.sources.toys.tracker import helix_hits

PARTICLES = {"event": [7, 7, 9], "id": [1, 2, 1], "px": [1, 2, 3], "py": [0, 0, 0], "pz": [0, 0, 0]}


def three(**changed) -> TrackerHits:
    columns = {
        "event": [9, 7, 7, 9],
        "x": [40.0, 50.0, 60.0, 170.0],
        "y": np.zeros(4),
        "z": np.arange(4.0),
        "particle": [1, 2, 1, 0],
        "particles": PARTICLES,
    }
    return TrackerHits.checked(**{**columns, **changed})


def test_events_are_in_order_and_know_their_particles():
    hits = three()
    assert hits.number.tolist() == [7, 9]
    assert hits.offsets.tolist() == [0, 2, 4]
    assert hits.x.tolist() == [50.0, 60.0, 40.0, 170.0]
    assert hits.particle_rows().tolist() == [1, 0, 2, -1]
    one = hits.at([1])
    assert one.number.tolist() == [9]
    assert one.particle_rows().tolist() == [0, -1]
    assert one.particles.px.tolist() == [3.0]
    assert hits.where(hits.x > 45).offsets.tolist() == [0, 2, 3]


def test_overlaid_events_keep_hits_and_particles_apart():
    hits = helix_hits(5, vertices=2, particles=3, noise=1, seed=3)
    two = hits.overlaid(2)
    assert len(two) == 2
    assert two.offsets.tolist() == hits.offsets[[0, 2, 4]].tolist()
    rows, before = two.particle_rows(), hits.at(slice(0, 4)).particle_rows()
    assert rows.tolist() == before.tolist()
    assert len(np.unique(two.at([0]).id)) == two.offsets[1]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"z": [0, np.nan, 0, 0]}, "z is nan in hit 1 of event 7"),
        ({"particle": [1, 2, 5, 0]}, "hit 2 of event 7 is of particle 5, which is not among"),
        ({"id": [1, 2, 2, 1]}, "hit 2 of event 7 is there twice"),
        ({"x": [3.2, 7.2, 11.6, 17.2]}, "are they in cm or m"),
        ({"x": [3.2e4, 7.2e4, 11.6e4, 17.2e4]}, "are they in micrometres"),
        ({"particles": {**PARTICLES, "px": [np.inf, 2, 3]}}, "px is inf for particle 1 of event 7"),
        ({"particles": {**PARTICLES, "id": [2, 2, 1]}}, "particle 2 of event 7 is there twice"),
        ({"y": np.zeros(3)}, r"y has shape \(3,\) for 4 hits"),
    ],
)
def test_what_is_wrong_is_named(changed, sentence):
    with pytest.raises(InputError, match=sentence):
        three(**changed)


def test_truth_that_is_not_there_is_asked_for():
    with pytest.raises(InputError, match=r"fit needs it; give files with truth, or apply"):
        three(particle=None).truth("fit")
