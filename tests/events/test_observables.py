"""The table of observables."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events import observables
from colliderkit.events.observables import OBSERVABLES, PRESETS, nsubjettiness_basis, table


def test_two_particles_exactly(make_jets):
    jets = make_jets([(10, 0.0, 0.0), (10, 0.0, 0.4)])
    values, names = table(jets, ["pt", "mass", "multiplicity", "width", "ptd", "tau21", "zg", "rg"])
    assert values.dtype == np.float32
    assert names == ("pt", "mass", "multiplicity", "width", "ptd", "tau21", "zg", "rg")
    # pt = 2 p cos(phi/2), m = 2 p sin(phi/2) for two massless particles transverse to the beam.
    expected = [20 * np.cos(0.2), 20 * np.sin(0.2), 2, 0.2, np.sqrt(0.5), 0, 0.5, 0.4]
    np.testing.assert_allclose(values[0], expected, rtol=1e-5)


def test_the_groomed_mass_of_two_prongs_exactly(make_jets):
    # Two prongs that soft drop keeps, m^2 = 2 pt_a pt_b (cosh dy - cos dphi), and one particle,
    # 2% of the pt and wide, that it takes off the mass but not off the pt.
    prongs = [(60, 0.0, 0.0), (40, 0.3, 0.0)]
    values, _ = table(make_jets(prongs, [*prongs, (2, 0.0, -0.35)]), ["ln_rho", "zg"])
    m2 = 2 * 60 * 40 * (np.cosh(0.3) - 1)
    pt2 = (100 + 2 * np.cos(0.35)) ** 2 + (2 * np.sin(0.35)) ** 2
    np.testing.assert_allclose(values[:, 0], np.log([m2 / 100**2, m2 / pt2]), rtol=1e-5)
    np.testing.assert_allclose(values[:, 1], 0.4, rtol=1e-5)


def test_the_basis_of_many_bodies():
    assert nsubjettiness_basis(4) == (
        *("tau1_b05", "tau1", "tau1_b2", "tau2_b05", "tau2", "tau2_b2", "tau3", "tau3_b2"),
    )
    for bodies in (6, 8):
        assert len(nsubjettiness_basis(bodies)) == 3 * bodies - 4
        assert len(PRESETS[f"nsubjettiness-{bodies}"]) == 3 * bodies - 4 + 2


def test_every_observable_is_finite_for_odd_jets(make_jets):
    jets = make_jets(
        [],
        [(5, 1.0, 1.0)],
        [(5, 1.0, 1.0), (5, 1.0, 1.0)],
        [(1e-6, 3.0, 0.0), (1e3, -3.0, 0.0), (1e-6, 3.0, 0.0)],
        [(0, 0, 0), (0, 0, 0)],
        [(1, 0, 0), (1, 1e-6, 0), (1, 0, 1e-6)],
    )
    values, names = table(jets, list(OBSERVABLES))
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(values[0], 0)
    single = dict(zip(names, values[1], strict=True))
    # One particle without mass: as light as it gets.
    assert single.pop("ln_rho") == -14
    for name in ("pt", "multiplicity", "ptd", "lund_multiplicity", "mass", "softdrop_mass"):
        single.pop(name)
    assert set(single.values()) == {0}
    assert single.keys() >= {"tau21", "D2", "zg"}


def test_all_but_the_pt_and_the_scale_are_boost_and_turn_invariant(random_jets):
    # Planar flow is defined by energies and changes along the beam.
    names = [name for name in OBSERVABLES if name != "planar_flow"]
    plain, _ = table(random_jets(least=5), names)
    moved, _ = table(random_jets(least=5, boost=0.6, turn=2.5), names)
    for i, name in enumerate(names):
        np.testing.assert_allclose(plain[:, i], moved[:, i], rtol=5e-4, atol=1e-4, err_msg=name)


def test_pieces_are_seamless(random_jets, monkeypatch):
    jets = random_jets()
    whole, _ = table(jets)
    monkeypatch.setattr(observables, "PIECE", 7)
    np.testing.assert_array_equal(table(jets)[0], whole)


def test_shared_work_is_done_once(random_jets, monkeypatch):
    calls = []
    cluster = observables.cluster
    monkeypatch.setattr(
        observables, "cluster", lambda c, name: (calls.append(name), cluster(c, name))[1]
    )
    table(random_jets(), list(OBSERVABLES))
    assert sorted(calls) == ["ca", "kt"]


def test_presets_hold_known_names():
    for names in PRESETS.values():
        assert len(set(names)) == len(names)
        assert set(names) <= set(OBSERVABLES)


def test_no_jets_give_no_rows(random_jets):
    assert table(random_jets()[:0])[0].shape == (0, len(PRESETS["standard"]))


def test_bad_input_is_named(random_jets):
    with pytest.raises(InputError, match="observable 'tau99' is none of pt, mass, "):
        table(random_jets(), ["tau99"])
    with pytest.raises(InputError, match="preset 'mass' is none of nsubjettiness-6, "):
        table(random_jets(), "mass")
    jets = random_jets(least=1)
    broken = ak.with_field(jets.constituents, jets.constituents.px * np.nan, "px")
    with pytest.raises(InputError, match="column 'px' is NaN or infinite in event 0"):
        table(ak.with_field(jets, broken, "constituents"))
