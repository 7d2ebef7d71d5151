"""Classical pileup mitigation against the papers' formulas, on events made by hand."""

import math

import awkward as ak
import numpy as np
import pytest
from scipy.stats import chi2

from colliderkit.errors import InputError
from colliderkit.events.jets import Jets
from colliderkit.events.pileup import Grid, Particles
from colliderkit.methods.reconstruction.area import density, subtracted
from colliderkit.methods.reconstruction.charged_subtraction import ChargedHadronSubtraction
from colliderkit.methods.reconstruction.constituent_subtraction import ConstituentSubtraction
from colliderkit.methods.reconstruction.mitigation import cell_error
from colliderkit.methods.reconstruction.puppi import Puppi
from colliderkit.methods.reconstruction.soft_killer import SoftKiller
from colliderkit.sources.toys.pileup import pileup_toy

QUIET = {"progress": False}


def made(rows, counts=None, vertices=None) -> ak.Array:
    """Events of rows (pt, eta, phi, vertex); what is of vertex 0, or of hard neutrals, is true."""
    table = np.array(rows, dtype=float)
    columns = dict(zip(("pt", "eta", "phi", "vertex"), table.T, strict=True))
    columns["truth"] = (columns["vertex"] == 0).astype(float)
    particles = ak.unflatten(ak.zip(columns), counts or [len(table)])
    more = {} if vertices is None else {"vertices": vertices}
    return ak.zip({"particles": particles, **more}, depth_limit=1)


def weights(method, events) -> list[float]:
    return ak.flatten(method.fit(events, **QUIET).weights(events)).to_list()


KNOWN = [(5, 0, 0, 0), (5, 0, 0, 3), (5, 0, 0, -1), (5, 3, 0, -1)]


def test_charged_subtraction_keeps_what_is_not_known_to_be_pileup():
    assert weights(ChargedHadronSubtraction(), made(KNOWN)) == [1, 0, 1, 1]


@pytest.mark.parametrize("kind", [SoftKiller, ConstituentSubtraction, Puppi])
def test_known_vertices_decide(kind):
    assert weights(kind(), made(KNOWN))[:2] == [1, 0]


def test_the_soft_killer_empties_half_of_the_patches():
    """One particle in each patch, of pT 1, 2, ..., n: the cut is their median."""
    grid = Grid(0.4, 4.0)
    eta, phi = grid.centres()
    pt = 1.0 + np.random.default_rng(1).permutation(grid.cells)
    soft = np.stack([pt / 2, eta, phi + 0.01, eta * 0 - 1], axis=1)
    events = made(np.concatenate([np.stack([pt, eta, phi, eta * 0 - 1], axis=1), soft]))
    killer = SoftKiller().fit(events, **QUIET)
    particles = Particles.of(events)
    assert killer.cuts(particles).tolist() == [np.median(pt)]
    left = np.asarray(ak.flatten(killer.weights(events))) * particles.pt
    occupied = grid.sums(particles, left) > 0
    assert occupied.sum() == grid.cells // 2


def test_the_soft_killer_drops_nothing_of_an_empty_event():
    assert weights(SoftKiller(), made([(1, 0, 0, -1), (2, 1, 1, -1)])) == [1, 1]


def test_puppi_is_the_published_formula():
    """alpha of two neutrals and four pileup tracks about two of the leading vertex, by hand."""
    lead = [(20.0, 0.0, 0.0), (10.0, 1.0, 2.0)]
    others = [(1.0, 0.3, 0.0), (1.0, 0.0, 0.2), (1.0, 1.0, 2.35), (1.0, 0.75, 2.0)]
    neutral = [(3.0, 0.05, 0.0), (2.0, 1.3, 2.0), (4.0, -2.0, -2.0)]
    rows = [(*x, 0) for x in lead] + [(*x, 1 + i) for i, x in enumerate(others)]
    events = made(rows + [(*x, -1) for x in neutral], vertices=[10])

    def alpha(x):
        far = [(p, math.hypot(e - x[1], f - x[2])) for p, e, f in lead]
        total = sum((p / d) ** 2 for p, d in far if 0.02 < d < 0.4)
        return math.log(total) if total else -math.inf

    reference = np.array([alpha(x) for x in others])
    middle = np.median(reference)
    width = np.sqrt(np.mean((reference[reference <= middle] - middle) ** 2))
    plain = Puppi(offset=0.0, slope=0.0).fit(events, **QUIET)
    np.testing.assert_allclose(
        plain.alpha(Particles.of(events)), [alpha(x) for x in (*lead, *others, *neutral)], rtol=1e-6
    )
    expected = [
        chi2.cdf(((alpha(x) - middle) / width) ** 2, 1) if alpha(x) > middle else 0.0
        for x in neutral[:2]
    ]
    found = ak.flatten(plain.weights(events)).to_list()[-3:]
    np.testing.assert_allclose(found, [*expected, 0.0], atol=1e-6)  # the last has no neighbour
    # A weighted pT below offset + slope n is dropped.
    limit = expected[0] * 3.0
    for slope, kept in ((0.1 * limit - 1e-3, True), (0.1 * limit + 1e-3, False)):
        cut = Puppi(offset=0.0, slope=slope).fit(events, **QUIET)
        assert (ak.flatten(cut.weights(events)).to_list()[-3] > 0) == kept


def test_puppi_keeps_all_where_there_is_no_pileup():
    assert weights(Puppi(), made([(5, 0, 0, 0), (3, 0.1, 0, -1), (1, 1, 1, -1)])) == [1, 1, 1]


