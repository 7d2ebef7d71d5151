"""Pairs of jets at two levels: joined by event, each jet with its own."""

import numpy as np

from colliderkit.sources import write
from colliderkit.sources.datasets.dijet_masses import read_pairs_of_jets
from colliderkit.sources.pythia.dijets import dijets


def test_levels_are_joined_and_jets_are_matched(tmp_path):
    paths = []
    for level, detector in (("true", False), ("seen", True)):
        events = dijets("dijet-signal", 60, seed=2, detector=detector)
        write(tmp_path / f"{level}.parquet", events[:: 1 if detector else -1])
        paths.append(tmp_path / f"{level}.parquet")
    pairs = read_pairs_of_jets(*paths)
    assert 50 < len(pairs) <= 60
    assert len(np.unique(pairs.event)) == len(pairs)
    # The detector moves a jet by little, and its pt by a few percent.
    turned = np.abs(np.angle(np.exp(1j * (pairs.truth[..., 2] - pairs.seen[..., 2]))))
    assert (turned < 1).all()
    response = pairs.seen[..., 0] / pairs.truth[..., 0]
    assert 0.9 < np.median(response) < 1.1
    assert 1900 < np.median(pairs.true_mass) < 2050
    assert (pairs.weight == 1).all()
    # With the pt that was seen the mass is the one that was seen; all pt doubled, twice that.
    np.testing.assert_allclose(pairs.mass(pairs.seen[..., 0]), pairs.mass())
    np.testing.assert_allclose(pairs.mass(2 * pairs.seen[..., 0]), 2 * pairs.mass())
    some = pairs.at(np.arange(len(pairs)) % 2 == 0)
    np.testing.assert_array_equal(some.true_mass, pairs.true_mass[::2])
