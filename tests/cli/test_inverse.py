"""Ratios and unfolding: a user's mistake is one sentence, and nothing half-written is left."""

from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.serve.unfolded_events import read_unfolded
from colliderkit.sources import read, write
from colliderkit.sources.files.rows import read_rows
from samples import make_jets

COUNT = 400
QUICK = ("--training.epochs", 1, "--training.devices", 1)


def said(capsys, *argv: object) -> tuple[int, str]:
    """Run the command line; return the exit code and the error that it printed."""
    code = main([str(a) for a in argv])
    error = capsys.readouterr().err.strip()
    assert "Traceback" not in error
    return code, error


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    theta = random.uniform(-1, 1, COUNT)
    numerator = {
        "m": random.normal(theta, 1),
        "pt": random.exponential(50, COUNT),
        "mu": theta,
        "minus": -np.ones(COUNT),
        "cancel": np.tile([1.0, -1.0], COUNT // 2),
    }
    write(folder / "numerator.parquet", numerator)
    write(folder / "denominator.root", {**numerator, "m": random.normal(0, 1.5, COUNT)})
    write(folder / "far.parquet", {**numerator, "m": random.normal(500, 1, COUNT)})
    gap = random.normal(0, 1, COUNT)
    gap[7] = np.nan
    write(folder / "nan.parquet", {**numerator, "m": gap})
    truth = random.normal(0, 1, COUNT)
    simulation = {
        "m": truth + random.normal(0, 0.5, COUNT),
        "m_true": truth,
        "seen": np.arange(COUNT) % 10 > 0,
        "true": np.arange(COUNT) % 8 > 4,
        "minus": -np.ones(COUNT),
    }
    write(folder / "simulation.parquet", simulation)
    write(folder / "data.root", {"m": random.normal(0.2, 1, COUNT)})
    write(folder / "few.root", {"m": random.normal(0.2, 1, COUNT // 2)})
    write(folder / "many.root", {"m": random.normal(0.2, 1, 2 * COUNT)})
    simulation["m"] = simulation["m"].copy()
    simulation["m"][13] = np.nan
    write(folder / "nan-simulation.parquet", simulation)
    with h5py.File(folder / "lengths.h5", "w") as file:
        file["m_true"], file["m"] = truth, truth[:-3]
        file["w"] = np.ones(COUNT)
    return folder


def ratio(capsys, files: Path, out: Path, *more: object, **replace: object) -> tuple[int, str]:
    data: dict[str, object] = {
        "numerator": files / "numerator.parquet",
        "denominator": files / "denominator.root",
        "columns": "m,pt",
    }
    given = [x for name, value in (data | replace).items() for x in (f"--{name}", value)]
    code, error = said(capsys, "fit", "ratio", *given, "--out", out, *QUICK, *more)
    assert out.exists() == (code == 0)
    assert not out.with_name(out.name + ".training").exists()
    return code, error


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"numerator": "far.parquet"}, "the samples do not overlap in m: where the numerator is"),
        ({"numerator": "nan.parquet"}, "nan.parquet: column 'm' is nan in event 7 (counted"),
        ({"columns": "m,ptt"}, "no column 'ptt'; did you mean pt?"),
        ({"columns": "m,log(mas)"}, "no column 'mas' for 'log(mas)'"),
        ({"columns": "m,__import__('os')"}, "__import__"),
        ({"columns": "m,,pt"}, "names an empty column"),
        ({"weight": "minus"}, "numerator: the weights sum to -400; their sum must be positive"),
        (
            {"weight": "{denominator: cancel}"},
            "denominator: the weights sum to 0; their sum must be positive",
        ),
        ({"weight": "{nature: pt}"}, "--weight names the sample 'nature'; there are numerator"),
        ({"numerator": "none.root"}, "none.root: no such file"),
        ({"network": "pfn"}, "network 'pfn' takes particles, whose columns are expressions by"),
        ({"network": "fpn"}, "fpn"),
        ({"layout": "toptagging"}, "is of jets, and a table is read from"),
        ({"selection": "pt > 1e9"}, "holds no events; check the selection"),
    ],
)
def test_a_ratio_that_cannot_be_fitted(capsys, files, tmp_path, options, sentence) -> None:
    named = ("numerator", "denominator")
    chosen = {k: files / v if k in named else v for k, v in options.items()}
    code, error = ratio(capsys, files, tmp_path / "o", **chosen)
    assert code == 2
    assert sentence in error
    assert "\n" not in error


@pytest.fixture(scope="module")
def fitted(files: Path) -> Path:
    out = files / "ratio"
    argv = ["fit", "ratio", "--numerator", files / "numerator.parquet", "--parameters", "mu"]
    argv += ["--denominator", files / "denominator.root", "--columns", "m", "--out", out]
    assert main([str(a) for a in (*argv, *QUICK)]) == 0
    return out