def test_a_ghost_is_taken_off_the_nearest_particle():
    """A particle in the middle of every cell, most of pT 2: each loses 2, and some have more."""
    ghosts = Grid(0.1, 4.0)
    eta, phi = ghosts.centres()
    pt = np.where(np.arange(ghosts.cells) % 7 == 0, 5.0, 2.0)
    pt[1000] = 100.0
    events = made(np.stack([pt, eta, phi, eta * 0 - 1], axis=1))
    for alpha in (0.0, 1.0):
        found = weights(ConstituentSubtraction(alpha=alpha, grid=0.1), events)
        np.testing.assert_allclose(found * pt, pt - 2.0, atol=1e-9)


def test_soft_particles_lose_first_with_alpha():
    grid = Grid(0.55, 4.0)
    eta, phi = grid.centres()
    even = np.stack([np.full(grid.cells, 0.2), eta, phi, eta * 0 - 1], axis=1)
    far = even[np.hypot(eta, phi) > 0.6]
    events = made([(1.0, 0.0, 0.1, -1), (30.0, 0.0, 0.0, -1), *far.tolist()])
    one, zero = (weights(ConstituentSubtraction(alpha=a), events)[:2] for a in (1.0, 0.0))
    assert one[0] < zero[0]
    assert one[1] > zero[1]


def test_area_subtraction_is_rho_times_area():
    jets = Jets(*np.array([[50.0, 5.0], [0, 0], [0, 1], [10, 1]]), np.array([1, 1]), 0.4)
    area = math.pi * 0.16
    left = subtracted(jets, np.array([20.0, 20.0]))
    assert left.pt.tolist() == pytest.approx([50 - 20 * area])  # the other has nothing left
    assert left.mass.tolist() == pytest.approx([10 * (1 - 20 * area / 50)])
    assert left.counts.tolist() == [1, 0]
    grid = Grid(0.55, 2.0)
    eta, phi = grid.centres()
    even = Particles.of(made(np.stack([np.full(grid.cells, 3.0), eta, phi, eta * 0 - 1], axis=1)))
    assert density(even, np.ones(grid.cells))[0] == pytest.approx(3 / grid.area)


@pytest.mark.parametrize("kind", [SoftKiller, Puppi])
def test_tuning_takes_the_best_of_what_is_tried(kind):
    events = pileup_toy(6, 8.0, seed=3)
    particles = Particles.of(events)
    tuned = kind(tune=True).fit(events, **QUIET)
    usual = kind().fit(events, **QUIET)
    errors = [
        math.sqrt(cell_error(particles, np.asarray(ak.flatten(m.weights(events)))).mean())
        for m in (tuned, usual)
    ]
    assert errors[0] == pytest.approx(min(row["error"] for row in tuned.tried_))
    assert errors[0] <= errors[1]
    assert usual.tried_ == []
    bare = ak.with_field(events, events["particles"][["pt", "eta", "phi", "vertex"]], "particles")
    with pytest.raises(InputError, match="no column 'truth'"):
        kind(tune=True).fit(bare, **QUIET)
    assert ak.all(usual.weights(bare) == usual.weights(events), axis=None)


@pytest.mark.parametrize("kind", [SoftKiller, ConstituentSubtraction, Puppi])
def test_events_do_not_see_each_other(kind):
    events = pileup_toy(3, 5.0, seed=4)
    method = kind().fit(events, **QUIET)
    np.testing.assert_allclose(
        method.weights(events[1:2])[0], method.weights(events)[1], atol=1e-12
    )


def test_puppi_is_the_same_in_an_event_that_is_turned():
    events = pileup_toy(3, 5.0, seed=4)
    method = Puppi().fit(events, **QUIET)
    phi = np.remainder(events["particles", "phi"] + 4, 2 * np.pi) - np.pi
    turned = ak.with_field(events, ak.with_field(events["particles"], phi, "phi"), "particles")
    every = ak.flatten(method.weights(events)).to_numpy()
    np.testing.assert_allclose(ak.flatten(method.weights(turned)), every, atol=1e-4)


def with_times(rows, time) -> ak.Array:
    events = made(rows)
    timed = ak.with_field(events["particles"], ak.unflatten(np.array(time), [len(rows)]), "time")
    return ak.with_field(events, timed, "particles")


def test_a_window_drops_what_is_late_or_early():
    """About the median of the leading vertex's tracks (100 ps); what has no time stays."""
    rows = [(5, 0, 0, 0)] * 3 + [(5, 0, 0, 2)] + [(5, 0.1, 0, -1)] * 4
    time = [100.0, 90.0, 400.0, 100.0, 189.0, 191.0, 9.0, np.nan]
    events = with_times(rows, time)
    assert Particles.of(events).delay[4:7].tolist() == [89.0, 91.0, -91.0]
    subtraction = ChargedHadronSubtraction(time_window=90.0)
    assert weights(subtraction, events) == [1, 1, 1, 0, 1, 0, 0, 1]
    kept = weights(Puppi(offset=0.0, slope=0.0), made(rows))
    assert weights(Puppi(offset=0.0, slope=0.0), events) == kept  # without a window no times
    late = weights(Puppi(offset=0.0, slope=0.0, time_window=90.0), events)
    assert late == [*kept[:5], 0, 0, kept[7]]
    with pytest.raises(InputError, match="time_window is a cut on the times of particles"):
        weights(subtraction, made(rows))


def test_an_event_without_leading_tracks_has_no_delays():
    events = with_times([(5, 0, 0, 2), (5, 0, 0, -1)], [100.0, 0.0])
    assert np.isnan(Particles.of(events).delay).all()
    assert weights(ChargedHadronSubtraction(time_window=1.0), events) == [0, 1]
    with pytest.raises(InputError, match="the time of a particle is inf in event 0"):
        Particles.of(with_times([(5, 0, 0, 2)], [np.inf]))
