"""Learned pileup mitigation: better than guessing, equal to itself, and no truth of neutrals."""

from functools import partial

import awkward as ak
import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.pileup import Particles
from colliderkit.methods.reconstruction.learned import ragged
from colliderkit.methods.reconstruction.pileup_graph import PileupGraph
from colliderkit.methods.reconstruction.pumml import Pumml
from colliderkit.metrics.pileup import neutral_auc
from colliderkit.networks.pumml import PummlNetwork
from colliderkit.networks.radius_graph import RadiusGraph
from colliderkit.sources.detector.timing import Timing
from colliderkit.sources.toys.pileup import pileup_toy, time_ratio, time_widths
from colliderkit.training.settings import Training

QUIET = {"progress": False}
TRAINING = Training(epochs=6, batch_size=4, learning_rate=1e-2, devices=1)


def padded(events):
    return ragged(Particles.of(events)).padded(torch.arange(len(events)))


def flat(weights) -> np.ndarray:
    return np.asarray(ak.flatten(weights))


def small(**options) -> PileupGraph:
    return PileupGraph(channels=4, width=16, training=TRAINING, **options)


def without_truth(events, keep=()):
    fields = ["pt", "eta", "phi", "vertex", *keep]
    return ak.with_field(events, events["particles"][fields], "particles")


@pytest.fixture(scope="module")
def samples():
    return pileup_toy(60, 8.0, seed=1), pileup_toy(40, 8.0, seed=2)


@pytest.mark.statistical
@pytest.mark.parametrize("labels", ["truth", "charged"])
def test_a_graph_finds_the_neutrals_of_the_hard_collision(samples, seed, labels):
    """AUC above that of pT alone, with the neutrals' truth and without it."""
    train, test = samples
    given = train if labels == "truth" else without_truth(train)
    method = small(labels=labels).fit(given, seed=seed, **QUIET)
    particles = Particles.of(test)
    weight = flat(method.weights(without_truth(test)))
    found, by_pt = neutral_auc(particles, weight), neutral_auc(particles, particles.pt)
    assert found.value > by_pt.value + 2 * found.error
    # A probability: what is kept is what the hard collision made, as far as it is known.
    unknown = ~particles.known
    kept = (weight * particles.pt)[unknown].sum()
    true = (particles.truth * particles.pt)[unknown].sum()
    assert 0.5 < kept / true < 2
    np.testing.assert_array_equal(weight[~unknown], particles.leading[~unknown])


@pytest.mark.statistical
def test_pumml_finds_the_energy_of_cells(samples, seed):
    train, test = samples
    method = Pumml(cell=0.2, training=TRAINING).fit(train, seed=seed, **QUIET)
    particles = Particles.of(test)
    weight = flat(method.weights(test))
    assert neutral_auc(particles, weight).value > 0.6
    losses = [epoch.validation_loss for epoch in method.history_["network"]]
    assert min(losses) < losses[0]


def test_truth_of_neutrals_is_not_seen_where_it_is_hidden(samples):
    """Labels of charged particles: other truth of the events trains to the same weights."""
    train = samples[0][:16]
    truth = ak.zeros_like(train["particles", "truth"])
    other = ak.with_field(train, ak.with_field(train["particles"], truth, "truth"), "particles")
    quick = Training(epochs=1, batch_size=4, devices=1)
    one, two = (
        PileupGraph(labels="charged", channels=2, width=8, training=quick).fit(e, seed=1, **QUIET)
        for e in (train, other)
    )
    np.testing.assert_array_equal(flat(one.weights(train)), flat(two.weights(train)))


def test_messages_are_sums_over_neighbours(samples):
    """Against all pairs of particles, one ring after another; the gradient against finite steps."""
    network = RadiusGraph(channels=3, width=8, rounds=1)
    values, mask = padded(samples[0][:2])
    rows, counts = values[mask].double(), mask.sum(1)
    rings = network.edges(rows, counts)
    event = torch.repeat_interleave(torch.arange(2), counts)
    away = (rows[:, None, 2] - rows[None, :, 2]).abs()
    away = torch.minimum(away, 2 * torch.pi - away)
    distance = torch.hypot(rows[:, None, 1] - rows[None, :, 1], away)
    for low, high, ring in zip(network.rings[:-1], network.rings[1:], rings, strict=True):
        near = (distance >= low) & (distance < high) & (event[:, None] == event)
        near.fill_diagonal_(False)
        dense = ring.to_dense()
        assert (dense != near).sum() <= 2  # distances that rounding puts on the other side
    network.double()
    out = network(values.double(), mask)[..., 0].square().sum()
    out.backward()
    weight = network.messages[0].weight
    step, found = 1e-6, []
    with torch.no_grad():
        for sign in (1, -1):
            weight[0, 0] += sign * step
            found.append(network(values.double(), mask)[..., 0].square().sum())
            weight[0, 0] -= sign * step
    assert float(weight.grad[0, 0]) == pytest.approx(float(found[0] - found[1]) / 2e-6, rel=1e-4)


