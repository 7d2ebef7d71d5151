"""Particles found by the endings of names, and jets of events in lists of lists."""

import warnings
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read

FOUR = ("px", "py", "pz", "E")


def particles(counts: np.ndarray, seed: int = 0) -> dict[str, ak.Array]:
    """Draw pt (falling), eta, phi, mass and charge of each particle."""
    random, size = np.random.default_rng(seed), int(counts.sum())
    ragged = lambda x: ak.unflatten(x, counts)  # noqa: E731
    return {
        "pt": ak.sort(ragged(random.uniform(1, 50, size)), ascending=False),
        "eta": ragged(random.normal(0, 1, size)),
        "phi": ragged(random.uniform(-3, 3, size)),
        "mass": ragged(random.uniform(0, 1, size)),
        "charge": ragged(random.integers(-1, 2, size)),
    }


def four(p: dict[str, ak.Array], mass: bool = True) -> dict[str, ak.Array]:
    momentum = p["pt"] * np.cosh(p["eta"])
    return {
        "px": p["pt"] * np.cos(p["phi"]),
        "py": p["pt"] * np.sin(p["phi"]),
        "pz": p["pt"] * np.sinh(p["eta"]),
        "E": np.sqrt(momentum**2 + p["mass"] ** 2) if mass else momentum,
    }


def same(found: ak.Array, expected: dict[str, ak.Array]) -> None:
    for name in FOUR:
        assert ak.num(found["constituents"]).tolist() == ak.num(expected[name]).tolist()
        ours, theirs = found["constituents", name], expected[name]
        np.testing.assert_allclose(ak.flatten(ours), ak.flatten(theirs), rtol=3e-7, atol=1e-6)


