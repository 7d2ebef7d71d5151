"""The task of a likelihood ratio: fit, apply, evaluate, page and export."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from colliderkit.errors import InputError
from colliderkit.events.tables import as_weight
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.ratio import Diagnostics, Ratio, classifier_test
from colliderkit.methods.ratio.diagnostics import diagnose
from colliderkit.metrics.closure import agreement, gaps
from colliderkit.metrics.value import Value, number
from colliderkit.report import training
from colliderkit.report.html import Report
from colliderkit.report.ratio import closure
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim, Claim, Line
from colliderkit.serve.onnx import export_method
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.reading import OfSamples, Reading, beside, free_name, of_sample
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["RatioSample", "RatioTask", "read_sample"]

Floats = NDArray[np.float64]
Files = list[str] | str
Texts = list[str] | str | None
SAMPLES = ("numerator", "denominator")

# Columns of events.parquet beside those of the events.
LABEL, WEIGHT, RATIO = "sample is numerator", "sample weight", "ratio p1/p0"
NDF = "degrees of freedom"
WHOLE = "all columns"  # the subject of a figure of no single one


class RatioTask(Task):
    """Learn p1/p0, the likelihood ratio of two samples, of tables or of jets."""

    methods = ("ratio",)

    def read(
        self,
        method: Ratio,
        reading: Reading,
        *,
        numerator: Files,
        denominator: Files,
        columns: dict[str, str] | list[str] | str | None = None,
        parameters: Texts = None,
        weight: OfSamples = None,
        event: OfSamples = None,
    ) -> Inputs:
        r"""Learn p1/p0, the likelihood ratio of two samples.

        Args:
            numerator: ROOT, HDF5 or Parquet files of p1.
            denominator: files of p0.
            columns: what a table holds, by name or expression: ``mass,log(pt)``. For a --network
                on particles, expressions by canonical name, as in fit tagging.
            parameters: columns or expressions of the numerator with the theta that an event was
                made with; the ratio is then p(x | theta) / p0(x).
            weight: an expression, or one a sample: ``{denominator: w}``; else events count one.
            event: of the number by which events are split, rows if not given.

        Examples:
            colliderkit fit ratio --numerator data.root --denominator mc.root --columns a,b,c \
              --out ratio
            colliderkit fit ratio --numerator theta.root --denominator reference.root \
              --columns a,b --parameters theta --out ratio
        """
        method.set_params(parameters=split_expressions(parameters))
        if method.particles:
            if columns is not None and not isinstance(columns, dict):
                raise InputError(
                    f"columns is {columns}; network '{method.network}' takes particles, whose"
                    " columns are expressions by canonical name, as {constituents.px: part_px}."
                )
            reading = replace(reading, columns=columns)
        else:
            if isinstance(columns, dict) or not (names := split_expressions(columns)):
                raise InputError("columns is missing; name what the table holds, as mass,log(pt).")
            method.set_params(columns=names)
        one, two = (
            read_sample(
                method,
                files,
                reading,
                weight=of_sample(weight, "weight", sample, SAMPLES),
                event=of_sample(event, "event", sample, SAMPLES),
                theta=method.parameters if sample == "numerator" else (),
            )
            for sample, files in zip(SAMPLES, (numerator, denominator), strict=True)
        )
        if not method.parameters and same_events(method, one, two):
            warnings.warn(
                f"{numerator} and {denominator} hold the same events, so that their ratio is 1",
                UserWarning,
                stacklevel=2,
            )
        arguments = {
            "numerator": one.events,
            "denominator": two.events,
            "theta": one.theta,
            "event": (one.event, two.event),
            "weight": (one.weight, two.weight),
        }
        return Inputs(method, arguments)

    def apply(
        self,
        method: Ratio,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        theta: Texts = None,
        force: bool = False,
    ) -> None:
        """Write p1/p0 as the column `ratio` beside all that was read, as ROOT or Parquet.

        Args:
            files: ROOT, HDF5 or Parquet files.
            theta: a number or an expression of the files' columns for each parameter of the ratio.

        Examples:
            colliderkit apply ratio mc.root --out reweighted.parquet
        """
        point = _point(method, theta)
        if method.particles:
            parts = []
            for jets in _with_theta(reading, point).chunks(files):
                sample = _jets(jets, point)
                columns = jets[[name for name in jets.fields if name not in _names(point)]]
                weights = method.weights(sample.events, sample.theta)
                name = free_name("ratio", columns.fields)
                parts.append(ak.with_field(columns, weights, name))
            write(out, ak.concatenate(parts), force=force)
        else:
            _no_columns(reading)
            rows = reading.rows(files, [*method.columns, *point], own=True)
            values = rows.table(point) if point else None
            ratio = method.weights(rows.table(method.columns), values)
            write(out, beside(rows.own, {"ratio": ratio}), force=force)

    def evaluate(
        self,
        method: Ratio,
        reading: Reading,
        *,
        numerator: Files,
        denominator: Files,
        weight: OfSamples = None,
        theta: Texts = None,
    ) -> Evaluation:
        r"""Compare the reweighted denominator with the numerator.

        Args:
            numerator: files of p1 that the fit has not seen, made with `theta` if there is any.
            denominator: files of p0 that the fit has not seen.
            weight: an expression, or one a sample: ``{denominator: w}``; else events count one.
            theta: a number or an expression of the denominator's columns for each parameter.

        Examples:
            colliderkit evaluate ratio --numerator data_test.root --denominator mc_test.root \
              --out ratio-test
        """
        point = _point(method, theta)
        if not method.particles:
            _no_columns(reading)
        samples = [
            read_sample(
                method,
                files,
                reading,
                weight=of_sample(weight, "weight", sample, SAMPLES),
                theta=point if sample == "denominator" else (),
            )
            for sample, files in zip(SAMPLES, (numerator, denominator), strict=True)
        ]
        x, y = (method.summary(sample.events) for sample in samples)
        wx, wy = (
            as_weight(sample.weight, len(table), name)
            for sample, table, name in zip(samples, (x, y), SAMPLES, strict=True)
        )
        ratio = method.weights(samples[1].events, samples[1].theta)
        diagnostics = diagnose(
            x, y, wx, wy * ratio, method.names_, gaps(x, y, method.names_), method.seed_
        )
        before = {
            name: agreement(y[:, i], x[:, i], source_weight=wy, target_weight=wx).chi2
            for i, name in enumerate(method.names_)
        }
        # The classifier test is of positive weights alone.
        unweighted = (
            None if diagnostics.auc is None else classifier_test(x, y, wx, wy, method.seed_)
        )
        rows = [
            Result(name, figure, value)
            for name, now in diagnostics.agreement.items()
            for figure, value in (
                ("χ² before", before[name]),
                ("χ²", now.chi2),
                (NDF, float(now.ndf)),
            )
        ]
        for figure, auc in (("AUC before", unweighted), ("AUC", diagnostics.auc)):
            if auc is not None:
                rows.append(Result(WHOLE, figure, auc.value, auc.error, None, auc.error))
        rows += [
            Result(WHOLE, "effective sample size", diagnostics.effective_size),
            Result(WHOLE, "largest weight / mean", diagnostics.largest),
        ]
        label = np.repeat([1, 0], [len(x), len(y)])
        weighted = {
            **dict(zip(method.names_, np.concatenate([x, y]).T, strict=True)),
            LABEL: label,
            WEIGHT: np.concatenate([wx, wy]),
            RATIO: np.concatenate([np.ones(len(x)), ratio]),
        }
        return Evaluation(
            f"p1/p0 on {len(x)} and {len(y)} events",
            rows,
            weighted,
            {"theta": point, "gaps": [str(gap) for gap in diagnostics.gaps]},
        )

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw how the reweighted denominator closes on the numerator, column by column.

        Examples:
            colliderkit report ratio-test
        """
        method: Ratio = load(model)
        note = runs.about(evaluation)
        figures = {(r.subject, r.quantity): r for r in read_results(evaluation / runs.RESULTS)}
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        first = np.asarray(events[LABEL]) == 1
        weight, ratio = (np.asarray(events[name]) for name in (WEIGHT, RATIO))
        at = f" at {', '.join(note['theta'])}" if note["theta"] else ""
        page = runs.page(
            "A likelihood ratio" + at,
            f"p1/p0 on {number(int(first.sum()))} events of the numerator and"
            f" {number(int((~first).sum()))} of the denominator that it has not seen.",
            model,
            note,
        )
        page.add_heading("Closure")
        page.add_definitions(
            "The denominator, each event weighted by p1/p0, beside the numerator. Where nothing"
            " is left to find, χ² is the degrees of freedom within about √(2 n), and boosted trees"
            " that look at all columns together tell the two apart with an AUC of 0.5."
        )
        for name in method.names_:
            x, y = (np.asarray(events[name])[part] for part in (first, ~first))
            now, before = (
                agreement(y, x, source_weight=w, target_weight=weight[first])
                for w in (weight[~first] * ratio[~first], weight[~first])
            )
            page.add_figure(
                closure(now, before, name),
                f"{name}: the denominator before and after reweighting, beside the numerator.",
            )
        page.add_table(
            ["column", "χ² before", "χ² after", "degrees of freedom"],
            [
                [
                    name,
                    *(
                        figures[name, key].value
                        for key in ("χ² before", "χ²", "degrees of freedom")
                    ),
                ]
                for name in method.names_
            ],
            "Each column by itself.",
        )
        page.add_table(
            ["all columns", "value"],
            [[r.quantity, r.estimate] for r in figures.values() if r.subject == WHOLE],
            "The AUC of boosted trees between numerator and denominator, with its counting error;"
            " the effective sample size (Σw)² / Σw² of the reweighted denominator; its largest"
            " weight.",
        )
        if note["gaps"]:
            gaps = "; ".join(note["gaps"])
            page.findings.append(Line("alarm", f"The denominator has no events at {gaps}."))
        page.claims += [
            Claim(
                f"{name} closes: its χ² is its degrees of freedom",
                Value(figures[name, "χ²"].value, (2 * figures[name, NDF].value) ** 0.5),
                "equal",
                Value(figures[name, NDF].value, 0.0),
                among=len(method.names_),
            )
            for name in method.names_
        ]
        page.claims.append(
            Aim("Trees find nothing more", "AUC", WHOLE, "equal", 0.5, tolerance=0.05).judge(
                list(figures.values())
            )
        )
        page.add_heading("Training")
        page.add_figure(training.training(method.history_), "Loss of each epoch.", wide=True)
        return page

    def export(
        self, method: Ratio, reading: Reading, files: Files, *, out: Path, force: bool = False
    ) -> str:
        """Export ln p1/p0 with its preprocessing, checked on events against the original.

        Args:
            files: events on which both must agree; the first 512 are used.

        Examples:
            colliderkit export ratio mc_test.root --out ratio.onnx
        """
        if method.particles:
            events: Any = reading.head(files, 512)
        else:
            _no_columns(reading)
            events = reading.rows(files, method.columns, stop=512).table(method.columns)
        difference = export_method(method, out, events, force=force)
        return f"largest difference to torch {difference:.1e} on {len(events)} events"

    def summary(self, method: Ratio) -> str:
        """Print what the reweighting leaves to find on validation events."""
        if method.diagnostics_ is not None:
            _print(method.diagnostics_)
        return "fitted ratio"


