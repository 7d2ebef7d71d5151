"""The task of tagging: fit, apply, evaluate, page and export of a tagger, plain or decorrelated."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import CONSTITUENTS, weights_of
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.tagging.classifier import Classifier
from colliderkit.methods.tagging.comparison import Compared
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.value import number
from colliderkit.report.html import Report
from colliderkit.report.tagging import Scored, add_taggers, last_class, results_of
from colliderkit.report.verdict import Aim
from colliderkit.serve.onnx import export_method
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.labels import Labels, named_classes, summary
from colliderkit.tasks.reading import OF_EVENTS, OfSamples, Reading, of_sample, without
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["TaggingTask", "add_export", "score_columns", "with_scores"]

Files = list[str] | str
Texts = list[str] | str | None
ByClass = dict[str, list[str] | str]


class TaggingTask(Task):
    """Classify jets; with an objective, by a score that leaves a quantity alone."""

    methods: ClassVar[tuple[str, ...]] = ("tagging", "ensemble", "cross-fit")
    around: ClassVar[Mapping[str, str]] = {"ensemble": "tagging", "cross-fit": "tagging"}

    def read(
        self,
        method: Classifier,
        reading: Reading,
        *,
        signal: Files | None = None,
        background: Files | None = None,
        files: ByClass | Files | None = None,
        label: Texts = None,
        classes: Texts = None,
        weight: OfSamples = None,
        features: Texts = None,
    ) -> Inputs:
        r"""Train a jet tagger; an --objective (DisCo, MoDe, Adversary, Planing) decorrelates it.

        Args:
            signal: ROOT, HDF5 or Parquet files of the signal.
            background: files of the background.
            files: files that hold all classes, told apart by --label; or files by class name,
                instead of signal and background.
            label: the column or expression of the class in --files, or a list of columns that are
                1 for one class each; what the layout calls the label if not given.
            classes: names of the classes by the values 0, 1, ... of the label; with other values
                as light=0,c=4,b=5.
            weight: an expression, or one for each class by name; else the files' own weights.
            features: of networks on particles, names of per-particle features; of networks on
                tables, columns or expressions with a number an event (a,b,log(c)), for files that
                hold no particles.

        Examples:
            colliderkit fit tagging --signal top.root --background qcd.root --out tagger
            colliderkit fit tagging --files jets.h5 --label is_top --network particle-net \
              --out tagger
            colliderkit fit tagging --files table.root --label isSignal --features 'm,log(pt)' \
              --network mlp --out tagger
        """
        tagger = method.tagger
        if names := split_expressions(features):
            refuse_taken(tagger, names)
            tagger.set_params(features=tuple(names))
        source = Source(reading, signal, background, files, label, classes, weight)
        tagger.set_params(classes=list(source.classes(tagger.classes)))
        return Inputs(method, {"jets": source.events(tagger)})

    def apply(
        self,
        method: Classifier,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        score: str = "score",
        force: bool = False,
    ) -> None:
        """Write scores beside all that was read, as ROOT or Parquet.

        Args:
            files: ROOT, HDF5 or Parquet files.
            score: the name of the new column, which the files must not have; with more than two
                classes it is followed by the name of each.

        Examples:
            colliderkit apply tagger new.root --out scored.parquet
        """
        if not is_flat(method.tagger):
            scored = [with_scores(jets, method, score) for jets in reading.chunks(files)]
            write(out, ak.concatenate(scored), force=force)
            return
        names = method.tagger.features or ()
        rows = reading.rows(files, names, own=True)
        table = ak.zip(dict(zip(names, rows.table(names).T, strict=True)))
        columns = scores_of(table, method, score)
        refuse_columns(columns, rows.own)
        write(out, {**rows.own, **columns}, force=force)

    def evaluate(
        self,
        method: Classifier,
        reading: Reading,
        *,
        signal: Files | None = None,
        background: Files | None = None,
        files: ByClass | Files | None = None,
        label: Texts = None,
        classes: Texts = None,
        weight: OfSamples = None,
        efficiencies: list[float] | None = None,
    ) -> Evaluation:
        r"""Measure a tagger on labelled jets that it has not seen.

        Args:
            signal: files of the signal.
            background: files of the background.
            files: files that hold all classes, told apart by --label; or files by class name, of
                which the last is the signal.
            label: the column or expression of the class, as in fit.
            classes: names of the classes by the values of the label, as in fit.
            weight: an expression, or one for each class by name; else the files' own weights.
            efficiencies: signal efficiencies of the rejections; 0.3 and 0.5 if not given.

        Examples:
            colliderkit evaluate tagger --signal top_test.root --background qcd_test.root \
              --out tagger-test
            colliderkit evaluate tagger --files jets_test.h5 --label is_top --out tagger-test
        """
        fitted = list(method.tagger.classes)
        source = Source(reading, signal, background, files, label, classes, weight)
        if list(given := source.classes(fitted)) != fitted:
            raise InputError(f"the tagger was fitted to the classes {fitted}, not {[*given]}.")
        parts = []
        for chunk in source.events(method.tagger):
            added = scores_of(chunk, method)
            left = without(chunk, [CONSTITUENTS, *added])
            for name, column in added.items():
                left = ak.with_field(left, column, name)
            parts.append(left)
        jets = ak.concatenate(parts)
        efficiencies = efficiencies or [0.3, 0.5]
        truth = last_class(np.asarray(jets["label"]), weights_of(jets), fitted, efficiencies)
        return Evaluation(
            f"{method.tagger.network} on {len(jets)} jets",
            results_of(scored_classifier(method, jets), truth),
            jets,
            {"efficiencies": efficiencies},
        )

    def page(self, model: Path, evaluation: Path, *, classes: Texts = None) -> Report:
        """Draw an evaluation: curves, scores and their calibration, confusion, training.

        Args:
            classes: other names of the classes for the page, in the order of the fit: QCD,top.

        Examples:
            colliderkit report tagger-test
            colliderkit report tagger tagger-test --title "Top taggers" --classes QCD,top
        """
        method: Classifier = load(model)
        names = split_expressions(classes) or list(method.tagger.classes)
        if len(names) != len(method.tagger.classes):
            raise InputError(
                f"classes has {len(names)} names; the tagger was fitted to"
                f" {', '.join(method.tagger.classes)}: give as many, in this order."
            )
        note = runs.about(evaluation)
        jets = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        label, weight = np.asarray(jets["label"]), weights_of(jets)
        page = runs.page(
            f"Tagging {names[-1]} against {', '.join(names[:-1])}",
            f"The network {method.tagger.network} tells jets of {', '.join(names)} apart, on"
            f" {number(len(jets))} jets that it has not seen.",
            model,
            note,
        )
        page.facts += [
            f"{number(int((label == k).sum()))} {name} jets" for k, name in enumerate(names)
        ]
        truth = last_class(label, weight, names, note["efficiencies"])
        add_taggers(page, [scored_classifier(method, jets)], truth)
        page.conclude([Aim("The tagger tells the classes apart", "AUC", "*", "above", 0.5)])
        page.add_heading("Jets")
        page.add_table(
            ["class", "jets", "sum of weights"],
            [
                [name, int((label == k).sum()), float(weight[label == k].sum())]
                for k, name in enumerate(names)
            ],
            "The test jets.",
        )
        return page

    def export(
        self, method: Tagger, reading: Reading, files: Files, *, out: Path, force: bool = False
    ) -> str:
        """Export a tagger as ONNX with its preprocessing, checked on jets against the original.

        Args:
            files: jets on which both must agree; the first 512 are used.

        Examples:
            colliderkit export tagger jets_test.h5 --out tagger.onnx
        """
        jets = head(method.tagger, reading, files, 512)
        difference = export_method(method, out, jets, force=force)
        return f"largest difference to torch {difference:.1e} on {len(jets)} jets"

    def summary(self, method: Classifier) -> str:
        """Name the network."""
        return f"fitted {method.tagger.network}"


@dataclass(frozen=True)
class Source:
    """Hold the options that say which events are of which class."""

    reading: Reading
    signal: Files | None
    background: Files | None
    files: ByClass | Files | None
    label: Texts
    named: Texts
    weight: OfSamples

    @property
    def by_class(self) -> ByClass | None:
        """Files by class in the order of the label, or None for files that hold all."""
        both = bool(self.signal) and bool(self.background)
        if both and not self.files:
            found: ByClass = {"background": self.background or "", "signal": self.signal or ""}
        elif self.files and not self.signal and not self.background:
            if not isinstance(self.files, dict):
                return None
            found = self.files
        else:
            raise InputError(
                "signal and background name files together, or files those of each class, or"
                " files those that hold all with label."
            )
        if self.label:
            raise InputError(
                f"label is given, and the files of {', '.join(found)} say the class; give all as"
                " files with label, or leave label out."
            )
        return found

    def classes(self, known: Sequence[str]) -> Sequence[str]:
        """Return the names of the classes; of labels without names they are `known`."""
        by_class = self.by_class
        if by_class is None:
            return self.labels(known).classes
        names, values = named_classes(self.named) if self.named else ((), None)
        if values is not None or (names and list(names) != list(by_class)):
            raise InputError(
                f"classes names {', '.join(names)}, and the files are those of"
                f" {', '.join(by_class)}; leave classes out, or give files with label."
            )
        return list(by_class)

    def labels(self, known: Sequence[str]) -> Labels:
        """Return how the label of files that hold all classes is read."""
        return Labels.of(self.label, self.named, known)

    def events(self, tagger: Tagger) -> Iterator[ak.Array]:
        """Yield labelled events, and say in a line what they were when all are read."""
        classes, particles = list(tagger.classes), 0
        label: list[NDArray[np.int64]] = []
        weight: list[NDArray[np.float64]] = []
        for chunk in self._chunks(tagger):
            label.append(np.asarray(chunk["label"]))
            if "weight" in chunk.fields:
                weight.append(np.asarray(chunk["weight"]))
            if CONSTITUENTS in chunk.fields:
                particles += int(ak.sum(ak.num(chunk[CONSTITUENTS])))
            yield chunk
        if label:
            weights = np.concatenate(weight) if weight else None
            mean = None if is_flat(tagger) else particles
            account(summary(classes, np.concatenate(label), weights, mean))

    def _chunks(self, tagger: Tagger) -> Iterator[ak.Array]:
        by_class, features = self.by_class, tagger.features if is_flat(tagger) else None
        if by_class is not None and features is not None:
            yield from self.reading.tables(by_class, features, self.weight)
        elif by_class is not None:
            yield from self.reading.classes(by_class, self.weight)
        else:
            labels = self.labels(tagger.classes)
            weight = of_sample(self.weight, "weight", "", labels.classes)
            if isinstance(self.weight, dict):
                raise InputError("weight is given by class, and the files hold all; give one.")
            files = cast(Files, self.files)
            if features is not None:
                yield self.reading.labelled_table(files, features, labels, weight)
            else:
                yield from self.reading.labelled(files, labels, weight)


def is_flat(tagger: Tagger) -> bool:
    """Return whether a tagger takes columns with a number an event, and not jets."""
    return tagger.features is not None and tagger.takes_table


def refuse_taken(tagger: Tagger, names: Sequence[str]) -> None:
    """Raise `InputError` for a feature of events that is their label, weight or number."""
    for name in names:
        if tagger.takes_table and name in OF_EVENTS:
            raise InputError(
                f"features has '{name}', which is no property of an event that a tagger may learn"
                f" from; leave it out, or write 1 * {name} if it is one here."
            )


def head(tagger: Tagger, reading: Reading, files: Files, count: int) -> ak.Array:
    """Return the first events of files, as the tagger takes them."""
    if not is_flat(tagger):
        return reading.head(files, count)
    names = tagger.features or ()
    rows = reading.rows(files, names, stop=count)
    return ak.zip(dict(zip(names, rows.table(names).T, strict=True)))


def refuse_columns(columns: Iterable[str], own: Iterable[str]) -> None:
    """Raise `InputError` if a new column would take the place of one that the files have."""
    if taken := sorted(set(columns) & set(own)):
        raise InputError(
            f"score would write the column '{taken[0]}', which the files have; name another with"
            " score (as score new_score)."
        )


def with_scores(jets: ak.Array, method: Classifier, score: str = "score") -> ak.Array:
    """Add what `scores_of` returns to each jet; raise `InputError` if a name is taken."""
    columns = scores_of(jets, method, score)
    refuse_columns(columns, jets.fields)
    for name, column in columns.items():
        jets = ak.with_field(jets, column, name)
    return jets


def scores_of(
    jets: ak.Array, method: Classifier, score: str = "score"
) -> dict[str, NDArray[np.floating[Any]]]:
    """Return `score` (two classes: the probability of the second) or `score_CLASS` of each jet.

    Regressed quantities are `predicted_NAME`.
    """
    classes = method.tagger.classes
    probability = method.predict_proba(jets)
    values = probability[:, 1:].T if len(classes) == 2 else probability.T
    columns = dict(zip(score_columns(classes, score), values, strict=True))
    if isinstance(method, Tagger) and method.regress:
        for name, column in method.regression(jets).items():
            columns[f"predicted_{name}"] = column
    return columns


def score_columns(classes: Sequence[str], score: str = "score") -> list[str]:
    """Name the columns of the scores."""
    return [score] if len(classes) == 2 else [f"{score}_{name}" for name in classes]


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
    import onnxruntime

    compared = next((c for c in taggers if c.taggers[0].columns_[:2] == ("px", "py")), taggers[0])
    path = folder / f"{re.sub(r'[^A-Za-z0-9]+', '-', compared.entry.name).strip('-')}.onnx"
    difference = export_method(compared.taggers[0], path, jets[:256], force=True)
    # What the file says of itself, so that the page cannot say anything else.
    session = onnxruntime.InferenceSession(path)
    about = session.get_modelmeta().custom_metadata_map
    columns = zip(json.loads(about["columns"]), json.loads(about["units"]), strict=True)
    listed = ", ".join(name + (f" [{unit}]" if unit else "") for name, unit in columns)
    entry = session.get_inputs()[0].name
    shape = "jets, columns)"
    if entry == "constituents":
        shape = "jets, particles, columns), zero-padded"
    report.add_heading("Use elsewhere")
    report.add_text(
        f"{compared.entry.name}, seed 0, is exported to {path.name} with its preprocessing inside;"
        f" on {min(256, len(jets))} test jets it differs from torch by at most {difference:.1e}."
        " It needs onnxruntime alone:"
    )
    report.add_text(
        "import numpy as np, onnxruntime\n"
        f'session = onnxruntime.InferenceSession("{path.name}")\n'
        f"# ({shape}: {listed}\n"
        f"# probabilities of {', '.join(json.loads(about['classes']))}\n"
        f'probability = session.run(None, {{"{entry}": jets.astype(np.float32)}})[0]',
        code=True,
    )
