"""Particle flow: what is subtracted, what is learned, and events with almost nothing in them."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.particle_flow import CHARGED, NEUTRAL, PHOTON, FlowEvents
from colliderkit.losses.incidence import SHARES, TRUTH, IncidenceLoss, matched, true_shares
from colliderkit.methods.reconstruction.energy_flow import EnergyFlow
from colliderkit.methods.reconstruction.incidence_flow import IncidenceFlow, incidence_targets
from colliderkit.methods.reconstruction.learned_flow import elements
from colliderkit.methods.reconstruction.link_and_subtract import LinkAndSubtract
from colliderkit.methods.reconstruction.mlpf import MLPF, element_targets
from colliderkit.methods.reconstruction.particle_flow import Deposit, with_true_shares
from colliderkit.metrics.particle_flow import match_particles
from colliderkit.networks.incidence import HEADS
from colliderkit.serve.particle_flow import export_flow
from colliderkit.training.settings import Training
from contracts.cases.particle_flow import KIND, small_events

CLASSICAL = [EnergyFlow(), LinkAndSubtract(), LinkAndSubtract(tune=True)]


def without(events: FlowEvents, tracks: bool) -> FlowEvents:
    """Return events without clusters and towers, or without tracks as well, and no truth."""
    none = np.zeros_like(events.tracks.offsets)
    empty = {
        name: replace(
            table, **{k: none if k == "offsets" else v[:0] for k, v in vars(table).items()}
        )
        for name, table in (
            ("tracks", events.tracks), ("clusters", events.clusters), ("towers", events.towers),
        )
        if name != "tracks" or tracks
    }  # fmt: skip
    return replace(events, **empty, particles=None, incidence=None)


@pytest.mark.parametrize("method", CLASSICAL, ids=lambda m: f"{m.name} {getattr(m, 'tune', '')}")
def test_isolated_particles_are_found_as_they_are(method):
    events = small_events(100, 1)
    found = method.fit(events, progress=False).predict(events)
    matching = match_particles(events.truth[0], found)
    # All but what fluctuations of hadrons make up, and a photon that is near to a hadron.
    assert matching.efficiency().value > 0.75
    assert matching.fake_rate().value < 0.3


def test_what_hadrons_leave_is_learned():
    deposit = Deposit.of(small_events(400, 1))
    # Uniform between 0.7 and 0.9: mean 0.8, standard deviation 0.2 / sqrt(12).
    np.testing.assert_allclose(deposit.mean, 0.8, atol=0.02)
    np.testing.assert_allclose(deposit.spread, 0.0577, atol=0.01)
    assert abs(deposit.neutral - 0.8) < 0.02


def test_a_photon_beside_a_track_is_what_exceeds_it():
    events = small_events(50, 1)
    # The first photon is given the place of the first track: one block, without a link of its own.
    clusters = events.clusters
    eta, phi = clusters.eta.copy(), clusters.phi.copy()
    eta[2::5], phi[2::5] = eta[0::5], phi[0::5]
    moved = replace(events, clusters=replace(clusters, eta=eta, phi=phi))
    method = LinkAndSubtract(significance=0.0).fit(events, progress=False)
    found = method.predict(moved)
    near = (found.kind == PHOTON) & (np.abs(found.eta + 1) < 0.3)
    energy = clusters.energy.reshape(-1, 5)
    p = events.tracks.pt.reshape(-1, 2)[:, 0] * np.cosh(events.tracks.eta.reshape(-1, 2)[:, 0])
    mean, _ = method.deposit_.expected(p)
    excess = np.clip(energy[:, 0] + energy[:, 2] - mean, 0, energy[:, 2])
    np.testing.assert_allclose(
        np.bincount(found.event[near], found.energy[near], 50), excess * (excess > 0.3), rtol=0.05
    )


def test_targets_are_at_tracks_and_at_the_cluster_that_holds_most():
    events = small_events(3, 1)
    known = element_targets(events)
    there = known[:, 0].astype(bool)
    # Two tracks and three clusters of five are particles; charged hadrons' clusters are none.
    assert there[:6].all()
    np.testing.assert_array_equal(there[6:], np.tile(KIND != CHARGED, 3))
    kinds = known[6:, 1][there[6:]].reshape(3, 3)
    assert (kinds == [PHOTON, NEUTRAL, PHOTON]).all()
    true = events.truth[0].pt.reshape(3, 5)
    ratio = np.exp(known[6:, 2][there[6:]].reshape(3, 3))
    seen = (events.clusters.energy / np.cosh(events.clusters.eta)).reshape(3, 5)
    np.testing.assert_allclose(ratio * seen[:, 2:], true[:, 2:], rtol=1e-9)


def test_several_particles_of_one_cluster_are_one_target():
    events = small_events(1, 1)
    incidence = events.truth[1]
    # The photons both leave all they left in cluster 2, the hadron's and cluster 4 are nobody's.
    cluster = np.where(np.isin(incidence.particle, (2, 4)), 2, incidence.cluster)
    order = np.argsort(cluster, kind="stable")
    merged = replace(
        incidence, cluster=cluster[order], particle=incidence.particle[order],
        energy=incidence.energy[order],
    )  # fmt: skip
    known = element_targets(replace(events, incidence=merged))[2:]
    true = events.truth[0]
    px, py = (true.pt * wave(true.phi) for wave in (np.cos, np.sin))
    both = np.hypot(px[[2, 4]].sum(), py[[2, 4]].sum())
    seen = events.clusters.energy[2] / np.cosh(events.clusters.eta[2])
    np.testing.assert_allclose(np.exp(known[2, 2]) * seen, both)
    assert known[4, 0] == 0


@pytest.fixture(scope="module")
def network():
    """Return a network that has learned the small events."""
    training = Training(epochs=15, batch_size=16, learning_rate=1e-2)
    method = MLPF(width=16, blocks=1, neighbours=4, training=training)
    return method.fit(small_events(300, 1), progress=False)


def test_the_network_learns_small_events(network):
    events = small_events(100, 2)
    matching = match_particles(events.truth[0], network.predict(events))
    assert matching.efficiency().value > 0.95
    assert matching.fake_rate().value < 0.05


def test_a_turn_of_the_detector_turns_the_answer(network):
    events = small_events(5, 3)
    turn = 2.0
    turned = replace(
        events,
        tracks=replace(
            events.tracks, phi=events.tracks.phi + turn, face_phi=events.tracks.face_phi + turn
        ),
        clusters=replace(events.clusters, phi=events.clusters.phi + turn),
    )
    np.testing.assert_allclose(network.outputs(turned), network.outputs(events), atol=1e-4)


def test_events_do_not_see_each_other(network):
    events = small_events(20, 3)
    alone = network.outputs(events.at([7]))
    together = network.outputs(events)
    rows = np.concatenate([np.arange(14, 16), 40 + np.arange(35, 40)])
    np.testing.assert_allclose(alone, together[rows], atol=1e-5)


def test_events_with_almost_nothing_have_few_particles(network):
    events = small_events(3, 1)
    for method in (network, *(m.fit(small_events(50, 1), progress=False) for m in CLASSICAL)):
        assert len(method.predict(without(events, tracks=True)).pt) == 0
        found = method.predict(without(events, tracks=False))
        assert (found.counts <= 2).all()


def test_energy_flow_says_that_it_needs_towers():
    events = small_events(10, 1)
    towers = without(events, tracks=False).towers
    method = EnergyFlow().fit(events)
    with pytest.raises(InputError, match="have clusters and no towers"):
        method.predict(replace(events, towers=towers))


def test_true_shares_are_the_energies_of_photons():
    events = small_events(20, 1)
    found = with_true_shares(events, Deposit.of(events))
    photons = found.kind == PHOTON
    true = events.truth[0]
    np.testing.assert_allclose(np.sort(found.pt[photons]), np.sort(true.pt[true.kind == PHOTON]))


def test_the_file_answers_as_the_method(network, tmp_path):
    events = small_events(6, 4)
    path = tmp_path / "flow.onnx"
    assert export_flow(network, path, events) < 1e-4
    inputs, _ = elements(events)
    raw = inputs.values.numpy().reshape(6, 7, -1)
    session = onnxruntime.InferenceSession(str(path))
    probability, kinds, momentum = session.run(None, {"constituents": raw})
    assert probability.shape == (6, 7)
    # Tracks first: they are charged, and clusters neutral.
    assert (np.isin(kinds.argmax(2), (PHOTON, NEUTRAL)) == ([False] * 2 + [True] * 5)).all()
    taken = probability > network.threshold_
    pt = momentum[..., 0] * np.asarray(network.scale_)[kinds.argmax(2)]
    np.testing.assert_allclose(np.sort(pt[taken]), np.sort(network.predict(events).pt), rtol=1e-4)


def test_the_incidence_matrix_divides_a_shared_cluster():
    training = Training(epochs=12, batch_size=16, learning_rate=1e-2)
    method = IncidenceFlow(width=16, blocks=1, neighbours=4, training=training)
    method.fit(small_events(300, 1), progress=False)
    events = small_events(100, 2)
    matching = match_particles(events.truth[0], method.predict(events))
    assert matching.efficiency().value > 0.95
    assert matching.fake_rate().value < 0.05
    cluster, slot, share = method.shares(events)
    np.testing.assert_allclose(np.bincount(cluster, share), 1.0)
    # The first cluster is its track's but for the photon's part, which is its own cluster's slot.
    first, tracks = cluster == 0, len(events.tracks.pt)
    given = dict(zip(slot[first].tolist(), share[first].tolist(), strict=True))
    energy = events.truth[1].energy[events.truth[1].cluster == 0]
    assert abs(given[0] - energy[0] / energy.sum()) < 0.05
    assert given[0] + given[tracks + 2] > 0.99


def test_slots_are_matched_by_the_energy_in_common():
    known = torch.from_numpy(incidence_targets(small_events(1, 1)).astype(np.float32))[None]
    known = torch.cat([known, torch.ones(1, 7, 1)], dim=2)
    tracks, particles = true_shares(known)
    # All of each cluster is somebody's.
    torch.testing.assert_close((tracks + particles).sum(2)[0, 2:], torch.ones(5))
    # A matrix that gives the photons to each other's slots: they are matched where they are said.
    dense = torch.eye(7)[None]
    dense[0, 4], dense[0, 6] = torch.eye(7)[6], torch.eye(7)[4]
    true = matched(torch.eye(7)[None], particles, known)[0, :3].tolist()
    crossed = matched(dense, particles, known)[0, :3].tolist()
    assert sorted(true) == [4, 5, 6]
    other = {4: 6, 6: 4, 5: 5}
    assert crossed == [other[slot] for slot in true]


def test_an_incidence_loss_of_nothing_is_finite():
    k = 3
    for real in (0.0, 1.0):
        known = torch.zeros(2, 4, TRUTH)
        known[..., :SHARES] = -1
        known[..., -1] = real
        outputs = torch.cat([torch.zeros(2, 4, 2 * k + HEADS), known], dim=2).requires_grad_()
        loss = IncidenceLoss(k)(outputs, torch.ones(2), torch.ones(2))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(outputs.grad).all()
