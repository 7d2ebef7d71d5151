"""The published W jets, on files that the test makes in their layout."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.observables import PRESETS
from colliderkit.sources.datasets.w_tagging import COLUMNS, generate_w_tagging, read_w_tagging

# Mass 50 GeV and 80 GeV; observables 1 to 10 and 11 to 20; a QCD jet and a W.
ROWS = np.array([[0.0, *range(1, 11), 1.0], [0.12, *range(11, 21), 0.0]])


def published(path, **changes):
    arrays = {"train": ROWS, "val": ROWS[:1], "test": ROWS[1:], **changes}
    np.savez(path, **arrays)
    return path


def test_columns_and_labels(tmp_path):
    table = read_w_tagging(published(tmp_path / "W_high_level.npz"))
    assert table.jet_mass.tolist() == [50, 80]
    # The file has 1 for QCD.
    assert table.label.tolist() == [0, 1]
    assert table.event.tolist() == [0, 1]
    assert table.pt.tolist() == [1, 11]
    assert table.sqrt_d12.tolist() == [10, 20]
    assert PRESETS["w-tagging"] == COLUMNS
    assert table.fields == ["jet_mass", *COLUMNS, "label", "event"]


def test_parts(tmp_path):
    path = published(tmp_path / "a.npz")
    assert read_w_tagging(path, "validation").jet_mass.tolist() == [50]
    assert read_w_tagging(path, "test").jet_mass.tolist() == [80]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ROWS[:, :11]}, r"shape \(2, 11\) where numbers of shape \(any, 12\)"),
        ({"train": ROWS + 1}, "labels other than 0"),
        ({"train": np.array([{"a": 1}], dtype=object)}, "pickled objects, which are never loaded"),
    ],
)
def test_other_files_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_w_tagging(published(tmp_path / "a.npz", **changes))


def test_a_broken_file_and_an_unknown_part_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(InputError, match="cannot be read as npz"):
        read_w_tagging(path)
    with pytest.raises(InputError, match="part 'train' is none of training, validation, test"):
        read_w_tagging(path, "train")
    np.savez(path, val=ROWS)
    with pytest.raises(InputError, match="no column 'train'"):
        read_w_tagging(path)


def test_the_stand_in_is_made_once(tmp_path):
    pytest.importorskip("pythia8mc")
    path = generate_w_tagging(40, 60, tmp_path / "table.parquet")
    jets = ak.from_parquet(path)
    mass = np.asarray(jets["jet_mass"])
    assert ((mass > 50) & (mass < 300)).all()
    assert "constituents" not in jets.fields
    assert set(COLUMNS) < set(jets.fields)
    assert set(np.asarray(jets["label"])) == {0, 1}
    # No event of one process has the number of one of the other.
    events = [set(np.asarray(jets["event"])[np.asarray(jets["label"]) == k]) for k in (0, 1)]
    assert not events[0] & events[1]
    # The second call reads the jets that the first one left.
    before = (tmp_path / "w.parquet").stat().st_mtime_ns
    again = ak.from_parquet(generate_w_tagging(40, 60, tmp_path / "again.parquet"))
    assert (tmp_path / "w.parquet").stat().st_mtime_ns == before
    np.testing.assert_array_equal(np.asarray(again.tau21), np.asarray(jets.tau21))
