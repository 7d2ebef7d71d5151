"""Plots of significance improvement: what is drawn are the medians and the bands."""

import numpy as np

from colliderkit.metrics.significance import improvement
from colliderkit.report.curves import curves_of
from colliderkit.report.significance import improvement_curves, strength_scan

LABEL = np.repeat([0, 1], [1_000, 100])


def curve(seed):
    score = np.random.default_rng(seed).normal(size=1_100) + 2 * LABEL
    return improvement(score, LABEL, floor=10)


def test_medians_bands_and_chance_are_drawn():
    trainings = [curve(seed) for seed in range(3)]
    figure = improvement_curves({"cathode": trainings, "bound": [curve(9)]}, bounds=("bound",))
    by_name = {one.name: one for one in curves_of(figure) if "y" in one.columns}
    assert {"cathode", "bound", "by chance"} <= set(by_name)
    x, y = (by_name["cathode"].columns[name] for name in ("x", "y"))
    np.testing.assert_allclose(y, np.median([one.at(x) for one in trainings], axis=0))
    # It begins where each training keeps the floor.
    assert x.min() >= max(one.signal_efficiency[0] for one in trainings) - 1e-9
    chance = by_name["by chance"].columns
    np.testing.assert_allclose(chance["y"], np.sqrt(chance["x"]))


def test_a_scan_has_a_median_at_each_strength():
    values = {"cathode": [[1.0, 2.0, 6.0], [4.0, 5.0, 9.0]], "bound": [[3.0], [7.0]]}
    figure = strength_scan([1.0, 2.0], values, bounds=("bound",))
    by_name = {one.name: one.columns for one in curves_of(figure) if "y" in one.columns}
    np.testing.assert_array_equal(by_name["cathode"]["y"], [2.0, 5.0])
    np.testing.assert_array_equal(by_name["bound"]["y"], [3.0, 7.0])
