"""Workspaces against counting experiments in closed form; pyhf validates and fits."""

import json
import math

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.inference.templates import Templates
from colliderkit.serve.histfactory import fit_workspace, workspace, write_workspace

S, B = 50.0, 1000.0
YIELD = Nuisance("b", "yield", nominal=B, width=100.0)


def counting(*nuisances: Nuisance) -> Templates:
    """One bin, 50 on 1000."""
    size = np.array([n.size / n.nominal for n in nuisances])[:, None, None]
    counts = np.array([[B], [S]])
    only_background = np.array([[[1.0], [0.0]]])
    down, up = (counts * (1 + side * size * only_background) for side in (-1, 1))
    return Templates(counts, down, up, np.zeros((2, 1)), nuisances)


def two_bins(width: float = 1.0) -> Templates:
    """A shape that moves 30 background events from the first bin to the second."""
    nuisance = Nuisance("tilt", lambda x, w, v: (x, w), width=width)
    counts = np.array([[700.0, 300.0], [10.0, 40.0]])
    move = np.array([[-30.0, 30.0], [0.0, 0.0]])
    return Templates(counts, (counts - move)[None], (counts + move)[None], counts / 100, [nuisance])


def test_a_count_is_fitted_as_by_hand() -> None:
    pytest.importorskip("pyhf")
    found = fit_workspace(workspace(counting(), [1030.0], staterror=False))
    assert found["mu"].value == pytest.approx(30 / S, abs=1e-4)
    assert found["mu"].error == pytest.approx(math.sqrt(1030) / S, rel=1e-3)


def test_an_uncertain_background_adds_in_quadrature() -> None:
    """sigma(mu)^2 s^2 = n + (delta b)^2 at the expectation.

    pyhf's interpolation of a yield is 1.1^alpha beyond one standard deviation and a polynomial
    inside, whose slope at zero is .1 within 1%.
    """
    pytest.importorskip("pyhf")
    found = fit_workspace(workspace(counting(YIELD), staterror=False))
    assert found["mu"].value == pytest.approx(1.0, abs=1e-3)
    assert found["mu"].error * S == pytest.approx(math.hypot(math.sqrt(B + S), 100), rel=0.01)


def test_luminosity_is_an_error_of_both_samples() -> None:
    """It moves s + b together: sigma(mu)^2 s^2 = n + (delta n)^2."""
    pytest.importorskip("pyhf")
    found = fit_workspace(workspace(counting(), staterror=False, luminosity=0.02))
    error = math.hypot(math.sqrt(B + S), 0.02 * (B + S))
    assert found["mu"].error * S == pytest.approx(error, rel=2e-3)
    assert found["lumi"].error == pytest.approx(0.02, rel=0.02)


def test_a_shape_gives_the_error_of_the_fisher_information() -> None:
    pytest.importorskip("pyhf")
    templates = two_bins()
    # By hand: I_ss - I_st^2 / I_tt with n = (710, 340), dn/ds = (.2, .8), dn/dt = (-30, 30).
    n = np.array([710.0, 340.0])
    s, t = np.array([0.2, 0.8]), np.array([-30.0, 30.0])
    own = (s**2 / n).sum() - (s * t / n).sum() ** 2 / ((t**2 / n).sum() + 1)
    assert templates.expected_error() == pytest.approx(own**-0.5, rel=1e-9)
    found = fit_workspace(workspace(templates, staterror=False))
    assert found["mu"].error * S == pytest.approx(own**-0.5, rel=1e-3)


def test_finite_simulation_is_an_error_of_its_own() -> None:
    """Barlow and Beeston in the limit of a Gaussian: each bin's variance grows by sum w^2."""
    pytest.importorskip("pyhf")
    found = fit_workspace(workspace(counting_with_error(400.0)))
    assert found["mu"].error * S == pytest.approx(math.sqrt(B + S + 400.0), rel=5e-3)


def counting_with_error(variance: float) -> Templates:
    plain = counting()
    return Templates(plain.counts, plain.down, plain.up, np.array([[variance], [0.0]]))


def test_the_file_is_what_pyhf_reads_and_empty_bins_are_left_out(tmp_path) -> None:
    pyhf = pytest.importorskip("pyhf")
    full = two_bins()
    wide = Templates(
        *(np.insert(a, 1, 0.0, axis=-1) for a in (full.counts, full.down, full.up, full.variance)),
        full.nuisances,
    )
    assert workspace(wide) == workspace(full)
    path = write_workspace(workspace(wide, luminosity=0.01), tmp_path / "workspace.json")
    found = pyhf.Workspace(json.loads(path.read_text()))
    assert found.modifiers == [
        ("lumi", "lumi"),
        ("mcstat_summary", "staterror"),
        ("mu", "normfactor"),
        ("tilt", "histosys"),
    ]
    assert found.get_measurement()["config"]["poi"] == "mu"


def test_a_free_yield_is_a_factor_and_a_free_shape_a_sentence() -> None:
    free = counting(Nuisance("b", "yield", nominal=B, step=100.0))
    kinds = [m["type"] for m in workspace(free)["channels"][0]["samples"][1]["modifiers"]]
    assert kinds == ["normfactor", "staterror"]
    shape = two_bins()
    loose = Nuisance("tilt", lambda x, w, v: (x, w), step=1.0)
    templates = Templates(shape.counts, shape.down, shape.up, shape.variance, [loose])
    with pytest.raises(InputError, match="'tilt' is free"):
        workspace(templates)


def test_bad_data_are_a_sentence() -> None:
    with pytest.raises(InputError, match="2 observed counts for 1 bins"):
        workspace(counting(), [1.0, 2.0])
    pytest.importorskip("pyhf")
    with pytest.raises(InputError, match="no workspace"):
        fit_workspace({"channels": []})
