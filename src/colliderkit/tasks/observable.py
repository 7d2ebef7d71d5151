"""The task of a learned observable for unfolding: fit, apply, evaluate and page."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.binning import balanced_edges, quantile_edges
from colliderkit.methods.method import load
from colliderkit.methods.unfolding.learned import LearnedObservable
from colliderkit.methods.unfolding.quality import Quality
from colliderkit.methods.unfolding.response import Response
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.report import training
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.unfolding import by_bin, responses
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.rows import Rows
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading, beside
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["ObservableTask"]

Files = list[str] | str
Texts = list[str] | str | None


class ObservableTask(Task):
    """Learn the detector-level observable that is easiest to unfold."""

    methods = ("learned-observable",)

    def read(
        self,
        method: LearnedObservable,
        reading: Reading,
        *,
        simulation: Files,
        columns: Texts,
        truth: str,
        weight: str | None = None,
        event: str | None = None,
    ) -> Inputs:
        """Learn, from all that the detector sees, the number that tells most of a true one.

        Args:
            simulation: ROOT, HDF5 or Parquet files of events that are seen and true; choose them
                by a selection. Unfold with others.
            columns: what the detector sees, by name or expression: ``m,log(pt)``.
            truth: the particle-level quantity, by name or expression.
            weight: an expression; else events count one.
            event: an expression of the number by which events are split; rows if not given.
        """
        names = split_expressions(columns)
        if not names:
            raise InputError("columns is empty; name what the detector sees.")
        method.set_params(columns=tuple(names))
        extra = [text for text in (weight, event) if text is not None]
        rows = reading.rows(simulation, [*names, truth, *extra])
        arguments = {
            "reco": rows.table(names),
            "truth": rows.table([truth])[:, 0],
            "weight": None if weight is None else rows.table([weight])[:, 0],
            "event": None if event is None else rows.columns[event].astype(np.int64),
        }
        return Inputs(method, arguments)

    def apply(
        self,
        method: LearnedObservable,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write the observable as the column `observable` beside all that was read.

        Args:
            files: ROOT, HDF5 or Parquet files, of data or of a simulation.
        """
        rows = _rows(method, reading, files, own=True)
        observable = method.predict(rows.table(method.columns))
        write(out, beside(rows.own, {"observable": observable}), force=force)

    def evaluate(
        self,
        method: LearnedObservable,
        reading: Reading,
        *,
        simulation: Files,
        truth: str,
        weight: str | None = None,
        bins: int = 10,
        detector_bins: int = 20,
    ) -> Evaluation:
        """Judge the observable by its response on events that it was not trained on.

        Args:
            simulation: files of events that are seen and true, others than those of fit.
            truth: the particle-level quantity, by name or expression.
            weight: an expression; else events count one.
            bins: of the truth, of equal shares, where the fit had none.
            detector_bins: of the observable, where it has none of its own.
        """
        extra = [truth, *([] if weight is None else [weight])]
        rows = _rows(method, reading, simulation, extra)
        true = rows.table([truth])[:, 0]
        observable = method.predict(rows.table(method.columns))
        edges = np.asarray(method.truth_edges, dtype=np.float64)
        if not len(edges):
            edges = quantile_edges(true, bins)
            edges[0], edges[-1] = true.min(), true.max()
        reco_edges = (
            method.edges()
            if method.criterion == "information"
            else balanced_edges(observable, detector_bins, true, edges)
        )
        sample = UnfoldingSample.checked(
            observable,
            observable,
            true,
            weight=None if weight is None else rows.table([weight])[:, 0],
        )
        response = Response.of(sample, edges, reco_edges)
        quality = Quality.of(response)
        results = [
            Result("all bins", "inflation", quality.mean, quality.mean_error),
            Result("all bins", "condition", quality.condition),
            *(
                Result(f"{low:.4g} to {high:.4g}", "inflation", float(value), float(error))
                for low, high, value, error in zip(
                    edges, edges[1:], quality.inflation, quality.error, strict=False
                )
            ),
        ]
        about = {
            "truth": truth,
            "edges": edges.tolist(),
            "inflation": quality.inflation.tolist(),
            "response": response.matrix.tolist(),
        }
        columns = {"observable": observable, "truth": true}
        return Evaluation(
            f"an observable for {truth}, on {len(true)} events", results, columns, about
        )

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw the response of the observable, and what each bin of the truth costs to unfold."""
        method: LearnedObservable = load(model)
        note = runs.about(evaluation)
        truth = note["truth"]
        edges, inflation, matrix = (
            np.asarray(note[name], dtype=np.float64) for name in ("edges", "inflation", "response")
        )
        page = runs.page(
            f"An observable for {truth}",
            f"Learned from {', '.join(method.columns)} by the criterion {method.criterion}:"
            f" {note['title']}.",
            model,
            note,
        )
        rows = [
            [f"{low:.4g} to {high:.4g}", float(value)]
            for low, high, value in zip(edges, edges[1:], inflation, strict=False)
        ]
        page.add_heading("What each bin costs")
        name = "learned"
        page.add_figure(
            by_bin(
                {name: inflation}, _finite(edges), truth, "Unfolded / counting variance", line=1.0
            ),
            "What each bin costs to unfold: 1 is a perfect detector.",
        )
        page.add_figure(
            responses({name: matrix}, truth),
            "The response, bins by number: the more diagonal, the less an unfolding has to do.",
        )
        page.add_table(
            ["bin of the truth", "inflation"],
            rows,
            "The variance of an unfolded bin over that of counting its true events, for an"
            " inversion without bias; 1 for a perfect detector.",
        )
        page.add_heading("Training")
        page.add_figure(training.training(method.history_), "Loss of each epoch.", wide=True)
        return page


def _rows(
    method: LearnedObservable,
    reading: Reading,
    files: Files,
    extra: list[str] | None = None,
    own: bool = False,
) -> Rows:
    if reading.columns is not None:
        raise InputError("columns are those of the fit; leave them out.")
    return reading.rows(files, [*method.columns, *(extra or [])], own=own)


def _finite(edges: NDArray[Any]) -> NDArray[Any]:
    """Close bins of under- and overflow for the eye, as wide as their neighbours."""
    closed = edges.copy()
    if not np.isfinite(closed[0]):
        closed[0] = 2 * closed[1] - closed[2]
    if not np.isfinite(closed[-1]):
        closed[-1] = 2 * closed[-2] - closed[-3]
    return closed
