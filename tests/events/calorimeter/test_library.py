"""Events drawn from a library of showers: sums and shares of cells, exactly."""

from dataclasses import replace

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Layer
from colliderkit.events.calorimeter.library import calibration, overlay
from colliderkit.events.calorimeter.overlay import Digitiser
from contracts.cases.clustering import small_library

ONES = np.ones(2)


def test_showers_add_up_in_cells_and_keep_their_shares() -> None:
    hits = overlay(
        small_library(), [0, 1, 0], [0, 0, 20], [0, 0, -20], [0, 0, 1], events=2, factors=ONES
    )
    assert hits.offsets.tolist() == [0, 3, 5]
    assert hits.energy * 1e3 == pytest.approx([13, 1, 10, 9, 1])
    assert hits.particle_energy.tolist() == [1, 2, 1]
    assert hits.pdg.tolist() == [11, 211, 11]
    shared = hits.share_hit == 0
    assert sorted(hits.share_energy[shared] * 1e3) == pytest.approx([4, 9])
    assert hits.deposit * 1e3 == pytest.approx([10, 14, 10])
    # Row 1, column 2 of 10 mm cells begins at x = 0, y = -10; the third shower is 20 mm away.
    assert hits.position[0].tolist() == [5, -5, 5]
    assert hits.position[3].tolist() == [25, -25, 5]
    # In cells of 20 mm it has moved by one.
    assert hits.position[4] - hits.position[1] == pytest.approx([20, -20, 0])


def test_a_cell_is_read_once_and_shares_sum_to_the_reading() -> None:
    readout = Digitiser(noise=0.5, threshold=5.0)
    hits = overlay(
        small_library(),
        [0, 1],
        [0, 0],
        [0, 0],
        [0, 0],
        events=1,
        factors=ONES,
        readout=readout,
        seed=4,
    )
    assert len(hits.energy) == 2  # the electron's 1 MeV of layer 1 is below the threshold
    sums = np.bincount(hits.share_hit, hits.share_energy)
    np.testing.assert_allclose(sums, hits.energy)
    assert (hits.energy > 5e-3).all()


def test_calibration_is_by_electrons_where_they_are_and_by_hadrons_behind() -> None:
    random = np.random.default_rng(1)
    seen = np.array([[40.0, 0.0]] * 20 + [[20.0, 30.0]] * 20) * random.uniform(0.5, 2, (40, 1))
    library = replace(
        small_library(),
        kind=np.repeat([0, 1], 20),
        incident=seen @ [25.0, 100.0],
        x=np.zeros(40),
        y=np.zeros(40),
        offsets=np.arange(0, 81, 2),
        voxel=np.tile([6, 17], 40),
        energy=seen.reshape(-1),
    )
    assert calibration(library) == pytest.approx([25, 100])
    light = library.of("e-")
    assert light.kind.tolist() == [0] * 20
    parts = library.parts(0.5, 0.25, 0.25, seed=3)
    assert [len(part) for part in parts] == [20, 10, 10]
    incident = np.concatenate([part.incident for part in parts])
    assert sorted(incident) == sorted(library.incident)
    np.testing.assert_array_equal(library.dense()[:, 6], seen[:, 0].astype(np.float32))


def test_what_is_wrong_is_said() -> None:
    library = small_library()
    with pytest.raises(InputError, match="moved by multiples of 20 mm"):
        overlay(library, [0], [10.0], [0.0], [0], events=1)
    with pytest.raises(InputError, match="a shower is none of the 2"):
        overlay(library, [2], [0.0], [0.0], [0], events=1)
    with pytest.raises(InputError, match="events do not rise from 0 to 1"):
        overlay(library, [0, 0], [0.0, 0.0], [0.0, 0.0], [1, 0], events=2)
    with pytest.raises(InputError, match="no showers of 'mu-'"):
        library.of("mu-")
    rings = Geometry("rings", (Layer(0, (0, 1)), Layer(1, (0, 1))))
    with pytest.raises(InputError, match="layer 0 has rings"):
        replace(library, geometry=rings)