@dataclass(frozen=True)
class RatioSample:
    """A sample as `Ratio` takes it: a table or jets, weights, event numbers and theta."""

    events: Any
    weight: Floats | None = None
    event: NDArray[np.int64] | None = None
    theta: Floats | None = None


def read_sample(
    method: Ratio,
    files: Files,
    reading: Reading,
    *,
    weight: str | None = None,
    event: str | None = None,
    theta: Sequence[str] = (),
) -> RatioSample:
    """Read one sample, with an expression each for its weights, numbers and theta."""
    extra = [text for text in (weight, event) if text is not None]
    if not method.particles:
        rows = reading.rows(files, [*method.columns, *extra, *theta])
        return RatioSample(
            rows.table(method.columns),
            None if weight is None else rows.table([weight])[:, 0],
            None if event is None else rows.columns[event].astype(np.int64),
            rows.table(theta) if theta else None,
        )
    options = {"weight": weight, "event": event}
    named = {name: text for name, text in options.items() if text is not None}
    reading = replace(reading, columns={**(reading.columns or {}), **named} or None)
    return _jets(_with_theta(reading, theta).jets(files), theta)


def same_events(method: Ratio, one: "RatioSample", two: "RatioSample") -> bool:
    """Return whether samples are of the same events and weights, as a file and its copy are."""
    first, second = one.events, two.events
    if method.particles:
        first, second = (np.asarray(jets["jet_pt"]) for jets in (first, second))
    if one.weight is None or two.weight is None:
        alike = one.weight is two.weight
    else:
        alike = np.array_equal(one.weight, two.weight)
    return alike and bool(np.array_equal(first, second))


