"""Metrics of pileup mitigation, exact on jets made by hand."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.events.jets import Jets
from colliderkit.events.pileup import Particles
from colliderkit.metrics.pileup import (
    compared,
    fake_jets,
    match,
    missing_momentum,
    momentum_shift,
    neutral_auc,
    spread,
)


def jets(rows, counts) -> Jets:
    """Jets of rows (pt, eta, phi, mass)."""
    return Jets(*np.array(rows, dtype=float).reshape(-1, 4).T, np.array(counts), 0.4)


TRUE = jets(
    [(50, 0, 3.1, 10), (60, 1, 0, 0.5), (30, 0, 1, 5), (100, 0, 0, 20), (90, 2.5, 0, 9)], [3, 2]
)


def test_jets_are_matched_with_the_nearest_of_their_event():
    found = jets(
        [(55, 0.1, -3.1, 12), (99, 1.5, 0, 1), (80, 0.05, 0, 15), (120, 0.02, 0.02, 30)], [2, 2]
    )
    matched = match(TRUE, found)
    # The jets below 40 GeV and beyond |eta| = 2 are not asked for; that at 1.5 is too far away.
    assert matched.found.tolist() == [True, False, True]
    np.testing.assert_allclose(matched.pt, [1.1, 1.2])
    np.testing.assert_allclose(matched.mass, [1.2, 1.5])
    assert matched.event.tolist() == [0, 1]
    assert matched.efficiency.value == pytest.approx(2 / 3)
    assert match(TRUE, jets([], [0, 0])).found.tolist() == [False] * 3


def test_the_true_jets_are_found_exactly():
    matched = match(TRUE, TRUE)
    assert matched.found.all()
    np.testing.assert_array_equal(matched.pt, 1.0)
    assert np.isnan(matched.mass).tolist() == [False, True, False]  # below 1 GeV
    assert fake_jets(TRUE, TRUE).value == 0


def test_fakes_have_no_true_jet_near():
    found = jets([(21, 0, 3.0, 1), (21, -1, 0, 1), (19, -1, 1, 1), (25, 2.1, 1, 1)], [4, 0])
    # One is beside a true jet, one too soft, one beyond |eta| = 2: one of two events has a fake.
    assert fake_jets(TRUE, found).value == 0.5


def test_spread_is_that_of_quantiles():
    ratio = np.linspace(0.5, 1.5, 2001)
    event = np.arange(2001) % 100
    median, half = spread(np.append(ratio, np.nan), np.append(event, 0), 100)
    assert median.value == pytest.approx(1.0, abs=1e-3)
    assert half.value == pytest.approx(0.6827 / 2, abs=1e-3)


def test_a_response_is_as_wide_as_itself_without_an_error():
    random = np.random.default_rng(1)
    ratio, event = random.normal(1, 0.1, 500), np.arange(500) % 50
    same = compared(ratio, event, ratio, event, 50)
    assert (same.value, same.error) == (1.0, 0.0)
    wide = compared(1 + 2 * (ratio - np.median(ratio)), event, ratio / np.median(ratio), event, 50)
    assert wide.value == pytest.approx(2.0, rel=1e-2)


@pytest.mark.statistical
def test_the_errors_are_those_of_many_samples(seed):
    """The median's error of normal numbers is 1.2533 / sqrt(n), that of the width 0.76."""
    random = np.random.default_rng(seed)
    values = random.normal(10, 1, (80, 400))
    event = np.arange(400)
    found = [spread(row, event, 400) for row in values]
    for i in range(2):
        scatter = np.std([pair[i].value for pair in found], ddof=1)
        quoted = np.mean([pair[i].error for pair in found])
        # The scatter of 80 is known to 8%, and a bootstrap of quantiles is some per cent wide.
        assert abs(quoted / scatter - 1) < 0.3


def test_missing_momentum_is_that_of_what_is_wrong():
    rows = {"pt": [3.0, 4.0, 5.0], "eta": [0.0, 1.0, 3.0], "phi": [0.0, np.pi / 2, 0.0]}
    rows |= {"vertex": [-1, -1, -1], "truth": [1.0, 0.0, 1.0]}
    events = ak.zip({"particles": ak.unflatten(ak.zip(rows), [3])}, depth_limit=1)
    particles = Particles.of(events)
    shift = momentum_shift(particles, np.array([0.0, 1.0, 1.0]))
    np.testing.assert_allclose(shift, [[-3.0, 4.0]], atol=1e-12)
    assert missing_momentum(shift).value == pytest.approx(5.0)
    # Of the two neutrals that the tracker region has, one is of the hard collision.
    assert neutral_auc(particles, np.array([0.9, 0.1, 0.0])).value == 1.0
    assert neutral_auc(particles, np.array([0.1, 0.1, 0.0])).value == 0.5
    assert np.isnan(neutral_auc(particles.at(0, 1), np.ones(3), reach=0.5).value)