def test_theta_is_a_number_or_a_column(capsys, files: Path, fitted: Path, tmp_path: Path) -> None:
    source = files / "denominator.root"
    for name, theta in (("number", "0.5"), ("column", "0.5 + 0 * mu")):
        out = tmp_path / f"{name}.parquet"
        argv = ("apply", fitted, "--files", source, "--theta", theta, "--out", out)
        assert said(capsys, *argv) == (0, "")
    one, other = (
        read_rows(tmp_path / f"{name}.parquet", ["ratio"]).columns["ratio"]
        for name in ("number", "column")
    )
    np.testing.assert_array_equal(one, other)


def test_theta_that_cannot_be(capsys, files: Path, fitted: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.parquet"
    for theta, sentence in (
        (["--theta", "3"], "mu = 3 is outside the trained range -0.9"),
        ([], "--theta has 0 values for the parameters of this ratio: mu."),
        (["--theta", "0,1"], "--theta has 2 values for the parameters of this ratio: mu."),
    ):
        argv = ("apply", fitted, "--files", files / "denominator.root", *theta, "--out", out)
        code, error = said(capsys, *argv)
        assert code == 2
        assert sentence in error
        assert not out.exists()


def test_outputs_that_exist_are_kept(capsys, files: Path, fitted: Path, tmp_path: Path) -> None:
    before = (fitted / "method.json").read_bytes()
    source = files / "denominator.root"
    (tmp_path / "o.onnx").write_text("mine")
    for argv in (
        ("fit", "ratio", "--config", fitted / "config.yaml"),
        ("apply", fitted, "--files", source, "--out", tmp_path / "o.onnx"),
        ("export", fitted, "--files", source, "--out", tmp_path / "o.onnx"),
    ):
        code, error = said(capsys, *argv)
        assert code == 2
        assert "exists already; choose another output or give --force" in error
    assert (fitted / "method.json").read_bytes() == before
    assert (tmp_path / "o.onnx").read_text() == "mine"


def test_options_are_those_of_the_model(capsys, files: Path, fitted: Path) -> None:
    code, error = said(capsys, "evaluate", fitted, "--signal", "a", "--out", files / "o")
    assert code == 2
    assert "signal" in error
    code, error = said(capsys, "evaluate", files / "none", "--out", files / "o")
    assert (code, "holds no method.json; give a folder written by fit" in error) == (2, True)


def test_a_gap_is_a_warning(capsys, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    x1, x0 = random.uniform(0, 1, 2000), random.uniform(0, 0.5, 2000)
    write(tmp_path / "one.parquet", {"x": x1})
    write(tmp_path / "two.parquet", {"x": x0})
    data = ("--numerator", tmp_path / "one.parquet", "--denominator", tmp_path / "two.parquet")
    code, error = said(
        capsys, "fit", "ratio", *data, "--columns", "x", "--out", tmp_path / "o", *QUICK
    )
    assert code == 0
    assert error.startswith("colliderkit: warning: the denominator has no events at x in [0.")


@pytest.mark.slow
def test_a_ratio_of_jets_by_a_network(capsys, tmp_path: Path) -> None:
    import onnxruntime
    import torch

    from colliderkit.events.ragged import Ragged
    from colliderkit.methods.method import load

    jets = make_jets(300)
    label = np.asarray(jets["label"])
    for name, part in (("one", jets[label == 1]), ("two", jets[label == 0])):
        write(tmp_path / f"{name}.root", part)
    data = ("--numerator", tmp_path / "one.root", "--denominator", tmp_path / "two.root")
    out = tmp_path / "run"
    argv = ("fit", "ratio", *data, "--network", "pfn", "--members", 2, "--weight", "{numerator: 2}")
    assert said(capsys, *argv, "--out", out, *QUICK) == (0, "")
    weighted = tmp_path / "weighted.root"
    source = tmp_path / "two.root"
    assert said(capsys, "apply", out, "--files", source, "--out", weighted) == (0, "")
    found, original = read(weighted, columns={"ratio": "ratio"}), read(source)
    method = load(out)
    np.testing.assert_allclose(found["ratio"], method.weights(original), rtol=1e-6)
    assert {"constituents", "jet_pt", "event", "label"} < set(found.fields)
    onnx = tmp_path / "ratio.onnx"
    assert said(capsys, "export", out, "--files", source, "--out", onnx) == (0, "")
    values, _ = Ragged.from_awkward(original.constituents, ("px", "py", "pz", "E")).padded(
        torch.arange(20)
    )
    (ln_r,) = onnxruntime.InferenceSession(onnx).run(None, {"constituents": values.numpy()})
    np.testing.assert_allclose(ln_r, method.log_ratio(original[:20]), atol=1e-4)
    evaluation = tmp_path / "evaluation"
    assert said(capsys, "evaluate", out, *data, "--out", evaluation) == (0, "")
    assert said(capsys, "report", out, evaluation) == (0, "")


# Unfolding.


def unfold(capsys, files: Path, out: Path, *more: object, **replace: object) -> tuple[int, str]:
    data: dict[str, object] = {
        "data": files / "data.root",
        "simulation": files / "simulation.parquet",
        "reco": "m",
        "truth": "m_true",
    }
    chosen = {name: value for name, value in (data | replace).items() if value is not None}
    given = [x for name, value in chosen.items() for x in (f"--{name}", value)]
    quick = ("--training.epochs", 1, "--iterations", 1)
    code, error = said(capsys, "fit", "unfolding", *quick, *given, "--out", out, *more)
    assert out.exists() == (code == 0)
    assert not out.with_name(out.name + ".training").exists()
    return code, error


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"pass_truth": "true", "data": "few.root"},
            "the fakes, 250, are as many as the events seen, 200; check pass_truth",
        ),
        ({"pass_truth": "m_true > 100"}, "no simulated event passes at both levels"),
        ({"simulation": "nan-simulation.parquet"}, "column 'm' is nan in event 13 (counted from"),
        ({"simulation": "lengths.h5"}, "column 'm' is of type 397 rows where others have 400"),
        ({"truth": "m_tru"}, "no column 'm_tru'; did you mean m_true"),
        ({"reco": "m,m_true"}, "data.root: no column 'm_true'; it has m."),
        ({"weight": "minus"}, "the weights sum to -400; their sum must be positive"),
        (
            {"truth": None},
            "--reco and truth are one without the other; give both, or neither for all particles",
        ),
        ({"background": "many.root"}, "the background, 800, is as large as the data, 400"),
        ({"reco": None, "truth": None}, "holds no paired jets, which generate --paired writes"),
        ({"pass_reco": "m < -1e3"}, "--pass_reco is m < -1e3, which no event of"),
        ({"bootstraps": "1"}, "--bootstraps is 1, which has no spread"),
        ({"iterations": "0"}, "--iterations is 0; it must be at least 1"),
        ({"workers": "0"}, "--workers is 0; it must be at least 1"),
    ],
)
def test_an_unfolding_that_cannot_be(capsys, files, tmp_path, options, sentence) -> None:
    named = ("data", "simulation", "background")
    chosen = {k: files / v if k in named else v for k, v in options.items()}
    code, error = unfold(capsys, files, tmp_path / "o", **chosen)
    assert code == 2
    assert sentence in error
    assert "\n" not in error


