"""A decorrelated tagger on the command line."""

import json
from pathlib import Path

import pytest

from colliderkit.cli import main
from colliderkit.methods.decorrelation.objectives import Adversary, DisCo, MoDe, Planing
from colliderkit.methods.method import load
from colliderkit.sources import write
from samples import make_jets


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("jets")
    jets = make_jets(600)
    for label, name in enumerate(("background", "signal")):
        write(folder / f"{name}.parquet", jets[jets["label"] == label])
    files = [f"--{name}={folder / name}.parquet" for name in ("signal", "background")]
    return ["fit", "tagging", *files, "--network", "mlp", "--training.epochs", "1"]


def test_fit_and_evaluate(command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    objective = ["--objective", "DisCo", "--objective.at_most", "0.05"]
    assert main([*command, *objective, "--out", str(out)]) == 0
    description = json.loads((out / "method.json").read_text())
    assert description["method"] == "tagging"
    assert description["parameters"]["objective"]["at_most"] == 0.05
    # The configuration repeats the run.
    again = tmp_path / "again"
    assert main(["fit", "tagging", "--config", str(out / "config.yaml"), "--out", str(again)]) == 0
    first, second = (load(folder) for folder in (out, again))
    assert first.objective == second.objective == DisCo(at_most=0.05)
    files = command[2:4]
    assert main(["evaluate", str(out), *files, "--out", str(tmp_path / "test")]) == 0


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--objective", "DisCo"], "DisCo needs one of strength and at_most"),
        (["--objective.strength", "1", "--objective.protect", "[mass]"], "no column 'mass'"),
    ],
)
def test_what_is_missing_is_said(
    command: list[str],
    wrong: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*command, *wrong, "--out", str(tmp_path / "run")]) == 2
    assert sentence in capsys.readouterr().err


def test_every_objective_is_reached(command: list[str], tmp_path: Path) -> None:
    for options, objective in (
        (
            ["MoDe", "--objective.strength", "3", "--objective.order", "2"],
            MoDe(strength=3, order=2),
        ),
        (["Planing", "--objective.bins", "5"], Planing(bins=5)),
        (
            ["Adversary", "--objective.strength", "1", "--objective.hidden", "[8]"],
            Adversary(strength=1, hidden=(8,)),
        ),
    ):
        out = tmp_path / options[0]
        assert main([*command, "--objective", *options, "--out", str(out)]) == 0
        assert load(out).objective == objective
