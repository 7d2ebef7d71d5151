"""Files of events with pileup: our own, others' names, and what is wrong with them."""

import awkward as ak
import numpy as np
import pytest
import uproot

from colliderkit.errors import InputError
from colliderkit.sources import write
from colliderkit.sources.files.collisions import read_collisions
from colliderkit.sources.toys.pileup import pileup_toy


@pytest.fixture(scope="module")
def events():
    return pileup_toy(5, 2.0, seed=1)


@pytest.mark.parametrize("name", ["events.parquet", "events.root"])
def test_what_was_written_is_read(name, events, tmp_path):
    write(tmp_path / name, events)
    found, said = read_collisions(tmp_path / name)
    for column in ("pt", "eta", "phi", "mass", "vertex", "truth", "charge", "z0"):
        assert ak.all(found["particles", column] == events["particles", column], axis=None), column
    for column in ("vertices", "interactions", "event"):
        assert np.array_equal(found[column], events[column])
    assert ak.all(found["vertex_z"] == events["vertex_z"], axis=None)
    assert len(said) == 1
    assert "vertex from " in said[0]


def write_nano(path, flag):
    """Write as PFNano does: a flag of charged candidates, of values 0 to 3."""
    pt = ak.Array([[5.0, 2.0, 1.0], [3.0]])
    with uproot.recreate(path) as file:
        file["Events"] = {
            "PFCands": ak.zip(
                {"pt": pt, "eta": pt * 0, "phi": pt * 0, "mass": pt * 0.1,
                 "charge": ak.values_astype(ak.Array([[1, -1, 0], [1]]), "int32"),
                 "fromPV": ak.values_astype(ak.Array(flag), "int32")}
            ),
            "PV_npvs": np.array([4, 5]),
        }  # fmt: skip


def test_flags_of_charged_candidates_become_vertices(tmp_path):
    write_nano(tmp_path / "nano.root", [[3, 1, 3], [2]])
    found, said = read_collisions(tmp_path / "nano.root")
    assert found["particles", "vertex"].to_list() == [[0, 1, -1], [0]]
    assert found["vertices"].to_list() == [4, 5]
    assert any("2 or 3 are of the leading vertex" in line for line in said)
    write_nano(tmp_path / "truth.root", [[1, 0, 1], [1]])
    found, said = read_collisions(tmp_path / "truth.root")
    assert found["particles", "vertex"].to_list() == [[0, 1, -1], [0]]
    assert any(" 1 are of the leading vertex" in line for line in said)


def test_momenta_and_names_of_ones_own(tmp_path):
    x = ak.Array([[3.0, 0.0], [1.0]])
    columns = {"c_px": x, "c_py": x * 0 + 4, "c_pz": -x, "who": x * 0, "mu": np.array([20.0, 30.0])}
    write(tmp_path / "own.parquet", columns)
    found, said = read_collisions(
        tmp_path / "own.parquet", columns={"vertex": "where(who > 0, 1, 0)", "interactions": "mu"}
    )
    assert ak.flatten(found["particles", "pt"]).to_list() == pytest.approx([5.0, 4.0, 17**0.5])
    eta = np.arcsinh(np.array([-3 / 5, 0.0, -1 / 17**0.5]))
    np.testing.assert_allclose(ak.flatten(found["particles", "eta"]), eta, atol=1e-12)
    assert found["interactions"].to_list() == [20.0, 30.0]
    assert "particles without mass" in said[0]
    chosen, _ = read_collisions(
        tmp_path / "own.parquet", columns={"vertex": "where(who > 0, 1, 0)"}, selection="mu > 25"
    )
    assert len(chosen) == 1


@pytest.mark.parametrize(
    ("columns", "options", "sentence"),
    [
        ({"a_pt": 1, "a_eta": 1, "a_phi": 1}, {}, "nothing says of which vertex"),
        ({"a_pt": 1, "a_eta": 1}, {}, "nothing says what the pt of particles is"),
        ({"a_pt": 1, "a_eta": 1, "a_phi": 1, "b_pt": 1, "b_eta": 1, "b_phi": 1}, {}, "several"),
        ({"a_pt": 1, "a_eta": 1, "a_phi": 1}, {"collection": "c"}, "has no particles 'c_pt'"),
        ({"a_pt": 1, "a_eta": 1, "a_phi": 1}, {"columns": {"vtx": "a_pt"}}, "'vtx', which is no"),
        ({"a_pt": 1, "a_eta": 1, "a_phi": 1}, {"columns": {"vertex": "n"}}, "no column 'n'"),
    ],
)
def test_one_sentence_says_what_is_missing(columns, options, sentence, tmp_path):
    write(tmp_path / "x.parquet", {name: ak.Array([[1.0, 2.0], []]) for name in columns})
    with pytest.raises(InputError, match=sentence):
        read_collisions(tmp_path / "x.parquet", **options)


def test_a_number_that_is_not_finite_is_named_with_its_file(events, tmp_path):
    eta = np.array(ak.to_numpy(ak.flatten(events["particles", "eta"])))
    eta[-1] = np.inf
    particles = ak.with_field(
        events["particles"], ak.unflatten(eta, ak.num(events["particles"])), "eta"
    )
    write(tmp_path / "x.parquet", ak.with_field(events, particles, "particles"))
    with pytest.raises(InputError, match=r"x\.parquet: the eta of a particle is inf in event 4"):
        read_collisions(tmp_path / "x.parquet")
