"""The run of a study: bound to its request, resumable at each step, and deaf to no option."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.ratio import Ratio
from colliderkit.report.results import Result
from colliderkit.studies import measured
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training


@dataclass(frozen=True)
class Scale:
    events: int
    seeds: int = 2


CALLS: list[str] = []


def body(run: Run[Scale]) -> None:
    path = run.file("data.txt", lambda part: _written(part, run.scale.events))
    count = run.value("count", lambda: _noted("count", int(path.read_text())))
    arrays = run.arrays("arrays", lambda: _noted("arrays", {"x": np.arange(count)}))
    x = np.linspace(-1, 1, 200)
    ratio = run.fitted("model, one", Ratio(training=Training(epochs=1)), x + 0.1, x)
    if "stop" in CALLS:
        raise KeyboardInterrupt
    run.report.add_results([Result("model", "sum", float(arrays["x"].sum()))])
    run.report.add_text(f"{len(ratio.weights(x))} weights, seeds {list(run.seeds)}")


def _written(part, events):
    CALLS.append("file")
    part.write_text(str(events))


def _noted(name, value):
    CALLS.append(name)
    return value


STUDY = Study(
    "toy",
    "Toy",
    "A toy.",
    {"smoke": Scale(10), "laptop": Scale(20), "night": Scale(30)},
    body,
    takes=("seeds",),
)


@pytest.fixture(autouse=True)
def fresh():
    CALLS.clear()


def sum_of(out) -> float:
    return json.loads((out / "results.json").read_text())["rows"][0]["value"]


def test_what_is_complete_is_not_done_again(tmp_path):
    CALLS.append("stop")
    with pytest.raises(KeyboardInterrupt):
        STUDY.run(scale="smoke", out=tmp_path / "run")
    assert CALLS == ["stop", "file", "count", "arrays"]
    CALLS.clear()
    STUDY.run(scale="smoke", out=tmp_path / "run")
    assert CALLS == []
    assert sum_of(tmp_path / "run") == sum(range(10))
    about = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(about["timing"]) == ["data.txt", "count", "arrays", "fit model, one"]
    assert about["command"] == "colliderkit study toy --scale smoke --seeds 2"


def test_a_step_has_its_place_among_those_that_were_measured(tmp_path, capsys, monkeypatch):
    STUDY.run(scale="smoke", out=tmp_path / "unknown")
    said = capsys.readouterr().err
    assert "step 1, 0:00:00 elapsed: data.txt\n" in said
    assert " of " not in said
    monkeypatch.setattr("colliderkit.studies.run.step_seconds", lambda *_: [10.0, 20.0, 30.0, 60.0])
    CALLS.append("stop")
    with pytest.raises(KeyboardInterrupt):
        STUDY.run(scale="smoke", out=tmp_path / "known")
    said = capsys.readouterr().err
    assert "step 1 of 4, 0:00:00 elapsed, about 0:02:00 left: data.txt\n" in said
    # Its own pace is known by now: 10 s took it no time.
    assert "step 2 of 4, 0:00:00 elapsed, about 0:00:00 left: count\n" in said
    (tmp_path / "known" / "models").rename(tmp_path / "lost")
    CALLS.clear()
    STUDY.run(scale="smoke", out=tmp_path / "known")
    assert "step 4 of 4, " in capsys.readouterr().err  # of an interrupted run


def test_what_was_measured_counts_for_its_own_numbers_alone(monkeypatch):
    row = {"size": measured.fingerprint("Scale(10)"), "seeds": 2, "seconds": [1.0, 2.0]}
    monkeypatch.setattr(measured, "_measured", lambda: {"toy": {"smoke": row}})
    assert measured.step_seconds("toy", "smoke", "Scale(10)", 2) == [1.0, 2.0]
    assert measured.step_seconds("toy", "smoke", "Scale(11)", 2) == []
    assert measured.step_seconds("toy", "smoke", "Scale(10)", 3) == []
    assert measured.step_seconds("toy", "laptop", "Scale(10)", 2) == []
    assert measured.duration_of("toy", "smoke", "Scale(10)") == 3.0
    assert measured.duration_of("toy", "smoke", "Scale(11)") is None


def test_nothing_of_another_scale_is_taken(tmp_path):
    STUDY.run(scale="smoke", out=tmp_path / "run")
    with pytest.raises(InputError, match="exists already"):
        STUDY.run(scale="laptop", out=tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    with pytest.raises(InputError, match="holds another study, scale or number of seeds"):
        STUDY.run(scale="laptop", out=tmp_path / "run")
    CALLS.clear()
    STUDY.run(scale="laptop", out=tmp_path / "run", force=True)
    assert CALLS == ["file", "count", "arrays"]
    assert sum_of(tmp_path / "run") == sum(range(20))


@pytest.mark.parametrize("option", ["workers", "dask", "devices"])
def test_an_option_that_is_not_taken_is_refused_by_name(tmp_path, option):
    with pytest.raises(
        InputError, match=f"^{option} is no option of the study toy; it takes seeds"
    ):
        STUDY.run(scale="smoke", out=tmp_path / "run", **{option: 3})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scale": "paper"}, "toy has no scale 'paper'; choose one of smoke, laptop, night"),
        ({"scale": "smoke", "seeds": 0}, "seeds is 0"),
    ],
)
def test_what_there_is_not_is_said(tmp_path, options, sentence):
    with pytest.raises(InputError, match=sentence):
        STUDY.run(out=tmp_path / "run", **options)


def test_seeds_are_those_asked_for(tmp_path):
    report = STUDY.run(scale="smoke", out=tmp_path / "run", seeds=3)
    assert "seeds [0, 1, 2]" in report.read_text()
