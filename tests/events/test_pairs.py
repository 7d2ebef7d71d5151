"""Paired events: exact bookkeeping of who passes where, in memory and in a file."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.observables import table
from colliderkit.events.pairs import check_pairs, joined
from colliderkit.events.schema import check_jets
from colliderkit.sources.files.pairs import iterate_pairs, read_pairs
from samples import make_jets


def some_jets(events, seed):
    """Make jets that belong to the given events."""
    made = make_jets(len(events), seed)
    return ak.with_field(made[[f for f in made.fields if f != "label"]], np.array(events), "event")


@pytest.fixture
def levels():
    return some_jets([10, 12, 13], 1), some_jets([12, 15], 2)


@pytest.fixture
def array(levels):
    return joined(*levels, np.arange(10, 17))


def test_each_event_with_a_jet_appears_once(array):
    assert array.event.tolist() == [10, 12, 13, 15]
    assert array.weight.tolist() == [1, 1, 1, 1]
    # 10 and 13 are misses, 15 is a fake; 11, 14 and 16 have no jet at all.
    assert array.pass_truth.tolist() == [True, True, True, False]
    assert array.pass_reco.tolist() == [False, True, False, True]


def test_the_passing_jets_come_back_unchanged(array, levels):
    for name, level in zip(("truth", "reco"), levels, strict=True):
        own = array[name][array[f"pass_{name}"]]
        check_jets(own, name)
        assert own.fields == [field for field in level.fields if field != "event"]
        for field in own.fields:
            assert own[field].tolist() == level[field].tolist()
        for column in table(own, "unfolding")[0].T:
            assert np.isfinite(column).all()


def test_where_a_level_does_not_pass_it_is_empty(array):
    for name in ("truth", "reco"):
        absent = array[name][~array[f"pass_{name}"]]
        assert ak.num(absent.constituents).tolist() == [0] * len(absent)
        for column in ("jet_pt", "jet_eta", "jet_phi", "jet_mass"):
            assert absent[column].tolist() == [0] * len(absent)


def test_no_jets_at_one_level_or_at_both(levels):
    truth, reco = levels
    alone = joined(truth, reco[:0], np.arange(10, 17))
    assert alone.event.tolist() == [10, 12, 13]
    assert not np.any(alone.pass_reco)
    assert len(joined(truth[:0], reco[:0], np.arange(10, 17))) == 0


def test_a_file_reads_back(array, tmp_path):
    path = tmp_path / "pairs.parquet"
    ak.to_parquet_row_groups(iter([array[:3], array[3:]]), path)
    assert read_pairs(path).tolist() == array.tolist()
    assert [len(part) for part in iterate_pairs(path)] == [3, 1]


def test_what_is_no_paired_array_is_named(array, tmp_path):
    path = tmp_path / "jets.parquet"
    with pytest.raises(InputError, match=r"jets\.parquet: no such file"):
        read_pairs(path)
    path.write_bytes(b"not Parquet")
    with pytest.raises(InputError, match=r"jets\.parquet: cannot be read as Parquet"):
        read_pairs(path)
    ak.to_parquet(make_jets(3), path)
    with pytest.raises(InputError, match=r"jets\.parquet: no column 'weight' of paired events"):
        read_pairs(path)
    broken = ak.copy(array)
    broken["truth", "jet_pt"] = np.array([1, 2, np.nan, 0])
    with pytest.raises(InputError, match=r"here: 'truth\.jet_pt' is NaN or infinite in event 13"):
        check_pairs(broken, "here")
    broken = ak.copy(array)
    broken["reco", "constituents", "px"] = broken.reco.constituents.px * np.array([1, np.inf, 1, 1])
    with pytest.raises(InputError, match=r"'reco\.constituents\.px' is NaN or .* in event 12"):
        check_pairs(broken, "here")
    broken = ak.with_field(array, np.array([1, np.nan, 1, 1]), "weight")
    with pytest.raises(InputError, match="column 'weight' is NaN or infinite in event 12"):
        check_pairs(broken, "here")
