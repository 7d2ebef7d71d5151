"""Flavour-tagging files and frames of the LHC Olympics: every number as it was written."""

import pickle
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read
from colliderkit.sources.files.padded import particle_columns
from colliderkit.sources.files.rows import read_rows

JETS, SLOTS = 300, 40
FLAVOURS = {0: 0, 4: 1, 5: 2, 15: 3, 11: -1}


def flavour_file(path: Path, **changes: object) -> tuple[np.ndarray, np.ndarray]:
    """Write the compound datasets of a flavour-tagging file; NaN where `valid` is off."""
    random = np.random.default_rng(1)
    counts = random.integers(0, 12, JETS)
    jet_type = [("pt", "f4"), ("eta", "f4"), ("phi", "f4"), ("mass", "f4")]
    jets = np.zeros(JETS, [*jet_type, ("HadronConeExclTruthLabelID", "i4"), ("eventNumber", "u8")])
    for name, low, high in (("pt", 2e4, 2.5e5), ("eta", -2.5, 2.5), ("phi", -3, 3)):
        jets[name] = random.uniform(low, high, JETS)
    jets["mass"] = 5e3
    jets["HadronConeExclTruthLabelID"] = random.choice(list(FLAVOURS), JETS)
    jets["eventNumber"] = np.uint64(2**63) + np.arange(JETS, dtype=np.uint64) // np.uint64(2)
    angles = [("deta", "f2"), ("dphi", "f2")]
    track_type = [("pt", "f4"), *angles, ("d0", "f4"), ("charge", "i1"), ("valid", "?")]
    tracks = np.zeros((JETS, SLOTS), track_type)
    tracks["valid"] = np.arange(SLOTS) < counts[:, None]
    for name, low, high in (("pt", 500, 2e4), ("deta", -0.4, 0.4), ("dphi", -0.4, 0.4)):
        tracks[name] = random.uniform(low, high, tracks.shape)
    tracks["pt"] = -np.sort(-tracks["pt"], axis=1)
    tracks["d0"] = random.uniform(-1, 1, tracks.shape)
    for name in ("pt", "deta", "dphi", "d0"):
        tracks[name][~tracks["valid"]] = np.nan
    tracks["charge"] = random.choice([-1, 1], tracks.shape)
    with h5py.File(path, "w") as file:
        file.create_dataset("jets", data=jets, compression="lzf")
        file.create_dataset("tracks", data=tracks, compression="lzf")
        # Longer than the jets, as sums of weights and tables of events are.
        file["cutBookkeeper/nominal/counts"] = np.array([(1, 2.0)] * 3, "i8,f8")
        file["eventwise"] = np.zeros(1000, [("mu", "f4")])
        file["truth_hadrons"] = np.zeros((1000, 5), [("pt", "f4")])
    return jets, tracks


@pytest.mark.parametrize("layout", [None, "flavour-tagging"])
def test_flavour_tagging_files(tmp_path: Path, layout: str | None) -> None:
    jets, tracks = flavour_file(tmp_path / "ftag.h5")
    with pytest.warns(UserWarning, match=r"ftag.h5: energies are taken as MeV, as is the custom"):
        events = read(tmp_path / "ftag.h5", layout=layout)
    valid = tracks["valid"]
    counts = valid.sum(1)
    assert counts.min() == 0
    assert ak.num(events.constituents.px).tolist() == counts.tolist()
    pt = tracks["pt"].astype(np.float64) / 1000
    eta = jets["eta"][:, None].astype(np.float64) + tracks["deta"]
    phi = jets["phi"][:, None].astype(np.float64) + tracks["dphi"]
    four = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "E": pt * np.cosh(eta),
    }
    for name, values in (four | {x: tracks[x] for x in ("d0", "deta", "dphi", "charge")}).items():
        read_back = ak.flatten(events.constituents[name]).to_numpy()
        np.testing.assert_array_equal(read_back, values[valid].astype(read_back.dtype), name)
    for name, scale in (("pt", 1000), ("eta", 1), ("phi", 1), ("mass", 1000)):
        want = (jets[name].astype(np.float64) / scale).astype(np.float32)
        np.testing.assert_array_equal(events[f"jet_{name}"], want, name)
    # Beyond the integers with a sign: a remainder, equal for equal numbers alone.
    assert events.event.tolist() == [n % (2**63 - 1) for n in jets["eventNumber"].tolist()]
    assert events.label.tolist() == [FLAVOURS[x] for x in jets["HadronConeExclTruthLabelID"]]
    with pytest.warns(UserWarning, match="MeV"):
        parts = list(iterate(tmp_path / "ftag.h5", chunk=77))
    assert ak.concatenate([p.jet_pt for p in parts]).tolist() == events.jet_pt.tolist()