@pytest.mark.parametrize("network", [RadiusGraph(channels=2, width=8), PummlNetwork()])
def test_padding_and_batch_mates_change_nothing(network, samples):
    network.eval()
    events = samples[0][:3]
    with torch.no_grad():
        values, mask = padded(events)
        together = network(values, mask)
        one, own = padded(events[1:2])
        alone = network(one, own)
    if isinstance(network, PummlNetwork):
        torch.testing.assert_close(together[1], alone[0])
        return
    torch.testing.assert_close(together[1][mask[1]], alone[0][own[0]], rtol=1e-4, atol=1e-5)


def test_images_hold_the_sums_of_pt(samples):
    network = PummlNetwork()
    particles = Particles.of(samples[0][:2])
    image = network.images(*padded(samples[0][:2]))
    inside = (particles.eta >= -4.0) & (particles.eta < 4.0)
    for name, which in (
        ("leading", particles.leading),
        ("others", particles.vertex > 0),
        ("neutral", ~particles.known),
    ):
        sums = particles.sums(particles.pt, which & inside)
        np.testing.assert_allclose(image[name].flatten(1).sum(1), sums, rtol=1e-4)
    hard = particles.sums(particles.pt * particles.truth, ~particles.known & inside)
    np.testing.assert_allclose(image["truth"].flatten(1).sum(1), hard, rtol=1e-4)
    # A turn by one coarse cell turns the answer by one.
    share = network.shares(image)
    turned = {n: x.roll(4 if x.shape[2] > 63 else 1, 2) for n, x in image.items()}
    torch.testing.assert_close(network.shares(turned), share.roll(1, 2), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_learned_from_is_refused(samples):
    few = samples[0][:16]
    with pytest.raises(InputError, match="no column 'truth'"):
        small().fit(without_truth(few), **QUIET)
    with pytest.raises(InputError, match="labels is 'neutral'; choose truth or charged"):
        small(labels="neutral").fit(few, **QUIET)
    with pytest.raises(InputError, match=r"rings are \[0.4, 0.1\]"):
        small(rings=[0.4, 0.1]).fit(few, **QUIET)
    known = few["particles", "vertex"]
    single = ak.with_field(few["particles"], ak.where(known > 0, -1, known), "vertex")
    with pytest.raises(InputError, match="labels are those of charged particles"):
        small(labels="charged").fit(ak.with_field(few, single, "particles"), **QUIET)


def by_time_alone(seed: int, timing: Timing, prior: float = 0.3) -> ak.Array:
    """Neutrals of equal pT without neighbours, whose times alone tell, and a track at 0 ps."""
    random = np.random.default_rng(seed)
    counts, each = np.full(60, 61), 61 * 60
    first = np.arange(each) % 61 == 0
    hard = (random.random(each) < prior) | first
    eta = random.uniform(-2.5, 2.5, each)
    narrow, wide = time_widths(eta, timing)
    columns = {
        "pt": np.ones(each), "eta": eta, "phi": random.uniform(-np.pi, np.pi, each),
        "vertex": np.where(first, 0, -1), "truth": hard.astype(float),
        "time": np.where(first, 0.0, random.normal(0, np.where(hard, narrow, wide))),
    }  # fmt: skip
    return ak.zip({"particles": ak.unflatten(ak.zip(columns), counts)}, depth_limit=1)


@pytest.mark.statistical
def test_from_times_alone_a_graph_learns_the_ratio_of_two_normals(seed):
    """The posterior is known: the network has four fifths of the information of times."""
    timing, prior = Timing(30.0), 0.3
    test = by_time_alone(10_000 + seed, timing)
    particles = Particles.of(test)
    asked = ~particles.known
    odds = time_ratio(particles.delay, particles.eta, timing) * prior / (1 - prior)
    truth = particles.truth[asked]

    def entropy(p):
        p = np.clip(p, 1e-9, 1 - 1e-9)
        return -(truth * np.log(p) + (1 - truth) * np.log1p(-p)).mean()

    least, most = entropy((odds / (1 + odds))[asked]), entropy(np.full(asked.sum(), prior))
    quick = Training(epochs=8, batch_size=4, learning_rate=1e-2, devices=1)
    found = []
    for s in (seed, seed + 1, seed + 2):
        graph = PileupGraph(rings=[0.0, 0.02], channels=2, width=16, rounds=1, training=quick)
        graph.fit(by_time_alone(s, timing), seed=s, **QUIET)
        found.append(entropy(flat(graph.weights(test))[asked]))
    assert np.median(found) - least < 0.2 * (most - least)


def test_a_graph_with_times_needs_them_and_one_without_does_not_look(samples):
    bare, timed = samples[0][:12], pileup_toy(12, 8.0, timing=Timing(), seed=1)
    quick = Training(epochs=1, batch_size=4, devices=1)
    make = partial(PileupGraph, channels=2, width=8, training=quick)
    with_times = make(labels="charged").fit(timed, seed=1, **QUIET)
    with pytest.raises(InputError, match="was fitted with times of particles"):
        with_times.weights(bare)
    without = make().fit(bare, seed=1, **QUIET)
    timed_bare = pileup_toy(12, 8.0, timing=Timing(), seed=5)
    dropped = ak.without_field(timed_bare, ("particles", "time"))
    np.testing.assert_array_equal(flat(without.weights(timed_bare)), flat(without.weights(dropped)))
    # A graph that was saved before there were times says nothing of them.
    del without.timed_
    assert not without.timed
