"""A disk that is full: one sentence, and nothing of the file is left, whoever writes it.

The system refuses to write beyond some bytes, of any library, as a full disk does.
"""

import ast
import io
import json
import resource
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import awkward as ak
import matplotlib.pyplot as plt
import numpy as np
import pytest

import colliderkit
from asked import toy
from colliderkit.claims import claim
from colliderkit.cli import main
from colliderkit.errors import InputError
from colliderkit.events.calorimeter.xml import write_xml
from colliderkit.events.ragged import Spool
from colliderkit.methods.decorrelation.maps import TransportDecorrelation
from colliderkit.methods.operations.certification import Certification
from colliderkit.methods.operations.run_scores import RunScores
from colliderkit.methods.search.resonant import limits, scan
from colliderkit.methods.search.resonant.classifiers import Classifiers
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.methods.unfolding.omnifold import _Iterations
from colliderkit.methods.unfolding.result import BinnedSpectrum, UnfoldedEvents
from colliderkit.report.html import Report
from colliderkit.report.results import Result, write_results
from colliderkit.serve.golden import write_golden
from colliderkit.serve.hepdata import write_hepdata
from colliderkit.serve.histfactory import write_workspace
from colliderkit.serve.onnx import write_proto
from colliderkit.serve.triton import write_repository
from colliderkit.serve.unfolded_events import write_unfolded
from colliderkit.sources import shards as sources_shards
from colliderkit.sources import write
from colliderkit.sources.datasets import catalogue
from colliderkit.sources.files.hits import write_hits, write_trackml
from colliderkit.sources.files.monitors import ScoreTable, write_monitors
from colliderkit.sources.files.shower_libraries import write_library
from colliderkit.sources.files.showers import write_showers
from colliderkit.sources.files.tracks import write_parameters, write_submission
from colliderkit.sources.files.trigger_records import write_records
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.pythia import shards as pythia_shards
from colliderkit.sources.toys.tracker import helix_hits
from colliderkit.studies.run import Run as StudyRun
from colliderkit.studies.run import Study
from colliderkit.tasks import control, data_quality, run_scores, runs
from colliderkit.tasks.account import Account
from colliderkit.tasks.task import Evaluation
from colliderkit.training.settings import Training
from contracts.cases import TASK_CASES
from contracts.cases.clustering import small_library
from contracts.cases.data_quality import small_runs
from samples import make_jets

ROOM = 200  # bytes of a file
RESULTS = [Result("model", f"quantity {i}", 1.0, 0.1) for i in range(20)]
RANDOM = np.random.default_rng(1)


