"""The pieces of the study against what is known; CI runs the study itself."""

import numpy as np
import pytest
from colliderkit.report.learned import by_bin, responses

from colliderkit.methods.unfolding.response import Response
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.sources.toys.dis import dis_events
from colliderkit.studies.learned_observables import (
    DATA,
    EDGES,
    _against,
    _detector_edges,
    _resolution,
)


def test_detector_bins_have_equal_shares_of_truth_bins():
    random = np.random.default_rng(1)
    truth = random.exponential(size=50_000)
    edges = np.array([0.0, 1.0, 3.0])
    found = _detector_edges(truth, truth, edges)
    # Each truth bin weighs 1, so that the middle of 20 bins is where the first truth bin ends.
    assert found[10] == pytest.approx(1.0, abs=1e-3)
    assert (found[1:-1] <= 3).all()


def test_perfect_detector_has_no_bias_and_counting_variance():
    truth = np.repeat([-0.5, 0.5, 1.5, 2.5], [10_000, 30_000, 50_000, 10_000])
    edges = [-1, 0, 1, 2, 3]  # the outer ones are for under- and overflow
    response = Response.of(UnfoldingSample.checked(truth, truth, truth), edges, edges)
    known = np.array([0.1, 0.5, 0.3, 0.1]) * DATA
    relative, size, total = _against(response, known, known)
    np.testing.assert_allclose(relative, 0, atol=1e-9)
    assert size.value == pytest.approx(0, abs=1e-9)
    assert total.value == pytest.approx(1)
    assert relative.shape == (2,)


def test_resolution_of_a_known_smearing():
    events = dis_events(50_000, seed=2)
    log_y = np.log10(events.y)
    smeared = log_y + np.random.default_rng(3).normal(0.1, 0.05, len(log_y)) / np.log(10)
    width, centre = _resolution({"smeared": smeared}, log_y, events.y)
    inside = np.histogram(log_y, EDGES["y"])[0]
    # Half the central 68% of N(.1, .05^2), 5 standard errors of quantiles.
    assert (np.abs(width["smeared"] - 0.05 * 0.9945) < 5 * 0.05 * 1.3 / np.sqrt(inside)).all()
    assert (np.abs(centre["smeared"] - 0.1) < 5 * 0.05 * 1.26 / np.sqrt(inside)).all()


def test_plots_show_every_observable():
    edges = np.linspace(-1, 0, 4)
    figure = by_bin(
        {"plain": np.array([3.0, 2.0, 1.0]), "learned": np.ones(3)},
        edges,
        "y",
        "variance",
        log=True,
        powers=True,
    )
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["plain", "learned"]
    assert axes.get_xlim() == pytest.approx((0.1, 1.0))
    assert axes.get_ylim()[1] > 3
    figure = responses({"plain": np.eye(3), "learned": np.eye(3, 6)}, "y")
    assert [panel.get_title(loc="left") for panel in figure.axes[:2]] == ["plain", "learned"]
