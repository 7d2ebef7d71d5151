"""The task of a regression with uncertainties: fit, apply, evaluate, page and export."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.regression import REGRESSIONS, Conformal, Regression
from colliderkit.metrics.coverage import Coverage, coverage_in_bins, uncertainties
from colliderkit.metrics.response import closure, equal_bins, profile
from colliderkit.metrics.value import Value, number
from colliderkit.report import training
from colliderkit.report.calibration import closures
from colliderkit.report.html import Report
from colliderkit.report.regression import coverage_against, coverage_curves, ranks
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.serve.regression import export_regression
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading, beside
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["RegressionTask"]

Files = list[str] | str
Texts = list[str] | str
Fitted = Regression | Conformal
# Columns of events.parquet.
TARGET, ESTIMATE, STD = "target", "estimate", "std"


class RegressionTask(Task):
    """Estimate a number of each event from a table of features, with its uncertainty."""

    methods = ("deep-ensemble", *(n for n in REGRESSIONS if n != "deep-ensemble"), "conformal")
    around: ClassVar[Mapping[str, str]] = {"conformal": "deep-ensemble"}

    def read(
        self,
        method: Fitted,
        reading: Reading,
        *,
        files: Files,
        features: Texts,
        target: str,
        conformal: Literal["scaled", "shifted"] | None = None,
        intervals: list[float] = [0.68, 0.95],  # noqa: B006  a default that the help shows
        weight: str | None = None,
        event: str | None = None,
    ) -> Inputs:
        r"""Learn a number of each event from features, with its uncertainty.

        Args:
            files: ROOT, HDF5 or Parquet files.
            features: columns or expressions of what is seen of an event: ``mass,log(pt)``.
            target: a column or an expression of what is learned.
            conformal: calibrate the intervals on a quarter of the events, by this score; "shifted"
                suits quantiles.
            intervals: the levels of conformal intervals.
            weight: an expression; else events count one.
            event: of the number by which events are split, rows if not given.

        Examples:
            colliderkit fit regression events.root --features a,b,c --target energy \
              --out regression
            colliderkit fit regression events.root --method boosted-regression --features a,b,c \
              --target energy --out trees
        """
        names = split_expressions(features)
        if not names:
            raise InputError("features is empty; name what is seen of an event, as mass,log(pt).")
        if conformal is not None:
            if isinstance(method, Conformal):
                raise InputError("conformal is what the method does already; leave it out.")
            method = Conformal(method, score=conformal, levels=tuple(intervals))
        extra = [text for text in (weight, event) if text is not None]
        rows = reading.rows(files, [*names, target, *extra])
        arguments = {
            "x": rows.table(names),
            "y": rows.table([target])[:, 0],
            "names": names,
            "weight": None if weight is None else rows.table([weight])[:, 0],
            "event": None if event is None else rows.numbers(event),
        }
        return Inputs(method, arguments)

    def apply(
        self,
        method: Fitted,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        level: float = 0.68,
        force: bool = False,
    ) -> None:
        """Write estimate, standard deviation and interval beside all that was read.

        The columns are `estimate`, `std`, `low` and `high`, and `epistemic` of a method that
        tells how far the estimate is uncertain for want of training events.

        Args:
            files: ROOT, HDF5 or Parquet files.
            level: of the interval.

        Examples:
            colliderkit apply regression data.root --out predicted.parquet
        """
        rows = reading.rows(files, method.names_, own=True)
        x = rows.table(method.names_)
        prediction, (low, high) = method.predict(x), method.interval(x, level)
        columns = {ESTIMATE: prediction.estimate, STD: prediction.std, "low": low, "high": high}
        if prediction.epistemic is not None:
            columns["epistemic"] = prediction.epistemic
        write(out, beside(rows.own, columns), force=force)

    def evaluate(
        self,
        method: Fitted,
        reading: Reading,
        *,
        files: Files,
        target: str,
        intervals: list[float] = [0.68, 0.95],  # noqa: B006  a default that the help shows
        bins: int = 8,
    ) -> Evaluation:
        r"""Measure bias, resolution and coverage on events that the fit has not seen.

        Args:
            files: ROOT, HDF5 or Parquet files.
            target: the column or expression that was learned.
            intervals: levels whose coverage is counted.
            bins: of equally many events, in the target, for the page.

        Examples:
            colliderkit evaluate regression events_test.root --target energy \
              --out regression-test
        """
        if bins < 1:
            raise InputError(f"bins is {bins}; it must be at least 1.")
        rows = reading.rows(files, [*method.names_, target])
        x, truth = rows.table(method.names_), rows.table([target])[:, 0]
        prediction = method.predict(x)
        edges = equal_bins(truth, bins)
        ends = {level: method.interval(x, level) for level in intervals}
        worth = uncertainties(
            prediction.estimate,
            prediction.std,
            ends.__getitem__,
            truth,
            levels=intervals,
            edges=edges,
        )
        every = profile(prediction.estimate - truth, truth, edges[[0, -1]])
        quantities = {
            "bias": Value(float(every.value[0]), float(every.error[0])),
            "resolution": Value(float(every.spread[0]), float(every.spread_error[0])),
            "pull mean": worth.pulls.mean,
            "pull width": worth.pulls.width,
            **{f"coverage of {100 * level:g}%": worth.at(level) for level in intervals},
        }
        results = [
            Result(method.name, name, value.value, value.error, None, value.error)
            for name, value in quantities.items()
        ]
        events = {TARGET: truth, ESTIMATE: prediction.estimate, STD: prediction.std}
        for level, (low, high) in ends.items():
            events |= {f"low {level:g}": low, f"high {level:g}": high}
        about = {"target": target, "levels": list(intervals), "edges": edges.tolist()}
        return Evaluation(f"{target} of {len(truth)} events", results, events, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw bias, resolution and coverage in bins of the target.

        Examples:
            colliderkit report regression-test
        """
        method: Fitted = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        columns = {name: np.asarray(events[name]) for name in events.fields}
        truth, edges, levels = columns[TARGET], np.asarray(note["edges"]), note["levels"]
        page = runs.page(
            f"A regression of {note['target']}",
            f"By {method.name}, on {number(len(truth))} events that it has not seen.",
            model,
            note,
        )
        page.add_heading("Bias, resolution and coverage")
        page.add_definitions(
            "A regression learns the distribution of the target in its training events too: at"
            " both ends of it estimates are drawn inwards (arXiv:2205.05084)."
        )
        page.add_figure(
            closures({method.name: closure(columns[ESTIMATE], truth, edges)}, note["target"]),
            "Bias and resolution in bins of the target.",
        )
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "Mean and standard deviation of estimate - target, mean and width of the pulls"
            " (estimate - target) / std, and the share of events whose target is in the interval.",
        )
        page.conclude(
            [
                Aim("It is right on average", "bias", "*", "equal", 0.0),
                Aim(
                    "Its errors are as large as its mistakes",
                    "pull width",
                    "*",
                    "equal",
                    1.0,
                    tolerance=0.2,
                ),
                *(
                    Aim(
                        f"Intervals of {100 * level:g}% hold as many",
                        f"coverage of {100 * level:g}%",
                        "*",
                        "equal",
                        level,
                    )
                    for level in levels
                ),
            ]
        )
        bins = {method.name: _coverages(columns, levels[0], edges)}
        page.add_figure(
            coverage_against(edges, bins, levels[0], label=note["target"]),
            f"Coverage of {100 * levels[0]:g}% intervals in bins of the target.",
        )
        every = [_coverages(columns, level, edges[[0, -1]])[0] for level in sorted(levels)]
        page.add_figure(
            coverage_curves(sorted(levels), {method.name: every}),
            "Coverage of the intervals minus their level: 0 is right, below it they are too short.",
        )
        places = ndtr((truth - columns[ESTIMATE]) / columns[STD])
        page.add_figure(
            ranks({method.name: places}),
            "Where the truth lies in the predicted Gaussian: flat where it is right, a hill where"
            " it is too wide, a valley where it is too narrow, a slope where it is biased.",
        )
        history = (method.method_ if isinstance(method, Conformal) else method).history_
        if history:
            page.add_heading("Training")
            page.add_figure(training.training(history), "Loss of each epoch.", wide=True)
        return page

    def export(
        self, method: Fitted, reading: Reading, files: Files, *, out: Path, force: bool = False
    ) -> str:
        """Export estimate and standard deviation with all scales as ONNX, checked on events.

        Args:
            files: events on which both must agree; the first 512 are used.

        Examples:
            colliderkit export regression events_test.root --out regression.onnx
        """
        rows = reading.rows(files, method.names_, stop=512)
        difference = export_regression(method, out, rows.table(method.names_), force=force)
        return f"largest difference to torch {difference:.1e} of a spread on {len(rows)} events"

    def summary(self, method: Fitted) -> str:
        """Return a line on what was fitted, of which features."""
        return f"fitted {method.name} of {', '.join(method.names_)}"


def _coverages(
    columns: Mapping[str, NDArray[np.float64]], level: float, edges: NDArray[np.float64]
) -> list[Coverage]:
    low, high = columns[f"low {level:g}"], columns[f"high {level:g}"]
    return coverage_in_bins(low, high, columns[TARGET], columns[TARGET], edges)
