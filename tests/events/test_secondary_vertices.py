"""Tracks of jets and their vertices: exact on straight lines and on links made by hand."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.secondary_vertices import (
    JetTracks,
    average_links,
    constraints,
    numbered_origins,
)
from colliderkit.sources.toys.secondary_vertices import displaced_jets


def test_tracks_are_lines_through_their_vertices():
    """With errors of nothing, d0 and z0 of all tracks of a vertex meet at its place on the axis."""
    jets = displaced_jets(40, seed=1)
    tracks = JetTracks.of(jets)
    assert tracks.known
    rows, measured, variance = constraints(tracks.values)
    prompt = tracks.vertex == 0
    pulls = measured[prompt] / np.sqrt(variance[prompt])
    assert pulls.std() == pytest.approx(1, abs=5 / np.sqrt(2 * pulls.size))
    # Least squares of a displaced vertex of three tracks or more leave what the errors do.
    left, degrees = 0.0, 0
    key = tracks.jet * 3 + tracks.vertex
    for one in np.unique(key[~prompt]):
        mine = key == one
        weight = 1 / np.sqrt(variance[mine].reshape(-1))
        matrix = rows[mine].reshape(-1, 3) * weight[:, None]
        vector = measured[mine].reshape(-1) * weight
        place = np.linalg.lstsq(matrix, vector, rcond=None)[0]
        left += ((matrix @ place - vector) ** 2).sum()
        degrees += len(vector) - 3
    assert left / degrees == pytest.approx(1, abs=5 * np.sqrt(2 / degrees))


def test_jets_turn_about_the_beams():
    jets = displaced_jets(5, seed=2)
    angle = 2.5
    parts = jets["constituents"]
    px = parts["px"] * np.cos(angle) - parts["py"] * np.sin(angle)
    py = parts["px"] * np.sin(angle) + parts["py"] * np.cos(angle)
    turned = ak.with_field(ak.with_field(parts, px, "px"), py, "py")
    turned = ak.with_field(jets, turned, "constituents")
    turned = ak.with_field(turned, jets["jet_phi"] + angle, "jet_phi")
    np.testing.assert_allclose(
        JetTracks.of(turned).values, JetTracks.of(jets).values, rtol=1e-6, atol=1e-6
    )


def test_origins_within_ten_micrometres_are_one_vertex():
    place = np.zeros((8, 3))
    # Of the first jet: the collision twice, a chain over 15 um, a far one. Of the second: none of
    # the collision, two vertices.
    place[:, 0] = [0, 0.004, 5.0, 5.008, 5.015, 9.0, 2.0, 1.0]
    jet = np.array([0, 0, 0, 0, 0, 0, 3, 3])
    assert numbered_origins(place, jet).tolist() == [0, 0, 1, 1, 1, 2, 2, 1]
    assert numbered_origins(np.zeros((0, 3)), np.zeros(0, dtype=int)).tolist() == []


def test_parts_are_joined_by_their_mean():
    """Two pairs with one strong link between them stay two; without a threshold all are one."""
    scores = np.zeros((3, 4, 4))
    for i, j, score in [(0, 2, 0.9), (1, 3, 0.8), (2, 3, 0.7), (0, 1, 0.1)]:
        scores[0, i, j] = scores[0, j, i] = score
    scores[2, 1, 3] = scores[2, 3, 1] = 1.0  # of which the second is padding
    counts = np.array([4, 0, 3])
    # The mean between the pairs is (0.7 + 0.1) / 4.
    assert average_links(scores, counts, 0.21).tolist() == [0, 1, 0, 1, 0, 1, 2]
    assert average_links(scores, counts, 0.19).tolist() == [0, 0, 0, 0, 0, 1, 2]
    assert average_links(scores, counts, 0.95).tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert average_links(scores, counts, -1.0).tolist() == [0, 0, 0, 0, 0, 0, 0]


def test_what_is_wrong_is_said():
    jets = displaced_jets(6, seed=3)
    with pytest.raises(InputError, match="holds no jets"):
        JetTracks.of(jets[:0])
    with pytest.raises(InputError, match="no column 'd0'"):
        JetTracks.of(ak.without_field(jets, ("constituents", "d0")))
    with pytest.raises(InputError, match="no column 'jet_phi'"):
        JetTracks.of(ak.without_field(jets, "jet_phi"))
    column = np.array(ak.flatten(jets["constituents", "z0"]))
    column[int(ak.num(jets["constituents"])[0])] = np.nan
    parts = jets["constituents"]
    odd = ak.with_field(parts, ak.unflatten(column, ak.num(parts)), "z0")
    with pytest.raises(InputError, match="'z0' of a track is NaN or infinite in jet 1"):
        JetTracks.of(ak.with_field(jets, odd, "constituents"))
