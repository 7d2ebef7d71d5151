"""`colliderkit inspect`: what is in a file of each kind, and the command to go on with."""

import shlex
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from colliderkit.cli import main
from colliderkit.sources import write
from colliderkit.sources.files.inspection import inspect_file
from samples import make_jets

N = 60


def said(capsys, *argv: object) -> tuple[int, str, str]:
    code = main(["inspect", *map(str, argv)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def following(printed: str) -> list[str]:
    return [line.strip() for line in printed.partition("next:\n")[2].strip().splitlines()]


@pytest.mark.parametrize("suffix", ["parquet", "root"])
def test_jets_with_labels(tmp_path: Path, capsys, suffix: str) -> None:
    path = tmp_path / f"jets.{suffix}"
    jets = make_jets(N)
    write(path, jets)
    code, printed, error = said(capsys, path)
    assert (code, error) == (0, "")
    assert f"{path}\n{suffix}, {path.stat().st_size:,} bytes" in printed
    assert f"{N} rows" in printed
    assert "layout colliderkit" in printed
    mean = float(ak.mean(ak.num(jets.constituents.px)))
    assert f"of the first {N} events: {mean:.4g} particles each, 0 without any" in printed
    ones = int(ak.sum(jets.label))
    assert f"labels: 0: {N - ones}, 1: {ones}" in printed
    assert f"{jets.jet_mass[0]:.6g}" in printed
    assert following(printed) == [
        f"colliderkit fit tagging --files {path} --selection 'event % 5 != 0' --out tagger"
    ]


def test_the_command_works(tmp_path: Path, capsys) -> None:
    write(tmp_path / "jets.parquet", make_jets(200))
    _, printed, _ = said(capsys, tmp_path / "jets.parquet")
    command = shlex.split(following(printed)[0])[1:]
    command[-1] = str(tmp_path / "tagger")
    quick = ["--network", "linear", "--training.epochs", "1", "--training.devices", "1"]
    assert main([*command, *quick]) == 0


def test_a_table_with_a_label_and_a_weight(tmp_path: Path, capsys) -> None:
    random = np.random.default_rng(1)
    table = {name: random.normal(size=N) for name in ("mass", "pt")}
    table |= {"is_signal": np.arange(N) % 2, "weight": np.ones(N), "y": random.normal(size=N)}
    with uproot.recreate(tmp_path / "flat.root") as file:
        file["events"] = table
    np.savez(tmp_path / "flat.npz", **table)
    lines = [",".join(map(str, row)) for row in zip(*table.values(), strict=True)]
    (tmp_path / "flat.csv").write_text("\n".join([",".join(table), *lines]) + "\n")
    write(tmp_path / "flat.parquet", table)
    for suffix in ("root", "npz", "csv", "parquet"):
        path = tmp_path / f"flat.{suffix}"
        code, printed, _ = said(capsys, path)
        assert code == 0
        assert "label: is_signal\nweight: weight" in printed
        assert f"{table['mass'][0]:.6g}" in printed
        assert following(printed) == [
            f"colliderkit fit tagging --files {path} --label is_signal --features mass,pt,y"
            " --network mlp --out tagger"
        ]
    del table["is_signal"]
    write(tmp_path / "plain.parquet", table)
    assert following(said(capsys, tmp_path / "plain.parquet")[1]) == [
        f"colliderkit fit ratio --numerator {tmp_path / 'plain.parquet'} --denominator OTHER"
        " --columns mass,pt,y --out ratio"
    ]


def test_published_hdf5(tmp_path: Path, capsys) -> None:
    random = np.random.default_rng(1)
    jets = np.zeros(N, [("pt", "f4"), ("eta", "f4"), ("phi", "f4"), ("mass", "f4")])
    jets["pt"], jets["mass"] = 5e4, 5e3
    tracks = np.zeros((N, 5), [(x, "f4") for x in ("pt", "deta", "dphi")] + [("valid", "?")])
    tracks["pt"], tracks["valid"] = 1e4, np.arange(5) < random.integers(0, 6, N)[:, None]
    with h5py.File(tmp_path / "ftag.h5", "w") as file:
        file["jets"], file["tracks"] = jets, tracks
        file["eventwise"] = np.zeros(500, [("mu", "f4")])
    code, printed, error = said(capsys, tmp_path / "ftag.h5")
    assert (code, error) == (0, "")
    assert "tracks: (60, 5) records, 4 fields" in printed
    assert "layout flavour-tagging" in printed
    assert "MeV (by its size)" in printed
    assert "note: energies are taken as MeV, as is the custom of flavour-tagging files" in printed
    assert f"{tracks['valid'].sum() / N:.4g} particles each" in printed
    assert "jet_pt from 50 to 50 GeV" in printed
    with h5py.File(tmp_path / "showers.h5", "w") as file:
        file["incident_energies"], file["showers"] = np.ones((N, 1)), np.ones((N, 368))
    code, printed, _ = said(capsys, tmp_path / "showers.h5")
    assert code == 0
    assert following(printed) == [
        f"colliderkit fit showers --files {tmp_path / 'showers.h5'} --geometry GEOMETRY"
        " --out surrogate"
    ]


def test_files_of_several_tables_are_listed(tmp_path: Path, capsys) -> None:
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["electrons/pt"], file["muons/pt"] = np.ones(4), np.ones(9)
    code, printed, _ = said(capsys, tmp_path / "two.h5")
    assert code == 0
    assert "electrons/pt: (4,) float64" in printed
    assert "no table is chosen: its data sets are of several lengths" in printed
    assert following(printed) == [f"colliderkit inspect {tmp_path / 'two.h5'} --tree electrons/pt"]
    code, printed, _ = said(capsys, tmp_path / "two.h5", "--tree", "muons")
    assert code == 0
    assert "9 rows" in printed
    with uproot.recreate(tmp_path / "two.root") as file:
        file.mktree("nominal", {"x": np.float64})
        file["nominal"].extend({"x": np.ones(7)})
        file.mktree("up", {"x": np.float64})
        file["up"].extend({"x": np.ones(8)})
    code, printed, _ = said(capsys, tmp_path / "two.root")
    assert code == 0
    assert "nominal;1: 7 entries" in printed
    assert following(printed) == [f"colliderkit inspect {tmp_path / 'two.root'} --tree nominal"]


def test_other_files_are_compared_with_the_first(tmp_path: Path, capsys) -> None:
    write(tmp_path / "a.parquet", {"m": np.ones(3), "pt": np.ones(3)})
    write(tmp_path / "b.parquet", {"m": np.arange(5), "w": np.ones(5)})
    code, printed, _ = said(capsys, tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert code == 0
    assert f"{tmp_path / 'b.parquet'}: 5 rows; lacks pt; also has w; other types of m" in printed


def test_errors_are_those_of_the_readers(tmp_path: Path, capsys) -> None:
    (tmp_path / "text.root").write_text("no tree")
    for path, sentence in (
        (tmp_path / "none.root", "no such file"),
        (tmp_path / "text.root", "cannot be read as ROOT, it is not of this format"),
        (tmp_path / "notes.pdf", "no such file"),
    ):
        code, _, error = said(capsys, path)
        assert code == 2
        assert error.startswith(f"colliderkit: {path}: {sentence}")
        assert error.count("\n") == 1
    (tmp_path / "notes.pdf").write_text("x")
    assert "unknown extension '.pdf'" in said(capsys, tmp_path / "notes.pdf")[2]
    write(tmp_path / "a.parquet", {"m": np.ones(3)})
    assert said(capsys, tmp_path / "a.parquet", "--most", 0)[::2] == (
        2,
        "colliderkit: --most is 0; it must be at least 1 and at most 100000.\n",
    )
    code, _, error = said(capsys, tmp_path / "a.parquet", "--layout", "nano")
    assert code == 2
    assert "unknown layout 'nano'" in error


def test_one_broken_column_does_not_hide_the_others(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["m"] = np.arange(4.0)
        file.create_dataset("lost", (4,), "f4")
        file["name"] = ["a"] * 4
    seen = inspect_file(tmp_path / "x.h5")
    assert seen.first == {"m": 0.0}
    assert seen.columns["name"].level is None
    assert [text for text in seen.said if "'/lost' was made but never written" in text]


def test_only_the_first_rows_are_read(tmp_path: Path, monkeypatch) -> None:
    from colliderkit.sources.files.hdf5 import Hdf5Table

    stops: list[int] = []
    chunks = Hdf5Table.chunks

    def counted(self, names, start, stop, size):
        stops.append(stop)
        return chunks(self, names, start, stop, size)

    monkeypatch.setattr(Hdf5Table, "chunks", counted)
    with h5py.File(tmp_path / "long.h5", "w") as file:
        file["m"] = np.zeros(100_000)
    assert inspect_file(tmp_path / "long.h5").rows == 100_000
    assert max(stops) <= 500


def test_a_table_of_pairs_of_jets_leads_to_a_search(tmp_path: Path, capsys) -> None:
    random = np.random.default_rng(1)
    names = ("mjj", "mj1", "mj2", "tau21_1", "tau21_2")
    columns = {name: random.random(N) for name in names}
    for label, option in (({}, ""), ({"label": np.arange(N) % 2}, " --label label")):
        write(tmp_path / "pairs.parquet", {**columns, **label}, force=True)
        _, printed, _ = said(capsys, tmp_path / "pairs.parquet")
        assert following(printed) == [
            f"colliderkit fit anomaly --data {tmp_path / 'pairs.parquet'} --resonant mjj --features"
            f" mj1,mj2-mj1,tau21_1,tau21_2 --signal-region 3300,3700{option} --out search"
        ]
