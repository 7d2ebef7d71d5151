"""The task of tagging: fit, apply, evaluate, page and export of a tagger, plain or decorrelated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.schema import CONSTITUENTS, weights_of
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.tagging.classifier import Classifier
from colliderkit.methods.tagging.comparison import Compared
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.report.html import Report
from colliderkit.report.tagging import Scored, add_taggers, last_class, results_of
from colliderkit.serve.onnx import export_method
from colliderkit.sources import write
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["TaggingTask", "add_export", "score_columns", "with_scores"]

Files = list[str] | str
ByClass = dict[str, list[str] | str]


class TaggingTask(Task):
    """Classify jets; with an objective, by a score that leaves a quantity alone."""

    methods = ("tagging", "ensemble", "cross-fit")
    around: ClassVar[Mapping[str, str]] = {"ensemble": "tagging", "cross-fit": "tagging"}

    def read(
        self,
        method: Classifier,
        reading: Reading,
        *,
        signal: Files | None = None,
        background: Files | None = None,
        files: ByClass | None = None,
    ) -> Inputs:
        """Train a jet tagger; an --objective (DisCo, MoDe, Adversary, Planing) decorrelates it.

        Args:
            signal: ROOT, HDF5 or Parquet files of the signal.
            background: files of the background.
            files: for several classes, files by class name, instead of signal and background.
        """
        by_class = class_files(signal, background, files)
        method.tagger.set_params(classes=list(by_class))
        return Inputs(method, {"jets": reading.classes(by_class)})

    def apply(
        self, method: Classifier, reading: Reading, files: Files, *, out: Path, force: bool = False
    ) -> None:
        """Write scores beside all that was read, as ROOT or Parquet.

        Args:
            files: ROOT, HDF5 or Parquet files.
        """
        scored = [with_scores(jets, method) for jets in reading.chunks(files)]
        write(out, ak.concatenate(scored), force=force)

    def evaluate(
        self,
        method: Classifier,
        reading: Reading,
        *,
        signal: Files | None = None,
        background: Files | None = None,
        files: ByClass | None = None,
        efficiencies: list[float] | None = None,
    ) -> Evaluation:
        """Measure a tagger on labelled jets that it has not seen.

        Args:
            signal: files of the signal.
            background: files of the background.
            files: for several classes, files by class name; the last is the signal.
            efficiencies: signal efficiencies of the rejections; 0.3 and 0.5 if not given.
        """
        classes = list(method.tagger.classes)
        by_class = class_files(signal, background, files)
        if list(by_class) != classes:
            raise InputError(f"the tagger was fitted to the classes {classes}, not {[*by_class]}.")
        parts = []
        for chunk in reading.classes(by_class):
            scored = with_scores(chunk, method)
            parts.append(scored[[name for name in scored.fields if name != CONSTITUENTS]])
        jets = ak.concatenate(parts)
        efficiencies = efficiencies or [0.3, 0.5]
        truth = last_class(np.asarray(jets["label"]), weights_of(jets), classes, efficiencies)
        return Evaluation(
            f"{method.tagger.network} on {len(jets)} jets",
            results_of(scored_classifier(method, jets), truth),
            jets,
            {"efficiencies": efficiencies},
        )

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: curves, scores and their calibration, confusion, training."""
        method: Classifier = load(model)
        classes = method.tagger.classes
        note = runs.about(evaluation)
        jets = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        label, weight = np.asarray(jets["label"]), weights_of(jets)
        page = runs.page(
            f"A tagger of {', '.join(classes)} jets",
            f"The network {method.tagger.network}, fitted in {model}, on {len(jets)} jets that it"
            " has not seen.",
            model,
            note,
        )
        truth = last_class(label, weight, classes, note["efficiencies"])
        add_taggers(page, [scored_classifier(method, jets)], truth)
        page.add_heading("Jets")
        page.add_table(
            ["class", "jets", "sum of weights"],
            [
                [name, int((label == k).sum()), f"{weight[label == k].sum():.6g}"]
                for k, name in enumerate(classes)
            ],
        )
        return page

    def export(
        self, method: Tagger, reading: Reading, files: Files, *, out: Path, force: bool = False
    ) -> str:
        """Export a tagger as ONNX with its preprocessing, checked on jets against the original.

        Args:
            files: jets on which both must agree; the first 512 are used.
        """
        jets = reading.head(files, 512)
        difference = export_method(method, out, jets, force=force)
        return f"largest difference to torch {difference:.1e} on {len(jets)} jets"

    def summary(self, method: Classifier) -> str:
        """Name the network."""
        return f"fitted {method.tagger.network}"


def class_files(signal: Files | None, background: Files | None, files: ByClass | None) -> ByClass:
    """Return the files by class, in the order of the label, however they were given."""
    if files and not signal and not background:
        return files
    if signal and background and not files:
        return {"background": background, "signal": signal}
    raise InputError("signal and background name files together, or files those of each class.")


def with_scores(jets: ak.Array, method: Classifier) -> ak.Array:
    """Add `score` (two classes: the probability of the second) or `score_CLASS` to each jet.

    Regressed quantities are added as `predicted_NAME`.
    """
    classes = method.tagger.classes
    probability = method.predict_proba(jets)
    columns = probability[:, 1:].T if len(classes) == 2 else probability.T
    for name, column in zip(score_columns(classes), columns, strict=True):
        jets = ak.with_field(jets, column, name)
    if isinstance(method, Tagger) and method.regress:
        for name, values in method.regression(jets).items():
            jets = ak.with_field(jets, values, f"predicted_{name}")
    return jets


def score_columns(classes: Sequence[str]) -> list[str]:
    """Name the columns of the scores."""
    return ["score"] if len(classes) == 2 else [f"score_{name}" for name in classes]


def scored_classifier(method: Classifier, jets: ak.Array) -> Scored:
    """Collect what is shown of a classifier from the scores that `with_scores` added."""
    classes = method.tagger.classes
    columns = [np.asarray(jets[name]) for name in score_columns(classes)]
    if len(classes) == 2:
        columns = [1 - columns[0], columns[0]]
    probability = np.stack(columns, axis=1)[None]
    return Scored(method.tagger.network, probability, list(method.history_.values()))


def add_export(report: Report, taggers: Sequence[Compared], jets: ak.Array, folder: Path) -> None:
    """Export the first network on constituents, and show how it is used without this package."""
    compared = next((c for c in taggers if c.taggers[0].columns_[:2] == ("px", "py")), taggers[0])
    path = folder / f"{compared.entry.name.replace(' ', '-')}.onnx"
    difference = export_method(compared.taggers[0], path, jets[:256], force=True)
    report.add_heading("Use elsewhere")
    report.add_text(
        f"{compared.entry.name}, seed 0, is exported to {path.name} with its preprocessing inside;"
        f" on {min(256, len(jets))} test jets it differs from torch by at most {difference:.1e}."
        " It needs onnxruntime alone:"
    )
    report.add_text(
        "import numpy as np, onnxruntime\n"
        f'session = onnxruntime.InferenceSession("{path.name}")\n'
        "# (jets, particles, columns), zero-padded: px, py, pz, E [GeV]\n"
        'probability = session.run(None, {"constituents": jets.astype(np.float32)})[0]',
        code=True,
    )