@contextmanager
def full():
    """A disk without room: no file of this process grows beyond some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def jets(folder: Path, name: str) -> None:
    write(folder / name, make_jets(300))


def fitted() -> TransportDecorrelation:
    score, mass = RANDOM.random(500), RANDOM.random(500)
    return TransportDecorrelation(bins=4, levels=9).fit(score, mass)


def finished(folder: Path) -> None:
    run = runs.Run(folder / "run")
    run.finish(fitted(), "seed: 1\n", lambda part: None, Account())


def updated(folder: Path) -> None:
    (folder / runs.CONFIGURATION).write_text("seed: 1\n")
    runs.write_update(folder / "updated", folder, fitted(), "target: 1\n", False, Account())


def evaluated(folder: Path) -> None:
    evaluation = Evaluation("title", RESULTS, make_jets(300)[["jet_pt"]])
    account = Account()
    runs.write_evaluation(folder / "evaluation", "tagging", None, evaluation, "", False, account)


def drawn(folder: Path) -> None:
    figure, axes = plt.subplots()
    axes.plot(range(9))
    report = Report("title", "summary", command="", configuration="", seeds=[], timing={})
    report.add_figure(figure, "caption")
    report.add_results(RESULTS)
    report.write(folder / "report")
    plt.close(figure)


def page(folder: Path) -> None:
    report = Report("title", "summary", command="", configuration="", seeds=[], timing={})
    runs.write_page(report, folder, False)


def unfolded() -> UnfoldedEvents:
    values = RANDOM.normal(size=(2_000, 2))
    return UnfoldedEvents(values, ["a", "b"], np.ones(2_000))


def spectrum() -> BinnedSpectrum:
    return unfolded().binned("a", [-1.0, 0.0, 1.0])


@dataclass(frozen=True)
class Small:
    count: int = 1


def study(folder: Path, body) -> None:
    Study("toy", "Toy", "A toy.", {"smoke": Small()}, body).run(scale="smoke", out=folder / "s")


def claimed_study(folder: Path) -> None:
    study_of = Study("toy " + "y" * ROOM, "", "", {"smoke": Small()}, lambda run: None)
    StudyRun(study_of, "smoke", folder / "s")


def timed(run) -> None:
    with redirect_stderr(io.StringIO()), run.step("s" * ROOM):
        pass


def sharded(folder: Path) -> pythia_shards.Request:
    return pythia_shards.Request((("w", None),), 300, 1, 300, False, 0.0)


def made_shard(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(pythia_shards, "make_shard", lambda *_, **__: bytes(1_000))
    pythia_shards.run(sharded(folder), [("w", 0)], folder, None, lambda count: None)


def merged(folder: Path) -> None:
    shard = pythia_shards.path_of(folder, "w", 0)
    if not shard.exists():
        raise FileNotFoundError(shard)
    pythia_shards.merge(sharded(folder), folder, folder / "merged.parquet", False)


class Answer(io.BytesIO):
    length = 10_000


def downloaded(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Answer(bytes(10_000)))
    entry = catalogue.Benchmark("", 0, "", None, (catalogue.RemoteFile("a.h5"),))
    monkeypatch.setitem(catalogue.BENCHMARKS, "toy", entry)
    catalogue.fetch("toy", folder)


def proto(folder: Path) -> None:
    from onnx import TensorProto, helper

    values = helper.make_tensor("w", TensorProto.FLOAT, [500], np.ones(500))
    node = helper.make_node("Identity", ["w"], ["y"])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [500])
    model = helper.make_model(helper.make_graph([node], "g", [], [out], [values]))
    write_proto(model, folder / "model.onnx", {"columns": ["x"]}, False)


@cache
def trained() -> ConditionalGenerator:
    training = Training(epochs=1, batch_size=50)
    method = ConditionalGenerator(generator="vae", training=training)
    return method.fit(RANDOM.normal(size=(200, 2)), progress=False)


@cache
def exported() -> Path:
    return toy(Path(tempfile.mkdtemp()) / "toy.onnx")


def generator(folder: Path) -> None:
    from colliderkit.serve.generators import export_generator

    export_generator(trained(), folder / "model.onnx")


def iterations(folder: Path) -> None:
    _Iterations(folder, {}).write("push-0", np.ones(1_000))


def judged(folder: Path) -> None:
    judge = Classifiers([{"inputs": 2, "members": 1, "epochs": 1, "hidden": [64]}])
    CwolaHunting()._keep(folder / "fold-0.safetensors", judge)


# A search that took no time: the notes of scans and of injections are what is written.
QUICK = SimpleNamespace(
    fit=lambda *_, **__: SimpleNamespace(excess_=SimpleNamespace(local_p=1 / 3))
)


def repeated(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(scan, "without_bump", lambda mass, **_: (np.arange(3), mass))
    monkeypatch.setattr(scan.WindowScan, "_search", lambda *_: QUICK)
    windows = scan.WindowScan(CwolaHunting())
    windows.seed_, windows.edges_, windows.windows_ = 1, np.arange(3.0), np.ones((40, 2))
    note = folder / "null-0.json"
    windows._repeated(0, np.ones((3, 1)), np.ones(3), None, {}, note, lambda: None)


def injected(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(limits, "clone", lambda _: QUICK)
    found = limits.Injection(1, *np.full(7, 1 / 3))
    monkeypatch.setattr(limits, "_counted", lambda *_: found)
    search = SimpleNamespace(needs=(), name="quick", get_params=lambda deep: {})
    data = np.ones((3, 1)), np.ones(3)
    limits.injected(search, *data, data, strengths=[1], folder=folder, progress=False)


def certified(folder, monkeypatch):
    later = small_runs(200, 2, first=100)
    monkeypatch.setattr(data_quality, "monitors_of", lambda *_, **__: later)
    method = Certification(components=2).fit(small_runs(60, 1), progress=False)
    data_quality.DataQualityTask().apply(method, "later.parquet", out=folder / "certified")


def flagged(folder, monkeypatch):
    run = np.arange(100, 400)
    later = ScoreTable(run, RANDOM.normal(size=(300, 1)), ("x",), None, "")
    monkeypatch.setattr(run_scores, "scores_of", lambda *_, **__: later)
    method = RunScores(scores=["x"]).fit(RANDOM.normal(size=(60, 1)))
    run_scores.RunScoresTask().apply(method, "later.csv", out=folder / "flagged")


def advised(folder: Path, monkeypatch) -> None:
    """Settings that are set without asking; the advice beside them is written by `sources`."""
    monkeypatch.setattr(control, "write", lambda *_, **__: None)
    monkeypatch.setattr(control, "beside", lambda *_: {})
    machine = SimpleNamespace(settings=tuple("s" * 40 + str(i) for i in range(50)))
    machine.readings, machine.goals = ("r",), ("g",)
    count = len(machine.settings)
    table = SimpleNamespace(own={}, columns={}, table=lambda names: np.ones((2, len(names))))
    ones = np.ones(2)
    found = SimpleNamespace(
        **dict.fromkeys(("settings", "low", "high"), np.ones((2, count))),
        cost=ones,
        gain=ones,
        spread=ones,
        clipped=ones > 0,
    )
    method = SimpleNamespace(built=machine, recommend=lambda *_: found)
    reading = SimpleNamespace(rows=lambda *_, **__: table)
    control.ControlTask().apply(
        method, reading, "log.csv", out=folder / "a.csv", decide=folder / "settings.json"
    )


SHOWERS = RANDOM.exponential(size=(50, 504)).astype(np.float32)
GEOMETRY = calorimeter("photons-368").geometry
TRACKER = helix_hits(5, seed=1)
LIBRARY = small_library()
LONG = {"request": "x" * ROOM}

# By the function that writes: what calls it, in an empty folder.
WRITERS = {
    "claims.claim": lambda folder, _: claim(folder, LONG, "fit.json", way_out=""),
    "events/calorimeter/xml.write_xml": lambda f, _: write_xml(f / "x.xml", GEOMETRY),
    "files.atomic_hdf5": None,  # of which the writers of HDF5 below are made
    "methods/method.save": lambda folder, _: fitted().save(folder / "method"),
    "methods/search/resonant/limits.injected": injected,
    "methods/search/resonant/scan._repeated": repeated,
    "methods/search/resonant/search._keep": lambda folder, _: judged(folder),
    "methods/unfolding/omnifold.write": lambda folder, _: iterations(folder),
    "report/html.write": lambda folder, _: drawn(folder),
    "report/html.write_page": lambda folder, _: page(folder),
    "report/results.write_results": lambda f, _: write_results(f / "r.json", RESULTS, {}),
    "serve/fpga.write_firmware": None,  # by hls4ml, which not everyone has
    "serve/generators.export_generator": lambda folder, _: generator(folder),
    "serve/golden.write_golden": lambda f, _: write_golden(f / "g.json", {"1": [[1, 2]] * 300}),
    "serve/hepdata.write_hepdata": lambda f, _: write_hepdata(spectrum(), f / "hepdata"),
    "serve/histfactory.write_workspace": lambda f, _: write_workspace(LONG, f / "w.json"),
    "serve/onnx.write_proto": lambda folder, _: proto(folder),
    "serve/triton.write_repository": lambda f, _: write_repository(exported(), f / "r", "toy"),
    "serve/unfolded_events.write_unfolded": lambda f, _: write_unfolded(unfolded(), f / "u.h5"),
    "sources/datasets/catalogue._download": downloaded,
    "sources/files/hits.write_hits": lambda f, _: write_hits(f / "h", TRACKER),
    "sources/files/tracks.write_submission": lambda f, _: write_submission(
        f / "s.csv", TRACKER, TRACKER.particle
    ),
    "sources/files/tracks.write_parameters": lambda f, _: write_parameters(
        *(f / "p.csv", TRACKER.number[TRACKER.event], TRACKER.particle),
        *({"d0": TRACKER.x}, {"d0": TRACKER.y}),
    ),
    "sources/files/hits.write_trackml": lambda f, _: write_trackml(f / "t", TRACKER),
    "sources/files/monitors.write_monitors": lambda f, _: write_monitors(
        f / "m.parquet", small_runs(9, 1)
    ),
    "sources/files/parquet.write_parquet": lambda folder, _: jets(folder, "jets.parquet"),
    "sources/files/root.write_root": lambda folder, _: jets(folder, "jets.root"),
    "sources/files/shower_libraries.write_library": lambda f, _: write_library(
        f / "l.hdf5", LIBRARY
    ),
    "sources/files/showers.write_in_parts": lambda f, _: write_showers(
        f / "s.hdf5", np.ones(50), SHOWERS
    ),
    "sources/files/showers._write_images": lambda f, _: write_showers(
        f / "s.hdf5", np.ones(50), SHOWERS, layout="calogan"
    ),
    "sources/files/trigger_records.write_records": lambda f, _: write_records(
        f / "r.h5", {"pt": np.random.default_rng(1).random(9_000)}, ["pt"], event=np.arange(9_000)
    ),
    "sources/pythia/shards.merge": lambda folder, _: merged(folder),
    "sources/pythia/shards.keep": made_shard,
    "sources/shards.claim": lambda f, _: sources_shards.claim(
        f / "shards", SimpleNamespace(as_json=lambda: "x" * 2 * ROOM), False
    ),
    "studies/run.step": lambda folder, _: study(folder, timed),
    "studies/run.value": lambda f, _: study(f, lambda run: run.value("v", lambda: "x" * 300)),
    "studies/run.arrays": lambda f, _: study(
        f, lambda run: run.arrays("a", lambda: {"x": np.ones(300)})
    ),
    "studies/run._claim": lambda folder, _: claimed_study(folder),
    "tasks/data_quality.apply": certified,
    "tasks/data_quality.write_flags": lambda f, _: data_quality.write_flags(
        f / "f.csv", {"run": [1] * 500}
    ),
    "tasks/run_scores.apply": flagged,
    "tasks/control.apply": advised,
    "tasks/runs.finish": lambda folder, _: finished(folder),
    "tasks/runs.write_update": lambda folder, _: updated(folder),
    "tasks/runs.write_evaluation": lambda folder, _: evaluated(folder),
}


def writers(node: ast.AST, function: str = "") -> Iterator[str]:
    """Yield the functions in a module that make something appear whole."""
    if isinstance(node, ast.FunctionDef):
        function = node.name
    if isinstance(node, ast.Call) and getattr(node.func, "id", "").startswith("atomic_"):
        yield function
    for child in ast.iter_child_nodes(node):
        yield from writers(child, function)


def test_every_writer_is_here():
    root = Path(colliderkit.__file__).parent
    found = {
        f"{path.relative_to(root).with_suffix('')}.{function}"
        for path in root.rglob("*.py")
        for function in writers(ast.parse(path.read_text()))
    }
    assert found == set(WRITERS)


@pytest.mark.parametrize("name", [name for name, call in WRITERS.items() if call is not None])
def test_a_full_disk(name, tmp_path, monkeypatch):
    if name == "sources/pythia/shards.merge":
        ak.to_parquet(make_jets(300)[["event", "jet_pt"]], tmp_path / "w-0.parquet")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    trained(), exported()  # while there is room for its checkpoints
    with pytest.raises(InputError) as error, full():
        WRITERS[name](tmp_path, monkeypatch)
    assert str(error.value).endswith("the disk is full; free some space, nothing was written.")
    assert str(tmp_path) in str(error.value)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path not in before]
    # What was complete before, in a file of its own, stays.
    assert not [path for path in left if path.stat().st_size > ROOM or path.name.startswith(".")]
    WRITERS[name](tmp_path, monkeypatch)
    assert len(list(tmp_path.rglob("*"))) > len(before)


def test_what_is_spooled(tmp_path):
    """Events that are laid by for a training, which fails with the folder's name."""
    spool = Spool(("px", "py", "pz", "E"), tmp_path)
    with pytest.raises(OSError, match="File too large"), full():
        spool.append(make_jets(300).constituents)


