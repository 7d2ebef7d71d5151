"""COCOA's files: what is read of a made event, its shares, and what is wrong with others."""

import awkward as ak
import numpy as np
import pytest
import uproot

from colliderkit.errors import InputError
from colliderkit.events.particle_flow import CHARGED, MUON, NEUTRAL, PHOTON
from colliderkit.sources.files.particle_flow import read_flow


def event():
    """Return the branches of two events: a pion and a photon in one cluster, and nothing."""
    theta = 2 * np.arctan(np.exp(-0.5))
    return {
        # Two cells of the first ECAL layer, one of the second HCAL layer, one of no cluster.
        "cell_e": [[3000.0, 1000.0, 2000.0, 50.0], []],
        "cell_eta": [[0.5, 0.6, 0.5, 1.0], []],
        "cell_phi": [[3.1, -3.1, 3.1, 0.0], []],
        "cell_layer": [[0, 0, 4, 0], []],
        "cell_topo_idx": [[1, 1, 1, 0], []],
        "cell_parent_list": [[[1.0, 0.0], [1.0], [0.0], []], []],
        "cell_parent_energy": [[[2500.0, 500.0], [1000.0], [2000.0], []], []],
        "track_qoverp": [[-np.sin(theta) / 4000.0, 1e-3], []],
        "track_theta": [[theta, theta], []],
        "track_phi": [[3.05, 0.0], []],
        "track_x_layer_0": [[-1500.0, 1.0], []],
        "track_y_layer_0": [[0.0, 0.0], []],
        "track_z_layer_0": [[1500.0 * np.sinh(0.5), 0.0], []],
        "track_parent_idx": [[0, 2], []],
        "track_reconstructed": [[1, 0], []],
        "track_in_acceptance": [[1, 1], []],
        "particle_pdgid": [[211, 22, -13, 12, 2112], []],
        "particle_pt": [[4000.0, 3500.0, 900.0, 9000.0, 200.0], []],
        "particle_eta": [[0.5, 0.55, 0.0, 0.0, 1.0], []],
        "particle_phi": [[3.05, 3.1, 0.0, 0.0, 6.0], []],
    }


def written(tmp_path, columns, tree="Out_Tree"):
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        file[tree] = {name: ak.Array(values) for name, values in columns.items()}
    return path


def test_an_event_is_read_in_gev_with_its_shares(tmp_path):
    events = read_flow(written(tmp_path, event()))
    tracks, clusters, towers = events.tracks, events.clusters, events.towers
    assert len(events) == 2
    # One track was reconstructed: 4 GeV of pT.
    np.testing.assert_array_equal(tracks.offsets, [0, 1, 1])
    np.testing.assert_allclose(tracks.pt, 4.0, rtol=1e-6)
    np.testing.assert_allclose([tracks.eta[0], tracks.face_eta[0]], 0.5, rtol=1e-6)
    np.testing.assert_allclose(tracks.face_phi, np.pi, rtol=1e-6)
    assert tracks.kind.tolist() == [CHARGED]
    # The cluster's sections, electromagnetic first; it lies across phi = pi.
    np.testing.assert_allclose(clusters.energy, [4.0, 2.0])
    assert clusters.hadronic.tolist() == [0, 1]
    assert clusters.cells.tolist() == [2, 1]
    np.testing.assert_allclose(clusters.eta, [0.525, 0.5], rtol=1e-6)
    assert abs(clusters.phi[0]) > 3.1
    np.testing.assert_allclose(clusters.layers, [[1, 0, 0], [0, 1, 0]])
    # Towers have all cells.
    assert towers.electromagnetic.sum() == pytest.approx(4.05)
    assert towers.hadronic.sum() == pytest.approx(2.0)
    particles, incidence = events.truth
    assert particles.kind.tolist() == [CHARGED, PHOTON, MUON, NEUTRAL]  # by pT; no neutrino
    np.testing.assert_allclose(particles.pt, [4.0, 3.5, 0.9, 0.2])
    np.testing.assert_allclose(particles.phi[3], 6 - 2 * np.pi, rtol=1e-6)
    assert incidence.track.tolist() == [0]
    assert incidence.cluster.tolist() == [0, 0, 1]
    assert incidence.particle.tolist() == [0, 1, 0]
    np.testing.assert_allclose(incidence.energy, [0.5, 3.5, 2.0])


def test_layers_may_be_counted_from_one(tmp_path):
    clusters = read_flow(written(tmp_path, event() | {"cell_layer": [[1, 1, 6, 1], []]})).clusters
    np.testing.assert_allclose(clusters.layers, [[1, 0, 0], [0, 0, 1]])


def test_the_truth_is_left_out_as_a_whole(tmp_path):
    columns = event()
    truth = [name for name in columns if name.startswith(("particle", "cell_parent"))]
    bare = {k: v for k, v in columns.items() if k not in (*truth, "track_parent_idx")}
    assert read_flow(written(tmp_path, bare, "Low_Tree")).particles is None
    del columns["cell_parent_energy"]
    with pytest.raises(InputError, match=r"no column 'cell_parent_energy'.*'cell_parent_list'"):
        read_flow(written(tmp_path, columns))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"track_parent_idx": [[7, 2], []]}, "names particle 7 in event 0 .*, which has 5"),
        ({"cell_layer": [[0, 0, 9, 0], []]}, "cell_layer goes from 0 to 9"),
        ({"cell_e": None}, "no column 'cell_e'"),
        ({"cell_e": [[np.nan, 1000.0, 2000.0, 50.0], []]}, "cell_e is not finite in event 0"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, change, sentence):
    columns = {k: v for k, v in (event() | change).items() if v is not None}
    with pytest.raises(InputError, match=sentence):
        read_flow(written(tmp_path, columns))


def test_another_file_is_none(tmp_path):
    with pytest.raises(InputError, match="has no tree Out_Tree or Low_Tree"):
        read_flow(written(tmp_path, event(), "events"))
