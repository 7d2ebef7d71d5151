"""The task of an autoencoder: fit, apply, evaluate, page and export."""

import math
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.schema import CONSTITUENTS, weights_of
from colliderkit.events.tables import Floats, Ints
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.metrics.anomaly import dark_machines
from colliderkit.metrics.roc import roc
from colliderkit.metrics.value import number
from colliderkit.report import classifiers
from colliderkit.report.distributions import distribution
from colliderkit.report.html import Report
from colliderkit.report.plots import round_edges
from colliderkit.report.results import Result, read_results
from colliderkit.report.training import training
from colliderkit.report.verdict import Aim
from colliderkit.serve.onnx import export_method
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.account import account, of_jets
from colliderkit.tasks.reading import OfSamples, Reading, beside, free_name, without
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["AutoencoderTask", "anomaly_rows"]

Files = list[str] | str
Texts = list[str] | str | None
CLASSES = ("background", "signal")
SCORE = "anomaly"  # the column that is written


class AutoencoderTask(Task):
    """Score events by how badly an autoencoder reproduces them."""

    methods = ("autoencoder",)

    def read(
        self,
        method: Autoencoder,
        reading: Reading,
        files: Files,
        *,
        features: Texts = None,
        weight: str | None = None,
    ) -> Inputs:
        r"""Train an autoencoder on unlabelled events; what it reproduces badly is anomalous.

        Args:
            files: ROOT, HDF5 or Parquet files of background, or of data with little signal.
            features: columns or expressions with a number an event (a,b,log(c)), for files that
                hold no particles; without it the files hold jets.
            weight: an expression, 0 or more; else the files' own weights.

        Examples:
            colliderkit fit autoencoder events.root --features pt,m --out autoencoder
            colliderkit fit autoencoder qcd.root --representation set --kind contrastive \
              --out autoencoder
        """
        if names := split_expressions(features):
            method.set_params(features=tuple(names))
        if method.features is None:
            return Inputs(method, {"events": reading.weighted(weight).jets(files)})
        optional = ["event"] + (["weight"] if weight is None else [])
        texts = [*method.features, *([] if weight is None else [weight])]
        rows = reading.rows(files, texts, optional=optional)
        column = weight or ("weight" if "weight" in rows.columns else None)
        arguments = {
            "events": rows.table(method.features),
            "event": rows.numbers("event") if "event" in rows.columns else None,
            "weight": None if column is None else rows.table([column])[:, 0],
        }
        return Inputs(method, arguments)

    def apply(
        self,
        method: Autoencoder,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write the score as the column `anomaly` beside all that was read, as ROOT or Parquet.

        Args:
            files: ROOT, HDF5 or Parquet files.

        Examples:
            colliderkit apply autoencoder new.root --out scored.parquet
        """
        if method.features is None:
            parts = []
            for jets in reading.chunks(files):
                name = free_name(SCORE, jets.fields)
                parts.append(ak.with_field(jets, method.score(jets), name))
            write(out, ak.concatenate(parts), force=force)
            return
        rows = reading.rows(files, method.features, own=True)
        score = method.score(rows.table(method.features))
        write(out, beside(rows.own, {SCORE: score}), force=force)

    def evaluate(
        self,
        method: Autoencoder,
        reading: Reading,
        *,
        signal: Files,
        background: Files,
        weight: OfSamples = None,
    ) -> Evaluation:
        r"""Measure the score on labelled events, by the figures of merit of Dark Machines.

        Args:
            signal: files of a signal that the score should find.
            background: files of the background that the fit has not seen.
            weight: an expression, or one for each class by name; else the files' own weights.

        Examples:
            colliderkit evaluate autoencoder --signal top_test.root --background qcd_test.root \
              --out autoencoder-test
        """
        files = {"background": background, "signal": signal}
        if method.features is None:
            chunks = list(reading.classes(files, weight))
        else:
            chunks = list(reading.tables(files, method.features, weight))
        parts = []
        for chunk in chunks:
            left = without(chunk, [CONSTITUENTS, SCORE])
            parts.append(ak.with_field(left, method.score(chunk), SCORE))
        events = ak.concatenate(parts)
        if method.features is None:
            account(of_jets(str(background), ak.concatenate(chunks), reading.selection))
        label = np.asarray(events["label"])
        rows = anomaly_rows(method.kind, np.asarray(events[SCORE]), label, weights_of(events))
        return Evaluation(f"an autoencoder on {len(events)} events", rows, events)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: scores, rejection, efficiencies at small background, training.

        Examples:
            colliderkit report autoencoder-test
        """
        method: Autoencoder = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        label, weight = np.asarray(events["label"]), weights_of(events)
        score = np.asarray(events[SCORE])
        page = runs.page(
            "An anomaly score",
            f"A {method.kind} autoencoder of a {method.representation} through {method.latent}"
            f" numbers, on {number(int((label == 0).sum()))} background and"
            f" {number(int((label == 1).sum()))} signal events. No label entered the training.",
            model,
            note,
        )
        page.add_heading("Figures of merit")
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "AUC, and the share of signal that a cut keeps which passes a share ε_B of the"
            " background (the figures of Dark Machines, arXiv:2105.14027), with counting errors of"
            " both samples. An ε_B of less than one background event is left out.",
        )
        page.add_heading("Scores")
        samples = {name: score[label == k] for k, name in enumerate(CLASSES)}
        weights = {name: weight[label == k] for k, name in enumerate(CLASSES)}
        edges = round_edges(*np.quantile(score, [0.002, 0.99]))
        page.add_figure(
            distribution(samples, edges, "Anomaly score", weights=weights, log=True),
            "Scores of background and signal, normalised, and their ratio.",
        )
        page.add_figure(
            classifiers.roc({method.kind: roc(score, label, weight)}),
            "Rejection of background by a cut on the score, with its counting error.",
        )
        page.add_heading("Training")
        page.add_figure(training(method.history_), "Loss of each epoch.", wide=True)
        page.conclude(
            [
                Aim(
                    "The score is higher for signal than for background",
                    "AUC",
                    "*",
                    "above",
                    0.5,
                )
            ]
        )
        return page

    def export(
        self,
        method: Autoencoder,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> str:
        """Export the score as ONNX with its preprocessing, checked on events against the original.

        Args:
            files: events on which both must agree; the first 512 are used.

        Examples:
            colliderkit export autoencoder qcd_test.root --out autoencoder.onnx
        """
        events: Any
        if method.features is None:
            events = reading.head(files, 512)
        else:
            events = reading.rows(files, method.features, stop=512).table(method.features)
        difference = export_method(method, out, events, force=force)
        return f"largest difference to torch {difference:.1e} of the score on {len(events)} events"

    def summary(self, method: Autoencoder) -> str:
        """Name the kind."""
        return f"fitted a {method.kind} autoencoder"


def anomaly_rows(subject: str, score: Floats, label: Ints, weight: Floats) -> list[Result]:
    """Return the figures of merit of a score as results, those that the events can measure."""
    return [
        Result(subject, name, found.value, found.error, counting=found.error)
        for name, found in dark_machines(score, label, weight).items()
        if math.isfinite(found.value)
    ]
