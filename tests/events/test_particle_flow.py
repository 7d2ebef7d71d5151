"""Events of particle flow: choosing and joining keeps what is whose; what is wrong is named."""

from dataclasses import replace

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.particle_flow import FlowEvents, FlowParticles
from contracts.cases.particle_flow import small_events


def energies(events: FlowEvents) -> list[np.ndarray]:
    """Return what is told by incidence alone: of each share cluster, particle and energy."""
    particles, incidence = events.truth
    return [
        events.clusters.energy[incidence.cluster],
        particles.pt[incidence.particle],
        incidence.energy,
        particles.pt[incidence.track],
    ]


def test_choosing_and_joining_events_keeps_what_is_whose():
    events = small_events(6, 1)
    chosen = events.at([4, 1])
    again = FlowEvents.joined([events.at([4]), events.at([1])])
    for one, other in zip(energies(chosen), energies(again), strict=True):
        np.testing.assert_array_equal(one, other)
    assert chosen.check() is chosen
    whole = FlowEvents.joined([events.at(slice(0, 2)), events.at(slice(2, None))])
    for one, other in zip(energies(events), energies(whole), strict=True):
        np.testing.assert_array_equal(one, other)


def test_shares_of_a_cluster_are_its_energy():
    events = small_events(4, 1)
    incidence = events.truth[1]
    left = np.bincount(incidence.cluster, incidence.energy)
    np.testing.assert_allclose(left, events.clusters.energy)


def test_particles_are_sorted_by_event_and_momentum():
    made = FlowParticles.of(
        [1, 0, 1], 3, pt=np.array([1.0, 2, 3]), eta=np.zeros(3), phi=np.zeros(3),
        kind=np.arange(3),
    )  # fmt: skip
    assert made.offsets.tolist() == [0, 1, 3, 3]
    assert made.kind.tolist() == [1, 2, 0]
    assert made.where(made.pt > 1.5).counts.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("clusters", "energy", -1.0, "energy of clusters is -1 in event 2"),
        ("tracks", "face_eta", np.inf, "face_eta of tracks is inf in event 0"),
        ("particles", "pt", 0.0, "pt of particles is 0 in event 2"),
    ],
)
def test_what_is_wrong_is_named(table, column, value, words):
    events = small_events(3, 1)
    part = getattr(events, table)
    values = getattr(part, column).copy()
    values[0 if table == "tracks" else 11] = value
    with pytest.raises(InputError, match=words):
        replace(events, **{table: replace(part, **{column: values})}).check()


def test_truth_that_is_missing_or_of_another_event_is_refused():
    events = small_events(2, 1)
    with pytest.raises(InputError, match="no true particles"):
        replace(events, particles=None, incidence=None).truth  # noqa: B018
    incidence = replace(events.truth[1], track=events.truth[1].track[::-1].copy())
    with pytest.raises(InputError, match="a particle that its event does not have"):
        replace(events, incidence=incidence).check()
    with pytest.raises(InputError, match="holds no events"):
        events.at([]).check()
