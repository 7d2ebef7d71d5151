"""The verbs of a likelihood ratio: fit, apply, evaluate, report and export."""

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import yaml
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, existing_file, refuse_existing
from colliderkit.methods.method import load
from colliderkit.methods.ratio import Diagnostics, Ratio, classifier_test
from colliderkit.methods.ratio.diagnostics import diagnose
from colliderkit.methods.ratio.ratio import weight_of
from colliderkit.metrics.closure import agreement, gaps
from colliderkit.report import training
from colliderkit.report.html import Report
from colliderkit.report.ratio import closure
from colliderkit.report.results import Result, read_results, write_results
from colliderkit.serve.onnx import export_method
from colliderkit.sources import write
from colliderkit.sources.files.rows import separated
from colliderkit.tasks import runs
from colliderkit.tasks.reading import OfSamples, Reading, of_sample

__all__ = ["apply_ratio", "evaluate_ratio", "export_ratio", "fit_ratio", "report_ratio"]

Floats = NDArray[np.float64]
Files = list[str] | str
Texts = list[str] | str | None
SAMPLES = ("numerator", "denominator")


def fit_ratio(
    *,
    out: Path,
    method: Ratio,
    reading: Reading,
    numerator: Files,
    denominator: Files,
    columns: dict[str, str] | list[str] | str | None = None,
    parameters: Texts = None,
    weight: OfSamples = None,
    event: OfSamples = None,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    configuration: str = "",
) -> Path:
    """Learn p1/p0, the likelihood ratio of two samples.

    Args:
        out: the folder that the fitted ratio is written to.
        numerator: ROOT, HDF5 or Parquet files of p1.
        denominator: files of p0.
        columns: what a table holds, by name or expression: ``mass,log(pt)``. For a --network on
            particles, expressions by canonical name, as in fit tagging.
        parameters: columns or expressions of the numerator with the theta that an event was made
            with; the ratio is then p(x | theta) / p0(x).
        weight: an expression, or one a sample: ``{denominator: w}``; else events count one.
        event: of the number by which events are split, rows if not given.
        seed: of initial weights, batches and the split.
        resume: go on from the last checkpoint of an interrupted run of a network.
        force: overwrite `out`, and drop what an interrupted run left.
    """
    work = runs.begin(out, resume, force)
    method.set_params(parameters=separated(parameters))
    if method.particles:
        if columns is not None and not isinstance(columns, dict):
            raise InputError(
                f"network '{method.network}' takes particles: --columns are expressions by"
                " canonical name, as {constituents.px: part_px}."
            )
        reading = replace(reading, columns=columns)
    else:
        if isinstance(columns, dict) or not (names := separated(columns)):
            raise InputError("name what the table holds by --columns, such as mass,log(pt).")
        method.set_params(columns=names)
    one, two = (
        _given(
            method,
            files,
            reading,
            weight=of_sample(weight, "weight", sample, SAMPLES),
            event=of_sample(event, "event", sample, SAMPLES),
            theta=method.parameters if sample == "numerator" else (),
        )
        for sample, files in zip(SAMPLES, (numerator, denominator), strict=True)
    )
    with runs.kept(work, "*.ckpt"), _notes():
        method.fit(
            one.events,
            two.events,
            theta=one.theta,
            numerator_weight=one.weight,
            denominator_weight=two.weight,
            numerator_event=one.event,
            denominator_event=two.event,
            seed=seed,
            folder=work if method.network else None,
            resume=resume,
        )
    runs.finish(method, out, work, configuration, force)
    if not method.parameters:
        _print(method.diagnostics_)
    print(f"fitted ratio: {out}")
    return out


def apply_ratio(
    model: Path,
    files: Files,
    *,
    out: Path,
    reading: Reading,
    theta: Texts = None,
    force: bool = False,
) -> None:
    """Write p1/p0 as the column `ratio` beside all that was read, as ROOT or Parquet.

    Args:
        model: a folder written by fit ratio.
        files: ROOT, HDF5 or Parquet files.
        out: a .root or .parquet file.
        theta: a number or an expression of the files' columns for each parameter of the ratio.
        force: overwrite `out`.
    """
    refuse_existing(out, force)
    method: Ratio = load(model)
    point = _point(method, theta)
    if method.particles:
        parts = []
        for jets in _with_theta(reading, point).chunks(files):
            given = _jets(jets, point)
            kept = jets[[name for name in jets.fields if name not in _names(point)]]
            weights = method.weights(given.events, given.theta)
            parts.append(ak.with_field(kept, weights, "ratio"))
        write(out, ak.concatenate(parts), force=force)
    else:
        _no_columns(reading)
        rows = reading.rows(files, [*method.columns, *point], own=True)
        given_theta = rows.table(point) if point else None
        ratio = method.weights(rows.table(method.columns), given_theta)
        write(out, {**rows.own, "ratio": ratio}, force=force)
    print(f"ratios: {out}")


