"""A decorrelated tagger on the command line."""

import json
from pathlib import Path

import pytest

from colliderkit.cli import main
from colliderkit.sources import write
from samples import make_jets


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("jets")
    jets = make_jets(600)
    for label, name in enumerate(("background", "signal")):
        write(folder / f"{name}.parquet", jets[jets["label"] == label])
    files = [f"--{name}={folder / name}.parquet" for name in ("signal", "background")]
    return ["fit", "decorrelated-tagging", *files, "--training.epochs", "1"]


def test_fit_and_evaluate(command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert main([*command, "--at_most", "0.05", "--out", str(out)]) == 0
    description = json.loads((out / "method.json").read_text())
    assert description["method"] == "decorrelated-tagging"
    assert description["parameters"]["at_most"] == 0.05
    files = command[2:4]
    assert main(["evaluate", str(out), *files, "--out", str(tmp_path / "test")]) == 0


@pytest.mark.parametrize("wrong", [[], ["--strength", "1", "--protect", "[mass]"]])
def test_what_is_missing_is_said(
    command: list[str], wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *wrong, "--out", str(tmp_path / "run")]) == 2
    assert ("needs one of" if not wrong else "no such column") in capsys.readouterr().err
