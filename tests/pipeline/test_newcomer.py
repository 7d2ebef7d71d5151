"""A newcomer's path: a ROOT file, and five commands, each named by the one before."""

import shlex

import awkward as ak
import numpy as np
import pytest
import uproot

from colliderkit.cli import main

N = 600
QUICK = ["--training.epochs", "2", "--training.batch_size", "50", "--training.devices", "1"]


def write_flat(path):
    """Write ten numbers an event, two of which know the class, its label and its number."""
    random = np.random.default_rng(1)
    label = np.arange(N) % 2
    table = {f"x{i}": random.normal(size=N) + label * (i < 2) for i in range(10)}
    with uproot.recreate(path) as file:
        file["events"] = {**table, "isSignal": label, "eventNumber": random.permutation(N)}


def write_jets(path):
    """Write jets of particles with pt, eta and phi; those of the signal are wider."""
    random = np.random.default_rng(2)
    label, count = np.arange(N) % 2, random.integers(5, 12, N)
    width = np.repeat(0.1 + 0.2 * label, count)
    total = int(count.sum())
    columns = {
        "part_pt": random.exponential(40, total) + 5,
        "part_eta": random.normal(0.3, width),
        "part_phi": random.normal(-1, width),
    }
    arrays = {name: ak.unflatten(values, count) for name, values in columns.items()}
    with uproot.recreate(path) as file:
        file.mktree("tree", {**{name: "var * float64" for name in arrays},
                             "isSignal": "int32", "eventNumber": "int64"})  # fmt: skip
        file["tree"].extend({**arrays, "isSignal": label.astype(np.int32),
                             "eventNumber": random.permutation(N)})  # fmt: skip


@pytest.mark.parametrize("write", [write_flat, write_jets])
def test_each_command_names_the_next(write, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("mine.root")
    command = "colliderkit inspect mine.root"
    verbs = []
    while command and len(verbs) < 6:
        words = shlex.split(command)[1:]
        verbs.append(words[0])
        # What a user has to fill in: files that the export looks at.
        words = ["mine.root" if word == "EVENTS" else word for word in words]
        assert main([*words, *(QUICK if words[0] == "fit" else [])]) == 0
        printed = capsys.readouterr().out
        after = printed.partition("next:")[2].strip().splitlines()
        command = after[0].strip() if after else ""
    assert verbs == ["inspect", "fit", "evaluate", "report", "export"]
    assert "AUC" in (tmp_path / "tagger-test" / "results.json").read_text()
    assert (tmp_path / "tagger-test" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "tagger-export.onnx").exists()