def evaluate_ratio(
    model: Path,
    *,
    out: Path,
    reading: Reading,
    numerator: Files,
    denominator: Files,
    weight: OfSamples = None,
    theta: Texts = None,
    force: bool = False,
    configuration: str = "",
) -> None:
    """Compare the reweighted denominator with the numerator.

    Args:
        model: a folder written by fit ratio.
        out: a folder for weighted.parquet and results.json.
        numerator: files of p1 that the fit has not seen, made with `theta` if there is any.
        denominator: files of p0 that the fit has not seen.
        weight: an expression, or one a sample: ``{denominator: w}``; else events count one.
        theta: a number or an expression of the denominator's columns for each parameter.
        force: overwrite what is in `out`.
    """
    for name in ("weighted.parquet", "results.json"):
        refuse_existing(out / name, force)
    method: Ratio = load(model)
    point = _point(method, theta)
    if not method.particles:
        _no_columns(reading)
    samples = [
        _given(
            method,
            files,
            reading,
            weight=of_sample(weight, "weight", sample, SAMPLES),
            theta=point if sample == "denominator" else (),
        )
        for sample, files in zip(SAMPLES, (numerator, denominator), strict=True)
    ]
    x, y = (method.summary(given.events) for given in samples)
    wx, wy = (
        weight_of(given.weight, len(table), sample)
        for given, table, sample in zip(samples, (x, y), SAMPLES, strict=True)
    )
    ratio = method.weights(samples[1].events, samples[1].theta)
    found = diagnose(x, y, wx, wy * ratio, method.names_, gaps(x, y, method.names_), method.seed_)
    before = {
        name: agreement(y[:, i], x[:, i], source_weight=wy, target_weight=wx).chi2
        for i, name in enumerate(method.names_)
    }
    # The classifier test is of positive weights alone.
    unweighted = None if found.auc is None else classifier_test(x, y, wx, wy, method.seed_)
    rows = [
        Result(name, figure, value)
        for name, now in found.agreement.items()
        for figure, value in (
            ("χ² before", before[name]),
            ("χ²", now.chi2),
            ("degrees of freedom", float(now.ndf)),
        )
    ]
    for figure, auc in (("AUC before", unweighted), ("AUC", found.auc)):
        if auc is not None:
            rows.append(Result(WHOLE, figure, auc.value, auc.error, None, auc.error))
    rows += [
        Result(WHOLE, "effective sample size", found.effective_size),
        Result(WHOLE, "largest weight / mean", found.largest),
    ]
    label = np.repeat([1, 0], [len(x), len(y)])
    weighted = {
        **dict(zip(method.names_, np.concatenate([x, y]).T, strict=True)),
        LABEL: label,
        WEIGHT: np.concatenate([wx, wy]),
        RATIO: np.concatenate([np.ones(len(x)), ratio]),
    }
    write(out / "weighted.parquet", weighted, force=force)
    about = runs.about(
        f"p1/p0 on {len(x)} and {len(y)} events",
        model,
        configuration,
        theta=point,
        gaps=[str(gap) for gap in found.gaps],
    )
    write_results(out / "results.json", rows, about, force)
    _print(found)
    print(f"weights: {out / 'weighted.parquet'}\nresults: {out / 'results.json'}")


# Columns of weighted.parquet beside those of the events.
LABEL, WEIGHT, RATIO = "sample is numerator", "sample weight", "ratio p1/p0"
WHOLE = "all columns"  # the subject of a figure of no single one


def report_ratio(model: Path, evaluation: Path, *, force: bool = False) -> None:
    """Write report.html beside an evaluation's results.

    Args:
        model: a folder written by fit ratio.
        evaluation: a folder written by evaluate.
        force: overwrite report.html.
    """
    path = refuse_existing(evaluation / "report.html", force)
    method: Ratio = load(model)
    about = json.loads(existing_file(evaluation / "results.json").read_text())
    figures = {(r.subject, r.figure): r for r in read_results(evaluation / "results.json")}
    events = ak.from_parquet(existing_file(evaluation / "weighted.parquet"))
    first = np.asarray(events[LABEL]) == 1
    weight, ratio = (np.asarray(events[name]) for name in (WEIGHT, RATIO))
    at = f" at {', '.join(about['theta'])}" if about["theta"] else ""
    page = Report(
        "A likelihood ratio" + at,
        f"p1/p0, fitted in {model}, on {first.sum()} events of the numerator and"
        f" {(~first).sum()} of the denominator that it has not seen.",
        command=about["command"],
        configuration=about["configuration"]
        + "\n# model\n"
        + yaml.safe_dump(json.loads((model / "method.json").read_text())["parameters"]),
    )
    page.add_heading("Closure")
    page.add_text(
        "The denominator, each event weighted by p1/p0, beside the numerator. Where nothing is"
        " left to find, χ² is the degrees of freedom within about √(2 n), and boosted trees that"
        " look at all columns together tell the two apart with an AUC of 0.5."
    )
    page.add_table(
        ["column", "χ² before", "χ² after", "degrees of freedom"],
        [
            [name, *(figures[name, key].value for key in ("χ² before", "χ²", "degrees of freedom"))]
            for name in method.names_
        ],
    )
    page.add_table(
        ["all columns", "value"],
        [
            [r.figure, r.ours() if r.error else r.value]
            for r in figures.values()
            if r.subject == WHOLE
        ],
        "The AUC of boosted trees between numerator and denominator, with its counting error; the"
        " effective sample size (Σw)² / Σw² of the reweighted denominator; its largest weight.",
    )
    if about["gaps"]:
        page.add_text("The denominator has no events at " + "; ".join(about["gaps"]) + ".")
    for name in method.names_:
        x, y = (np.asarray(events[name])[part] for part in (first, ~first))
        now, before = (
            agreement(y, x, source_weight=w, target_weight=weight[first])
            for w in (weight[~first] * ratio[~first], weight[~first])
        )
        page.add_figure(closure(now, before, name), f"{name} before and after reweighting.")
    page.add_heading("Training")
    members = {f"member {m + 1}": history for m, history in enumerate(method.history_)}
    page.add_figure(training.training(members), "Loss of each epoch.", wide=True)
    with atomic_file(path, force) as part:
        part.write_text(page.html(), encoding="utf-8")
    print(f"report: {path}")


