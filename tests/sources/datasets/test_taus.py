"""What is seen of taus, and their usual variables, by hand."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.sources.datasets.taus import CLASSES, VARIABLES, seen


def jet(particles, **more):
    """Return one jet along x of constituents (pt, dphi, charge, pid, d0)."""
    rows = [
        {"px": pt * np.cos(a), "py": pt * np.sin(a), "pz": 0.0, "E": pt + 1.0, "charge": q,
         "pid": pid, "d0": d0, "z0": 0.0, "d0_error": 0.01 * (q != 0),
         "z0_error": 0.02 * (q != 0)}
        for pt, a, q, pid, d0 in particles
    ]  # fmt: skip
    return {"constituents": rows, "jet_pt": 40.0, "jet_eta": 0.0, "jet_phi": 0.0, "jet_mass": 1.0,
            "event": 7, **more}  # fmt: skip


def test_variables_by_hand():
    tau = jet([(20, 0.05, 1, 321, 0.03), (10, -0.15, 0, 22, 0), (2, 0.3, -1, 211, 0.01),
               (0.5, 0.12, 0, 22, 0), (5, 0.0, 0, 130, 0)],
              decay_mode=1, tau_pt=38.0)  # fmt: skip
    made = seen(ak.Array([tau]))
    values = {name: float(made[name][0]) for name in VARIABLES}
    expected = {
        "core_share": 35.5 / 40, "centre_share": 25 / 40, "core_tracks": 1, "other_tracks": 1,
        "core_photons": 1, "other_photons": 0, "track_share": 0.5, "photon_share": 10.5 / 40,
        "hadron_share": 5 / 40, "lead_track": 0.5, "lead_photon": 0.25, "second_photon": 0.5 / 40,
        "track_radius": (20 * 0.05 + 2 * 0.3) / 22, "widest_track": 0.05, "core_charge": 1,
        "largest_d0": 3,
    }  # fmt: skip
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-5), name
    assert values["lead_d0"] == pytest.approx(3)  # in front of the collision
    # A track has the mass of a pion, whatever it is; photons none but what E says.
    assert values["track_mass"] == pytest.approx(0.13957, abs=1e-2)
    assert int(made["label"][0]) == CLASSES.index("1p1n")
    assert float(made["response"][0]) == pytest.approx(np.log(38 / 40))
    assert "pid" not in made["constituents"].fields


def test_jets_and_empty_ones_have_all_columns():
    made = seen(ak.Array([jet([(30, 0.0, 1, 211, 0)]), jet([])]))
    assert made["label"].tolist() == [0, 0]
    assert made["tau_pt"].tolist() == [0, 0]
    for name in VARIABLES:
        assert np.isfinite(np.asarray(made[name])).all(), name
    assert float(made["core_share"][1]) == 0
