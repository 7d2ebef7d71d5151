"""The command line: what a user types, what they read, and what is left on the disk."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from colliderkit.cli import VERBS, main
from colliderkit.sources import read, write
from samples import make_jets


def said(capsys, *argv: object) -> tuple[int, str]:
    """Run the command line; return the exit code and the error it printed, which is one line."""
    try:
        code = main([str(a) for a in argv])
    except SystemExit as stop:
        code = int(stop.code or 0)
    error = capsys.readouterr().err.strip()
    assert "Traceback" not in error
    return code, error


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Signal and background in three formats, and test files."""
    folder = tmp_path_factory.mktemp("files")
    jets = make_jets(800)
    label = np.asarray(jets["label"])
    for name, part in (("signal", jets[label == 1]), ("background", jets[label == 0])):
        plain = part[[f for f in part.fields if f != "label"]]
        write(folder / f"{name}.parquet", plain)
        write(folder / f"{name}.root", plain)
    return folder


QUICK = ("--training.epochs", 2, "--training.batch_size", 64, "--training.devices", 1)


@pytest.fixture(scope="module")
def model(files: Path) -> Path:
    out = files / "model"
    argv = ["fit", "tagging", "--signal", files / "signal.root", "--background"]
    code = main([str(a) for a in (*argv, files / "background.root", "--out", out, *QUICK)])
    assert code == 0
    return out


def test_help_lists_every_verb(capsys) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for verb in VERBS:
        assert f"  {verb} " in printed


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from colliderkit.cli import main; main(['--help']);"
        "print(sorted({'torch','awkward','numpy','lightning','sklearn','jsonargparse'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys) -> None:
    code, _ = said(capsys, verb, "--help")
    assert code == 0


