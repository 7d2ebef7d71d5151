"""Published tables of searches for anomalies: every number by its name, in GeV."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.errors import InputError
from colliderkit.sources import read, read_table
from colliderkit.sources.files.inspection import inspect_file
from colliderkit.sources.files.rows import read_rows

N = 40
FEATURES = "mj_min, dm, tau21_1, tau21_2"

pytestmark = pytest.mark.filterwarnings("ignore:.*(read as|computed|labels are)")


def six(scale: float = 1.0, label: bool = True) -> np.ndarray:
    """Return (N, 6) as the public preprocessing writes: TeV with `scale` 1."""
    random = np.random.default_rng(3)
    mass, light = random.uniform(2.2, 6, N), random.uniform(0.02, 0.3, N)
    columns = [scale * x for x in (mass, light, random.uniform(0, 0.5, N))]
    columns += [random.uniform(0.1, 0.9, N) for _ in range(2)] + [np.arange(N) % 2] * label
    return np.column_stack(columns)


@pytest.mark.parametrize(("scale", "said"), [(1.0, "TeV, given in GeV"), (1000.0, r"\[GeV\]")])
@pytest.mark.parametrize("label", [True, False])
def test_six_columns_of_public_preprocessing(
    tmp_path: Path, scale: float, said: str, label: bool
) -> None:
    values, path = six(scale, label), tmp_path / "innerdata_train.npy"
    np.save(path, values)
    with pytest.warns(UserWarning, match=f"are read as mjj, mj_min, dm .*{said}"):
        rows = read_rows(path, ["mjj", *FEATURES.split(", ")], optional=["label"])
    expected = values[:, :5] * (np.array([1000.0] * 3 + [1.0] * 2) if scale == 1 else 1.0)
    np.testing.assert_allclose(rows.table(["mjj", *FEATURES.split(", ")]), expected)
    assert ("label" in rows.columns) == label
    if label:
        np.testing.assert_array_equal(rows.numbers("label"), np.arange(N) % 2)
    # The array's own columns are still there, and a selection is in GeV.
    above = read_rows(path, ["array_0"], selection="mjj > 3000")
    assert len(above) == (expected[:, 0] > 3000).sum()
    seen = inspect_file(path)
    assert seen.units["mjj"] == "GeV (the file says so)"
    assert seen.kind == "table"


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v[:, :4],
        lambda v: np.abs(v) * [1, 1, 1, 9, 1, 1],
        lambda v: v - np.array([9, 0, 0, 0, 0, 0]),
        lambda v: v + np.array([0, 0, 0, 0, 0, 0.5]),
        lambda v: np.round(1000 * v).astype(np.int64),
    ],
)
def test_other_arrays_are_not_renamed(tmp_path: Path, change, recwarn) -> None:
    np.save(tmp_path / "other.npy", change(six()))
    with pytest.raises(InputError, match="no column 'mjj'"):
        read_rows(tmp_path / "other.npy", ["mjj"])
    assert not [w for w in recwarn if "read as" in str(w.message)]


def test_high_level_features(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    own = [
        f"{name}j{i}" for i in (1, 2) for name in ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
    ]
    values = {name: random.uniform(0.1, 1, N) for name in own}
    values["tau1j1"][3] = values["tau2j1"][3] = 0.0
    for name in own:
        if "tau" not in name:
            values[name] *= 1000 if name.startswith("p") else 100
        if name.startswith("p") and name.endswith("j2"):
            values[name] *= -1
    label = np.arange(N) % 2
    with h5py.File(tmp_path / "features.h5", "w") as file:
        group = file.create_group("df")
        group["axis0"], group["axis1"] = np.array([*own, "label"], "S"), np.arange(N)
        group["block0_items"] = group["axis0"]
        group["block0_values"] = np.column_stack([*values.values(), label])
    with pytest.warns(UserWarning, match="high-level features, in GeV; mjj, mj_min, dm"):
        table = read_table(tmp_path / "features.h5", f"mjj, {FEATURES}, label, mj1")
    momentum = [np.stack([values[f"{x}j{i}"] for i in (1, 2)]) for x in ("px", "py", "pz")]
    mass = np.stack([values["mj1"], values["mj2"]])
    energy = np.sqrt(sum(p**2 for p in momentum) + mass**2).sum(0)
    mjj = np.sqrt(energy**2 - sum(p.sum(0) ** 2 for p in momentum))
    tau = np.stack([values[f"tau2j{i}"] / (1e-5 + values[f"tau1j{i}"]) for i in (1, 2)])
    light = mass.argmin(0)
    each = np.arange(N)
    expected = [mjj, mass.min(0), np.ptp(mass, axis=0), tau[light, each], tau[1 - light, each]]
    np.testing.assert_allclose(table.values, np.column_stack([*expected, label, values["mj1"]]))


def test_black_box_with_its_key(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    values = np.zeros((N, 18), np.float32)
    values[:, ::3] = -np.sort(-random.exponential(100, (N, 6)), axis=1)
    values[:, 1::3], values[:, 2::3] = random.normal(size=(N, 6)), random.uniform(-3, 3, (N, 6))
    values[::2, 15:] = 0
    path, key = tmp_path / "events_BlackBox1.h5", tmp_path / "events_BlackBox1.masterkey"
    with h5py.File(path, "w") as file:
        group = file.create_group("df")
        group["axis0"], group["axis1"] = np.arange(18), np.arange(N)
        group["block0_items"], group["block0_values"] = np.arange(18), values
    with pytest.warns(UserWarning, match="read as pt, eta, phi"):
        assert "label" not in read(path).fields
    key.write_text("\n".join(f"{i % 2:.1f}" for i in range(N)) + "\n")
    with pytest.warns(UserWarning, match="labels are those of events_BlackBox1.masterkey"):
        jets = read(path)
    assert jets.label.to_list() == [i % 2 for i in range(N)]
    assert inspect_file(path).layout == "lhc-olympics"
    key.write_text("0\n1\n")
    with pytest.raises(InputError, match=f"masterkey: should be {N} lines of 0 or 1"):
        read(path)
    key.write_text("signal\n")
    with pytest.raises(InputError, match="masterkey: is no list of labels"):
        read(path)


def challenge() -> np.ndarray:
    """Return (N, 19, 4) as the anomaly detection challenge 2021 has it."""
    random = np.random.default_rng(2)
    values = np.zeros((N, 19, 4))
    kinds = np.array([1] + [2] * 4 + [3] * 4 + [4] * 10)
    filled = random.random((N, 19)) < 0.4
    filled[:, 0] = True
    values[..., 0] = random.exponential(40, (N, 19)) * filled
    values[..., 1] = random.normal(size=(N, 19)) * filled
    values[..., 2] = random.uniform(-3, 3, (N, 19)) * filled
    values[..., 3] = kinds * filled
    values[:, 0, 1] = 0
    return values


def test_objects_of_the_trigger_challenge(tmp_path: Path) -> None:
    values, path = challenge(), tmp_path / "background_for_training.h5"
    with h5py.File(path, "w") as file:
        file["Particles"] = values
        file["Particles_Names"] = np.array(["Pt", "Eta", "Phi", "Class"], "S")
        file["EvtId"] = np.arange(N) + 7
    with pytest.warns(UserWarning, match="its 19 objects are read as met, e1-e4, mu1-mu4, j1-j10"):
        rows = read_rows(path, ["met_pt", "e1_pt", "mu4_eta", "j10_phi", "sum(objects.pt)"])
    np.testing.assert_array_equal(
        rows.table(list(rows.columns))[:, :4],
        values[:, [0, 1, 8, 18], [0, 0, 1, 2]],
    )
    np.testing.assert_allclose(rows.columns["sum(objects.pt)"], values[..., 0].sum(1))
    events = read(path)
    assert events.event.to_list() == list(range(7, N + 7))
    counts = (values[..., 0] > 0).sum(1)
    assert [len(event) for event in events.constituents.px] == counts.tolist()
    hardest = values[np.arange(N), values[..., 0].argmax(1)]
    np.testing.assert_array_equal(np.asarray(events.constituents.kind[:, 0]), hardest[:, 3])
    assert inspect_file(path).layout == "adc-2021"


LINES = """1;ttbar;0.5;51000.0;-1.5;j,200000.0,100000.0,0.5,1.0;m+,30000.0,2.5e4,-1.0,2.0
2;ttbar;0.25;1e4;3.1;b,150000,90000,1.5,-3.0;g,60000,50000,0.1,0.2;e-,40000,30000,0.3,-0.4;
3;ttbar;0.5;20000;0.0
4;2;1;30000;1;j,20000,20000,0,-1;j,15000,15000,0,1
"""


def test_lines_of_dark_machines(tmp_path: Path) -> None:
    path = tmp_path / "background_chan1.csv"
    path.write_text(LINES)
    rows = read_rows(
        path, ["event", "weight", "met", "met_phi", "n_jets", "n_bjets", "n_electrons", "n_muons",
               "n_photons", "ht", "max(objects.E)"], selection="event != 3"
    )  # fmt: skip
    expected = [
        [1, 0.5, 51, -1.5, 1, 0, 0, 1, 0, 125, 200],
        [2, 0.25, 10, 3.1, 0, 1, 1, 0, 1, 170, 150],
        [4, 1, 30, 1, 2, 0, 0, 0, 0, 35, 20],
    ]
    np.testing.assert_allclose(np.column_stack(list(rows.columns.values())), expected)
    events = read(path)
    assert events.constituents.pid.to_list() == [[1, -13], [5, 22, 11], [], [1, 1]]
    np.testing.assert_allclose(events.constituents.E[1], [150, 60, 40])
    assert events.met.to_list() == [51, 10, 20, 30]
    np.testing.assert_allclose(events.weight, [0.5, 0.25, 0.5, 1])
    seen = inspect_file(path)
    assert (seen.rows, seen.layout, seen.units["met"]) == (
        4,
        "dark-machines",
        "GeV (the file says so)",
    )


def test_dark_machines_in_blocks(tmp_path: Path, monkeypatch) -> None:
    """The same numbers wherever a block ends, and a part of the rows."""
    path = tmp_path / "events.csv"
    path.write_text((LINES * 5).replace("\n3;", "\n\n3;").rstrip("\n"))
    whole = read_rows(path, ["met", "ht", "n_jets"])
    assert len(whole) == 20
    for block in (100, 333, 1000):
        monkeypatch.setattr("colliderkit.sources.files.dark_machines.BLOCK", block)
        again = read_rows(path, ["met", "ht", "n_jets"])
        for name, values in whole.columns.items():
            np.testing.assert_array_equal(again.columns[name], values)
        assert len(read_rows(path, ["met"], stop=7)) == 7


@pytest.mark.parametrize(
    "line",
    [
        "5;x;1;100;0;j,1,2,3",
        "5;x;1;100;0;q,1,2,3,4",
        "5;x;one;100;0",
        "5;x;1;100",
        "5;x;1;1;0;j,1,2,3,-.-",
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, capsys, line: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(LINES + line + "\n" + LINES)
    with pytest.raises(InputError, match=r"event 4 \(counted from 0\) is no line of Dark"):
        read_rows(path, ["met"])
    assert main(["inspect", str(path)]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_csv_of_names_stays_a_table(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a;b;c\n1;2;3\n")
    assert read_rows(tmp_path / "table.csv", ["a", "c"]).table(["a", "c"]).tolist() == [[1, 3]]
