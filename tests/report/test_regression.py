"""Plots of regressions draw what they are given."""

import numpy as np
import pytest

from colliderkit.metrics.coverage import coverage
from colliderkit.metrics.value import Value
from colliderkit.report.regression import against_energy, coverage_against, coverage_curves

TRUTH = np.arange(100.0)


def test_resolutions_stand_in_percent_with_their_fits() -> None:
    points = {"sum": [Value(0.1, 0.01), Value(0.05, 0.01)], "trees": [Value(0.08, 0.01)] * 2}
    figure = against_energy(
        [1.0, 4.0], points, "width", curves={"sum": (0.1, 0), "trees": (0, 0.08)}
    )
    (axes,) = figure.axes
    heights = [container.lines[0].get_ydata().astype(float) for container in axes.containers]
    np.testing.assert_allclose(heights, [[10, 5], [8, 8]])
    # The line of a / sqrt(E) at 1 GeV.
    curve = axes.lines[1]
    assert np.interp(1.0, curve.get_xdata(), curve.get_ydata()) == pytest.approx(10, rel=1e-2)


def test_curves_show_what_is_missing_to_the_level() -> None:
    found = [coverage(0, high, TRUTH) for high in (49, 79)]
    figure = coverage_curves([0.5, 0.9], {"narrow": found}, calibration=100)
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), [0, -10])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(100 * np.sqrt(0.25 * 2 / 100))


def test_bins_of_energy_have_limits_around_their_share() -> None:
    found = [coverage(0, high, TRUTH) for high in (49, 99)]
    figure = coverage_against([1, 2, 8], {"one": found}, 0.68)
    (axes,) = figure.axes
    drawn = axes.containers[0].lines[0]
    np.testing.assert_allclose(drawn.get_xdata(), [2**0.5, 4])
    np.testing.assert_allclose(drawn.get_ydata(), [50, 100])
