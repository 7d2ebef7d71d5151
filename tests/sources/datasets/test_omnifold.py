"""The published unfolding events, on files that the test makes in their layout."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.datasets.omnifold import CODES, MASSES, read_omnifold

# Two events of two and one particles at truth, and one particle and no jet at all at reco:
# pt / 100, y - y_jet, phi - phi_jet, kind.
JETS = np.array([[220.0, 0.5, 3.1, 15.0], [210.0, -1.0, -0.5, 4.0]])
PARTICLES = np.array(
    [
        [[0.5, 0.1, 0.1, 0.1], [1.5, -0.1, 0.0, 0.3], [0, 0, 0, 0]],
        [[2.1, 0, 0, 0.0]] + [[0] * 4] * 2,
    ]
)
SEEN = np.array([[[2.0, 0.0, 0.0, 0.3]], [[0.0, 0.0, 0.0, 0.0]]])


def published(path, **changes):
    arrays = {"gen_jets": JETS, "sim_jets": JETS * np.array([[1.0], [0.0]])}
    arrays |= {"gen_particles": PARTICLES, "sim_particles": SEEN}
    arrays |= {"gen_mults": np.array([2, 1]), "sim_mults": np.array([1, 0])}
    arrays |= {"gen_sdms": np.array([3.0, 0.5]), "gen_Zs": np.array([[230, 0.1, 0.2], [205, 1, 2]])}
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_particles_are_moved_back_to_where_they_were(tmp_path):
    array = read_omnifold(published(tmp_path / "a.npz"))
    assert array.pass_truth.tolist() == [True, True]
    assert array.pass_reco.tolist() == [True, False]
    assert array.event.tolist() == [0, 1]
    hard, soft = array.truth.constituents[0].tolist()
    assert (hard["pid"], hard["charge"], soft["pid"], soft["charge"]) == (130, 0, 211, 1)
    # The K_L: pt 150, y 0.4, phi 3.1; the pi+: pt 50, y 0.6, phi 3.2.
    for particle, pt, y, phi, mass in ((hard, 150, 0.4, 3.1, 0.4976), (soft, 50, 0.6, 3.2, 0.1396)):
        assert particle["px"] == pytest.approx(pt * np.cos(phi), rel=1e-5)
        assert particle["py"] == pytest.approx(pt * np.sin(phi), abs=1e-4)
        assert particle["pz"] == pytest.approx(np.hypot(pt, mass) * np.sinh(y), rel=1e-5)
        assert particle["E"] == pytest.approx(np.hypot(pt, mass) * np.cosh(y), rel=1e-5)
    # At reco code 130 is a tower, without mass: E = pt cosh(y).
    tower = array.reco.constituents[0][0]
    assert tower["E"] == pytest.approx(200 * np.cosh(0.5), rel=1e-6)
    assert ak.num(array.reco.constituents).tolist() == [1, 0]


def test_kinematics_and_observables_are_as_published(tmp_path):
    array = read_omnifold(published(tmp_path / "a.npz"))
    assert array.truth.jet_pt.tolist() == [220, 210]
    assert array.truth.jet_mass.tolist() == [15, 4]
    # tanh(y) = pz / E and sinh(eta) = pz / pt.
    pz = np.hypot(220, 15) * np.sinh(0.5)
    assert array.truth.jet_eta[0] == pytest.approx(np.arcsinh(pz / 220), rel=1e-6)
    assert array.reco[1].jet_eta == array.reco[1].jet_pt == 0
    assert array.truth.multiplicity.tolist() == [2, 1]
    assert array.truth.softdrop_mass.tolist() == [3, 0.5]
    assert "softdrop_mass" not in array.reco.fields
    assert array.z_pt.tolist() == [230, 205]


def test_every_kind_of_particle_has_its_charge_and_mass(tmp_path):
    kinds = len(CODES)
    particles = np.zeros((2, kinds, 4))
    # By falling pt, so that the order stays.
    particles[0] = np.array([[2 - 0.1 * i, 0, 0, 0.1 * i] for i in range(kinds)])
    path = published(tmp_path / "a.npz", gen_particles=particles.astype(np.float32))
    found = read_omnifold(path).truth.constituents[0]
    assert found.pid.tolist() == CODES.tolist()
    sign = [0, 1, -1, 0, -1, 1, -1, 1, 1, -1, 1, -1, 0, 0]
    assert found.charge.tolist() == sign
    four = {name: np.asarray(found[name], dtype=float) for name in ("px", "py", "pz", "E")}
    mass2 = four["E"] ** 2 - four["px"] ** 2 - four["py"] ** 2 - four["pz"] ** 2
    np.testing.assert_allclose(mass2, MASSES**2, atol=0.02)


def test_several_files_follow_each_other(tmp_path):
    paths = [published(tmp_path / f"{i}.npz") for i in range(2)]
    array = read_omnifold(paths)
    assert array.event.tolist() == [0, 1, 2, 3]
    assert array.truth[2:].tolist() == array.truth[:2].tolist()


def test_without_particles_the_rest_is_read(tmp_path):
    objects = np.empty(2, dtype=object)
    objects[:] = [np.zeros((1, 4)), np.zeros((2, 4))]
    path = published(tmp_path / "a.npz", gen_particles=objects)
    with pytest.raises(
        InputError, match=r"'gen_particles' is of pickled objects, .* particles=Fal"
    ):
        read_omnifold(path)
    array = read_omnifold(path, particles=False)
    assert ak.num(array.truth.constituents).tolist() == [0, 0]
    assert array.truth.multiplicity.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sim_jets": None}, r"a\.npz: no column 'sim_jets'"),
        ({"sim_jets": JETS[:1], "sim_mults": None}, "different numbers of jets"),
        ({"gen_jets": JETS[:, :3]}, r"'gen_jets' is float64 of shape \(2, 3\)"),
        ({"gen_mults": np.zeros(5)}, r"'gen_mults' is float64 of shape \(5,\)"),
        ({"gen_particles": PARTICLES + 3}, "kinds of particles outside 0.0 to 1.3"),
        (
            {"gen_jets": JETS * np.array([1, 1, 1, np.inf])},
            "jet_eta' is NaN or infinite in event 0",
        ),
    ],
)
def test_what_is_not_of_the_layout_is_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_omnifold(published(tmp_path / "a.npz", **changes))


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="no files are given"):
        read_omnifold([])
    with pytest.raises(InputError, match="no such file"):
        read_omnifold(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"PK broken")
    with pytest.raises(InputError, match="cannot be read as npz"):
        read_omnifold(tmp_path / "a.npz")
