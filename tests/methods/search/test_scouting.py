"""Records of a trigger: the mass of two jets, and limits in closed form."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.search.scouting import dijet_mass, expected_limit
from colliderkit.sources.toys.trigger import columns, dijets

EDGES = np.linspace(100.0, 300.0, 41)
MIDDLE = (EDGES[1:] + EDGES[:-1]) / 2


def gauss(width: float) -> np.ndarray:
    return np.exp(-0.5 * ((MIDDLE - 200) / width) ** 2)


def test_the_mass_is_that_of_the_resonance():
    jets = columns(dijets(150.0, 500, seed=1))
    parts = (np.stack([jets[f"j{i}_{q}"] for i in (1, 2)], 1) for q in ("pt", "eta", "phi"))
    np.testing.assert_allclose(dijet_mass(*parts), 150.0)
    assert dijet_mass([[50.0, 50.0]], [[0, 0]], [[0, np.pi]]) == pytest.approx(100)


def test_a_limit_in_closed_form():
    """Of a flat spectrum with a free norm: 1 / sigma^2 = sum s^2 / b - (sum s)^2 / sum b."""
    counts, signal = np.full(40, 1_000.0), gauss(10.0)
    found = expected_limit(counts, EDGES, signal, family="polynomial", order=0)
    information = (signal**2 / 1_000).sum() - signal.sum() ** 2 / 40_000
    assert found.value == pytest.approx(1.644854 / information**0.5, rel=1e-5)
    # ln limit goes as half of ln b, whose error is 1 / sqrt(40,000).
    assert found.error / found.value == pytest.approx(0.5 / 200, rel=0.3)


def test_records_gain_the_root_of_the_prescale():
    counts, signal = 5e4 * np.exp(-MIDDLE / 60), gauss(15.0)
    records = expected_limit(counts, EDGES, signal, scale=10.0)
    full = expected_limit(counts, EDGES, signal / 100, scale=10.0 / 100)
    assert full.value / records.value == pytest.approx(10.0)
    # A worse resolution costs, as its root or, where the spectrum is free, more.
    wide = expected_limit(counts, EDGES, gauss(30.0) / 2, scale=10.0)
    assert wide.value / records.value > 1.3


def test_bad_input_is_one_sentence():
    counts = np.full(40, 100.0)
    with pytest.raises(
        InputError, match=r"counts of shape \(3,\) and a template of \(40,\) are in"
    ):
        expected_limit(counts[:3], EDGES, counts)
    with pytest.raises(InputError, match="the template has no events inside of the edges"):
        expected_limit(counts, EDGES, 0 * counts)
    with pytest.raises(InputError, match="family 'spline' is none of polynomial, dijet"):
        expected_limit(counts, EDGES, counts, family="spline")
