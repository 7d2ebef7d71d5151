"""Several taggers on the same jets: what the tagging studies share.

A study says which jets, which taggers (`Entry`) and how many of both (`Scale`); `compare`
generates, trains, evaluates and writes the report. What is complete is kept: the same call after
a kill goes on at the next model.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import weights_of
from colliderkit.files import atomic_file, refuse_existing
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.report import distributions
from colliderkit.report.html import Report
from colliderkit.report.tagging import Scored, Separation, Truth, add_taggers
from colliderkit.serve.onnx import export_method
from colliderkit.sources import read
from colliderkit.sources.pythia.shards import generate

__all__ = ["Comparison", "Entry", "Run", "Scale", "claim", "compare"]

Floats = NDArray[np.float64]
TRAIN_SEED, TEST_SEED = 1, 2


@dataclass(frozen=True)
class Entry:
    """Name a tagger, its arguments and the published values by figure: (value, error)."""

    name: str
    tagger: Mapping[str, Any]
    published: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Scale:
    """Say how much: jets a class to train and test on, trainings of each model, and changes.

    `training` and `options` replace what an entry's tagger would take by its name.
    """

    train: int
    test: int
    seeds: int
    entries: Sequence[str]
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Describe a study of several taggers.

    `discriminant` turns class probabilities (N, K) into the number (N,) that is cut on;
    `remarks` is shown below the results; `further` adds sections for this study alone; `columns`
    are expressions for columns beside those of the sample.
    """

    name: str
    title: str
    summary: str
    sample: str
    classes: Sequence[str]
    entries: Sequence[Entry]
    scales: Mapping[str, Scale]
    separations: Sequence[Separation]
    discriminant: Callable[[Floats], Floats]
    remarks: str
    further: Callable[[Report, Sequence["Run"], ak.Array], None] | None = None
    columns: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Run:
    """Hold the trainings of one entry and their probabilities (seeds, N, K) on the test jets."""

    entry: Entry
    taggers: Sequence[Tagger]
    probabilities: Floats
    seconds: Sequence[float]
    prediction_seconds: float

    @property
    def scored(self) -> Scored:
        """What the report shows of it."""
        histories = [tagger.history_ for tagger in self.taggers]
        entry = self.entry
        return Scored(entry.name, self.probabilities, histories, entry.published, entry.source)

    @property
    def parameters(self) -> int:
        """The number of trained parameters."""
        return sum(p.numel() for p in self.taggers[0].model_.parameters())


def compare(
    study: Comparison,
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    workers: int = 2,
    dask: str | None = None,
    force: bool = False,
) -> Path:
    """Run a study of several taggers into `out` and return the path of its report."""
    chosen = study.scales[scale]
    seeds = chosen.seeds if seeds is None else seeds
    if seeds < 1:
        raise InputError(f"--seeds is {seeds}; it must be at least 1.")
    refuse_existing(out / "report.html", force)
    request = {"study": study.name, "scale": scale, "seeds": seeds, "size": repr(chosen)}
    claim(out, request, force)
    started = time.perf_counter()
    timing: dict[str, float] = {}
    files = {}
    for part, count, seed in (
        ("train", chosen.train, TRAIN_SEED),
        ("test", chosen.test, TEST_SEED),
    ):
        files[part] = out / "data" / f"{part}.parquet"
        if not files[part].exists():
            print(f"{part} jets: {count} of each class", flush=True)
            generate(study.sample, count, files[part], seed=seed, workers=workers, dask=dask)
    timing["generation"] = time.perf_counter() - started
    train, test = (read(files[part], columns=study.columns) for part in ("train", "test"))
    started = time.perf_counter()
    entries = [entry for entry in study.entries if entry.name in chosen.entries]
    runs = [_train(entry, chosen, study, train, test, seeds, out / "models") for entry in entries]
    for run in runs:
        timing[f"training {run.entry.name}"] = float(np.sum(run.seconds))
    report = _report(study, chosen, runs, test, scale, seeds, timing, out)
    _example_of_use(report, study, runs, test, out)
    path = report.write(out, force=force)
    return path


def claim(out: Path, request: dict[str, Any], force: bool) -> None:
    """Keep the request in the folder, and drop what another one left there."""
    path = out / "study.json"
    if path.exists() and json.loads(path.read_text()) != request:
        if not force:
            raise InputError(
                f"{out}: holds another study or scale; choose another --out or --force."
            )
        for name in ("data", "models"):
            shutil.rmtree(out / name, ignore_errors=True)
        path.unlink()
    if not path.exists():
        with atomic_file(path) as part:
            part.write_text(json.dumps(request) + "\n")


