from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read, write
from colliderkit.sources.files.layouts import JETCLASS_LABELS, DelphesJets
from colliderkit.sources.files.root import RootTable

FOUR = ("px", "py", "pz", "E")
Table = dict[str, ak.Array]


def write_tree(path: Path, tree: str, table: dict) -> None:
    arrays = {name: ak.Array(x) for name, x in table.items()}
    with uproot.recreate(path) as file:
        file.mktree(tree, {name: x.type.content for name, x in arrays.items()}).extend(arrays)


def jetclass_table(n: int = 20) -> Table:
    random = np.random.default_rng(0)
    counts = random.integers(0, 6, n)
    ragged = lambda x: ak.unflatten(x.astype(np.float32), counts)  # noqa: E731
    size = counts.sum()
    px, py, pz = random.normal(0, 50, (3, size))
    table = {
        "part_px": ragged(px),
        "part_py": ragged(py),
        "part_pz": ragged(pz),
        "part_energy": ragged(np.sqrt(px**2 + py**2 + pz**2)),
        "part_charge": ragged(random.integers(-1, 2, size)),
        "part_d0val": ragged(random.normal(0, 1, size)),
        "part_d0err": ragged(random.exponential(1, size)),
        "part_dzval": ragged(random.normal(0, 1, size)),
        "part_dzerr": ragged(random.exponential(1, size)),
        "part_isPhoton": ak.unflatten(random.integers(0, 2, size).astype(np.int32), counts),
        "jet_pt": random.uniform(500, 1000, n).astype(np.float32),
        "jet_eta": random.uniform(-2, 2, n).astype(np.float32),
        "jet_phi": random.uniform(-3, 3, n).astype(np.float32),
        "jet_sdmass": random.uniform(0, 200, n).astype(np.float32),
        "jet_nparticles": counts.astype(np.float32),
        "jet_tau1": random.uniform(0, 1, n).astype(np.float32),
        "aux_genpart_eta": random.uniform(-2, 2, n).astype(np.float32),
    }
    mass = random.uniform(20, 200, n)
    momentum = table["jet_pt"].astype(np.float64) * np.cosh(table["jet_eta"].astype(np.float64))
    table["jet_energy"] = np.hypot(momentum, mass)
    table["true_mass"] = mass
    truth = random.integers(0, 10, n)
    for i, name in enumerate(JETCLASS_LABELS):
        table[f"label_{name}"] = (truth == i).astype(np.float32 if i == 0 else np.int32)
    return table


@pytest.fixture
def jetclass(tmp_path: Path) -> tuple[Path, Table]:
    table = jetclass_table()
    write_tree(tmp_path / "jetclass.root", "tree", table)
    return tmp_path / "jetclass.root", table


def test_jetclass_labels_of_no_class_or_two(tmp_path: Path) -> None:
    table = jetclass_table()
    for name in JETCLASS_LABELS:
        column = np.asarray(table[f"label_{name}"]).copy()
        column[3] = 0
        column[5] = name in ("QCD", "Tbl")
        table[f"label_{name}"] = column
    write_tree(tmp_path / "odd.root", "tree", table)
    label = np.asarray(read(tmp_path / "odd.root").label)
    truth = np.argmax([np.asarray(table[f"label_{name}"]) for name in JETCLASS_LABELS], axis=0)
    truth[[3, 5]] = -1
    np.testing.assert_array_equal(label, truth)


def test_jetclass(jetclass: tuple[Path, Table]) -> None:
    path, table = jetclass
    jets = read(path)
    order = ak.argsort(np.hypot(table["part_px"], table["part_py"]), ascending=False)
    names = {"px": "part_px", "E": "part_energy", "d0": "part_d0val", "z0_error": "part_dzerr"}
    for name, branch in {**names, "is_photon": "part_isPhoton"}.items():
        assert jets.constituents[name].tolist() == table[branch][order].tolist()
    pt = np.hypot(jets.constituents.px, jets.constituents.py)
    assert ak.all(pt[:, 1:] <= pt[:, :-1])
    assert jets.label.tolist() == [
        next(i for i, name in enumerate(JETCLASS_LABELS) if table[f"label_{name}"][j])
        for j in range(len(jets))
    ]
    assert str(jets.label.type.content) == "int64"
    np.testing.assert_allclose(jets.jet_mass, table["true_mass"], rtol=1e-6)
    assert jets.jet_pt.tolist() == table["jet_pt"].tolist()
    assert jets.jet_tau1.tolist() == table["jet_tau1"].tolist()
    assert "jet_tau4" not in jets.fields  # not in this file
    assert jets.event.tolist() == list(range(20))
    assert read(path, layout="jetclass").fields == jets.fields