def test_a_name_with_control_characters_is_one_line(capsys):
    assert main(["apply", "a\n\x1b[2Jb", "--files", "x", "--out", "y"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("colliderkit: a\\n\\x1b[2Jb: ")
    assert said.count("\n") == 1


def test_unknown_verb_method_and_study(capsys) -> None:
    assert said(capsys, "tag") == (
        2,
        f"colliderkit: 'tag' is no verb; choose from {', '.join(VERBS)}.",
    )
    code, error = said(capsys, "fit", "higgs")
    assert code == 2
    assert error.startswith("colliderkit: no task is called 'higgs'; choose one of tagging, ")
    code, error = said(capsys, "study", "higgs", "--scale", "smoke")
    assert code == 2
    assert (
        "no study is called 'higgs'; choose one of top-tagging, quark-gluon, flavour-tagging"
        in error
    )


def test_fit_keeps_its_configuration(model: Path) -> None:
    names = {path.name for path in model.iterdir()}
    assert names == {"method.json", "weights.safetensors", "config.yaml", "account.json"}
    assert not model.with_name("model.training").exists()
    assert "epochs: 2" in (model / "config.yaml").read_text()


def test_a_configuration_repeats_the_run(model: Path, files: Path, capsys) -> None:
    again = files / "again"
    code, error = said(capsys, "fit", "tagging", "--config", model / "config.yaml", "--out", again)
    assert (code, error) == (0, "")
    first, second = (p / "weights.safetensors" for p in (model, again))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("suffix", ["parquet", "root"])
def test_apply_writes_scores_beside_the_columns(model, files, tmp_path, suffix, capsys) -> None:
    out = tmp_path / f"scored.{suffix}"
    source = files / f"signal.{suffix}"
    code, error = said(capsys, "apply", model, "--files", source, "--out", out)
    assert (code, error) == (0, "")
    scored, original = read(out), read(source)
    assert set(original.fields) < set(scored.fields)
    np.testing.assert_array_equal(scored["event"], original["event"])
    np.testing.assert_allclose(scored["jet_pt"], original["jet_pt"])
    score = np.asarray(scored["score"])
    assert ((score >= 0) & (score <= 1)).all()


def test_evaluate_then_report(model: Path, files: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "evaluation"
    data = ("--signal", files / "signal.root", "--background", files / "background.root")
    assert said(capsys, "evaluate", model, *data, "--out", out) == (0, "")
    code, error = said(capsys, "evaluate", model, *data, "--out", out)
    assert code == 2
    assert "exists already; choose another output or give --force" in error
    assert said(capsys, "report", model, out) == (0, "")
    page = (out / "report.html").read_text()
    assert "AUC" in page
    assert "data:image/svg+xml" in page
    # One model of the user's own: nothing is published, and no curve is the first of several.
    assert "The tagger tells the classes apart: " in page
    body = page.partition("<body>")[2].partition('id="made"')[0]
    for words in ("ublished", "first curve", "first seed", "largest AUC", str(model.parent)):
        assert words not in body, words
    own = ("--title", "Our taus", "--note", "Run 3, eps_B.", "--classes", "jet,tau", "--force")
    assert said(capsys, "report", model, out, *own) == (0, "")
    page = (out / "report.html").read_text()
    assert "<h1>Our taus</h1>" in page
    assert "Run 3, εB." in page
    assert "tau" in page
    code, error = said(capsys, "report", model, out, "--classes", "jet", "--force")
    assert code == 2
    assert "--classes has 1 names" in error


def test_export_agrees_with_apply(model: Path, files: Path, tmp_path: Path, capsys) -> None:
    import onnxruntime
    import torch

    from colliderkit.events.ragged import Ragged
    from colliderkit.methods.method import load

    out = tmp_path / "tagger.onnx"
    signal = files / "signal.parquet"
    assert said(capsys, "export", model, "--files", signal, "--out", out) == (0, "")
    jets = read(signal)[:40]
    values, _ = Ragged.from_awkward(jets.constituents, ("px", "py", "pz", "E")).padded(
        torch.arange(40)
    )
    found = onnxruntime.InferenceSession(out).run(None, {"constituents": values.numpy()})[0]
    np.testing.assert_allclose(found, load(model).predict_proba(jets), atol=1e-4)


# Bad input: (what the user gives, what the sentence must hold).


def fit(capsys, files: Path, out: Path, *more: object, **replace: object) -> tuple[int, str]:
    data = {
        "signal": files / "signal.parquet",
        "background": files / "background.parquet",
    } | replace
    given = [x for name, value in data.items() for x in (f"--{name}", value)]
    code, error = said(capsys, "fit", "tagging", *given, "--out", out, *QUICK, *more)
    if code:
        assert not out.exists()
    return code, error


def test_missing_file(capsys, files: Path, tmp_path: Path) -> None:
    code, error = fit(capsys, files, tmp_path / "o", signal=tmp_path / "no.root")
    assert code == 2
    assert f"{tmp_path / 'no.root'}: no such file" in error


def test_the_folder_of_a_study_has_its_page(capsys, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    (tmp_path / "results.json").write_text("{}")
    code, error = said(capsys, "report", tmp_path)
    assert code == 2
    assert error.endswith(f"its report is there, open {tmp_path / 'report.html'}.")


def test_truncated_and_empty_files(capsys, files: Path, tmp_path: Path) -> None:
    for name in ("signal.root", "signal.parquet"):
        for size in (0, 2000):
            broken = tmp_path / f"{size}-{name}"
            broken.write_bytes((files / name).read_bytes()[:size])
            code, error = fit(capsys, files, tmp_path / "o", signal=broken)
            assert code == 2
            assert str(broken) in error
            assert "\n" not in error


def test_expressions_are_not_run(capsys, files: Path, tmp_path: Path) -> None:
    for selection, word in (
        ("__import__('os').system('touch hacked')", "__import__"),
        ("jet_ptt > 3", "jet_ptt"),
        ("open(jet_pt)", "open"),
    ):
        code, error = fit(capsys, files, tmp_path / "o", "--selection", selection)
        assert code == 2
        assert word in error
    assert not Path("hacked").exists()


def test_no_events_left(capsys, files: Path, tmp_path: Path) -> None:
    code, error = fit(capsys, files, tmp_path / "o", "--selection", "jet_pt > 1e6")
    assert code == 2
    assert "holds no jets" in error


def test_nan_names_file_column_and_event(capsys, files: Path, tmp_path: Path) -> None:
    jets = read(files / "signal.parquet")
    px = np.asarray(ak.flatten(jets.constituents.px)).copy()
    px[int(ak.num(jets.constituents)[0]) + 1] = np.nan
    constituents = ak.with_field(
        jets.constituents, ak.unflatten(px, ak.num(jets.constituents)), "px"
    )
    write(tmp_path / "nan.parquet", ak.with_field(jets, constituents, "constituents"))
    code, error = fit(capsys, files, tmp_path / "o", signal=tmp_path / "nan.parquet")
    assert code == 2
    assert "nan.parquet" in error
    assert "px" in error
    assert "1" in error.split("nan.parquet", 1)[1]


def test_weights_that_cannot_be(capsys, files: Path, tmp_path: Path) -> None:
    code, error = fit(capsys, files, tmp_path / "o", "--columns", '{"weight": "jet_pt * 0"}')
    assert code == 2
    assert "'weight' is zero in every event" in error
    negative = '{"weight": "jet_pt * 0 - 1"}'
    code, error = fit(capsys, files, tmp_path / "o", "--columns", negative)
    assert code == 2
    assert "sum to" in error


def test_one_class_only(capsys, files: Path, tmp_path: Path) -> None:
    code, error = said(
        capsys, "fit", "tagging", "--signal", files / "signal.root", "--out", tmp_path / "o"
    )
    assert (code, error) == (
        2,
        "colliderkit: --signal and background name files together, or files those of each class, or"
        " files those that hold all with label.",
    )


def test_different_schemas(capsys, files: Path, tmp_path: Path) -> None:
    jets = read(files / "signal.parquet")
    fewer = jets.constituents[["px", "py", "pz", "E"]]
    write(tmp_path / "fewer.parquet", ak.with_field(jets, fewer, "constituents"))
    code, error = fit(capsys, files, tmp_path / "o", signal=tmp_path / "fewer.parquet")
    assert code == 2
    assert "fewer.parquet differ in the constituent columns charge" in error


def test_existing_output_is_kept(capsys, files: Path, model: Path) -> None:
    before = (model / "method.json").read_bytes()
    argv = ("fit", "tagging", "--config", model / "config.yaml", "--out", model)
    code, error = said(capsys, *argv)
    assert code == 2
    assert "exists already" in error
    assert (model / "method.json").read_bytes() == before


def test_an_interrupted_training_is_not_dropped(capsys, files: Path, tmp_path: Path) -> None:
    (tmp_path / "o.training").mkdir()
    code, error = fit(capsys, files, tmp_path / "o")
    assert code == 2
    assert "an interrupted training; give --resume to go on or --force to drop it" in error
    assert fit(capsys, files, tmp_path / "o", "--resume") == (0, "")


def test_tampered_model(capsys, files: Path, model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    copy.mkdir()
    for file in model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    content = bytearray((copy / "weights.safetensors").read_bytes())
    content[-3] ^= 4
    (copy / "weights.safetensors").write_bytes(content)
    out = tmp_path / "scores.parquet"
    code, error = said(capsys, "apply", copy, "--files", files / "signal.root", "--out", out)
    assert code == 2
    assert "its checksum differs" in error
    assert not out.exists()


def test_full_disk_leaves_nothing(files: Path, model: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: writing stops half-way."""
    out = tmp_path / "scores.parquet"
    argv = [sys.executable, "-m", "colliderkit.cli", "apply", model]
    done = subprocess.run(
        [*argv, "--files", files / "signal.parquet", "--out", out],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"{out}: the disk is full; free some space, nothing was written." in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_are_explained(capsys, files: Path, tmp_path: Path) -> None:
    code, error = fit(capsys, files, tmp_path / "o", "--training.epochs", 0)
    assert code == 2
    assert "epochs is 0" in error
    code, error = fit(capsys, files, tmp_path / "o", "--training.speed", 3)
    assert code == 2
    assert "speed" in error
