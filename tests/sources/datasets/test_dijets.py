"""Samples of e+e- dijets: their parameters are drawn by a seed, and stand in no file."""

import numpy as np
import pytest

from colliderkit.sources.datasets import dijets


def test_blinded_values_are_within_the_ranges_and_others_nominal():
    theta = dijets.drawn(["aLund"], 200, "blinded")
    assert (theta[:, 0] == dijets.NOMINAL["alphaS"]).all()
    assert (theta[:, 2] == dijets.NOMINAL["probStoUD"]).all()
    # The inner three quarters of .5 to .9, evenly: mean .7, standard deviation .3 / sqrt(12).
    assert theta[:, 1].min() > 0.55
    assert theta[:, 1].max() < 0.85
    spread = 0.3 / 12**0.5
    assert theta[:, 1].mean() == pytest.approx(0.7, abs=4 * spread / 200**0.5)


def test_blinded_and_validation_values_differ_and_are_fixed():
    names = list(dijets.RANGES)
    blinded = dijets.drawn(names, 20, "blinded")
    assert not np.isin(blinded, dijets.drawn(names, 20, "validation")).any()
    np.testing.assert_array_equal(blinded, dijets.drawn(names, 20, "blinded"))


def test_jets_at_a_point_say_nothing_of_it_and_are_made_once(tmp_path):
    theta = dijets.point({"alphaS": 0.16})
    jets = dijets.events_at(tmp_path, "data", 40, 3, theta)
    assert not set(dijets.RANGES) & set(jets.fields)
    made = (tmp_path / "data-40.parquet").stat().st_mtime_ns
    again = dijets.events_at(tmp_path, "data", 40, 3, theta)
    assert (tmp_path / "data-40.parquet").stat().st_mtime_ns == made
    assert again.to_list() == jets.to_list()
    table = dijets.table(jets)
    assert table.shape == (40, len(dijets.OBSERVED))
    particles = jets["constituents"]
    charged = (abs(particles["charge"]) == 1).to_list()
    np.testing.assert_array_equal(table[:, 1], [sum(jet) for jet in charged])
    kaons = [sum(abs(p) in (321, 130) for p in jet) for jet in particles["pid"].to_list()]
    np.testing.assert_array_equal(table[:, 2], kaons)
