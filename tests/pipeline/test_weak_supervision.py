"""Events in, report out: mixed samples without labels through the command line, and their truth."""

import json

import awkward as ak
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.methods.method import load
from colliderkit.metrics.roc import roc
from colliderkit.sources import write
from colliderkit.sources.toys.mixtures import GaussianClasses

TOY = GaussianClasses(2)
FRACTIONS = {"dijets": 0.3, "Z+jet": 0.8}
COUNT = 4_000
# A cut that half of the signal passes, in x0 + x1, whose mean is sqrt(2) for signal.
EXACT = "x0 + x1"
CUT = 2**0.5


def run(*words) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two mixed samples and two pure ones; fit, evaluated and applied."""
    out = tmp_path_factory.mktemp("weak")
    samples = {**FRACTIONS, "gluon": 0.0, "quark": 1.0}
    for seed, (name, fraction) in enumerate(samples.items()):
        events = TOY.sample([COUNT], [fraction], seed)
        write(out / f"{name}.root", {column: np.asarray(events[column]) for column in TOY.columns})
    run(
        *("fit", "weak-supervision", "--samples", files(out, "root"), "--features", "x0,x1"),
        *("--network", "boosted-trees", "--options", "{max_leaf_nodes: 6, max_iter: 40}"),
        *("--out", out / "tagger"),
    )
    run(
        *("evaluate", out / "tagger", "--signal", out / "quark.root"),
        *("--background", out / "gluon.root", "--out", out / "test"),
    )
    for name in samples:
        scored = out / f"{name}.parquet"
        run("apply", out / "tagger", out / f"{name}.root", "--out", scored)
    return out


def files(folder, kind):
    return "{" + ", ".join(f"{name}: {folder / f'{name}.{kind}'}" for name in FRACTIONS) + "}"


def test_the_tagger_is_nearly_the_best_one(folder):
    events = ak.from_parquet(folder / "test" / "events.parquet")
    found = float(roc(events.score, events.label).auc)
    # What 8,000 events teach trees, measured on 4,000 of each class.
    assert TOY.auc - 0.04 < found < TOY.auc + 0.02
    run("report", folder / "test", "--classes", "gluon,quark")
    page = (folder / "test" / "report.html").read_text()
    assert "without labels" in page
    assert "is a probability" not in page  # it is none, and nobody asks


def test_efficiencies_in_data_are_those_of_the_classes(folder, tmp_path):
    run(
        *("fit", "working-points", "--samples", files(folder, "parquet"), "--score", EXACT),
        *("--fractions", json.dumps(FRACTIONS), "--cuts", f"[{CUT}]"),
        *("--signal", folder / "quark.parquet", "--background", folder / "gluon.parquet"),
        *("--out", tmp_path / "points"),
    )
    background, signal = load(tmp_path / "points").efficiency()
    assert abs(signal.value - 0.5) < 4.5 * signal.error
    assert abs(background.value - float(TOY.background_efficiency(0.5))) < 4.5 * background.error
    # The simulation is of the same classes: nothing is to be corrected.
    for factor in load(tmp_path / "points").scale_factor():
        assert abs(factor.value - 1) < 4.5 * factor.error
    run("report", tmp_path / "points")
    assert "scale factor" in (tmp_path / "points" / "report.html").read_text()


def test_fractions_come_from_the_spectra_alone(folder, tmp_path):
    run(
        *("fit", "topics", "--samples", files(folder, "parquet"), "--observable", EXACT),
        *("--out", tmp_path / "topics"),
    )
    found = load(tmp_path / "topics").fractions
    for value, true in zip(found, FRACTIONS.values(), strict=True):
        assert value.error < 0.1
        assert abs(value.value - true) < 4.5 * value.error
    run("report", tmp_path / "topics")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["weak-supervision", "--features", "x0"], "there is 1 mixed sample|two are needed"),
        (
            ["working-points", "--score", "x0", "--fractions", "{dijets: 0.5}"],
            "two mixed samples are needed",
        ),
        (["topics", "--observable", "x0"], "topics part two mixtures"),
    ],
)
def test_one_mixture_is_refused(words, sentence, folder, tmp_path, capsys):
    given = ["--samples", f"{{dijets: {folder / 'dijets.root'}}}", "--out", tmp_path / "out"]
    if words[0] == "weak-supervision":
        given += ["--network", "mlp"]
    assert main([str(word) for word in ("fit", *words, *given)]) == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert any(part in printed for part in sentence.split("|")), printed


@pytest.mark.parametrize(
    ("fractions", "sentence"),
    [
        ("{dijets: 0.5, Z+jet: 0.5}", "equal fractions"),
        ("{dijets: 0.5, Z+jet: 1.5}", "at most 1"),
        ("{dijets: 0.5, photon: 0.8}", "give a fraction for each sample"),
    ],
)
def test_impossible_fractions_are_refused(fractions, sentence, folder, tmp_path, capsys):
    given = ["--samples", files(folder, "parquet"), "--fractions", fractions]
    proportions = ["--method", "label-proportions", "--network", "mlp", "--features", "x0"]
    for words in (["working-points"], ["weak-supervision", *proportions]):
        argv = ["fit", *words, *given, "--out", tmp_path / "out"]
        assert main([str(word) for word in argv]) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