def test_own_columns_beside_the_layouts(jetclass: tuple[Path, Table]) -> None:
    path, table = jetclass
    jets = read(
        path,
        columns={
            "constituents.log_d0": "log(abs(part_d0val) + 1e-3)",
            "constituents.share": "hypot(part_px, part_py) / jet_pt",
            "label": "label_Tbqq + label_Tbl",
            "weight": "aux_genpart_eta * 0.5",
            "hard": "sum(part_energy > 50)",
            "log_mass": "log(jet_mass)",
        },
        selection="(jet_pt > 600) & (abs(jet_eta) < 1.5) & (count(part_px) > 0)",
    )
    keep = (table["jet_pt"] > 600) & (abs(table["jet_eta"]) < 1.5) & (table["jet_nparticles"] > 0)
    assert 0 < keep.sum() < 20
    assert jets.event.tolist() == np.flatnonzero(keep).tolist()
    order = ak.argsort(np.hypot(table["part_px"], table["part_py"]), ascending=False)
    d0 = table["part_d0val"][order][keep]
    for found, expected in zip(jets.constituents.log_d0, np.log(abs(d0) + 1e-3), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert jets.label.tolist() == (table["label_Tbqq"] + table["label_Tbl"])[keep].tolist()
    np.testing.assert_array_equal(jets.weight, table["aux_genpart_eta"][keep].astype(float) * 0.5)
    np.testing.assert_allclose(jets.log_mass, np.log(table["true_mass"][keep]), rtol=1e-6)
    assert jets.hard.tolist() == ak.sum(table["part_energy"] > 50, axis=1)[keep].tolist()
    share = np.hypot(jets.constituents.px, jets.constituents.py) / jets.jet_pt
    assert ak.all(abs(share - jets.constituents.share) < 1e-6)


def test_longest_keeps_the_leading_constituents(jetclass: tuple[Path, Table]) -> None:
    whole, short = read(jetclass[0]), read(jetclass[0], longest=2)
    assert short.constituents.px.tolist() == whole.constituents.px[:, :2].tolist()
    assert short.constituents.d0.tolist() == whole.constituents.d0[:, :2].tolist()
    assert short.jet_mass.tolist() == whole.jet_mass.tolist()


def test_kinematics_are_those_of_all_constituents_where_the_file_has_none(tmp_path: Path) -> None:
    table = {
        "part_px": [[3.0, 1.0], [], [0.0]],
        "part_py": [[0.0, 2.0], [], [0.0]],
        "part_pz": [[4.0, 0.0], [], [5.0]],
        "part_energy": [[5.0, 5.0], [], [5.0]],
    }
    write_tree(tmp_path / "few.root", "tree", table)
    jets = read(tmp_path / "few.root", longest=1)
    pt = np.hypot(4, 2)
    np.testing.assert_allclose(jets.jet_pt, [pt, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(jets.jet_eta[:2], [np.arcsinh(4 / pt), 0], rtol=1e-6)
    np.testing.assert_allclose(jets.jet_phi, [np.arctan2(2, 4), 0, 0], rtol=1e-6)
    np.testing.assert_allclose(jets.jet_mass, [np.sqrt(100 - 36), 0, 0], rtol=1e-6)
    assert np.isfinite(jets.jet_eta[2])  # along the beam
    assert ak.num(jets.constituents).tolist() == [1, 0, 1]


def nano_table(stem: str = "PFCands", index: str = "pFCandsIdx", jet: str = "FatJet") -> dict:
    # Two events with jets, one without; jet 1 of event 0 has no candidates, one link is dangling.
    map_ = f"{jet}{stem}"
    return {
        "event": np.array([11, 12, 13], dtype=np.uint64),
        "genWeight": np.array([1.0, -2.0, 3.0], dtype=np.float32),
        "HLT_any": np.array([True, False, True]),
        f"{jet}_pt": ak.values_astype(ak.Array([[100.0, 90.0], [], [80.0]]), "float32"),
        f"{jet}_eta": ak.values_astype(ak.Array([[0.5, -1.0], [], [2.0]]), "float32"),
        f"{jet}_phi": ak.values_astype(ak.Array([[1.0, 2.0], [], [3.0]]), "float32"),
        f"{jet}_mass": ak.values_astype(ak.Array([[10.0, 20.0], [], [30.0]]), "float32"),
        f"{jet}_hadronFlavour": ak.Array([[5, 0], [], [4]]),
        f"{stem}_pt": ak.Array([[1.0, 60.0, 40.0], [7.0], [80.0, 3.0]]),
        f"{stem}_eta": ak.Array([[0.0, 0.5, 0.25], [0.0], [2.0, 0.0]]),
        f"{stem}_phi": ak.Array([[0.0, 1.0, -1.0], [0.0], [3.0, 0.0]]),
        f"{stem}_mass": ak.Array([[0.0, 0.14, 0.0], [0.0], [0.5, 0.0]]),
        f"{stem}_pdgId": ak.Array([[22, 211, 130], [22], [13, 22]]),
        f"{stem}_d0": ak.Array([[0.0, 0.25, 0.0], [0.0], [-0.5, 0.0]]),
        f"{map_}_jetIdx": ak.values_astype(ak.Array([[0, 0, 0], [], [0, 0, -1]]), "int32"),
        f"{map_}_{index}": ak.values_astype(ak.Array([[2, 1, 9], [], [1, 0, 0]]), "int32"),
        f"{map_}_btagEtaRel": ak.Array([[0.1, 0.2, 0.3], [], [0.4, 0.5, 0.6]]),
    }


@pytest.mark.parametrize(
    ("stem", "index", "jet"),
    [
        ("PFCands", "pFCandsIdx", "FatJet"),
        ("PFCand", "pfCandIdx", "FatJet"),
        ("PFCands", "candIdx", "Jet"),
    ],
)
def test_nanoaod(tmp_path: Path, stem: str, index: str, jet: str) -> None:
    path = tmp_path / "nano.root"
    write_tree(path, "Events", nano_table(stem, index, jet))
    rel = f"{jet}{stem}_btagEtaRel"
    with pytest.warns(UserWarning, match="1 of its links lead to no object and are left out"):
        jets = read(path, columns={"constituents.eta_rel": rel, "trigger": "HLT_any"})
    assert jets.event.tolist() == [11, 11, 13]
    assert jets.weight.tolist() == [1, 1, 3]
    assert jets.trigger.tolist() == [True, True, True]
    assert jets.jet_pt.tolist() == [100, 90, 80]
    assert jets.hadron_flavour.tolist() == [5, 0, 4]
    assert jets.constituents.pid.tolist() == [[211, 130], [], [13, 22]]
    np.testing.assert_allclose(jets.constituents.px[0], [60 * np.cos(1), 40 * np.cos(-1)], 1e-6)
    np.testing.assert_allclose(jets.constituents.pz[2], [80 * np.sinh(2), 0], 1e-6)
    energy = np.hypot(60 * np.cosh(0.5), 0.14)
    np.testing.assert_allclose(jets.constituents.E[0], [energy, 40 * np.cosh(0.25)], 1e-6)
    assert jets.constituents.d0.tolist() == [[2.5, 0], [], [-5, 0]]  # mm
    np.testing.assert_allclose(ak.flatten(jets.constituents.eta_rel), [0.2, 0.1, 0.5, 0.4], 1e-6)
    assert read(path, start=1).event.tolist() == [13]
    assert [len(part) for part in iterate(path, chunk=1)] == [2, 1]


def test_nanoaod_collections(tmp_path: Path) -> None:
    path = tmp_path / "nano.root"
    table = nano_table() | {
        name: x for name, x in nano_table(jet="Jet").items() if name.startswith("Jet")
    }
    table["Jet_pt"] = table["Jet_pt"] / 2
    write_tree(path, "Events", table)
    assert read(path).jet_pt.tolist() == [100, 90, 80]
    assert read(path, layout="nanoaod:Jet", columns={"jet_pt": "Jet_pt"}).jet_pt.tolist() == [
        50,
        45,
        40,
    ]
    plain = {name: x for name, x in table.items() if "PFCands" not in name}
    write_tree(tmp_path / "plain.root", "Events", plain)
    with pytest.raises(InputError, match=r"plain.root: this NanoAOD has no particle-flow"):
        read(tmp_path / "plain.root")


def delphes_table() -> dict:
    ragged = lambda *x: ak.values_astype(ak.Array(list(x)), "float32")  # noqa: E731
    return {
        "Event.Number": ak.Array([[4], [5]]),
        "Event.Weight": ragged([0.5], [1.5]),
        "FatJet.PT": ragged([50.0, 30.0], [20.0]),
        "FatJet.Eta": ragged([0.0, 1.0], [-1.0]),
        "FatJet.Phi": ragged([3.1, 0.0], [0.0]),
        "FatJet.Mass": ragged([5.0, -1e-6], [2.0]),
        "FatJet.Flavor": ak.Array([[5, 21], [1]]),
        # The second lies across the cut at phi = pi; the last was lost by the detector.
        "EFlowTrack.PT": ragged([30.0, 10.0, 0.0], [20.0]),
        "EFlowTrack.Eta": ragged([0.25, 0.0, 999.9], [-1.0]),
        "EFlowTrack.Phi": ragged([3.0, -3.1, 0.0], [0.0]),
        "EFlowTrack.Mass": ragged([0.14, 0.0, 0.14], [0.0]),
        "EFlowTrack.Charge": ak.Array([[1, -1, 1], [1]]),
        "EFlowTrack.PID": ak.Array([[211, -11, 211], [13]]),
        "EFlowTrack.D0": ragged([0.25, 0.0, 0.0], [1.0]),
        "EFlowPhoton.ET": ragged([12.0], []),
        "EFlowPhoton.Eta": ragged([1.5], []),
        "EFlowPhoton.Phi": ragged([0.5], []),
        "EFlowPhoton.E": ragged([13.0], []),
        "EFlowNeutralHadron.ET": ragged([], [5.0]),
        "EFlowNeutralHadron.Eta": ragged([], [3.0]),
        "EFlowNeutralHadron.Phi": ragged([], [0.0]),
        "EFlowNeutralHadron.E": ragged([], [50.0]),
    }


def test_delphes_without_references_takes_what_is_near(tmp_path: Path) -> None:
    path = tmp_path / "delphes.root"
    write_tree(path, "Delphes", delphes_table())
    with pytest.warns(UserWarning, match=r"does not hold the constituents .* within 0.8 of a jet"):
        jets = read(path)
    assert jets.event.tolist() == [4, 4, 5]
    assert jets.weight.tolist() == [0.5, 0.5, 1.5]
    assert jets.flavour.tolist() == [5, 21, 1]
    assert jets.jet_pt.tolist() == [50, 30, 20]
    assert jets.jet_mass[1] == 0
    assert jets.constituents.pid.tolist() == [[211, -11], [22], [13]]
    assert jets.constituents.charge.tolist() == [[1, -1], [0], [1]]
    assert jets.constituents.d0.tolist() == [[0.25, 0], [0], [1]]
    momentum = 30 * np.cosh(0.25)
    np.testing.assert_allclose(jets.constituents.E[0, 0], np.hypot(momentum, 0.14), 1e-6)
    np.testing.assert_allclose(jets.constituents.px[0, 0], 30 * np.cos(3.0), 1e-6)
    np.testing.assert_allclose(jets.constituents.pz[1, 0], 12 * np.sinh(1.5), 1e-6)
    assert jets.constituents.E[1, 0] == 13


def test_delphes_follows_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # uproot writes no TRefArray: the references are given as uproot reads them from Delphes.
    path = tmp_path / "delphes.root"
    process = 1 << 24
    table = delphes_table() | {
        "EFlowTrack.fUniqueID": ak.Array([[process + 1, process + 2, 0], [process + 1]]),
        "EFlowPhoton.fUniqueID": ak.Array([[process + 3], []]),
        "EFlowNeutralHadron.fUniqueID": ak.Array([[], [process + 2]]),
        "FatJet.Constituents": ak.Array([[0, 0], [0]]),
    }
    write_tree(path, "Delphes", table)
    refs = ak.Array([[{"refs": [2, 77]}, {"refs": [1, 3]}], [{"refs": [2]}]])
    original = RootTable.awkward

    def patched(self: RootTable, names: list[str], start: int, stop: int) -> dict:
        found = original(self, names, start, stop)
        return {k: refs[start:stop] if k.endswith("Constituents") else x for k, x in found.items()}

    monkeypatch.setattr(RootTable, "awkward", patched)
    jets = read(path)
    # An unknown reference (77) is dropped; identifiers are looked up in the jet's own event.
    assert jets.constituents.pid.tolist() == [[-11], [211, 22], [130]]
    assert read(path, start=1).constituents.pid.tolist() == [[130]]
    # Objects that nothing refers to have no identifier, and are not taken for another's.
    ids = {
        "EFlowTrack.fUniqueID": ak.Array([[0, process + 2, 0], [0]]),
        "EFlowPhoton.fUniqueID": ak.Array([[0], []]),
    }
    write_tree(path, "Delphes", table | ids)
    assert read(path).constituents.pid.tolist() == [[-11], [], [130]]
    # Two of one identifier: what is near is taken in that event, and references in the other.
    ids = {"EFlowTrack.fUniqueID": ak.Array([[process + 2, process + 2, 0], [process + 1]])}
    write_tree(path, "Delphes", table | ids)
    said = r"of one identifier in 1 events, the first 0 \(counted .* within 0.8 of a jet's axis"
    with pytest.warns(UserWarning, match=said):
        jets = read(path)
    assert jets.constituents.pid.tolist() == [[211, -11], [22], [130]]
    # An event of which no reference leads anywhere.
    ids["EFlowTrack.fUniqueID"] = ak.Array([[process + 9, process + 8, 0], [process + 1]])
    ids["EFlowPhoton.fUniqueID"] = ak.Array([[process + 7], []])
    write_tree(path, "Delphes", table | ids)
    with pytest.warns(
        UserWarning, match="refers to no energy-flow objects .* in 1 events, the fir"
    ):
        assert read(path).constituents.pid.tolist() == [[211, -11], [22], [130]]


def test_delphes_radius_and_missing_branches(tmp_path: Path) -> None:
    path = tmp_path / "delphes.root"
    table = delphes_table()
    table |= {f"ParticleFlowJet15{k[6:]}": x for k, x in table.items() if k.startswith("FatJet.")}
    write_tree(path, "Delphes", table)
    source = RootTable(path)
    assert DelphesJets(source).radius == 0.8
    assert DelphesJets(source, "ParticleFlowJet15").radius == 1.5
    wide = read(path, layout="delphes:ParticleFlowJet15")
    assert ak.num(wide.constituents).tolist() == [2, 1, 1]
    with pytest.raises(InputError, match=r"no column 'GenJet.PT'; did you mean .*FatJet.PT"):
        read(path, layout="delphes:GenJet")
    bare = {name: x for name, x in table.items() if not name.startswith("EFlow")}
    write_tree(tmp_path / "bare.root", "Delphes", bare)
    with pytest.raises(InputError, match=r"bare.root: this Delphes file keeps no energy-flow"):
        read(tmp_path / "bare.root")


def test_several_files(jetclass: tuple[Path, Table], tmp_path: Path) -> None:
    path, table = jetclass
    other = tmp_path / "jetclass2.root"
    write_tree(other, "tree", {name: x[:7] for name, x in table.items()})
    both = read([path, other])
    assert both.event.tolist() == list(range(27))  # numbered on
    assert both.jet_pt[20:].tolist() == table["jet_pt"][:7].tolist()
    assert read(str(tmp_path / "jetclass*.root")).event.tolist() == list(range(27))
    assert read([path, other], start=18, stop=22).event.tolist() == [18, 19, 20, 21]
    assert [len(part) for part in iterate([path, other], chunk=15)] == [15, 5, 7]
    with pytest.raises(InputError, match=r"nothing\*.root: no file matches"):
        read(tmp_path / "nothing*.root")
    with pytest.raises(InputError, match="no files are given"):
        read([])


def test_different_schemas_name_both_files(jetclass: tuple[Path, Table], tmp_path: Path) -> None:
    path, table = jetclass
    other = tmp_path / "other.root"
    write_tree(
        other, "tree", {k: x for k, x in table.items() if k not in ("part_d0err", "jet_tau1")}
    )
    message = (
        r"jetclass.root and others: not all files have the columns constituents.d0_error, jet_tau1"
    )
    with pytest.warns(UserWarning, match=message):
        jets = read([path, other])
    whole = read(path)
    assert set(whole.fields) - set(jets.fields) == {"jet_tau1"}
    assert set(whole.constituents.fields) - set(jets.constituents.fields) == {"d0_error"}
    assert jets.constituents.px.tolist() == whole.constituents.px.tolist() * 2
    # What the user names is in every file, or an error.
    with pytest.raises(InputError, match=r"other.root: no column 'jet_tau1'"):
        read([path, other], columns=["jet_tau1"])
    assert len(read([path, other], columns=["label"])) == 40
    write(tmp_path / "own.parquet", read(path, columns=["label"]))
    with pytest.raises(InputError, match=r"jetclass.root and .*own.parquet differ"):
        read([path, tmp_path / "own.parquet"], columns=["label"])


def test_nan_and_infinity_are_named_with_their_row(
    jetclass: tuple[Path, Table], tmp_path: Path
) -> None:
    _, table = jetclass
    filled = np.flatnonzero(ak.num(table["part_px"]) > 1)
    bad = int(filled[3])
    wrong = np.asarray(ak.flatten(table["part_d0val"])).copy()
    wrong[ak.sum(ak.num(table["part_px"])[:bad]) + 1] = np.inf
    columns = {"part_d0val": ak.unflatten(wrong, ak.num(table["part_px"]))}
    nan = table["jet_sdmass"].copy()
    nan[17] = np.nan
    for name, rows, column in (
        ("particle.root", columns, f"'d0' is NaN or infinite in event {bad} "),
        ("jet.root", {"jet_sdmass": nan}, "'jet_sdmass' is NaN or infinite in event 17 "),
    ):
        path = tmp_path / name
        write_tree(path, "tree", table | rows)
        message = rf"{name}: column {column}\(counted from 0\)"
        with pytest.raises(InputError, match=message):
            read(path)
        with pytest.raises(InputError, match=message):
            list(iterate(path, chunk=3))
        with pytest.raises(InputError, match=message):
            read(path, start=2)
    assert len(read(tmp_path / "jet.root", selection="jet_sdmass > -1")) == 19
    weight = {"weight": "log(part_px)"}
    with pytest.raises(InputError, match="gives a number a particle where one a jet is due"):
        read(tmp_path / "jet.root", columns=weight)
    with pytest.raises(InputError, match=r"'label' is 0.5 in event 0"):
        read(tmp_path / "particle.root", columns={"label": "0.5", "constituents.d0": "part_px"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "jetklass"}, "unknown layout 'jetklass'; known are colliderkit, top-tagging"),
        ({"layout": "top-tagging"}, "is not of the layout 'top-tagging'; its columns are"),
        ({"layout": "delphes"}, "no column 'Jet.PT'"),
        ({"selection": "jet_ptt > 5"}, "no column 'jet_ptt' for 'selection'; did you mean jet_pt"),
        ({"selection": "part_px > 5"}, "'selection' (part_px > 5) gives a number a particle"),
        ({"selection": "jet_pt > 1e9"}, "holds no jets; check the selection"),
        ({"selection": "jet_pt.max()"}, "the call 'jet_pt.max' is not allowed"),
        ({"columns": {"weight": "exec(1)"}}, "the call of 'exec' is not allowed"),
        ({"columns": {"constituents.px": "jet_pt"}}, "gives a number a jet, not a particle"),
        ({"columns": ["labell"]}, "no column 'labell'; did you mean label"),
        ({"tree": "jet"}, "no tree 'jet'; its trees are: tree"),
        ({"start": -1}, "rows count from 0"),
        ({"start": 5, "stop": 4}, "stop is not before start"),
        ({"longest": 0}, "at least 1 constituent"),
    ],
)
def test_mistakes_are_one_sentence(
    jetclass: tuple[Path, Table], options: dict, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(jetclass[0], **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_no_layout(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["x"], file["y"] = np.ones((2, 3)), np.ones(2)
    with pytest.raises(InputError, match=r"own.h5: its columns fit no known layout .*'columns'"):
        read(tmp_path / "own.h5")
    with pytest.raises(InputError, match=r"own.pdf: unknown extension '.pdf'; known are .root"):
        read(tmp_path / "own.pdf")
    with pytest.raises(InputError, match=r"the layout 'nanoaod' is one of ROOT files"):
        read(tmp_path / "own.h5", layout="nanoaod")
    with pytest.raises(InputError, match="chunk is 0; it must be at least 1"):
        next(iterate(tmp_path / "own.h5", chunk=0))
    write_tree(
        tmp_path / "mixed.root",
        "tree",
        {"a": [[1.0], [2.0, 1.0]], "b": [[1.0, 2.0], [3.0]]},
    )
    four = {f"constituents.{name}": "a" for name in FOUR}
    with pytest.raises(InputError, match=r"column 'constituents.d' has other numbers of particles"):
        read(tmp_path / "mixed.root", columns={**four, "constituents.d": "b"})


def test_a_missing_column_of_a_named_layout(tmp_path: Path) -> None:
    table = jetclass_table()
    del table["part_energy"]
    write_tree(tmp_path / "few.root", "tree", table)
    with pytest.raises(InputError, match=r"no column 'part_energy', which the layout 'jetclass' n"):
        read(tmp_path / "few.root", layout="jetclass")