def _train(
    entry: Entry,
    scale: Scale,
    study: Comparison,
    train: ak.Array,
    test: ak.Array,
    seeds: int,
    folder: Path,
) -> Run:
    taggers, seconds, probabilities = [], [], []
    predicting = 0.0
    for seed in range(seeds):
        tagger = Tagger(**{**entry.tagger, "classes": list(study.classes)})
        if entry.name in scale.training:
            tagger.set_params(training=scale.training[entry.name])
        where = folder / f"{entry.name.replace(' ', '-')}-seed{seed}"
        note = where / "seconds.json"
        if note.exists():
            tagger = Tagger.load(where)
            seconds.append(json.loads(note.read_text()))
        else:
            shutil.rmtree(where, ignore_errors=True)
            print(f"{entry.name}, seed {seed}", flush=True)
            begin = time.perf_counter()
            work = where.with_name(where.name + ".training")
            tagger.fit(train, seed=seed, folder=work, resume=True)
            seconds.append(time.perf_counter() - begin)
            tagger.save(where)
            with atomic_file(note) as part:
                part.write_text(json.dumps(seconds[-1]))
            shutil.rmtree(work)
        taggers.append(tagger)
        begin = time.perf_counter()
        probabilities.append(tagger.predict_proba(test))
        predicting = time.perf_counter() - begin
    return Run(entry, taggers, np.stack(probabilities), seconds, predicting)


def _report(
    study: Comparison,
    scale: Scale,
    runs: Sequence[Run],
    test: ak.Array,
    scale_name: str,
    seeds: int,
    timing: dict[str, float],
    out: Path,
) -> Report:
    label = np.asarray(test["label"])
    configuration = {
        run.entry.name: _plain({**run.taggers[0]._parameters(), "columns": run.taggers[0].columns_})
        for run in runs
    }
    report = Report(
        study.title,
        study.summary,
        command=f"colliderkit study {study.name} --scale {scale_name} --seeds {seeds}",
        configuration=yaml.safe_dump(configuration, sort_keys=False),
        seeds=list(range(seeds)),
        timing=timing,
    )
    truth = Truth(label, weights_of(test), study.classes, study.separations, study.discriminant)
    add_taggers(report, [run.scored for run in runs], truth, study.remarks)
    report.add_heading("Jets")
    counts = np.bincount(label, minlength=len(study.classes))
    report.add_table(
        ["class", "training and validation", "test"],
        [[name, scale.train, int(n)] for name, n in zip(study.classes, counts, strict=True)],
        f"Jets generated by this study: training seed {TRAIN_SEED}, test seed {TEST_SEED}."
        " A share of 15% of the training events, by a hash of their number, is for validation.",
    )
    report.add_figure(
        distributions.spectra(test, study.classes),
        "Test jets: transverse momentum, mass and number of constituents of each class,"
        " normalised, and the ratio to the first.",
        wide=True,
    )
    report.add_heading("Time")
    report.add_table(
        [
            "",
            "parameters",
            "epochs",
            "training [s]",
            "jets trained a second",
            "jets scored a second",
        ],
        [
            [
                run.entry.name,
                run.parameters,
                len(run.taggers[0].history_),
                round(float(np.mean(run.seconds)), 1),
                round(_throughput(run)),
                round(len(test) / run.prediction_seconds),
            ]
            for run in runs
        ],
        f"On {os.cpu_count()} cores, {torch.get_num_threads()} threads. Training time is that of"
        " one seed with all preparation (observables, reading); jets a second are those of the"
        " epochs alone.",
    )
    if study.further is not None:
        study.further(report, runs, test)
    return report


def _throughput(run: Run) -> float:
    history = run.taggers[0].history_
    spent = sum(epoch.seconds for epoch in history)
    return run.taggers[0].events_["training"] * len(history) / spent if spent else float("nan")


def _example_of_use(
    report: Report, study: Comparison, runs: Sequence[Run], test: ak.Array, out: Path
) -> None:
    """Export the first network on constituents and show how it is used without this package."""
    run = next((run for run in runs if run.taggers[0].columns_[:2] == ("px", "py")), runs[0])
    path = out / f"{run.entry.name.replace(' ', '-')}.onnx"
    difference = export_method(run.taggers[0], path, test[:256], force=True)
    report.add_heading("Use elsewhere")
    report.add_text(
        f"{run.entry.name}, seed 0, is exported to {path.name} with its preprocessing inside; on"
        f" {min(256, len(test))} test jets it differs from torch by at most {difference:.1e}."
        " It needs onnxruntime alone:"
    )
    report.add_text(
        "import numpy as np, onnxruntime\n"
        f'session = onnxruntime.InferenceSession("{path.name}")\n'
        "# (jets, particles, columns), zero-padded: px, py, pz, E [GeV]\n"
        'probability = session.run(None, {"constituents": jets.astype(np.float32)})[0]',
        code=True,
    )


def _plain(value: Any) -> Any:
    """Return `value` with lists for tuples and dictionaries for mappings, as YAML wants."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