def export_ratio(
    model: Path, files: Files, *, out: Path, reading: Reading, force: bool = False
) -> None:
    """Export ln p1/p0 with its preprocessing, checked on events against the original.

    Args:
        model: a folder written by fit ratio.
        files: events on which both must agree; the first 512 are used.
        out: the .onnx file.
        force: overwrite `out`.
    """
    refuse_existing(out, force)
    method: Ratio = load(model)
    if method.particles:
        events: Any = reading.head(files, 512)
    else:
        _no_columns(reading)
        events = reading.rows(files, method.columns, stop=512).table(method.columns)
    difference = export_method(method, out, events, force=force)
    print(f"exported: {out} (largest difference to torch {difference:.1e} on {len(events)} events)")


@dataclass(frozen=True)
class _Events:
    """Hold a sample as `Ratio` takes it: a table or jets, weights, numbers and theta."""

    events: Any
    weight: Floats | None = None
    event: NDArray[np.int64] | None = None
    theta: Floats | None = None


def _given(
    method: Ratio,
    files: Files,
    reading: Reading,
    *,
    weight: str | None = None,
    event: str | None = None,
    theta: Sequence[str] = (),
) -> _Events:
    """Read one sample, with an expression each for its weights, numbers and theta."""
    extra = [text for text in (weight, event) if text is not None]
    if not method.particles:
        rows = reading.rows(files, [*method.columns, *extra, *theta])
        return _Events(
            rows.table(method.columns),
            None if weight is None else rows.table([weight])[:, 0],
            None if event is None else rows.columns[event].astype(np.int64),
            rows.table(theta) if theta else None,
        )
    chosen = {"weight": weight, "event": event}
    given = {name: text for name, text in chosen.items() if text is not None}
    reading = replace(reading, columns={**(reading.columns or {}), **given} or None)
    return _jets(_with_theta(reading, theta).jets(files), theta)


def _jets(jets: ak.Array, theta: Sequence[str]) -> _Events:
    """Take weights, numbers and theta from the fields of a jet array."""
    weight = np.asarray(jets["weight"]) if "weight" in jets.fields else None
    point = [np.asarray(jets[name], dtype=np.float64) for name in _names(theta)]
    return _Events(jets, weight, np.asarray(jets["event"]), np.stack(point, 1) if point else None)


def _with_theta(reading: Reading, theta: Sequence[str]) -> Reading:
    if not theta:
        return reading
    named = dict(zip(_names(theta), theta, strict=True))
    return replace(reading, columns={**(reading.columns or {}), **named})


def _names(theta: Sequence[str]) -> list[str]:
    return [f"theta {i}" for i in range(len(theta))]


def _point(method: Ratio, theta: Texts) -> list[str]:
    """Return the expression of each parameter; raise `InputError` if some are missing."""
    given = separated(theta)
    if len(given) != len(method.parameters):
        wanted = ", ".join(method.parameters) or "none"
        raise InputError(
            f"--theta has {len(given)} values for the parameters of this ratio: {wanted}."
        )
    return given


def _no_columns(reading: Reading) -> None:
    if reading.columns is not None:
        raise InputError("a ratio on a table has the columns of its fit; leave out --columns.")


@contextmanager
def _notes() -> Iterator[None]:
    """Print what a method warns of as sentences."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", UserWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            print(f"colliderkit: warning: {warning.message}.", file=sys.stderr)


def _print(found: Diagnostics) -> None:
    table = Table("on events that the fit has not seen", "after reweighting")
    for name, now in found.agreement.items():
        table.add_row(f"χ² of {name}", f"{now.chi2:.1f} / {now.ndf}")
    if found.auc is not None:
        table.add_row("AUC of boosted trees", str(found.auc))
    table.add_row("effective sample size", f"{found.effective_size:.0f} of {found.events}")
    table.add_row("largest weight / mean", f"{found.largest:.3g}")
    for gap in found.gaps:
        table.add_row("no denominator in", str(gap))
    Console().print(table)
