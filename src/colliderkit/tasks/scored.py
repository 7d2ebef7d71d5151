"""What tasks of anomaly scores share: apply, evaluate and page."""

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.schema import CONSTITUENTS, weights_of
from colliderkit.events.tables import Floats, Ints
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.metrics.anomaly import dark_machines
from colliderkit.metrics.roc import roc
from colliderkit.metrics.value import number
from colliderkit.report import classifiers
from colliderkit.report.distributions import distribution
from colliderkit.report.html import Report
from colliderkit.report.plots import round_edges
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.sources import write
from colliderkit.tasks import runs
from colliderkit.tasks.account import account, of_jets
from colliderkit.tasks.reading import OfSamples, Reading, beside, free_name, without
from colliderkit.tasks.task import Evaluation, Task

__all__ = ["ScoredTask", "anomaly_rows", "unlabelled"]

Files = list[str] | str
CLASSES = ("background", "signal")
SCORE = "anomaly"  # the column that is written


class ScoredTask(Task):
    """Base of tasks whose methods give events a score; those of a table name its `features`.

    A subclass adds `read`, and says in `described` what the score is.
    """

    def apply(
        self, method: Any, reading: Reading, files: Files, *, out: Path, force: bool = False
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
        method: Any,
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
            account(of_jets(str(background), ak.concatenate(chunks), reading.selection))
        else:
            chunks = list(reading.tables(files, method.features, weight))
        parts = []
        for chunk in chunks:
            given = chunk
            if method.features is not None:
                given = np.column_stack([ak.to_numpy(chunk[name]) for name in method.features])
            left = without(chunk, [CONSTITUENTS, SCORE])
            parts.append(ak.with_field(left, method.score(given), SCORE))
        events = ak.concatenate(parts)
        label, weights = np.asarray(events["label"]), weights_of(events)
        rows = anomaly_rows(method.name, np.asarray(events[SCORE]), label, weights)
        return Evaluation(f"{method.name} on {len(events)} events", rows, events)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: efficiencies at small background, scores and rejection.

        Examples:
            colliderkit report autoencoder-test
        """
        method = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        label, weight = np.asarray(events["label"]), weights_of(events)
        score = np.asarray(events[SCORE])
        page = runs.page(
            "An anomaly score",
            f"{self.described(method)} It is judged on {number(int((label == 0).sum()))} background"
            f" and {number(int((label == 1).sum()))} signal events.",
            model,
            note,
        )
        page.add_heading("Figures of merit")
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "AUC, and the share of signal that a cut keeps which passes a share eps_B of the"
            " background (the figures of Dark Machines, arXiv:2105.14027), with counting errors of"
            " both samples. An eps_B of less than one background event is left out.",
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
            classifiers.roc({method.name: roc(score, label, weight)}),
            "Rejection of background by a cut on the score, with its counting error.",
        )
        self.drawn(page, method)
        page.conclude(
            [Aim("The score is higher for signal than for background", "AUC", "*", "above", 0.5)]
        )
        return page

    @abstractmethod
    def described(self, method: Any) -> str:
        """Say in a sentence or two what the score is and what it was learned from."""

    def drawn(self, page: Report, method: Any) -> None:
        """Add figures of the fitted method to its page."""


def anomaly_rows(subject: str, score: Floats, label: Ints, weight: Floats) -> list[Result]:
    """Return the figures of merit of a score as results, those that the events can measure."""
    return [
        Result(subject, name, found.value, found.error, counting=found.error)
        for name, found in dark_machines(score, label, weight).items()
        if math.isfinite(found.value)
    ]


def unlabelled(method: Any, reading: Reading, files: Files, weight: str | None) -> dict[str, Any]:
    """Return events of files without labels, their numbers and weights: keywords of a fit.

    They are jets, or the table of the method's `features`; jets bring numbers and weights along.
    """
    if method.features is None:
        return {"events": reading.weighted(weight).jets(files)}
    optional = ["event", "weight"]
    texts = [*method.features, *([] if weight is None else [weight])]
    rows = reading.rows(files, texts, optional=[name for name in optional if name not in texts])
    column = weight or ("weight" if "weight" in rows.columns else None)
    return {
        "events": rows.table(method.features),
        "event": rows.numbers("event") if "event" in rows.columns else None,
        "weight": None if column is None else rows.table([column])[:, 0],
    }
