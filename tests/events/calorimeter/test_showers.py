"""Showers with their incident energies: what is kept, what is refused and how it is named."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry
from colliderkit.events.calorimeter.showers import ROWS, Showers

GEOMETRY = Geometry.regular("toy", layers=2, angles=1, r_edges=(0, 1, 3))


def showers(count: int = 6) -> Showers:
    random = np.random.default_rng(1)
    return Showers.checked(
        np.arange(1, count + 1), random.random((count, 4), dtype=np.float32), geometry=GEOMETRY
    )


def test_a_shower_counts_once_and_is_an_event_of_its_own_unless_said() -> None:
    made = showers()
    assert len(made) == 6
    assert made.incident.dtype == np.float64
    assert made.voxels.dtype == np.float32
    assert made.weight.tolist() == [1.0] * 6
    assert made.event.tolist() == [0, 1, 2, 3, 4, 5]
    given = Showers.checked([[5.0], [6.0]], np.ones((2, 4)), weight=[2.0, -1.0], event=[7, 7])
    assert given.incident.tolist() == [5.0, 6.0]
    assert given.weight.tolist() == [2.0, -1.0]
    assert given.event.tolist() == [7, 7]


@pytest.mark.parametrize(
    "rows", [slice(1, 3), np.array([1, 2]), np.array([False, True, True, False, False, False])]
)
def test_rows_are_chosen_by_slice_number_and_mask(rows) -> None:
    whole = showers()
    some = whole.at(rows)
    assert len(some) == 2
    np.testing.assert_array_equal(some.voxels, whole.voxels[1:3])
    assert some.incident.tolist() == [2.0, 3.0]
    assert some.event.tolist() == [1, 2]


def test_pieces_and_joined_lead_there_and_back() -> None:
    whole = showers()
    pieces = list(whole.pieces(4))
    assert [len(piece) for piece in pieces] == [4, 2]
    assert all(np.shares_memory(piece.voxels, whole.voxels) for piece in pieces)
    again = Showers.joined(pieces)
    np.testing.assert_array_equal(again.voxels, whole.voxels)
    np.testing.assert_array_equal(again.incident, whole.incident)
    assert again.event.tolist() == whole.event.tolist()


def test_events_of_different_files_are_never_one() -> None:
    # The two showers of event 7 stay together; the other part begins after it.
    first = Showers.checked([1.0, 1.0, 1.0], np.ones((3, 4)), event=[7, 7, 2])
    second = Showers.checked([1.0, 1.0], np.ones((2, 4)), event=[2, 3])
    third = Showers.checked([1.0], np.ones((1, 4)))
    assert Showers.joined([first, second, third]).event.tolist() == [7, 7, 2, 8, 9, 10]


def test_a_memory_map_is_not_read_into_memory(tmp_path) -> None:
    table = np.random.default_rng(2).random((ROWS + 3, 4), dtype=np.float32)
    table.tofile(tmp_path / "showers.f4")
    mapped = np.memmap(tmp_path / "showers.f4", np.float32, "r", shape=table.shape)
    made = Showers.checked(np.ones(len(table)), mapped, geometry=GEOMETRY)
    assert made.voxels is mapped
    parts = [piece.voxels.sum(1) for piece in made.pieces()]
    assert [len(part) for part in parts] == [ROWS, 3]
    np.testing.assert_array_equal(np.concatenate(parts), table.sum(1))


@pytest.mark.parametrize("geometry", [None, GEOMETRY])
@pytest.mark.parametrize("shower", [2, ROWS + 1])
@pytest.mark.parametrize("value", [np.nan, -0.5, np.inf])
def test_an_energy_that_is_none_is_named_by_shower_and_voxel(value, shower, geometry) -> None:
    voxels = np.zeros((ROWS + 2, 4))
    voxels[shower, 3] = value
    sentence = (
        rf"^the sample: shower {shower} \(counted from 0\) has an energy of {value} MeV in voxel 3;"
        r" energies must be finite and 0 or more\.$"
    )
    with pytest.raises(InputError, match=sentence):
        Showers.checked(np.ones(len(voxels)), voxels, "the sample", geometry=geometry)


@pytest.mark.parametrize("value", [np.nan, 0.0, -3.0, np.inf])
def test_an_incident_energy_must_be_positive_and_finite(value) -> None:
    with pytest.raises(InputError, match=rf"shower 1 .* an incident energy of {value:g} MeV; it"):
        Showers.checked([1.0, value], np.ones((2, 4)))


def test_other_shapes_are_refused_in_one_sentence() -> None:
    def refuses(sentence: str, *arguments, **options) -> None:
        with pytest.raises(InputError, match=sentence):
            Showers.checked(*arguments, **options)

    refuses(r"^the showers: has shape \(4,\); give \(showers, voxels\)\.$", [1.0], np.ones(4))
    refuses("^the showers: has 3 incident energies for 2 showers", np.ones(3), np.ones((2, 4)))
    refuses("^a.hdf5: holds no showers", np.ones(0), np.ones((0, 4)), "a.hdf5")
    refuses("has 4 voxels", np.ones(2), np.ones((2, 5)), geometry=GEOMETRY)
    refuses("weight has shape", np.ones(2), np.ones((2, 4)), weight=[1.0])
    refuses("weights must not", [1, 1], np.ones((2, 4)), weight=[2, -1], negative="so it is")
    refuses("give a whole number for each", np.ones(2), np.ones((2, 4)), event=[0.5, 1.0])
