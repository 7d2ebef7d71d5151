"""The task of a calibration: estimates of the truth that close, with their resolution."""

from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.methods.calibration import Calibrated, Calibration
from colliderkit.methods.calibration.calibration import Outside
from colliderkit.methods.method import load
from colliderkit.metrics.coverage import pulls
from colliderkit.metrics.response import Profile, Statistic, closure
from colliderkit.metrics.value import Value, number
from colliderkit.report import training
from colliderkit.report.calibration import closures
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading, beside
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["CalibrationTask"]

Files = list[str] | str
Texts = list[str] | str
# Columns of events.parquet.
TRUTH, MEASURED, ESTIMATE, RESOLUTION, WEIGHT = (
    "truth",
    "measured",
    "estimate",
    "resolution",
    "weight",
)


class CalibrationTask(Task):
    """Estimate the truth of each event from what was measured of it, and features."""

    methods = (
        "gaussian-ansatz",
        "numerical-inversion",
        "sequential-calibration",
        "generalised-inversion",
        "flow-calibration",
        "posterior-calibration",
        "regression-calibration",
    )

    def read(
        self,
        method: Calibration,
        reading: Reading,
        *,
        files: Files,
        measured: str,
        truth: Texts,
        features: Texts = "",
        weight: str | None = None,
        event: str | None = None,
    ) -> Inputs:
        r"""Learn to estimate the truth of an event from what was measured of it.

        Args:
            files: ROOT, HDF5 or Parquet files of simulated events, with both.
            measured: a column or an expression of what was measured: ``log(pt)``.
            truth: that of what it was; several, if the method takes them.
            features: columns or expressions of what else is seen: ``abs(eta),tracks``.
            weight: an expression; else events count one.
            event: of the number by which events are split, rows if not given.

        Examples:
            colliderkit fit calibration jets.root --measured pt_reco --truth pt_true \
              --out calibration
            colliderkit fit calibration jets.root --measured pt_reco --truth pt_true \
              --features eta,mass --out calibration
        """
        others, truths = split_expressions(features or None), split_expressions(truth)
        if (len(truths) > 1 and not method.several) or not truths:
            raise InputError(f"truth is {truth}; {method.name} takes one number an event.")
        extra = [text for text in (weight, event) if text is not None]
        rows = reading.rows(files, [measured, *others, *truths, *extra])
        true = rows.table(truths)
        arguments = {
            "measured": rows.table([measured])[:, 0],
            "truth": true if len(truths) > 1 else true[:, 0],
            "features": rows.table(others) if others else None,
            "names": [measured, *others],
            "weight": None if weight is None else rows.table([weight])[:, 0],
            "event": None if event is None else rows.numbers(event),
        }
        return Inputs(method, arguments)

    def apply(
        self,
        method: Calibration,
        reading: Reading,
        files: Files,
        *,
        outside: Outside = "warn",
        out: Path,
        force: bool = False,
    ) -> None:
        """Write estimate and resolution beside all that was read, as `estimate` and `resolution`.

        Of several truths the columns are `estimate_0`, `estimate_1`, ...

        Args:
            files: ROOT, HDF5 or Parquet files.
            outside: warn, refuse or extrapolate: events beyond what was calibrated with.

        Examples:
            colliderkit apply calibration data.root --out calibrated.parquet
        """
        rows = reading.rows(files, method.names_, own=True)
        answer = _predicted(method, rows.table(method.names_), outside)
        columns = {}
        for name, values in zip((ESTIMATE, RESOLUTION), answer, strict=True):
            if values.ndim == 1:
                columns[name] = values
            else:
                columns |= {f"{name}_{i}": column for i, column in enumerate(values.T)}
        write(out, beside(rows.own, columns), force=force)

    def evaluate(
        self,
        method: Calibration,
        reading: Reading,
        *,
        files: Files,
        truth: str,
        weight: str | None = None,
        statistic: Statistic = "mean",
        bins: int = 10,
    ) -> Evaluation:
        r"""Measure the closure on events that the fit has not seen, under their own prior.

        Args:
            files: ROOT, HDF5 or Parquet files of simulated events.
            truth: the column or expression of what it was.
            weight: an expression; else events count one.
            statistic: whose closure it is: mean, median or mode.
            bins: of equally many events, in the truth.

        Examples:
            colliderkit evaluate calibration jets_test.root --truth pt_true \
              --out calibration-test
        """
        extra = [] if weight is None else [weight]
        rows = reading.rows(files, [*method.names_, truth, *extra])
        columns, true = rows.table(method.names_), rows.table([truth])[:, 0]
        weights = rows.table(extra)[:, 0] if extra else np.ones(len(true))
        answer = _predicted(method, columns)
        if answer.estimate.ndim > 1:
            raise InputError("closure is of one truth; apply the method and judge each of several.")
        features = columns[:, 1:] if columns.shape[1] > 1 else None
        closed = method.closure(
            columns[:, 0], true, features, bins=bins, weight=weights, statistic=statistic
        )
        bias = Profile(
            *(closed.centre, closed.count, closed.bias, closed.bias_error),
            *(closed.resolution, closed.resolution_error),
        )
        pull = pulls(answer.estimate, answer.resolution, true)
        errors = float(np.hypot.reduce(closed.resolution_error)) / len(closed.resolution)
        quantities = {
            "largest |bias| of all bins": bias.largest(0.0),
            "resolution, mean of the bins": Value(float(closed.resolution.mean()), errors),
            "pull mean": pull.mean,
            "pull width": pull.width,
        }
        if np.isfinite(closed.response).all():
            worst = int(np.argmax(np.abs(closed.response - 1)))
            away = float(abs(closed.response[worst] - 1))
            quantities["largest |response - 1|"] = Value(away, float(closed.response_error[worst]))
        results = [
            Result(method.name, name, value.value, value.error, None, value.error)
            for name, value in quantities.items()
        ]
        events = {
            TRUTH: true,
            MEASURED: columns[:, 0],
            ESTIMATE: answer.estimate,
            RESOLUTION: answer.resolution,
            WEIGHT: weights,
        }
        about = {"truth": truth, "statistic": statistic, "edges": closed.edges.tolist()}
        return Evaluation(f"{truth} of {len(true)} events", results, events, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw bias, response and resolution in bins of the truth, before and after.

        Examples:
            colliderkit report calibration-test
        """
        method: Calibration = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        columns = {name: np.asarray(events[name]) for name in events.fields}
        statistic: Statistic = note["statistic"]
        page = runs.page(
            f"A calibration of {note['truth']}",
            f"By {method.name}, on {number(len(events))} events that it has not seen.",
            model,
            note,
        )
        page.add_heading("Closure")
        prior = (
            "It learns how the truth is distributed in its events too, so that this closure is that"
            " of events like them alone."
            if method.prior_dependent
            else "How the truth is distributed in the events that it is fitted to does not enter."
        )
        page.add_definitions(
            f"Bins are of the truth, locations are the {statistic}. {prior}\n\nOf bins that close"
            " the largest bias is not 0 but some 1.5 errors. Pulls are (estimate - truth) /"
            " resolution."
        )
        curves = {
            name: closure(
                columns[column],
                columns[TRUTH],
                note["edges"],
                weight=columns[WEIGHT],
                statistic=statistic,
            )
            for name, column in (("measured", MEASURED), (method.name, ESTIMATE))
        }
        page.add_figure(
            closures({method.name: curves[method.name]}, note["truth"]),
            "Bias and resolution of the estimate in bins of the truth: a bias of 0 closes.",
        )
        page.add_results(
            read_results(evaluation / runs.RESULTS), "On events that the fit has not seen."
        )
        closed = Aim("It closes in all bins", "largest |bias| of all bins", "*", "equal", 0.0)
        # The largest of so many.
        page.claims.append(replace(closed.judge(page.results), among=len(note["edges"]) - 1))
        page.conclude(
            [
                Aim("Its resolution is the spread", "pull width", "*", "equal", 1.0, tolerance=0.2),
                Aim("Pulls are centred", "pull mean", "*", "equal", 0.0, tolerance=0.2),
            ]
        )
        if all(np.isfinite(curve.response).all() for curve in curves.values()):
            page.add_figure(
                closures(curves, note["truth"], relative=True),
                "Response, estimate / truth, of what was measured and of the estimate.",
            )
        history = getattr(method, "history_", {})
        if history:
            page.add_heading("Training")
            page.add_figure(training.training(history), "Loss of each epoch.", wide=True)
        return page

    def summary(self, method: Calibration) -> str:
        """Return a line on what was fitted, of which columns."""
        return f"fitted {method.name} of {', '.join(method.names_)}"


def _predicted(
    method: Calibration, columns: NDArray[np.float64], outside: Outside = "warn"
) -> Calibrated:
    """Return what a calibration says of columns (N, 1 + F): measured, then features."""
    features = columns[:, 1:] if columns.shape[1] > 1 else None
    return method.predict(columns[:, 0], features, outside=outside)
