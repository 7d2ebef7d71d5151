"""Plots of fits say what they were given."""

import numpy as np

from colliderkit.methods.inference.estimates import Estimate
from colliderkit.methods.inference.parameter_fit import LikelihoodProfile
from colliderkit.metrics.closure import agreement
from colliderkit.report.parameter_fit import corner, histogram_ratios, likelihood, recovered


def test_recovered_counts_what_lies_within_the_errors():
    truth = np.array([0.1, 0.2, 0.3, 0.4])
    off = np.array([0.005, 0.015, -0.03, 0.0])
    figure = recovered("alphaS", truth, truth + off, np.full(4, 0.01))
    assert figure.axes[0].get_title("left") == r"Of 4: 2 within $1\sigma$, 3 within $2\sigma$"
    points = figure.axes[1].get_lines()[-1].get_ydata()
    np.testing.assert_allclose(points, [0.5, 1.5, -3.0, 0.0])


def test_likelihood_is_twice_the_fall_from_its_maximum():
    values = np.linspace(-1, 1, 5)
    figure = likelihood(
        LikelihoodProfile("mean", values, 7 - 2 * values**2, -0.5, 0.5, 0.6827), 0.1
    )
    np.testing.assert_allclose(figure.axes[0].get_lines()[0].get_ydata(), 4 * values**2)


def test_corner_draws_ellipses_of_the_covariance():
    estimate = Estimate(("a", "b"), np.zeros(2), np.diag([4.0, 1.0]))
    replicas = np.random.default_rng(0).normal(size=(50, 2)) * [2, 1]
    figure = corner(estimate, replicas, np.array([1.0, 1.0]))
    inner, outer = figure.axes[2].patches
    np.testing.assert_allclose([inner.width, inner.height], 2 * np.sqrt(2.30) * np.array([2, 1]))
    np.testing.assert_allclose(outer.width, 2 * np.sqrt(6.18 * 4))


def test_ratios_of_histograms_are_target_over_source():
    x = np.repeat([0.25, 0.75], [60, 40])
    y = np.repeat([0.25, 0.75], [30, 70])
    one = agreement(x, y, edges=[0, 0.5, 1])
    figure = histogram_ratios({"x": one}, {"x": one}, "title")
    first = figure.axes[0].get_lines()[0].get_ydata()
    np.testing.assert_allclose(first, [0.5, 1.75])
