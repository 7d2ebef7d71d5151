"""A search without a model, from files: units, leaks and mistakes, each in one sentence."""

import json

import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.methods.method import load
from colliderkit.methods.search.resonant import limits
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.scan import WindowScan
from colliderkit.sources import write
from colliderkit.sources.files.rows import read_rows
from colliderkit.sources.toys.resonance import Resonance

TOY = Resonance(distance=(2.0, 2.0))
QUICK = ("--folds", "3", "--efficiency", "0.05", "--options", "{rounds: 10, leaves: 5}")
SEARCH = ("--method", "cwola-hunting", *QUICK, "--signal-region", "3300,3700")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data with a signal in GeV and in TeV, and signal to inject."""
    out = tmp_path_factory.mktemp("anomaly")
    events = TOY.events(4000, 120, 1)
    columns = columns_of(events)
    write(out / "data.root", columns)
    write(out / "tev.root", columns | {"mjj": events.mass / 1000})
    write(out / "signal.root", columns_of(TOY.events(0, 400, 2)))
    return out


def columns_of(events):
    a, b = events.features.T
    return {"mjj": events.mass, "a": a, "b": b, "label": events.label, "event": np.arange(len(a))}


def fit(path, out, *words, features="a,b"):
    command = ["fit", "anomaly", "--data", path, "--resonant", "mjj", "--features", features]
    return main([str(word) for word in (*command, *words, "--out", out)])


def refused(capsys, path, out, *words, features="a,b"):
    """Fit what has to be mended, and return the one sentence that says what is wrong."""
    assert fit(path, out, *words, features=features) == 2
    printed = capsys.readouterr().err
    sentences = [line for line in printed.splitlines() if "warning" not in line]
    assert len(sentences) == 1, printed
    assert not out.exists()
    return sentences[0]


def test_a_file_in_tev_is_searched_as_one_in_gev(folder, tmp_path, capsys):
    assert fit(folder / "data.root", tmp_path / "gev", *SEARCH) == 0
    printed = capsys.readouterr().out
    assert "TeV" not in printed
    assert f"next: colliderkit report {tmp_path / 'gev'}" in printed
    assert fit(folder / "tev.root", tmp_path / "tev", *SEARCH) == 0
    assert "mjj is in TeV, from 2.5" in capsys.readouterr().out
    one, two = (load(tmp_path / name) for name in ("gev", "tev"))
    np.testing.assert_allclose(one.score_, two.score_)
    assert one.excess_.observed == two.excess_.observed


def test_an_event_is_never_judged_by_what_it_trained(folder, tmp_path):
    """Its label moves nothing, and its features no score of its own fold's judge."""
    assert fit(folder / "data.root", tmp_path / "run", *SEARCH, "--label", "label") == 0
    assert fit(folder / "data.root", tmp_path / "other", *SEARCH) == 0
    np.testing.assert_array_equal(load(tmp_path / "run").score_, load(tmp_path / "other").score_)


def test_without_enough_signal_there_are_no_bounds_and_a_page(folder, tmp_path, capsys):
    out, one = tmp_path / "run", ("--label", "event == 7", "--event", "event")
    assert fit(folder / "data.root", out, *SEARCH, *one) == 0
    assert "the page has no bounds" in capsys.readouterr().err
    assert main(["report", str(out)]) == 0


def test_new_events_are_scored_and_those_of_the_fit_kept(folder, tmp_path):
    assert fit(folder / "data.root", tmp_path / "run", *SEARCH, "--event", "event") == 0
    out = tmp_path / "scored.parquet"
    argv = ["apply", tmp_path / "run", folder / "signal.root", "--out", out]
    assert main([str(word) for word in argv]) == 0
    scores = read_rows(out, ["score"]).columns["score"]
    kept = read_rows(tmp_path / "run" / "search.parquet", ["score", "mass", "passed"]).columns
    assert np.median(scores) > np.median(kept["score"])
    np.testing.assert_array_equal(kept["score"], load(tmp_path / "run").score_)
    assert kept["passed"].mean() == pytest.approx(0.05, abs=0.002)


