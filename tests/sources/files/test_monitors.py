"""Monitors are read as they were written, from Parquet, ROOT trees and ROOT histograms."""

import awkward as ak
import numpy as np
import pytest
import uproot

from colliderkit.errors import InputError
from colliderkit.serve.golden import read_golden, write_golden
from colliderkit.sources.files.monitors import read_monitors, read_run_scores, write_monitors
from contracts.cases.data_quality import small_runs


@pytest.mark.parametrize("name", ["a.parquet", "a.root"])
def test_what_is_written_is_read(name, tmp_path):
    runs = small_runs(4, 1).joined(small_runs(2, 2, first=10, dead=True))
    found = read_monitors(write_monitors(tmp_path / name, runs))
    assert found.shapes() == runs.shapes()
    for field in ("run", "offsets", "section", "luminosity", "day", "good"):
        np.testing.assert_array_equal(getattr(found, field), getattr(runs, field))
    for monitor in runs.counts:
        np.testing.assert_array_equal(found.counts[monitor], runs.counts[monitor])
    np.testing.assert_array_equal(found.means["time"], runs.means["time"])
    only = read_monitors(tmp_path / name, monitors=["energy"])
    assert list(only.shapes()) == ["energy"]


def test_histograms_in_folders_are_read(tmp_path):
    random = np.random.default_rng(1)
    with uproot.recreate(tmp_path / "h.root") as file:
        for run in (380_002, 380_001):
            for section in (1, 2):
                folder = f"run_{run}/ls_{section}"
                file[f"{folder}/energy"] = np.histogram(random.normal(size=50), bins=6)
                values = np.histogram2d(*random.normal(size=(2, 50)), bins=(4, 5))
                file[f"{folder}/map"] = values
    found = read_monitors(tmp_path / "h.root")
    assert found.run.tolist() == [380_001, 380_002]
    assert found.shapes() == {"energy": (6,), "map": (4, 5)}
    assert found.counts["map"].sum() == 200
    with uproot.recreate(tmp_path / "bad.root") as file:
        file["run_1/ls_1/energy"] = np.histogram([1, 2], bins=6)
        file["run_2/ls_1/energy"] = np.histogram([1, 2], bins=7)
    with pytest.raises(InputError, match=r"'energy' has 7 bins in lumi section 1 of run 2"):
        read_monitors(tmp_path / "bad.root")
    with uproot.recreate(tmp_path / "none.root") as file:
        file["energy"] = np.histogram([1, 2], bins=6)
    with pytest.raises(InputError, match="neither a tree nor histograms"):
        read_monitors(tmp_path / "none.root")


def test_a_binning_that_changes_is_named(tmp_path):
    table = {"run": [1, 2], "section": [1, 1], "h": [[1, 2, 3], [1, 2]]}
    ak.to_parquet(ak.zip(table, depth_limit=1), tmp_path / "a.parquet", extensionarray=False)
    with pytest.raises(InputError, match=r"'h' has 2 bins in run 2 and 3 in run 1: its binning"):
        read_monitors(tmp_path / "a.parquet")
    for name, bins in (("b", 3), ("c", 4)):
        table = {"run": [1 + bins], "section": [1], "h": [[1] * bins]}
        ak.to_parquet(
            ak.zip(table, depth_limit=1), tmp_path / f"{name}.parquet", extensionarray=False
        )
    with pytest.raises(InputError, match=r"c.parquet: monitor 'h' has 4 bins, and 3 in"):
        read_monitors([tmp_path / "b.parquet", tmp_path / "c.parquet"])


def test_columns_that_are_absent_are_named(tmp_path):
    for lacking, words in (("run", "no column of the run"), ("section", "of the lumi section")):
        table = {"run": [1], "section": [1], "h": [[1, 2]]}
        table.pop(lacking)
        path = tmp_path / f"{lacking}.parquet"
        ak.to_parquet(ak.zip(table, depth_limit=1), path, extensionarray=False)
        with pytest.raises(InputError, match=words):
            read_monitors(path)
    with pytest.raises(InputError, match="has no monitors"):
        ak.to_parquet(ak.zip({"run": [1], "section": [1]}), tmp_path / "x.parquet")
        read_monitors(tmp_path / "x.parquet")
    (tmp_path / "y.parquet").write_text("no")
    with pytest.raises(InputError, match=r"y.parquet: cannot be read as Parquet"):
        read_monitors(tmp_path / "y.parquet")


def table(tmp_path, text):
    (tmp_path / "runs.csv").write_text(text)
    return tmp_path / "runs.csv"


@pytest.mark.parametrize(
    ("header", "values", "options"),
    [
        ("label", ("GOOD", "bad"), {}),
        ("good", ("1", "0"), {}),
        ("is_good", ("true", "false"), {}),
        ("label", ("0", "1"), {"good": 0}),
        ("quality", ("certified", "rejected"), {"good": "certified"}),
    ],
)
def test_labels_are_told(tmp_path, header, values, options):
    path = table(tmp_path, f"run;score;{header}\n7;0.5;{values[1]}\n3;1.5;{values[0]}\n")
    found = read_run_scores(path, **options)
    assert found.run.tolist() == [3, 7]
    assert found.values[:, 0].tolist() == [1.5, 0.5]
    assert found.good.tolist() == [True, False]


REFUSED = {
    "'label' is 0, which says neither good nor bad": "run,x,label\n1,2,0\n2,3,1\n",
    "'label' is 1, which says neither": "run,x,label\n1,2,1\n2,3,1\n",
    "no column of the run": "number,x\n1,2\n",
    "run 2 comes after run 2": "run,x\n2,1\n2,3\n",
    "run 2 is of 2024-05-01, before run 1": "run,date,x\n1,2024-05-02,1\n2,2024-05-01,1\n",
    "no column of numbers": "run,label\n1,good\n",
    "column 'x' is nan in run 2": "run,x\n1,1\n2,\n",
    "'run' is 1.5 in row 0": "run,x\n1.5,1\n2,3\n",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_told_is_refused(tmp_path, words):
    with pytest.raises(InputError, match=words) as error:
        read_run_scores(table(tmp_path, REFUSED[words]))
    assert "runs.csv" in str(error.value)


def test_a_golden_json(tmp_path):
    golden = {"7": [[1, 3], [5, 9]], "9": [[2, 2]]}
    path = write_golden(tmp_path / "golden.json", golden)
    assert read_golden(path) == {7: [(1, 3), (5, 9)], 9: [(2, 2)]}
    path.write_text('{"7": [[3, 1]]}')
    with pytest.raises(InputError, match="ends before it begins"):
        read_golden(path)
    path.write_text("[1]")
    with pytest.raises(InputError, match="is no golden JSON"):
        read_golden(path)
