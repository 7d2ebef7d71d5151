"""A summary for a measurement: fitted with nuisances from YAML, exported as a workspace."""

import json
from pathlib import Path

import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.sources import write

COUNT = 4000
YIELDS = {"signal": 50.0, "background": 1000.0}
NUISANCES = (
    "[{name: energy, transform: shift, column: m, width: 0.3},"
    " {name: rate, transform: yield, nominal: 1000, width: 100}]"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("summary")
    random = np.random.default_rng(0)
    for name, mean in (("signal", 1.0), ("background", 0.0)):
        table = {"m": random.normal(mean, 0.5, COUNT), "e": random.exponential(1, COUNT)}
        write(folder / f"{name}.parquet", {**table, "w": np.full(COUNT, YIELDS[name] / COUNT)})
    return folder


def options(files: Path) -> list[object]:
    pairs = [(f"--{name}", files / f"{name}.parquet") for name in YIELDS]
    return [x for pair in pairs for x in pair] + ["--weight", "w"]


def fit(files: Path, out: Path, *more: object) -> int:
    quick = ("--training.epochs", 2, "--training.batch_size", 1000, "--bins", 4)
    argv = ("fit", "inference", *options(files), "--columns", "m,log(e)", "--out", out)
    return main([str(a) for a in (*argv, *quick, "--training.devices", 1, *more)])


def test_a_workspace_holds_yields_and_nuisances(files: Path) -> None:
    assert fit(files, files / "run", "--nuisances", NUISANCES) == 0
    out = files / "workspace.json"
    argv = ("export", files / "run", *options(files), "--luminosity", 0.02, "--out", out)
    assert main([str(a) for a in argv]) == 0
    spec = json.loads(out.read_text())
    (channel,) = spec["channels"]
    samples = {sample["name"]: sample for sample in channel["samples"]}
    for name, total in YIELDS.items():
        assert sum(samples[name]["data"]) == pytest.approx(total)
    kinds = {m["name"]: m["type"] for m in samples["background"]["modifiers"]}
    assert kinds["rate"] == "normsys"
    assert kinds["energy"] == "histosys"
    assert kinds["lumi"] == "lumi"
    pyhf = pytest.importorskip("pyhf")
    assert pyhf.Workspace(spec).model().config.poi_name == "mu"


@pytest.mark.parametrize(
    ("nuisances", "sentence"),
    [
        ("[{name: a, transform: shift, column: x, width: 1}]", "column 'x' is none of m, log(e)"),
        ("[{name: a, transform: os.system, width: 1}]", "no transformation is called 'os.system'"),
        ("[{name: a, column: m, width: 1}]", "name a transform"),
        ("[{name: a, transform: shift, column: m}]", "is free and needs a step"),
        ("[{name: a, transform: shift, column: m, widht: 1}]", "widht"),
    ],
)
def test_nuisances_that_cannot_be(files, tmp_path, capsys, nuisances, sentence) -> None:
    assert fit(files, tmp_path / "o", "--nuisances", nuisances) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