def test_limits_say_what_is_excluded(folder, tmp_path):
    assert fit(folder / "data.root", tmp_path / "run", *SEARCH) == 0
    argv = ["evaluate", tmp_path / "run", "--data", folder / "data.root", "--signal"]
    argv += [folder / "signal.root", "--strengths", "30,300", "--out", tmp_path / "limits"]
    assert main([str(word) for word in argv]) == 0
    note = json.loads((tmp_path / "limits" / "results.json").read_text())
    strengths = [one["strength"] for one in note["limits"]["injections"]]
    assert strengths == [30, 300]
    assert main(["report", str(tmp_path / "run"), str(tmp_path / "limits")]) == 0
    page = next(path for path in tmp_path.rglob("report.html")).read_text()
    assert "Limits" in page


def test_weights_of_the_files_count_and_one_is_said(folder, tmp_path, capsys):
    events = read_rows(folder / "data.root", ["mjj", "a", "b", "event"]).columns
    weight = np.where(events["event"] % 2 == 0, 0.5, 1.5)
    write(tmp_path / "weighted.root", {**events, "weight": weight, "w": weight})
    write(tmp_path / "named.root", {**events, "w": weight})
    path, own, named, ones = (tmp_path / n for n in ("weighted.root", "own", "named", "ones"))
    assert fit(path, own, *SEARCH) == 0
    printed = capsys.readouterr()
    assert "the column 'weight' of" in printed.out, repr(printed)
    assert fit(tmp_path / "named.root", named, *SEARCH, "--weight", "w") == 0
    assert fit(path, ones, *SEARCH, "--weight", "1") == 0
    assert "the column 'weight' of" not in capsys.readouterr().out
    np.testing.assert_array_equal(load(own).score_, load(named).score_)
    assert load(own).before_.counts.sum() == pytest.approx(weight.sum())
    assert load(ones).before_.counts.sum() == len(weight)
    assert load(own).excess_.observed != load(ones).excess_.observed
    said = refused(capsys, path, tmp_path / "run", *SEARCH, "--null", "1")
    assert "give weight 1 to count each event one" in said
    assert fit(folder / "data.root", tmp_path / "plain", *SEARCH) == 0
    assert "the column 'weight'" not in capsys.readouterr().out


def test_interrupted_limits_go_on_from_the_last_strength(folder, tmp_path, capsys, monkeypatch):
    assert fit(folder / "data.root", tmp_path / "run", *SEARCH) == 0
    words = ["evaluate", tmp_path / "run", "--data", folder / "data.root", "--signal"]
    words += [folder / "signal.root", "--strengths", "30,300"]
    argv = [str(word) for word in words]
    assert main([*argv, "--out", str(tmp_path / "whole")]) == 0
    assert not (tmp_path / "whole.training").exists()
    counted, done = limits._counted, []

    def stopped(*arguments):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return counted(*arguments)

    monkeypatch.setattr(limits, "_counted", stopped)
    out = str(tmp_path / "limits")
    assert main([*argv, "--out", out]) == 130
    monkeypatch.setattr(limits, "_counted", counted)
    capsys.readouterr()
    assert main([*argv, "--out", out]) == 2
    assert "an interrupted training; give --resume" in capsys.readouterr().err
    other = [*argv[:-1], "30,200", "--level", "0.9", "--out", out, "--resume"]
    fits = []
    plain = CwolaHunting.fit
    monkeypatch.setattr(CwolaHunting, "fit", lambda self, *a, **k: fits.append(plain(self, *a, **k)) or self)  # fmt: skip # noqa: E501
    # Other strengths and levels use what is finished as well; other data do not.
    assert main(other) == 0
    assert len(fits) == 1
    one, whole = (json.loads((tmp_path / n / "results.json").read_text()) for n in ("limits", "whole"))  # fmt: skip # noqa: E501
    first, again = (note["limits"]["injections"][0] for note in (one, whole))
    assert first["observed"] == again["observed"]
    assert first["upper"] < again["upper"]
    assert not (tmp_path / "limits.training").exists()


