"""Events with pileup: neighbours, cells and medians, all exact on events made by hand."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.pileup import ACTIVITY, Grid, Particles, activity, medians, pairs
from colliderkit.sources.toys.pileup import density, pileup_toy


def made(rows, counts, **more) -> ak.Array:
    """Events of rows (pt, eta, phi, vertex, truth)."""
    columns = dict(zip(("pt", "eta", "phi", "vertex", "truth"), np.array(rows).T, strict=True))
    return ak.zip({"particles": ak.unflatten(ak.zip(columns), counts), **more}, depth_limit=1)


def test_neighbours_are_those_of_all_pairs():
    """In three events, one of them empty, across the turn of phi, of some targets and sources."""
    random = np.random.default_rng(1)
    count = 300
    rows = np.stack(
        [np.ones(count), random.uniform(-3, 3, count), random.uniform(-np.pi, np.pi, count),
         np.zeros(count), np.zeros(count)], axis=1,
    )  # fmt: skip
    rows[:2, 2] = np.pi, -np.pi
    particles = Particles.of(made(rows, [200, 0, 100]))
    targets, sources = random.random(count) < 0.5, random.random(count) < 0.5
    for radius in (0.1, 0.4, 2.0):
        offsets, index, distance2 = pairs(particles, radius, targets, sources)
        away = np.abs(particles.phi[:, None] - particles.phi)
        away = np.minimum(away, 2 * np.pi - away)
        square = (particles.eta[:, None] - particles.eta) ** 2 + away**2
        near = (square < radius**2) & (particles.event[:, None] == particles.event)
        np.fill_diagonal(near, False)
        near &= targets[:, None] & sources
        owner = np.repeat(np.flatnonzero(targets), np.diff(offsets))
        assert set(zip(owner.tolist(), index.tolist(), strict=True)) == set(
            zip(*(x.tolist() for x in np.nonzero(near)), strict=True)
        )
        assert len(owner) == near.sum()
        np.testing.assert_allclose(distance2, square[owner, index], rtol=1e-5, atol=1e-7)


def test_a_grid_has_whole_cells_and_their_sums():
    grid = Grid(0.5, 2.0)
    assert (grid.rows, grid.columns) == (8, 13)
    assert grid.area * grid.cells == pytest.approx(4 * 2 * np.pi)
    eta, phi = grid.centres()
    np.testing.assert_array_equal(grid.cell(eta, phi), np.arange(grid.cells))
    assert grid.cell(np.array([2.0, -2.0001]), np.zeros(2)).tolist() == [-1, -1]
    rows = [(3.0, 0.1, 0.0, -1, 0), (1.0, 0.1, 0.01, -1, 0), (5.0, 9.0, 0.0, -1, 0)]
    particles = Particles.of(made(rows, [2, 1]))
    sums, largest = grid.sums(particles, particles.pt), grid.largest(particles, particles.pt)
    assert sums.sum(1).tolist() == [4.0, 0.0]
    assert (sums.max(), largest.max()) == (4.0, 3.0)
    # Most cells are empty: their median density is 0.
    assert grid.density(particles, np.ones(3)).tolist() == [0.0, 0.0]


def test_the_median_density_does_not_see_a_hard_jet():
    grid = Grid(0.5, 2.0)
    eta, phi = grid.centres()
    rows = np.stack([np.full(grid.cells, 2.0), eta, phi, eta * 0 - 1, eta * 0], axis=1)
    rows[7, 0] = 500.0
    particles = Particles.of(made(rows, [grid.cells]))
    assert grid.density(particles, np.ones(grid.cells))[0] == pytest.approx(2.0 / grid.area)


def test_medians_of_groups():
    middle, size = medians([1.0, 5.0, 3.0, 2.0, 4.0], np.array([0, 0, 0, 2, 2]), 4)
    np.testing.assert_array_equal(middle, [3.0, np.nan, 3.0, np.nan])
    assert size.tolist() == [3, 0, 2, 0]


def test_vertices_are_counted_where_they_are_not_given():
    rows = [(1, 0, 0, v, 0) for v in (0, 2, 2, -1, 5, 0, -1)]
    events = made(rows, [5, 2])
    assert Particles.of(events).vertices.tolist() == [3, 1]
    assert Particles.of(ak.with_field(events, [7, 9], "vertices")).vertices.tolist() == [7, 9]
    assert Particles.of(events).at(1, 2).vertex.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("pt", -1.0, "the pt of a particle is -1 in event 1"),
        ("eta", np.nan, "the eta of a particle is nan in event 1"),
        ("vertex", 0.5, "the vertex of a particle is 0.5 in event 1"),
        ("truth", 1.5, "the truth of a particle is 1.5 in event 1"),
    ],
)
def test_what_is_wrong_is_named(column, value, sentence):
    rows = np.tile([1.0, 0.0, 0.0, 0.0, 1.0], (4, 1))
    rows[3, ("pt", "eta", "phi", "vertex", "truth").index(column)] = value
    with pytest.raises(InputError, match=sentence):
        Particles.of(made(rows, [3, 1]))


def test_events_without_truth_say_so_where_it_is_needed():
    events = made([(1, 0, 0, 0, 1)], [1])
    bare = ak.with_field(events, events["particles"][["pt", "eta", "phi", "vertex"]], "particles")
    with pytest.raises(InputError, match="no column 'truth'"):
        Particles.of(bare).needed_truth()
    with pytest.raises(InputError, match="particles have no column 'vertex'"):
        Particles.of(ak.with_field(events, events["particles"][["pt", "eta", "phi"]], "particles"))
    with pytest.raises(InputError, match="holds no events"):
        Particles.of(events[:0])


@pytest.mark.statistical
def test_the_toy_has_its_density(seed):
    """The sum of the pileup's pT in an event is mu PARTICLES <pT>, compound Poisson twice."""
    mu, count = 20.0, 60
    events = pileup_toy(count, mu, seed=seed)
    particles = Particles.of(events)
    total = particles.sums(particles.pt * (1 - particles.truth))
    area = 2 * 4.0 * 2 * np.pi
    assert abs(total.mean() / area - density(mu)) < 4 * total.std(ddof=1) / count**0.5 / area
    found = activity(events)
    assert found.shape == (count, len(ACTIVITY))
    assert np.array_equal(found[:, 0], np.asarray(events["vertices"], dtype=float))
    assert not (np.asarray(particles.known) & (np.abs(particles.eta) >= 2.5)).any()