COUNTS = np.array([3, 0, 5, 1])
SPELLINGS = {
    "mass": ("c_pt", "c_eta", "c_phi", "c_mass"),
    "m": ("c.Pt", "c.Eta", "c.Phi", "c.M"),
    "bare": ("pt", "eta", "phi", "m"),
    "energy": ("part_pt", "part_eta", "part_phi", "part_energy"),
    "E": ("part_PT", "part_Eta", "part_Phi", "part_E"),
    "none": ("jet_c_pt", "jet_c_eta", "jet_c_phi"),
    "cartesian": ("c_px", "c_py", "c_pz", "c_E"),
    "cartesian mass": ("c_px", "c_py", "c_pz", "c_m"),
    "cartesian none": ("c_px", "c_py", "c_pz"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("suffix", ["root", "parquet"])
def test_particles_by_the_endings_of_names(tmp_path: Path, spelling: str, suffix: str) -> None:
    path, names, p = tmp_path / f"jets.{suffix}", SPELLINGS[spelling], particles(COUNTS)
    expected = four(p, mass="none" not in spelling)
    given = expected if "cartesian" in spelling else p
    columns = dict(zip(names[:3], list(given.values())[:3], strict=True))
    if len(names) > 3:
        energy = names[3].lower().endswith("e") or "energy" in names[3]
        columns[names[3]] = expected["E"] if energy else p["mass"]
    stem = names[0][: -len(names[0].replace(".", "_").split("_")[-1])]
    columns[f"{stem}charge"] = p["charge"]
    columns |= {"label": np.array([0, 1, 1, 0]), "weight": np.linspace(1, 2, 4), "nvtx": COUNTS}
    if suffix == "root":
        with uproot.recreate(path) as file:
            arrays = {name: ak.Array(x) for name, x in columns.items()}
            file.mktree("tree", {name: x.type.content for name, x in arrays.items()})
            file["tree"].extend(arrays)
    else:
        ak.to_parquet(ak.zip(columns, depth_limit=1), path)
    rest = "the mass 0" if "none" in spelling else names[-1]
    with pytest.warns(
        UserWarning, match=f"particles are made of {', '.join(names[:3])} and {rest}"
    ):
        found = read(path)
    same(found, expected)
    if stem:
        assert found["constituents", "charge"].tolist() == p["charge"].tolist()
    for name in ("label", "weight", "nvtx"):
        np.testing.assert_array_equal(found[name], columns[name])


def test_of_several_collections_one_is_named(tmp_path: Path) -> None:
    path, p, q = tmp_path / "two.parquet", particles(COUNTS), particles(COUNTS[::-1], 1)
    columns = {f"a_{name}": x for name, x in p.items()} | {f"b_{name}": x for name, x in q.items()}
    ak.to_parquet(ak.zip(columns, depth_limit=1), path)
    with pytest.raises(InputError, match=r"several collections \(a, b\).*layout momenta:a"):
        read(path)
    with pytest.warns(UserWarning, match="are made of b_pt, b_eta, b_phi and b_mass"):
        same(read(path, layout="momenta:b"), four(q))
    with pytest.raises(InputError, match="has no particles 'd_pt', 'd_eta', 'd_phi'; it has a, b"):
        read(path, layout="momenta:d")
    own = {f"constituents.{name}": f"a_{part}" for name, part in zip(FOUR, p, strict=False)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read(path, columns=own)  # what the user names is taken, and nothing else
    assert ak.num(found["constituents"]).tolist() == COUNTS.tolist()


def test_padded_particles_of_pt_eta_phi(tmp_path: Path) -> None:
    path, p = tmp_path / "padded.h5", particles(np.array([3, 1, 2]))
    with h5py.File(path, "w") as file:
        for name in ("pt", "eta", "phi"):
            rows = ak.fill_none(ak.pad_none(p[name], 6, axis=1), 0)
            file[f"p_{name}"] = ak.to_numpy(rows)
    with pytest.warns(UserWarning, match="p_pt, p_eta, p_phi and the mass 0"):
        same(read(path), four(p, mass=False))


def events(count: int = 30) -> tuple[dict[str, ak.Array], dict[str, ak.Array]]:
    """Return an event a row: jets as lists, constituents as lists of lists; and these flat."""
    random = np.random.default_rng(1)
    jets = random.integers(0, 4, count)
    p = particles(random.integers(1, 9, jets.sum()), 2)
    muons = random.integers(0, 3, count)
    table = {
        "event": 100 + np.arange(count),
        "jet_pt": ak.unflatten(random.uniform(200, 300, jets.sum()), jets),
        "muon_pt": ak.unflatten(random.uniform(5, 9, muons.sum()), muons),
        **{f"c_{name}": ak.unflatten(p[name], jets) for name in ("pt", "eta", "phi", "charge")},
    }
    return table, p


@pytest.mark.parametrize("suffix", ["root", "parquet"])
@pytest.mark.parametrize("own", [False, True])
def test_jets_of_events(tmp_path: Path, suffix: str, own: bool) -> None:
    path, (table, p) = tmp_path / f"nested.{suffix}", events()
    if suffix == "root":  # as RNTuple, which holds lists of lists
        with uproot.recreate(path) as file:
            file["events"] = table
    else:
        ak.to_parquet(ak.zip(table, depth_limit=1), path, row_group_size=7)
    columns = None
    if own:
        texts = (
            "c_pt * cos(c_phi)",
            "c_pt * sin(c_phi)",
            "c_pt * sinh(c_eta)",
            "c_pt * cosh(c_eta)",
        )
        columns = {f"constituents.{name}": text for name, text in zip(FOUR, texts, strict=True)}
        columns |= {"event": "event", "jet_pt": "jet_pt", "constituents.charge": "c_charge"}
    with pytest.warns(UserWarning, match="rows are events with lists of jets"):
        found = read(path, columns=columns)
    jets = ak.num(table["jet_pt"])
    assert len(found) == ak.sum(jets)
    same(found, four(p, mass=False))
    np.testing.assert_array_equal(found["event"], np.repeat(table["event"], jets))
    np.testing.assert_array_equal(
        found["jet_pt"], ak.flatten(table["jet_pt"]).to_numpy().astype("f4")
    )
    assert found["constituents", "charge"].tolist() == p["charge"].tolist()
    assert "muon_pt" not in found.fields
    with pytest.warns(UserWarning, match="rows are events with lists of jets"):
        parts = list(iterate(path, columns=columns, chunk=4, start=3, stop=20))
    assert ak.sum(jets[3:20]) == sum(map(len, parts))
    assert [e for part in parts for e in part["event"]] == np.repeat(
        table["event"][3:20], jets[3:20]
    ).tolist()


def test_muons_are_no_jets(tmp_path: Path) -> None:
    path, (table, _) = tmp_path / "nested.parquet", events()
    write_columns = {name: ak.Array(x) for name, x in table.items()}
    ak.to_parquet(ak.zip(write_columns, depth_limit=1), path)
    with (
        pytest.warns(UserWarning, match="rows are events"),
        pytest.raises(InputError, match="no column 'muon_pt'"),
    ):
        read(path, columns={"muon": "muon_pt"})


@pytest.mark.parametrize("joint", ["_", "."])
def test_columns_of_several_collections_are_said(tmp_path: Path, joint: str) -> None:
    path, p, q = tmp_path / "two.h5", particles(np.array([4, 4])), particles(np.array([4, 4]), 1)
    tables = {"muons": p, "electrons": q}
    with h5py.File(path, "w") as file:
        for name, table in tables.items():
            if joint == ".":
                rows = np.zeros((2, 4), [(key, "f4") for key in table])
                for key, values in table.items():
                    rows[key] = ak.to_numpy(values)
                file[name] = rows
            else:
                for key, values in table.items():
                    file[f"{name}_{key}"] = ak.to_numpy(values)
    four = ("{} * cos({})", "{} * sin({})", "{} * sinh({})", "{} * cosh({})")
    second = ("phi", "phi", "eta", "eta")
    columns = {
        f"constituents.{name}": text.format(f"muons{joint}pt", f"muons{joint}{other}")
        for name, text, other in zip(FOUR, four, second, strict=True)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(path, columns=columns)
    columns["constituents.charge"] = f"electrons{joint}charge"
    with pytest.warns(UserWarning, match=r"several collections, electrons, muons; they are taken"):
        read(path, columns=columns)