def test_all_windows_are_searched_by_one_command(folder, tmp_path, capsys):
    words = ("--method", "cwola-hunting", *QUICK, "--scan", "--null", "1")
    edges = ",".join(f"{edge:g}" for edge in np.linspace(2500, 4900, 9))
    assert fit(folder / "data.root", tmp_path / "scan", *words, "--edges", edges) == 0
    assert "global p-value" in capsys.readouterr().out
    scan = load(tmp_path / "scan")
    assert type(scan) is WindowScan
    assert scan.windows_.shape == (2, 2)
    assert main(["report", str(tmp_path / "scan")]) == 0
    page = (tmp_path / "scan" / "report.html").read_text()
    assert "repeated searches" in page
    assert "cross-check: toys" in page


@pytest.mark.parametrize(
    ("words", "features", "sentence"),
    [
        (("--signal-region", "8000,9000"), "a,b", "holds no event, in GeV nor in TeV"),
        (("--signal-region", "3700,3300"), "a,b", "signal_region"),
        (("--signal-region", "2000,2600"), "a,b", "no event below the signal region"),
        (("--signal-region", "3300,3310"), "a,b", "events in the signal region 3300 to 3310"),
        (("--signal-region", "3300,3700", "--folds", "1"), "a,b", "folds"),
        (("--edges", "7000,8000,9000"), "a,b", "edges"),
        ((), "a,mjj", "which is the resonant mass"),
        ((), "a,log(mjj)", "'log(mjj)' is a function of the resonant mass"),
        ((), "a,mjj*mjj", "is a function of the resonant mass"),
        ((), "a,c", "'c'"),
        (("--label", "a"), "b", "has values beside 0"),
        (("--label", "label"), "a,label", "which is the label"),
        (("--columns", "{a: b}"), "a,b", "columns maps the columns of jets"),
        (("--null", "2", "--weight", "a*a"), "a,b", "leave out weight and label"),
    ],
)
def test_what_has_to_be_mended_is_said_in_a_sentence(
    folder, tmp_path, capsys, words, features, sentence
):
    asked = (*SEARCH[: len(SEARCH) - 2], *words)
    assert sentence in refused(
        capsys, folder / "data.root", tmp_path / "run", *asked, features=features
    )


def test_a_function_of_the_mass_may_be_asked_for(folder, tmp_path):
    words = (*SEARCH, "--mass-known", "--efficiency", "0.5")
    assert fit(folder / "data.root", tmp_path / "run", *words, features="a,log(mjj)") == 0


def test_a_feature_that_follows_the_mass_is_warned_of(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert fit(folder / "data.root", out, *SEARCH, features="a+mjj/500,b") == 0
    assert "features know the resonant mass" in capsys.readouterr().err
    assert main(["report", str(out)]) == 0
    assert "features know the resonant mass" in (out / "report.html").read_text()


def test_a_value_that_is_no_number_is_named(tmp_path, capsys):
    columns = columns_of(TOY.events(500, 0, 3))
    columns["b"][7] = np.nan
    write(tmp_path / "nan.root", columns)
    said = refused(capsys, tmp_path / "nan.root", tmp_path / "run", *SEARCH)
    assert "'b' is nan in event 7" in said


def test_a_fit_that_does_not_converge_names_its_window_and_keeps_the_folds(
    folder, tmp_path, capsys, monkeypatch
):
    from colliderkit.methods.search import spectrum

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(spectrum, "STEPS", 0)
        said = refused(capsys, folder / "data.root", out, *SEARCH)
    assert "window 3300 to 3700: the fit" in said
    assert len(list((tmp_path / "run.training").glob("fold-*.safetensors"))) == 3

    def trained(*args, **more):
        raise AssertionError("a finished fold is not trained again")

    monkeypatch.setattr(CwolaHunting, "_judge", trained)
    assert fit(folder / "data.root", out, *SEARCH, "--resume") == 0
    assert out.exists()
