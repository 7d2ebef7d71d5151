"""A background from two scores, from files to a page: given scores, learned ones, and blind."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.methods.method import load
from colliderkit.report.results import read_results
from colliderkit.sources import write
from colliderkit.sources.toys.abcd import AbcdToy

TOY = AbcdToy()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for seed, (name, background, signal) in enumerate(
        (("qcd", 4_000, 0), ("top", 0, 1_000), ("data", 4_000, 200))
    ):
        x, _ = TOY.sample(background, signal, seed)
        scores = dict(zip(("tau32", "mass"), (x @ TOY.pair()).T, strict=True))
        write(tmp_path / f"{name}.root", dict(zip("abc", x.T, strict=True)) | scores)
    return tmp_path


def simulation(files: Path) -> list[str]:
    return [f"--background={files / 'qcd.root'}", f"--signal={files / 'top.root'}"]


def test_given_scores_from_files_to_a_page(files: Path, capsys) -> None:
    out, test = files / "run", files / "test"
    scores = ["--x", "tau32", "--y", "mass", "--weight", "{signal: 0.2}"]
    assert main(["fit", "abcd", *simulation(files), *scores, "--out", str(out)]) == 0
    # The weight of a sample is none of the data's.
    assert (
        f"next: colliderkit evaluate {out} --data DATA --out {out}-test" in capsys.readouterr().out
    )
    evaluate = ["evaluate", str(out), "--data", str(files / "data.root")]
    assert main([*evaluate, "--out", str(test)]) == 0
    rows = {row.quantity: row.estimate for row in read_results(test / "results.json")}
    assert rows["signal strength"].value == pytest.approx(1, abs=5 * rows["signal strength"].error)
    assert main(["report", str(out), str(test)]) == 0
    page = (test / "report.html").read_text()
    assert "A background from two scores" in page
    assert "There is an excess" in page
    # Blind: nothing that is written tells of region A.
    hidden = files / "blind"
    assert main([*evaluate, "--blind", "--out", str(hidden)]) == 0
    quantities = {row.quantity for row in read_results(hidden / "results.json")}
    assert not quantities & {"observed", "significance", "signal strength"}
    events = ak.from_parquet(hidden / "events.parquet")
    plane = np.column_stack([np.asarray(events[name]) for name in ("score_x", "score_y")])
    assert not (plane >= load(out).cuts_).all(1).any()
    assert main(["report", str(hidden)]) == 0
    assert "There is an excess" not in (hidden / "report.html").read_text()


def test_learned_scores_are_applied(files: Path) -> None:
    out, applied = files / "learned", files / "regions.parquet"
    options = ["--method", "abcdiscotec", "--columns", "a,b,c", "--training.epochs", "3"]
    words = [*simulation(files), *options, "--training.batch_size", "512", "--least", "0.0005"]
    assert main(["fit", "abcd", *words, "--out", str(out)]) == 0
    assert main(["apply", str(out), str(files / "data.root"), "--out", str(applied)]) == 0
    events = ak.from_parquet(applied)
    assert set(np.unique(events["region"])) <= {0, 1, 2, 3}
    assert {"score_x", "score_y", "a"} <= set(events.fields)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--x", "tau32"], "takes two scores, x and y"),
        (["--method", "abcdiscotec", "--x", "tau32"], "abcdiscotec learns them"),
        (["--method", "abcdiscotec"], "columns is missing"),
        (["--x", "tau32", "--y", "mass", "--weight", "{bkg: 1}"], "names the sample 'bkg'"),
    ],
)
def test_what_is_missing_is_said(files: Path, words, sentence, capsys) -> None:
    assert main(["fit", "abcd", *simulation(files), *words, "--out", str(files / "run")]) == 2
    assert sentence in capsys.readouterr().err
