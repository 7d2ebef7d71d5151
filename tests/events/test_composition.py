"""What jets are made of, against a jet written out by hand."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.composition import COMPOSITION, composition


def jet(particles):
    """Return one jet around (eta, phi) = (0, 3) of particles (pt, eta, phi, charge, pid)."""
    pt, eta, phi, charge, pid = (np.array(c, dtype=float) for c in zip(*particles, strict=True))
    columns = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta)}
    columns |= {"E": pt * np.cosh(eta), "charge": charge, "pid": pid}
    constituents = ak.unflatten(ak.zip(columns), [len(pt)])
    axis = {"jet_pt": [pt.sum()], "jet_eta": [0.0], "jet_phi": [3.0], "jet_mass": [0.0]}
    return ak.zip({"constituents": constituents, **axis}, depth_limit=1)


def test_fractions_and_widths_of_a_jet():
    made = jet(
        [(40, 0.3, 3.0, 1, 211), (20, 0.0, 3.0, -1, 11), (30, 0, 3.1, 0, 22), (10, 0.2, 3, 0, 130)]
    )
    found = dict(zip(COMPOSITION, composition(made)[0], strict=True))
    expected = {
        "constituents": 4,
        "tracks": 2,
        "charged": 0.6,
        "electromagnetic": 0.3,
        "track_width": 40 * 0.3 / 60,
        "calorimeter_width": (30 * 0.1 + 10 * 0.2) / 40,
    }
    assert found == pytest.approx(expected)


def test_distances_go_the_shorter_way_around():
    made = jet([(10, 0.0, -3.1, 1, 211)])
    width = composition(made)[0, list(COMPOSITION).index("track_width")]
    assert width == pytest.approx(2 * np.pi - 6.1)


def test_without_neutrals_or_tracks_their_widths_are_zero():
    for charge, zero in ((1, "calorimeter_width"), (0, "track_width")):
        found = composition(jet([(10, 0.1, 3.0, charge, 22)]))[0]
        assert np.isfinite(found).all()
        assert found[list(COMPOSITION).index(zero)] == 0


def test_a_missing_column_is_named():
    made = jet([(10, 0.1, 3.0, 1, 22)])
    made["constituents"] = made.constituents[["px", "py", "pz", "E", "charge"]]
    with pytest.raises(InputError, match="constituents have no column 'pid'"):
        composition(made)
