"""Showers in one calorimeter: deposits add up, readings do not."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, Grid, Layer
from colliderkit.events.calorimeter.overlay import Digitiser, _places, deposits

GEOMETRY = Geometry(
    "electron", (Layer(0, (0.0, 5.0, 20.0), 4), Layer(1, (0.0, 10.0)), Grid(2, 2, 2, 20.0, 20.0))
)
CELLS = Geometry("cells", tuple(Grid(i, 10, 10, 100.0, 100.0) for i in range(3)))


def showers(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.exponential(1.0, (count, GEOMETRY.voxels)) * (
        random.random((count, GEOMETRY.voxels)) < 0.5
    )


def test_energy_is_kept_layer_by_layer() -> None:
    e = showers(7)
    event = np.array([0, 0, 1, 2, 2, 2, 0])
    found = deposits(e, GEOMETRY, np.zeros(7), np.zeros(7), event, CELLS, events=4)
    for i in range(3):
        own = e[:, GEOMETRY.layer == i].sum(1)
        seen = found[:, CELLS.layer == i].sum(1)
        np.testing.assert_allclose(seen, np.bincount(event, own, 4), rtol=1e-12)


def test_a_shower_moves_with_its_particle() -> None:
    e = np.zeros((1, GEOMETRY.voxels))
    # The inner ring of the cut (0, pi/2): hits within 5 mm, x and y positive.
    voxel = int(GEOMETRY.locate(0, 1.0, 1.0))
    e[0, voxel] = 8.0
    for x, y in ((0.0, 0.0), (20.0, -30.0), (-50.0, 40.0)):
        found = deposits(e, GEOMETRY, [x], [y], [0], CELLS, events=1)
        cell = int(CELLS.locate(0, x + 1, y + 1))
        assert found[0, cell] == pytest.approx(8.0)
        assert found.sum() == pytest.approx(8.0)
    # Nothing is seen of what falls outside.
    assert deposits(e, GEOMETRY, [60.0], [0.0], [0], CELLS, events=1).sum() == 0


def test_places_are_uniform_in_a_voxel() -> None:
    """A ring of 20 mm, not cut, on cells of 10 mm: each quadrant's share is 1/4, by symmetry."""
    e = np.zeros((20_000, GEOMETRY.voxels))
    e[:, int(GEOMETRY.locate(1, 1.0, 1.0))] = 1.0
    zero = np.zeros(len(e))
    found = deposits(e, GEOMETRY, zero, zero, zero, CELLS, events=1)[0]
    quadrants = found[found > 0] / len(e)
    assert len(quadrants) == 4
    # 80,000 places: a share of 1/4 is known to sqrt(3/16/80000) = .0015.
    np.testing.assert_allclose(quadrants, 0.25, atol=4 * 0.0015)
    # Half of the area lies within 10 / sqrt(2) mm.
    x, y = _places(
        GEOMETRY, np.full(40_000, GEOMETRY.locate(1, 1.0, 1.0)), np.random.default_rng(1)
    )
    inside = np.mean(np.hypot(x, y) < 10 / 2**0.5)
    assert inside == pytest.approx(0.5, abs=4 * 0.5 / 200)


def test_deposits_factorise() -> None:
    """All particles at once are the sum of the particles one by one, whatever the seed."""
    e, place = showers(6), np.linspace(-30, 30, 6)
    # Whole voxels in one cell, so that places within them do not matter.
    coarse = Geometry("cells", tuple(Grid(i, 1, 1, 200.0, 200.0) for i in range(3)))
    event = np.zeros(6, dtype=int)
    whole = deposits(e, GEOMETRY, place, place, event, coarse, events=1)
    single = sum(
        deposits(e[i : i + 1], GEOMETRY, place[i : i + 1], place[i : i + 1], [0], coarse, events=1)
        for i in range(6)
    )
    np.testing.assert_allclose(whole, single, rtol=1e-12)


def test_the_mean_reading_is_exact() -> None:
    random = np.random.default_rng(3)
    digitise = Digitiser(noise=0.5, threshold=1.2)
    for e in (0.0, 0.7, 1.2, 3.0):
        found = digitise(np.full(400_000, e), random)
        error = found.std() / 400_000**0.5
        assert found.mean() == pytest.approx(float(digitise.expected(e)), abs=4 * error)
    quiet = Digitiser(noise=0.0, threshold=1.0)
    np.testing.assert_array_equal(quiet([0.5, 1.5]), [0.0, 1.5])
    np.testing.assert_array_equal(quiet.expected([0.5, 1.5]), [0.0, 1.5])


def test_the_sum_must_be_digitised_not_the_parts() -> None:
    """Two deposits of .8 in one cell, noise .3, threshold 1: expectations differ as in closed form.

    m(e) = e P(z) + s p(z): m(1.6) = 1.580 for the sum, 2 m(.8) = .596 for the parts.
    """
    digitise = Digitiser(noise=0.3, threshold=1.0)
    random = np.random.default_rng(4)
    e = np.full((200_000, 2), 0.8)
    together, apart = digitise(e.sum(1), random), digitise(e, random).sum(1)
    right, wrong = float(digitise.expected(1.6)), 2 * float(digitise.expected(0.8))
    assert right == pytest.approx(1.5798, abs=1e-4)
    assert wrong == pytest.approx(0.5956, abs=2e-4)
    for found, exact in ((together, right), (apart, wrong)):
        assert found.mean() == pytest.approx(exact, abs=4 * found.std() / 200_000**0.5)
    # And noise alone: two readings have it twice.
    empty = np.zeros((200_000, 2))
    loud = Digitiser(noise=0.5, threshold=0.0)
    once, twice = loud(empty.sum(1), random), loud(empty, random).sum(1)
    assert once.mean() == pytest.approx(0.5 / (2 * np.pi) ** 0.5, rel=0.02)
    assert twice.mean() == pytest.approx(2 * 0.5 / (2 * np.pi) ** 0.5, rel=0.02)


def test_what_does_not_fit_is_named() -> None:
    e, zero = showers(2), np.zeros(2)
    with pytest.raises(InputError, match="equally many"):
        thin = Geometry("cells", (Grid(0, 1, 1, 9.0, 9.0),))
        deposits(e, GEOMETRY, zero, zero, [0, 0], thin, events=1)
    with pytest.raises(InputError, match="none of the events 0 to 0"):
        deposits(e, GEOMETRY, zero, zero, [0, 1], CELLS, events=1)
    with pytest.raises(InputError, match="give one each"):
        deposits(e, GEOMETRY, zero, zero, [0], CELLS, events=1)
    with pytest.raises(InputError, match="must not be negative"):
        Digitiser(-1.0, 0.0)
