"""Event shapes: closed forms of few particles, and what a boost must not change."""

import awkward as ak
import numpy as np
import pytest
from numpy.typing import NDArray

from colliderkit.events.observables import table
from colliderkit.events.shapes import jet_shapes

NAMES = ["fox_wolfram", "aplanarity", "planar_flow"]


def at_rest(*momenta: tuple[float, float, float], boost: float) -> ak.Array:
    """Return one jet of massless particles with these momenta at rest, boosted along x."""
    p = np.array(momenta, dtype=np.float64)
    energy = np.sqrt((p**2).sum(1))
    gamma = 1 / np.sqrt(1 - boost**2)
    px = gamma * (p[:, 0] + boost * energy)
    columns = {"px": px, "py": p[:, 1], "pz": p[:, 2], "E": gamma * (energy + boost * p[:, 0])}
    return ak.Array([ak.zip(columns)])


def shapes(jets: ak.Array) -> NDArray[np.float64]:
    return np.array(jet_shapes(jets))[:, 0]


@pytest.mark.parametrize("boost", [0.5, 0.95])
def test_two_prongs_lie_on_a_line(boost):
    found = shapes(at_rest((3, 4, 0), (-3, -4, 0), boost=boost))
    np.testing.assert_allclose(found, [1, 0, 0], atol=1e-5)


@pytest.mark.parametrize("boost", [0.5, 0.95])
def test_three_prongs_of_equal_energy(boost):
    # Three unit vectors 120 degrees apart: cos^2 is 1 on the diagonal and 1/4 off it, so that
    # R2 = (3 (3 + 6/4) / 9 - 1) / 2 = 1/4.
    angles = 2 * np.pi * np.arange(3) / 3
    jet = at_rest(*[(np.cos(a), np.sin(a), 0.0) for a in angles], boost=boost)
    np.testing.assert_allclose(shapes(jet)[:2], [0.25, 0], atol=1e-5)


@pytest.mark.parametrize("boost", [0.5, 0.95])
def test_six_particles_along_the_axes_are_isotropic(boost):
    axes = [(1.0, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    # R2 = (3 * 12 / 36 - 1) / 2 = 0, A = 3/2 * 1/3, and a square across the axis.
    np.testing.assert_allclose(shapes(at_rest(*axes, boost=boost)), [0, 0.5, 1], atol=2e-5)


def test_planar_flow_of_an_ellipse():
    # Across x: energies 1 in y and 2 in z, with the same q^2 / E weight: lambda = (2, 4) and
    # Pf = 4 * 8 / 36, for particles at rest in pairs; the boost makes all energies finite in x.
    jet = at_rest((0, 1, 0), (0, -1, 0), (0, 0, 2), (0, 0, -2), boost=0.8)
    np.testing.assert_allclose(shapes(jet)[2], 8 / 9, rtol=1e-5)


def test_the_last_kt_recombination_of_two_particles(make_jets):
    jets = make_jets([(60, 0.0, 0.0), (40, 0.3, 0.0)], [(5, 1.0, 1.0)])
    values, _ = table(jets, ["kt_dr", "sqrt_d12", "zcut"])
    m2 = 2 * 60 * 40 * (np.cosh(0.3) - 1)
    np.testing.assert_allclose(values[0], [0.3, 12, 144 / (144 + m2)], rtol=1e-5)
    np.testing.assert_array_equal(values[1], 0)
