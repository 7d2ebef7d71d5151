"""The task of a measurement with nuisance parameters: a summary, its error and its workspace."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.methods.inference.inferno import InferenceAware
from colliderkit.methods.inference.nuisance_ratio import UncertaintyAware
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.inference.templates import Templates, expected_error
from colliderkit.methods.method import load
from colliderkit.report.html import Report
from colliderkit.report.inference import add_impacts, signal_profiles, template_variations
from colliderkit.report.results import Result, read_results
from colliderkit.report.training import training
from colliderkit.report.verdict import Aim
from colliderkit.serve.histfactory import workspace, write_workspace
from colliderkit.sources import write
from colliderkit.sources.files.rows import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.reading import OfSamples, Reading, beside, of_sample
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["InferenceTask"]

Floats = NDArray[np.float64]
Files = list[str] | str
Summary = InferenceAware | UncertaintyAware
SAMPLES = ("signal", "background")
PROFILED, KNOWN = (f"sigma(s), nuisances {text}" for text in ("profiled", "known"))
COST = Aim(
    "Nuisance parameters cost less than a fifth of the precision",
    PROFILED,
    over=KNOWN,
    times=1.2,
)
ARRAYS = ("counts", "down", "up", "variance")


class InferenceTask(Task):
    """Measure a signal's yield on a background with nuisance parameters, by a learned summary."""

    methods = ("inference-aware", "uncertainty-aware")

    def read(
        self,
        method: Summary,
        reading: Reading,
        *,
        signal: Files,
        background: Files,
        columns: list[str] | str,
        weight: OfSamples = None,
        nuisances: list[dict[str, Any]] | None = None,
    ) -> Inputs:
        """Learn a summary of events for the error of the signal yield, or a ratio that knows theta.

        Args:
            signal: ROOT, HDF5 or Parquet files of the signal.
            background: files of the background.
            columns: observables, by name or expression: ``mass,log(pt)``.
            weight: an expression, or one a sample; those of a sample sum to its expected yield.
            nuisances: a list such as
                ``[{name: scale, transform: scale, column: mass, nominal: 1, width: 0.02}]``, of
                the transformations shift, scale, rate (of a `column`) and yield. A `process` is
                background (as if not given), signal or all; without a `width` the parameter is
                free and needs a `step`.
        """
        names = split_expressions(columns)
        method.set_params(columns=names, nuisances=[_nuisance(n, names) for n in nuisances or ()])
        x, label, weights = _labelled(reading, names, (signal, background), weight)
        return Inputs(method, {"X": x, "y": label, "weight": weights})

    def apply(
        self, method: Summary, reading: Reading, files: Files, *, out: Path, force: bool = False
    ) -> None:
        """Write the bin of each event, or its p_s, beside all that was read.

        Args:
            files: ROOT, HDF5 or Parquet files.
        """
        rows = _checked(reading).rows(files, _columns(method), own=True)
        table = rows.table(method.columns)
        added = (
            {"bin": method.transform(table)}
            if isinstance(method, InferenceAware)
            else {"signal probability": method.predict_proba(table)[:, 1]}
        )
        write(out, beside(rows.own, added), force=force)

    def evaluate(
        self,
        method: Summary,
        reading: Reading,
        *,
        signal: Files,
        background: Files,
        weight: OfSamples = None,
    ) -> Evaluation:
        """Find the expected error of the signal yield, nuisance parameters profiled and known.

        Args:
            signal: files of the signal that the fit has not seen.
            background: files of the background that the fit has not seen.
            weight: an expression, or one a sample; those of a sample sum to its expected yield.
        """
        events = _labelled(reading, _columns(method), (signal, background), weight)
        templates = method.templates(*events)
        results = []
        for text, floating in (("profiled", None), ("known", [])):
            error = expected_error(method.templates, *events, floating=floating)
            quantity = f"sigma(s), nuisances {text}"
            results.append(
                Result(method.name, quantity, error.value, error.error, counting=error.error)
            )
        return Evaluation(
            f"a signal of {templates.nominal_signal:.4g} events, on {len(events[0])} simulated",
            results,
            about={"templates": {name: getattr(templates, name).tolist() for name in ARRAYS}},
        )

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw the bins with their variations, and the profile likelihood of the signal."""
        method: Summary = load(model)
        note = runs.about(evaluation)
        arrays: Mapping[str, Any] = note["templates"]
        counts, down, up, variance = (np.array(arrays[name]) for name in ARRAYS)
        templates = Templates(counts, down, up, variance, method.nuisances)
        s, error = templates.nominal_signal, templates.expected_error()
        page = runs.page(
            "A measurement with nuisance parameters",
            f"The yield of a signal, {s:.4g} events, expected to be known to {error:.4g} with the"
            f" summary {method.name}.",
            model,
            note,
        )
        page.add_heading("Summary")
        page.add_figure(
            template_variations(templates),
            "Expected counts by bin, in the order of their share of signal; below, what each"
            " nuisance parameter a step off does to the background.",
        )
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "The expected error of the signal yield, nuisance parameters profiled and known.",
        )
        page.conclude([COST])
        add_impacts(page, templates)
        page.add_heading("Profile likelihood")
        page.add_figure(
            signal_profiles(
                {method.name: templates}, np.linspace(max(0, s - 4 * error), s + 4 * error, 33)
            ),
            "Expected log-likelihood of the signal yield: nuisance parameters profiled (full) and"
            " known (dotted). The horizontal lines are at one and two standard deviations.",
        )
        page.add_heading("Training")
        page.add_figure(training(method.history_), "Loss of each epoch.", wide=True)
        return page

    def export(
        self,
        method: Summary,
        reading: Reading,
        *,
        signal: Files,
        background: Files,
        out: Path,
        weight: OfSamples = None,
        luminosity: float | None = None,
        force: bool = False,
    ) -> str:
        """Write the bins of a summary with their variations as a workspace (JSON) that pyhf fits.

        Args:
            signal: files of the signal that the fit has not seen.
            background: files of the background that the fit has not seen.
            weight: an expression, or one a sample; those of a sample sum to its expected yield.
            luminosity: its relative error, common to both samples.
        """
        events = _labelled(reading, _columns(method), (signal, background), weight)
        templates = method.templates(*events)
        write_workspace(workspace(templates, luminosity=luminosity), out, force=force)
        return f"expected error of the signal yield {templates.expected_error():.4g}"


def _columns(method: Summary) -> Sequence[str]:
    """Return the columns of a fitted summary; raise `InputError` if it does not name them."""
    if not method.columns:
        raise InputError("the summary does not name its columns; fit it with columns.")
    return method.columns


def _nuisance(options: dict[str, Any], columns: Sequence[str]) -> Nuisance:
    """Make a nuisance parameter of what YAML can hold; its column is a name or a place."""
    name, keywords = options.get("name"), dict(options)
    if isinstance(keywords.get("column"), str):
        if keywords["column"] not in columns:
            raise InputError(
                f"nuisance '{name}': column '{keywords['column']}' is none of {', '.join(columns)}."
            )
        keywords["column"] = list(columns).index(keywords["column"])
    if not isinstance(keywords.get("transform"), str):
        raise InputError(f"nuisance '{name}': name a transform, such as shift.")
    try:
        return Nuisance(**keywords)
    except TypeError as error:
        reason = str(error).split("__init__() ")[-1]
        raise InputError(f"nuisance '{name}': {reason}.") from error


def _checked(reading: Reading) -> Reading:
    """Return how a table is read; raise `InputError` for options of jets."""
    if reading.layout is not None:
        raise InputError("layout is of jets, and observables are read as a table; leave it out.")
    return replace(reading, columns=None)


def _labelled(
    reading: Reading, columns: Sequence[str], files: tuple[Files, Files], weight: OfSamples
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Read signal (1) and background (0): events (N, C), labels (N,) and weights (N,)."""
    tables, weights = [], []
    for name, path in zip(SAMPLES, files, strict=True):
        expression = of_sample(weight, "weight", name, SAMPLES)
        extra = [] if expression is None else [expression]
        rows = _checked(reading).rows(path, [*columns, *extra])
        tables.append(rows.table(columns))
        weights.append(np.ones(len(rows)) if expression is None else rows.table(extra)[:, 0])
    label = np.repeat([1, 0], [len(table) for table in tables])
    return np.concatenate(tables), label, np.concatenate(weights)
