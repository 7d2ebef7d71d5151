"""Coarser cells: sums, truth and readout."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.coarse import cells_of, coarser, layers_of
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.overlay import Digitiser

# Cells of 10 mm at x = 5, 15, 25 in a first layer, one of 10 mm in a second; two particles.
HITS = CalorimeterHits.checked(
    [0, 4, 5],
    [[5, 5, 1], [15, 5, 1], [25, 5, 1], [-5, 5, 9], [5, 5, 1]],
    [1.0, 2.0, 4.0, 8.0, 16.0],
    particle_offsets=[0, 2, 3],
    particle_energy=[1.0, 1.0, 1.0],
    share_hit=[0, 1, 1, 2, 3, 4],
    share_particle=[0, 0, 1, 1, 0, 2],
    share_energy=[1.0, 1.5, 0.5, 4.0, 8.0, 16.0],
)


def test_cells_are_summed_with_what_each_particle_left() -> None:
    found = coarser(HITS, [1.0, 9.0], [20.0, 10.0])
    assert found.offsets.tolist() == [0, 3, 4]
    assert found.energy.tolist() == [3, 4, 8, 16]
    assert found.position.tolist() == [[10, 10, 1], [30, 10, 1], [-5, 5, 9], [10, 10, 1]]
    np.testing.assert_allclose(found.deposit, HITS.deposit)
    first = found.share_hit == 0
    assert found.share_energy[first].tolist() == [2.5, 0.5]
    same = coarser(HITS, [1.0, 9.0], [10.0, 10.0])
    assert sorted(same.energy) == sorted(HITS.energy)


def test_the_sum_is_read_once() -> None:
    readout = Digitiser(noise=0.0, threshold=3500.0)
    found = coarser(HITS, [1.0, 9.0], [20.0, 10.0], readout=readout)
    assert found.energy.tolist() == [4, 8, 16]
    assert found.counts.tolist() == [2, 1]
    noisy = coarser(HITS, [1.0, 9.0], [20.0, 10.0], readout=Digitiser(50.0, 0.0), seed=2)
    np.testing.assert_allclose(np.bincount(noisy.share_hit, noisy.share_energy), noisy.energy)


def test_layers_and_cells_are_told_by_the_hits() -> None:
    places = [[5, 5, 1], [15, 5, 1], [0, 0, 9], [0, 20, 9]]
    depths, widths = cells_of(CalorimeterHits.checked([0, 4], places, np.ones(4)))
    assert depths.tolist() == [1, 9]
    assert widths.tolist() == [10, 20]
    with pytest.raises(InputError, match="at z = 9 mm has hits in one place alone"):
        cells_of(HITS)
    with pytest.raises(InputError, match="a hit at z = 9 mm is in none of the layers at 1, 5 mm"):
        layers_of(HITS.position[:, 2], [1.0, 5.0])
