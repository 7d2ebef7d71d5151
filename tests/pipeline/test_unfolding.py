"""Files in, report out: an unfolding through the command line, against the known truth."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.methods.method import load
from colliderkit.serve.unfolded_events import read_unfolded
from colliderkit.sources import write
from colliderkit.sources.toys.unfolding import UnfoldingToy, unfolding_toy

COUNT = 8_000
SHIFT, NARROW = 0.4, 0.9
EDGES = np.array([-4, -1.5, -0.75, 0, 0.75, 1.5, 4.0])
QUICK = (
    "--training.epochs",
    4,
    "--training.batch_size",
    1000,
    "--iterations",
    3,
    "--hidden",
    "[32, 32]",
)


def columns(toy: UnfoldingToy) -> dict[str, np.ndarray]:
    """Name the columns of a simulation, where what does not pass is NaN."""
    return {
        "m": toy.reco[:, 0],
        "m_true": toy.truth[:, 0],
        "seen": toy.pass_reco,
        "w": np.full(len(toy.reco), 0.5),
        "number": np.arange(len(toy.reco)),
    }


@pytest.fixture(scope="module")
def toys() -> dict[str, UnfoldingToy]:
    # Normal at both levels but for the fakes, so that a short training learns the ratios.
    detector = {"smear": 0.4, "efficiency": 0.8, "fakes": 0.01}
    return {
        "data": unfolding_toy(COUNT, mean=SHIFT, sigma=NARROW, seed=1, **detector),
        "simulation": unfolding_toy(2 * COUNT, seed=2, **detector),
        "background": unfolding_toy(COUNT, mean=-1, sigma=0.5, seed=3),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, toys: dict[str, UnfoldingToy]) -> Path:
    out = tmp_path_factory.mktemp("unfolding")
    # A tenth of the data is background, in files of its own with the weights that are expected.
    other = toys["background"].seen[:, 0]
    data = np.concatenate(
        [toys["data"].seen[:, 0], unfolding_toy(1000, mean=-1, sigma=0.5).seen[:, 0]]
    )
    write(out / "data.root", {"m": data})
    write(out / "simulation.root", columns(toys["simulation"]))
    write(out / "background.parquet", {"m": other, "w": np.full(len(other), 1000 / len(other))})
    code = main([str(a) for a in (*fitting(out), "--bootstraps", 2, "--members", 2, *QUICK)])
    assert code == 0
    return out


def fitting(folder: Path, out: str = "run") -> list[object]:
    return [
        *("fit", "unfolding", "--data", folder / "data.root"),
        *(
            "--simulation",
            folder / "simulation.root",
            "--background",
            folder / "background.parquet",
        ),
        *("--reco", "m", "--truth", "m_true", "--weight", "w", "--event", "{simulation: number}"),
        *("--pass_reco", "seen", "--pass_truth", "m_true == m_true", "--out", folder / out),
    ]


def test_the_spectrum_is_that_of_the_truth(folder: Path, toys: dict[str, UnfoldingToy]) -> None:
    found = read_unfolded(folder / "run" / "unfolded.h5")
    assert list(found.names) == ["m_true"]
    assert sorted(set(found.kinds)) == ["bootstrap", "member"]
    assert found.seed == 0
    truth = np.histogram(toys["data"].truth[toys["data"].pass_truth, 0], EDGES)[0]
    binned = found.binned("m_true", EDGES)
    prior = np.histogram(columns(toys["simulation"])["m_true"], EDGES)[0] / 2
    # Counting of the truth, of the simulation of twice the size, and of data of which the detector
    # and the background take half; three iterations leave a part of the difference.
    allowed = 3 * np.sqrt(truth * (1 + 0.5 + 2)) + 0.25 * np.abs(prior - truth)
    assert (np.abs(binned.values - truth) < allowed).all()
    assert (np.abs(prior - truth) > allowed).sum() >= 3
    m = found.observables[:, 0]
    mean = np.average(m, weights=found.weights)
    width = np.sqrt(np.average((m - mean) ** 2, weights=found.weights))
    # 4 sqrt(var / N), N of data and of simulation together about a third of the data.
    limit = 4 * NARROW / np.sqrt(COUNT / 3)
    assert mean == pytest.approx(SHIFT, abs=limit)
    assert width == pytest.approx(NARROW, abs=limit)
    # The yield is that of the truth, the fakes and the background gone.
    assert binned.values.sum() == pytest.approx(truth.sum(), rel=0.03)


def test_the_result_needs_three_lines(folder: Path) -> None:
    with h5py.File(folder / "run" / "unfolded.h5") as file:
        weights, names = file["weights"][:], list(file["observables"].attrs["names"])
        counts, _ = np.histogram(
            file["observables"][:, names.index("m_true")], EDGES, weights=weights
        )
    found = read_unfolded(folder / "run" / "unfolded.h5")
    np.testing.assert_allclose(counts, found.binned("m_true", EDGES).values)
    # The fitted method holds the same weights, of all simulated events and after each iteration.
    push = load(folder / "run").weights()
    np.testing.assert_allclose(0.5 * push[push > 0], weights)


def test_report_draws_spectrum_and_covariance(folder: Path) -> None:
    argv = ["report", folder / "run", "--edges", "{m_true: [-2, -1, 0, 1, 2]}"]
    assert main([str(a) for a in argv]) == 0
    page = (folder / "run" / "report.html").read_text()
    assert page.count("data:image/svg+xml") == 2
    assert "bootstrap" in page


def test_a_spectrum_is_exported_for_hepdata(folder: Path) -> None:
    pytest.importorskip("hepdata_lib")
    out = folder / "hepdata"
    argv = ["export", folder / "run", "--edges", "{m_true: [-2, -1, 0, 1, 2]}", "--out", out]
    assert main([str(a) for a in argv]) == 0
    assert (out / "submission.yaml").is_file()


def test_a_killed_run_goes_on_and_ends_the_same(folder: Path, monkeypatch, capsys) -> None:
    from colliderkit.methods.unfolding.omnifold import OmniFold

    whole = OmniFold._iterate
    calls = []

    def stopped(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, *arguments)

    argv = [str(a) for a in (*fitting(folder, "again"), *QUICK)]
    monkeypatch.setattr(OmniFold, "_iterate", stopped)
    assert main(argv) == 130
    assert "resume goes on from there" in capsys.readouterr().err
    assert not (folder / "again").exists()
    monkeypatch.setattr(OmniFold, "_iterate", whole)
    assert main(argv) == 2
    assert "an interrupted training; give --resume" in capsys.readouterr().err
    assert main([*argv, "--resume"]) == 0
    assert not (folder / "again.training").exists()
    # One member of the first run, which has two, is the same unfolding.
    whole_run = read_unfolded(folder / "run" / "unfolded.h5")
    first = whole_run.replicas[:, list(whole_run.kinds).index("member")]
    again = read_unfolded(folder / "again" / "unfolded.h5")
    np.testing.assert_array_equal(again.weights, first)