def test_the_unit_is_that_of_the_attributes(tmp_path: Path) -> None:
    jets, tracks = flavour_file(tmp_path / "ftag.h5")
    with h5py.File(tmp_path / "ftag.h5", "a") as file:
        file["jets"].attrs["units"] = "GeV"
        file["tracks"].attrs["pt_unit"] = "MeV"
    with pytest.warns(UserWarning, match="energies are in GeV, as its attributes say"):
        events = read(tmp_path / "ftag.h5")
    np.testing.assert_array_equal(events.jet_pt, jets["pt"])
    np.testing.assert_array_equal(events.jet_mass, jets["mass"])
    leading = np.hypot(events.constituents.px, events.constituents.py)
    want = tracks["pt"][tracks["valid"]] / 1000
    np.testing.assert_allclose(ak.flatten(leading), want, rtol=1e-6)


def test_tables_of_other_lengths_do_not_win(tmp_path: Path) -> None:
    jets, tracks = flavour_file(tmp_path / "ftag.h5")
    # All jets, with any columns of theirs, though two tables are longer.
    rows = read_rows(tmp_path / "ftag.h5", ["jets.pt", "count(tracks.pt)", "sum(tracks.charge)"])
    np.testing.assert_array_equal(rows.columns["jets.pt"], jets["pt"])
    np.testing.assert_array_equal(rows.columns["count(tracks.pt)"], tracks["valid"].sum(1))
    charge = np.where(tracks["valid"], tracks["charge"], 0).sum(1)
    np.testing.assert_array_equal(rows.columns["sum(tracks.charge)"], charge)
    assert len(read_rows(tmp_path / "ftag.h5", ["mu"], tree="eventwise")) == 1000
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["electrons/pt"], file["muons/pt"] = np.ones(4), np.ones(9)
        file["muons/eta"] = np.zeros(9)
    sentence = (
        r"two.h5: its data sets are of several lengths, muons.eta, muons.pt \(9 rows\);"
        r" electrons.pt \(4 rows\); name those that are meant by 'tree', such as electrons/pt"
    )
    with pytest.raises(InputError, match=sentence):
        read_rows(tmp_path / "two.h5", ["electrons.pt"])
    assert len(read_rows(tmp_path / "two.h5", ["pt"], tree="electrons")) == 4
    assert len(read_rows(tmp_path / "two.h5", ["muons.pt"], tree="muons/pt, muons/eta")) == 9


EVENTS, PARTICLES = 50, 7


