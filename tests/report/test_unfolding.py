"""Plots of unfolding draw what they are given."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from colliderkit.methods.unfolding.binned import IterationCurve
from colliderkit.report.unfolding import (
    Spectrum,
    by_bin,
    correlations,
    iteration_choice,
    responses,
    unfolded,
)

EDGES = np.array([0.0, 1.0, 2.0, 4.0])
COUNTS = np.array([30.0, 50.0, 20.0])


def test_shares_have_the_errors_of_a_multinomial() -> None:
    spectrum = Spectrum.of(COUNTS, COUNTS)
    p = COUNTS / 100
    assert spectrum.values == pytest.approx(p)
    assert spectrum.error == pytest.approx(np.sqrt(p * (1 - p) / 100))
    whole = Spectrum.of(COUNTS, np.diag(COUNTS))
    assert whole.error == pytest.approx(spectrum.error)
    # A common factor, fully correlated, is no error of a share.
    assert Spectrum.of(COUNTS, np.outer(COUNTS, COUNTS)).error == pytest.approx(0, abs=1e-9)


def test_spectra_are_densities_and_ratios_to_the_truth() -> None:
    truth = Spectrum.of(COUNTS, COUNTS)
    twice = Spectrum.of(np.array([60.0, 100.0, 40.0]), COUNTS)
    figure = unfolded(EDGES, {"A": twice, "B": truth}, truth=truth, prior=COUNTS[::-1], label="x")
    above, below = figure.axes
    heights = [patch.get_data().values for patch in above.patches]
    # Truth, simulation and A; the width of the last bin is 2.
    assert heights[0] == pytest.approx([0.3, 0.5, 0.1])
    assert heights[1] == pytest.approx([0.2, 0.5, 0.15])
    assert heights[2] == pytest.approx(heights[0])
    assert below.get_xlabel() == "$x$"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *("truth", "simulation", "A", "B")
    ]


def test_a_method_has_one_colour_whatever_stands_beside_it() -> None:
    share = Spectrum.of(COUNTS, COUNTS)
    curve = IterationCurve(np.ones(2), np.ones((2, 1)), np.ones((2, 1)), np.ones((2, 1)))

    axes = iteration_choice({"IBU": curve}, bins=3).axes[0]
    alone = to_rgba(axes.lines[0].get_color())
    for names in (("MultiFold", "IBU"), ("UniFold", "OmniFold", "IBU")):
        figure = unfolded(EDGES, dict.fromkeys(names, share), truth=share, prior=COUNTS)
        bars = {box.get_label(): box[0].get_color() for box in figure.axes[0].containers}
        assert to_rgba(bars["IBU"]) == alone


def test_the_smallest_sum_has_the_star() -> None:
    curve = IterationCurve(
        np.array([9.0, 3.0, 3.0]),
        np.array([[3.0], [1.0], [0.0]]),
        np.array([[1.0], [2.0], [6.0]]),
        np.full((3, 1), 10.0),
    )
    figure = iteration_choice({"A": curve}, bins=3)
    star = next(line for line in figure.axes[0].lines if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2, pytest.approx(0.3))
    assert figure.axes[1].lines[0].get_ydata() == pytest.approx([3, 1, 1])


def test_correlations_are_those_of_the_covariance() -> None:
    covariance = np.array([[4.0, 2.0], [2.0, 9.0]])
    figure = correlations(covariance, [np.arange(2.0), np.arange(2.0)], ["a", "b"])
    matrix = figure.axes[0].images[0].get_array()
    assert matrix[0, 1] == pytest.approx(1 / 3)
    assert matrix[0, 0] == pytest.approx(1)


def test_plots_show_every_learned_observable() -> None:
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
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["plain", "learned"]
    assert axes.get_xlim() == pytest.approx((0.1, 1.0))
    assert axes.get_ylim()[1] > 3
    figure = responses({"plain": np.eye(3), "learned": np.eye(3, 6)}, "y")
    assert [panel.get_title(loc="left") for panel in figure.axes[:2]] == ["plain", "learned"]
