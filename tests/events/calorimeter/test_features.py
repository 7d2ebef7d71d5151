"""Features of showers against sums done by hand."""

import numpy as np
import pytest

from colliderkit.events.calorimeter.features import features
from colliderkit.events.calorimeter.geometry import Geometry, Grid, Layer

GEOMETRY = Geometry("toy", (Layer(0, (0, 2, 6), 1), Layer(2, (0, 10, 30), 4)))


def test_moments_of_two_hits() -> None:
    shower = np.zeros((1, 10))
    # Layer 2, cut 1 (alpha = -pi/4): r = 5 with 3 MeV, r = 20 with 1 MeV.
    shower[0, 2 + 2 : 2 + 4] = 3, 1
    found = features(shower, np.array([100.0]), GEOMETRY)
    mean, square = (3 * 5 + 20) / 4, (3 * 25 + 400) / 4
    assert found.energy[0].tolist() == [0, 4]
    assert found.centre_r[0] == pytest.approx([0, mean])
    assert found.width_r[0] == pytest.approx([0, np.sqrt(square - mean**2)])
    assert found.centre_eta[0, 1] == pytest.approx(mean / np.sqrt(2))
    assert found.centre_phi[0, 1] == pytest.approx(-mean / np.sqrt(2))
    assert found.sparsity[0].tolist() == [1, 0.75]
    assert found.total[0] == 4


def test_a_threshold_removes_what_is_below() -> None:
    shower = np.full((1, 10), 0.5)
    shower[0, 0] = 2
    found = features(shower, np.array([100.0]), GEOMETRY, threshold=1.0)
    assert found.total[0] == 2
    assert found.sparsity[0].tolist() == [0.5, 1]


@pytest.mark.parametrize(
    ("geometry", "numbers"),
    [
        # The lengths of the challenge's vectors: 30 for photons of data set 1, 362 for data set 2.
        (
            Geometry("photon", (*(Layer(i, (0, 1), a) for i, a in enumerate((1, 10, 10, 1, 1))),)),
            30,
        ),
        (Geometry.regular("electron", 45, 16, range(10)), 362),
    ],
)
def test_the_table_has_the_published_length(geometry: Geometry, numbers: int) -> None:
    table = features(np.ones((2, geometry.voxels)), np.ones(2), geometry).table()
    assert table.shape == (2, numbers)
    assert np.isfinite(table).all()


def test_moments_of_cells() -> None:
    # 4 x 6 cells of 10 mm by 5 mm: row 3 is y = 15, columns 0 and 5 are x = -12.5 and 12.5.
    grid = Geometry("cells", (Grid(0, 4, 6, 40.0, 30.0),))
    shower = np.zeros((1, 24))
    shower[0, [18, 23]] = 1, 3
    found = features(shower, np.array([10.0]), grid)
    assert found.centre_eta[0, 0] == pytest.approx(6.25)
    assert found.width_eta[0, 0] == pytest.approx(np.sqrt(12.5**2 - 6.25**2))
    assert found.centre_phi[0, 0] == pytest.approx(15)
    assert found.width_phi[0, 0] == pytest.approx(0, abs=1e-6)
    assert found.centre_r[0, 0] == pytest.approx(np.hypot(12.5, 15))
    # E_inc; E, centre and width in eta and phi; E_tot; sparsity, centre and width in r.
    assert found.table().shape == (1, 1 + 5 + 1 + 3)


def test_a_single_voxel_has_no_width() -> None:
    geometry = Geometry("one", (Layer(0, (0, 3, 7.7), 3),))
    showers = np.zeros((6, geometry.voxels))
    showers[np.arange(6), np.arange(6)] = 0.1 + np.arange(6) / 7
    found = features(showers, np.full(6, 10.0), geometry)
    for width in (found.width_eta, found.width_phi, found.width_r):
        assert (width == 0).all()


def test_shapes_do_not_know_the_incident_energy() -> None:
    shower = np.zeros((1, 10))
    # 1 MeV in the first ring of layer 0, and 3 and 4 MeV in one cut of layer 2.
    shower[0, 0], shower[0, 2 + 2 : 2 + 4] = 1, (3, 4)
    one, other = (features(shower, np.array([e]), GEOMETRY).shapes() for e in (10.0, 1000.0))
    np.testing.assert_array_equal(one, other)
    # ln(total), two shares, mean and spread of the layer's number (0 and 1).
    expected = [np.log(8), 1 / 8, 7 / 8, 7 / 8, np.sqrt(7 / 8 * 1 / 8)]
    np.testing.assert_allclose(one[0, :5], expected, atol=1e-9)
    # Centre and width in r of both layers, widths of the one that is cut, shares of hits.
    assert one.shape == (1, 5 + 2 + 2 + 1 + 1 + 2)
    np.testing.assert_allclose(one[0, -2:], [0.5, 0.25])
    empty = features(np.zeros((1, 10)), np.array([1.0]), GEOMETRY).shapes()
    assert np.isfinite(empty).all()