def test_a_training(tmp_path, monkeypatch, capsys):
    """A checkpoint that finds no room, and the events that go before it."""
    from colliderkit.training.fit import Module

    case = TASK_CASES["tagging"]
    case.write(tmp_path)
    words = [str(word) for word in ("fit", "tagging", *case.fit(tmp_path))]
    fit = Module.on_fit_start

    for place, out in ((None, "early"), (fit, "late")):
        limits = []

        def later(self, place=place, limits=limits):
            place(self)
            limits.append(resource.getrlimit(resource.RLIMIT_FSIZE))
            resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, limits[0][1]))

        with monkeypatch.context() as patch:
            if place is not None:
                patch.setattr(Module, "on_fit_start", later)
                code = main([*words, "--out", str(tmp_path / out)])
                resource.setrlimit(resource.RLIMIT_FSIZE, limits[0])
            else:
                with full():
                    code = main([*words, "--out", str(tmp_path / out)])
        assert code == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1, said
        assert f"{tmp_path / out}.training" in said[0]
        assert "the disk is full" in said[0]
        assert not list(tmp_path.glob(f"*{out}*"))


def test_a_verb_that_writes_several(tmp_path):
    """An evaluation has no events without its results."""
    with pytest.raises(InputError), full():
        evaluated(tmp_path)
    assert not list(tmp_path.iterdir())
    evaluated(tmp_path)
    assert json.loads((tmp_path / "evaluation" / "results.json").read_text())["rows"]