def _jets(jets: ak.Array, theta: Sequence[str]) -> RatioSample:
    """Return a sample of jets: weights, event numbers and theta are fields of the array."""
    weight = np.asarray(jets["weight"]) if "weight" in jets.fields else None
    point = [np.asarray(jets[name], dtype=np.float64) for name in _names(theta)]
    return RatioSample(
        jets, weight, np.asarray(jets["event"]), np.stack(point, 1) if point else None
    )


def _with_theta(reading: Reading, theta: Sequence[str]) -> Reading:
    if not theta:
        return reading
    named = dict(zip(_names(theta), theta, strict=True))
    return replace(reading, columns={**(reading.columns or {}), **named})


def _names(theta: Sequence[str]) -> list[str]:
    return [f"theta {i}" for i in range(len(theta))]


def _point(method: Ratio, theta: Texts) -> list[str]:
    """Return the expression of each parameter; raise `InputError` if some are missing."""
    point = split_expressions(theta)
    if len(point) != len(method.parameters):
        wanted = ", ".join(method.parameters) or "none"
        raise InputError(
            f"theta has {len(point)} values for the parameters of this ratio: {wanted}."
        )
    return point


def _no_columns(reading: Reading) -> None:
    if reading.columns is not None:
        raise InputError("columns are those of the fit for a ratio on a table; leave them out.")


def _print(diagnostics: Diagnostics) -> None:
    table = Table("on events that the fit has not seen", "after reweighting")
    for name, now in diagnostics.agreement.items():
        table.add_row(f"χ² of {name}", f"{now.chi2:.1f} / {now.ndf}")
    if diagnostics.auc is not None:
        table.add_row("AUC of boosted trees", str(diagnostics.auc))
    table.add_row(
        "effective sample size", f"{diagnostics.effective_size:.0f} of {diagnostics.events}"
    )
    table.add_row("largest weight / mean", f"{diagnostics.largest:.3g}")
    for gap in diagnostics.gaps:
        table.add_row("no denominator in", str(gap))
    Console().print(table)
