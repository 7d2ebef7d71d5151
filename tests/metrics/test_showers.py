"""Histograms of showers: their bins, their counts, and how far two are apart."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, Layer
from colliderkit.events.calorimeter.features import Features, features
from colliderkit.metrics.showers import (
    RESPONSE,
    VOXELS,
    ShowerHistograms,
    histogram_edges,
    mean_separation,
    separations,
    shower_histograms,
)

GEOMETRY = Geometry(
    "toy",
    (Layer(0, (0, 10, 40)), Layer(2, (0, 100, 400), 2), Layer(12, (0, 500, 2000), 4)),
)


def filled(showers: np.ndarray, threshold: float = 0.0) -> tuple[Features, ShowerHistograms]:
    incident = np.full(len(showers), 100.0)
    found = features(showers, incident, GEOMETRY, threshold)
    edges = histogram_edges(GEOMETRY, threshold, found, float(showers.max()))
    return found, shower_histograms(showers, found, GEOMETRY, threshold, edges)


def test_bins_are_the_published_ones() -> None:
    showers = np.full((4, GEOMETRY.voxels), 7.0, np.float32)
    found = features(showers, np.full(4, 98.0), GEOMETRY)
    edges = histogram_edges(GEOMETRY, 0.5, found, 7.0)
    np.testing.assert_allclose(edges[RESPONSE], np.linspace(0.5, 1.5, 101))
    np.testing.assert_allclose(edges["E layer 0"], np.geomspace(0.5, 14, 40))
    np.testing.assert_allclose(edges[VOXELS], np.geomspace(0.5, 7, 50))
    np.testing.assert_allclose(edges["centre eta layer 2"], np.linspace(-100, 100, 101))
    np.testing.assert_allclose(edges["centre phi layer 12"], np.linspace(-500, 500, 101))
    ends = [edges[f"width r layer {n}"][-1] for n in (0, 2, 12)]
    assert ends == [30, 100, 400]
    assert "centre eta layer 0" not in edges  # it is not cut in angle


def test_a_small_visible_share_has_bins_around_it() -> None:
    showers = np.full((4, GEOMETRY.voxels), 1.0, np.float32)  # 14 of 100 MeV
    found = features(showers, np.full(4, 100.0), GEOMETRY)
    edges = histogram_edges(GEOMETRY, 0.0, found, 1.0)
    np.testing.assert_allclose(edges[RESPONSE], 0.14 * np.linspace(0.5, 1.5, 101))


def test_counts_are_those_of_numpy() -> None:
    showers = np.random.default_rng(1).gamma(0.3, 20, (5000, GEOMETRY.voxels)).astype(np.float32)
    showers[showers < 1] = 0
    found, drawn = filled(showers, threshold=2.0)
    edges = histogram_edges(GEOMETRY, 2.0, found, float(showers.max()))
    np.testing.assert_allclose(
        drawn.counts["E layer 2"], np.histogram(found.energy[:, 1], edges["E layer 2"])[0]
    )
    cut = showers[showers >= 2]
    expected = np.histogram(cut, edges[VOXELS])[0]
    expected[-1] -= (cut == edges[VOXELS][-1]).sum()  # numpy's last bin holds its upper edge
    np.testing.assert_allclose(drawn.counts[VOXELS], expected)
    seen = np.where(showers < 2, 0, showers)
    np.testing.assert_allclose(drawn.mean, seen.mean(0), rtol=1e-5)
    np.testing.assert_allclose(drawn.layer[0].sum(), drawn.radial[0].sum(), rtol=1e-5)


def test_the_covariance_of_voxels_is_that_of_showers() -> None:
    # All voxels of a shower have one energy: entries come 14 at a time, and the variance of a
    # count of n showers is 14^2 n, up to the share that is in the bin.
    energy = np.random.default_rng(2).choice([1.0, 5.0], 4000)
    showers = np.repeat(energy[:, None], GEOMETRY.voxels, 1).astype(np.float32)
    showers[0] = 5.1
    _, drawn = filled(showers, threshold=0.5)
    counts, variance = drawn.counts[VOXELS], np.diag(drawn.voxel_covariance)
    bin = int(np.argmax(counts))
    share = counts[bin] / GEOMETRY.voxels / 4000
    assert variance[bin] == pytest.approx(GEOMETRY.voxels**2 * 4000 * share * (1 - share))


def test_equal_densities_are_at_the_floor() -> None:
    random = np.random.default_rng(3)
    pulls = []
    for _ in range(20):
        showers = random.gamma(0.5, 20, (2 * 1500, GEOMETRY.voxels)).astype(np.float32)
        showers *= random.gamma(5, 0.2, (len(showers), 1)).astype(np.float32)
        found = features(showers, np.full(len(showers), 100.0), GEOMETRY, 0.1)
        edges = histogram_edges(GEOMETRY, 0.1, found, float(showers.max()))
        first, second = (
            shower_histograms(showers[p], found.at(np.arange(3000)[p]), GEOMETRY, 0.1, edges)
            for p in (slice(1500), slice(1500, 3000))
        )
        pulls.append([separations(first, second)[name].excess for name in (VOXELS, RESPONSE)])
    mean = np.mean(pulls, 0)
    # Also of the voxels, although entries come in showers; a pull has width 1, 20 of them 0.22.
    assert np.abs(mean).max() < 4 / np.sqrt(20)


def test_separation_of_disjoint_and_of_empty_histograms() -> None:
    dark, bright = (np.full((50, GEOMETRY.voxels), e, np.float32) for e in (1.0, 6.0))
    dark[:, :2] = bright[:, :2] = 0  # nothing in the first layer
    found = features(bright, np.full(50, 100.0), GEOMETRY)
    edges = histogram_edges(GEOMETRY, 0.5, found, 6.0)
    one, two = (
        shower_histograms(x, features(x, np.full(50, 100.0), GEOMETRY), GEOMETRY, 0.5, edges)
        for x in (bright, dark)
    )
    apart = separations(one, two)
    assert apart["E layer 2"].value.value == pytest.approx(1)
    assert "E layer 0" not in apart
    assert mean_separation(apart, ["E"]).value == pytest.approx(1)
    with pytest.raises(InputError, match="no histogram of momentum"):
        mean_separation(apart, ["momentum"])