def test_an_unfolding_is_neither_applied_nor_overwritten(
    capsys, files: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    assert unfold(capsys, files, out) == (0, "")
    argv = ("fit", "unfolding", "--config", out / "config.yaml")
    code, error = said(capsys, *argv)
    assert (code, "exists already" in error) == (2, True)
    code, error = said(
        capsys, "apply", out, "--files", files / "data.root", "--out", tmp_path / "x"
    )
    assert code == 2
    assert "unfolding has no apply; it offers read, page, export" in error
    code, error = said(capsys, "report", out, "--edges", "{mm: [0, 1]}")
    assert (code, "--edges names 'mm'; there are m_true" in error) == (2, True)
    assert said(capsys, "report", out) == (0, "")
    assert "none, hence no uncertainties" in (out / "report.html").read_text()


@pytest.mark.slow
def test_paired_jets_are_unfolded_with_all_particles(capsys, tmp_path: Path) -> None:
    truth, reco = make_jets(300, seed=1), make_jets(300, seed=2)
    seen = np.arange(300) % 5 > 0
    pairs = {
        "event": np.arange(300),
        "weight": np.full(300, 2.0),
        "pass_truth": np.ones(300, dtype=bool),
        "pass_reco": seen,
        "truth": truth[[name for name in truth.fields if name != "event"]],
        "reco": reco[[name for name in reco.fields if name != "event"]],
    }
    write(tmp_path / "simulation.parquet", pairs)
    write(tmp_path / "data.root", make_jets(200, seed=3))
    out = tmp_path / "o"
    argv = ("fit", "unfolding", "--data", tmp_path / "data.root", "--iterations", 1, *QUICK)
    simulation = ("--simulation", tmp_path / "simulation.parquet", "--out", out)
    assert said(capsys, *argv, *simulation) == (0, "")
    found = read_unfolded(out / "unfolded.h5")
    assert list(found.names) == ["mass", "multiplicity", "width", "ln_rho", "tau21", "zg"]
    assert len(found.weights) == 300
    lengths = np.asarray(ak.num(truth["constituents"], axis=1))
    np.testing.assert_array_equal(found.observables[:, 1], lengths)
    # One epoch is no training: what the weights sum to is not known.
    assert (found.weights > 0).all()
    assert said(capsys, "report", out) == (0, "")
    # Nature with its truth known: the detector's level of a paired file is what was measured.
    argv = (
        "fit",
        "unfolding",
        "--data",
        tmp_path / "simulation.parquet",
        "--iterations",
        1,
        *QUICK,
    )
    again = tmp_path / "again"
    simulation = ("--simulation", tmp_path / "simulation.parquet", "--out", again)
    assert said(capsys, *argv, *simulation) == (0, "")
    assert len(read_unfolded(again / "unfolded.h5").weights) == 300