def olympics(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, 3 M + 1) float32 as the LHC Olympics are, and the particles of each event."""
    random = np.random.default_rng(seed)
    values = np.zeros((EVENTS, 3 * PARTICLES + 1), np.float32)
    counts = random.integers(1, PARTICLES + 1, EVENTS)
    filled = np.arange(PARTICLES) < counts[:, None]
    pt = -np.sort(-random.exponential(100, filled.shape) * filled, axis=1)
    values[:, 0:-1:3] = pt
    values[:, 1:-1:3] = random.normal(0, 1, filled.shape) * filled
    values[:, 2:-1:3] = random.uniform(-3, 3, filled.shape) * filled
    values[:, -1] = np.arange(EVENTS) % 2
    return values, counts


def frame(path: Path, form: str, values: np.ndarray, names: list[object], **how: object) -> None:
    """Write a frame as pandas does, key "df", columns by names or whole numbers."""
    numbered = isinstance(names[0], int)
    with h5py.File(path, "w") as file:
        group = file.create_group("df")
        group.attrs["pandas_type"] = np.bytes_("frame" if form == "fixed" else "frame_table")
        if form == "fixed":
            labels = np.array(names, "i8" if numbered else "S")
            group["axis0"], group["axis1"] = labels, np.arange(len(values))
            group["block0_items"] = labels
            group.create_dataset("block0_values", data=values, **how)
            return
        dtype = [("index", "i8"), ("values_block_0", values.dtype, values.shape[1:])]
        rows = np.empty(len(values), dtype)
        rows["index"], rows["values_block_0"] = np.arange(len(values)), values
        table = group.create_dataset("table", data=rows, **how)
        table.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(names, 0))


@pytest.mark.parametrize("form", ["fixed", "table"])
@pytest.mark.parametrize("named", [False, True])
def test_frames_of_the_lhc_olympics(tmp_path: Path, form: str, named: bool) -> None:
    values, counts = olympics()
    names: list[object] = list(range(values.shape[1]))
    if named:
        names = [f"{x}_{i}" for i in range(PARTICLES) for x in ("PT", "ETA", "PHI")] + ["label"]
    frame(tmp_path / "events.h5", form, values, names)
    four = {
        "constituents.px": "PT * cos(PHI)",
        "constituents.py": "PT * sin(PHI)",
        "constituents.pz": "PT * sinh(ETA)",
        "constituents.E": "PT * cosh(ETA)",
        "label": "label",
    }
    if named:
        events = read(tmp_path / "events.h5", columns=four)
    else:
        with pytest.warns(
            UserWarning, match=r"events.h5: its numbered columns are read as pt, eta"
        ):
            events = read(tmp_path / "events.h5")
    assert len(events) == EVENTS
    assert ak.num(events.constituents.px).tolist() == counts.tolist()
    assert events.label.tolist() == values[:, -1].tolist()
    pt, eta, phi = (values[:, i:-1:3].astype(np.float64) for i in range(3))
    want = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "E": pt * np.cosh(eta),
    }
    for name, numbers in want.items():
        read_back = ak.flatten(events.constituents[name]).to_numpy()
        np.testing.assert_array_equal(read_back, numbers[pt > 0].astype(np.float32), name)
    if not named:
        rows = read_rows(tmp_path / "events.h5", ["df_0", "df_20", "df_21"])
        for i in (0, 20, 21):
            np.testing.assert_array_equal(rows.columns[f"df_{i}"], values[:, i])


def test_numbers_are_not_taken_for_particles() -> None:
    values, _ = olympics()
    assert list(particle_columns(values)) == [
        f"particles.{x}" for x in ("pt", "eta", "phi", "label")
    ]
    assert list(particle_columns(values[:, :-1])) == [
        f"particles.{x}" for x in ("pt", "eta", "phi")
    ]
    for i, change in ((-1, 2.0), (3, 1e6), (2, 4.0), (0, -1.0), (0, np.nan)):
        other = values.copy()
        other[3, i] = change
        assert particle_columns(other) == {}, (i, change)
    assert particle_columns(np.random.default_rng(1).normal(size=(100, 22))) == {}
    assert particle_columns(np.ones((100, 6))) == {}


def test_objects_in_a_frame_are_no_numbers(tmp_path: Path) -> None:
    values, _ = olympics()
    names: list[object] = [f"x{i}" for i in range(values.shape[1])]
    frame(tmp_path / "events.h5", "fixed", values, names)
    with h5py.File(tmp_path / "events.h5", "a") as file:
        group = file["df"]
        group["block1_items"] = np.array(["process"], "S")
        pickled = group.create_dataset("block1_values", (1,), h5py.vlen_dtype(np.uint8))
        pickled[0] = np.frombuffer(pickle.dumps(["top"] * EVENTS), np.uint8)
    assert len(read_rows(tmp_path / "events.h5", ["x0"])) == EVENTS
    with pytest.raises(InputError, match=r"column 'process' is of type objects of Python, not num"):
        read_rows(tmp_path / "events.h5", ["process"])


def test_two_frames_in_a_file(tmp_path: Path) -> None:
    values, _ = olympics()
    frame(tmp_path / "events.h5", "fixed", values, list(range(22)))
    with h5py.File(tmp_path / "events.h5", "a") as file:
        file.copy("df", "background")
    with pytest.raises(
        InputError, match=r"holds 2 tables \(background, df\); name the one that is"
    ):
        read(tmp_path / "events.h5")
    assert len(read_rows(tmp_path / "events.h5", ["df_0"], tree="df")) == EVENTS
