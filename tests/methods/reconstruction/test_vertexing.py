"""Vertices along the beams: exact where tracks leave no doubt, better than guessing elsewhere."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.vertices import Tracks, Vertices, true_vertices
from colliderkit.methods.reconstruction.vertex_annealing import AnnealedVertices
from colliderkit.methods.reconstruction.vertex_density import (
    DensityVertices,
    candidate_table,
    kernel_density,
    peaks,
)
from colliderkit.metrics.vertices import efficiency, false_rate
from colliderkit.sources.toys.pileup import pileup_toy
from colliderkit.training.settings import Training

QUIET = {"progress": False}


def tracks(z, error, counts) -> Tracks:
    z = np.array(z, dtype=float)
    return Tracks(z, np.full(len(z), error), np.full(len(z), -1), np.array(counts))


def test_annealing_finds_what_stands_apart():
    """Three vertices of ten tracks, an empty event, and one vertex alone; to the mean of each."""
    random = np.random.default_rng(1)
    places = [-30.0, 0.0, 0.9, 12.0]
    z = np.concatenate([place + 0.05 * random.normal(size=10) for place in places])
    some = tracks(z, 0.05, [30, 0, 10])
    found = AnnealedVertices().candidates(some)
    assert found.counts.tolist() == [3, 0, 1]
    np.testing.assert_allclose(found.z, z.reshape(4, 10).mean(1), atol=2e-3)
    np.testing.assert_allclose(found.strength, 10, atol=0.1)


def test_a_track_far_from_all_is_of_no_vertex():
    z = [0.0, 0.01, -0.01, 0.02, 30.0]
    found = AnnealedVertices().candidates(tracks(z, 0.05, [5]))
    strong = found.where(found.strength > 1.5)
    assert strong.counts.tolist() == [1]
    assert strong.z[0] == pytest.approx(0.005, abs=2e-3)


def test_the_density_has_the_integral_of_its_tracks():
    density = kernel_density(tracks([0.0, 1.0, -5.0], 0.5, [2, 1]), 400, 20.0, log=False)
    width = 0.1
    one = density.reshape(2, 2, 400)
    np.testing.assert_allclose(one[:, 0].sum(1) * width, [2, 1], rtol=1e-3)
    # The square of a Gaussian has the integral 1 / (2 sigma sqrt(pi)).
    np.testing.assert_allclose(one[1, 1].sum() * width, 1 / (2 * 0.5 * np.pi**0.5), rtol=1e-3)
    shown = kernel_density(tracks([0.0, 1.0, -5.0], 0.5, [2, 1]), 400, 20.0)
    np.testing.assert_allclose(shown, np.log1p(density), rtol=1e-6)


def test_peaks_go_from_minimum_to_minimum():
    density = np.zeros((3, 100))
    density[0, 10:13] = 0.2, 0.5, 0.3
    density[0, 13:16] = 0.1, 0.4, 0.2
    density[2, 98:] = 0.5, 0.5
    found = peaks(density, 5.0)
    assert found.counts.tolist() == [2, 0, 1]
    np.testing.assert_allclose(found.strength, [1.0, 0.7, 1.0])
    bin_of = (found.z + 5.0) / 0.1 - 0.5
    np.testing.assert_allclose(
        bin_of, [(2 + 5.5 + 3.6) / 1.0, (1.3 + 5.6 + 3.0) / 0.7, 98.5], atol=1e-9
    )


def test_a_peak_between_two_vertices_tells_by_its_tracks():
    """Three events: tracks on two points, an even spread, and a peak without tracks."""
    spread = np.linspace(-0.06, 0.06, 7)
    z = [0.9, 0.9, 1.1, 1.1, *(5 + spread), 5.9]
    found = Vertices(
        np.array([1.0, 4.98, 6.0, -3.0]), np.array([2.0, 1.0, 0.9, 0.2]), np.full(4, 0.12),
        np.array([1, 2, 1]),
    )  # fmt: skip
    table = candidate_table(found, tracks(z, 0.04, [4, 8, 0]))
    assert table.dtype == np.float32
    assert table.shape == (4, 11)
    np.testing.assert_allclose(table[:, 0], found.strength)
    np.testing.assert_allclose(table[:, 1], 0.12)
    np.testing.assert_allclose(table[:, 2:4], [[20, 20], [20, 1.02], [1.02, 20], [20, 20]], 1e-5)
    # A peak of another event is no neighbour.
    np.testing.assert_allclose(table[:, 4:6], [[0, 0], [0, 0.9], [1, 0], [0, 0]])
    np.testing.assert_allclose(table[:, 6], [4, 7, 1, 0])
    np.testing.assert_allclose(table[:, 7], [0.02, 0.04 / 7**0.5, 0.04, 100], rtol=1e-5)
    np.testing.assert_allclose(table[:, 8], [0, 0.02 / 0.04 * 7**0.5, -2.5, 0], atol=1e-4)
    chi2 = (0.1 / 0.04) ** 2, (spread**2).mean() / 0.04**2
    np.testing.assert_allclose(table[:, 9], [*chi2, 0, 0], atol=1e-3)
    kurtosis = (spread**4).mean() / (spread**2).mean() ** 2
    np.testing.assert_allclose(table[:2, 10], [1, kurtosis], rtol=1e-3)


@pytest.mark.statistical
def test_the_network_learns_to_find_vertices(seed):
    """In the toy most vertices are farther from each other than their errors.

    16 events choose the threshold: of 0.3 false vertices an event they have five.
    """
    train, test = pileup_toy(80, 4.0, seed=[seed, 1]), pileup_toy(30, 4.0, seed=[seed, 2])
    quick = Training(epochs=12, batch_size=8, learning_rate=1e-2, devices=1)
    finder = DensityVertices(
        bins=2000, channels=4, kernels=(15, 9, 5), false=0.3, training=quick
    ).fit(train, seed=seed, **QUIET)
    true = true_vertices(test, Tracks.of(test))
    found = finder.find(test)
    assert efficiency(true, found).value > 0.6
    assert false_rate(true, found).value < 1.0
    # A move of all tracks by whole bins moves the answer.
    width = 2 * finder.reach / finder.bins
    some = Tracks.of(test[:2])
    moved = Tracks(some.z + 10 * width, some.error, some.vertex, some.counts)
    np.testing.assert_allclose(
        finder.density(moved)[:, 50:-50], np.roll(finder.density(some), 10, 1)[:, 50:-50],
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip


def test_true_vertices_have_three_tracks_and_their_error():
    events = ak.Array(
        [
            {
                "particles": [
                    {"pt": 1.0, "z0": z, "z0_error": e, "vertex": v}
                    for z, e, v in [(5, 0.1, 1), (5, 0.1, 1), (5, 0.2, 1), (0, 0.1, 0), (9, 0, -1)]
                ],
                "vertex_z": [0.0, 5.0],
            }
        ]
    )
    some = Tracks.of(events)
    assert some.counts.tolist() == [4]
    true = true_vertices(events, some)
    assert true.z.tolist() == [5.0]
    assert true.error[0] == pytest.approx((100 + 100 + 25) ** -0.5)
    with pytest.raises(InputError, match="no column 'vertex_z'"):
        true_vertices(events[["particles"]], some)
    with pytest.raises(InputError, match="a track is of vertex 1 in event 0"):
        true_vertices(ak.with_field(events, [[0.0]], "vertex_z"), some)
    with pytest.raises(InputError, match="particles have no column 'z0'"):
        Tracks.of(ak.with_field(events, events["particles"][["pt", "vertex"]], "particles"))


def test_even_filters_are_refused():
    with pytest.raises(InputError, match=r"kernels are \[4\]"):
        DensityVertices(kernels=[4]).fit(pileup_toy(4, 1.0), **QUIET)
