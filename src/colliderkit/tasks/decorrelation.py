"""The task of decorrelating a trained score: fit, apply, evaluate and page of a map."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.losses.decorrelation import distance_correlation
from colliderkit.methods.decorrelation.maps import ScoreMap
from colliderkit.metrics.roc import auc
from colliderkit.metrics.sculpting import CONVENTIONS, Sculpting, efficiency_by_mass, sculpting
from colliderkit.metrics.value import number
from colliderkit.report import decorrelation as plots
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.rows import Rows
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading, beside
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["DecorrelationTask"]

Floats = NDArray[np.float64]
Files = list[str] | str
Texts = list[str] | str | None

SCORE, PROTECTED = "score", "jet_mass"
# Columns of events.parquet.
LABEL, WEIGHT, BEFORE, AFTER = "label", "weight", "score", "decorrelated score"
# The protected column may be of any range.
CONVENTION = replace(CONVENTIONS["disco"], window=None)


class DecorrelationTask(Task):
    """Map a trained score so that it leaves a quantity alone."""

    methods = ("flow-decorrelation", "transport-decorrelation")

    def read(
        self,
        method: ScoreMap,
        reading: Reading,
        *,
        files: Files,
        score: str = SCORE,
        protect: Texts = None,
        weight: str | None = None,
    ) -> Inputs:
        r"""Learn a map of a score from background events (fit tagging --objective trains without).

        Args:
            files: ROOT, HDF5 or Parquet files of the background, with the score of each event as
                apply writes it.
            score: the column or expression of the score.
            protect: columns or expressions that the score must not depend on; jet_mass if not
                given.
            weight: an expression; else events count one.

        Examples:
            colliderkit fit decorrelation qcd_scored.root --score score --protect jet_mass \
              --out map
        """
        rows, columns = _rows(reading, files, score, protect, weight)
        return Inputs(
            method,
            {
                "score": rows.table([score])[:, 0],
                "protected": rows.table(columns),
                "weight": None if weight is None else rows.table([weight])[:, 0],
            },
        )

    def apply(
        self,
        method: ScoreMap,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        score: str = SCORE,
        protect: Texts = None,
        force: bool = False,
    ) -> None:
        """Write the mapped score as `decorrelated_score` beside all that was read.

        Args:
            files: ROOT, HDF5 or Parquet files.
            score: the column or expression of the score, as in fit.
            protect: what is protected, as in fit.

        Examples:
            colliderkit apply map new_scored.root --out mapped.parquet
        """
        rows, columns = _rows(reading, files, score, protect, None, own=True)
        mapped = method.transform(rows.table([score])[:, 0], rows.table(columns))
        write(out, beside(rows.own, {"decorrelated_score": mapped}), force=force)

    def evaluate(
        self,
        method: ScoreMap,
        reading: Reading,
        *,
        signal: Files,
        background: Files,
        score: str = SCORE,
        protect: Texts = None,
        weight: str | None = None,
    ) -> Evaluation:
        r"""Compare rejection and sculpting of a score before the map and after it.

        Args:
            signal: files of the signal, with the score of each event.
            background: files of background that the fit has not seen.
            score: the column or expression of the score, as in fit.
            protect: what is protected, as in fit; sculpted is the first.
            weight: an expression; else events count one.

        Examples:
            colliderkit evaluate map --signal top_scored.root --background qcd_test.root \
              --out map-test
        """
        samples = [_rows(reading, files, score, protect, weight) for files in (background, signal)]
        before, protected = (
            np.concatenate([rows.table(names) for rows, _ in samples])
            for names in ([score], samples[0][1])
        )
        label = np.repeat([0, 1], [len(rows) for rows, _ in samples])
        w = np.ones(len(label))
        if weight is not None:
            w = np.concatenate([rows.table([weight])[:, 0] for rows, _ in samples])
        scores = {BEFORE: before[:, 0], AFTER: method.transform(before[:, 0], protected)}
        results = []
        for name, values in scores.items():
            results += _results(name, values, label, protected[:, 0], w)
        events = {LABEL: label, WEIGHT: w, samples[0][1][0]: protected[:, 0], **scores}
        title = f"{method.name} on {len(label)} events"
        return Evaluation(title, results, events, {"protected": samples[0][1][0]})

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw the background's efficiency in the protected quantity, before and after.

        Examples:
            colliderkit report map-test
        """
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        protected = note["protected"]
        page = runs.page(
            "A decorrelated score",
            f"A score before and after a map that takes {protected} out of it, on"
            f" {number(len(events))} events that the fit has not seen.",
            model,
            note,
        )
        page.add_definitions(CONVENTION.sentence)
        label, weight = np.asarray(events[LABEL]), np.asarray(events[WEIGHT])
        m = np.asarray(events[protected])
        background = label == 0
        low, high = np.quantile(m[background], [0.005, 0.995])
        edges = np.linspace(low, high, 13)
        curves = {}
        for name in (BEFORE, AFTER):
            s = np.asarray(events[name])
            passed = s[background] >= _cut(s, label, m, weight).threshold
            share, error = efficiency_by_mass(m[background], passed, edges, weight[background])
            total = np.average(passed, weights=weight[background])
            curves[name] = share / total, error / total
        page.add_figure(
            plots.efficiencies(curves, edges, protected),
            f"The background's efficiency by {protected} over that of all, after the cut that keeps"
            " half of the signal: flat at 1 is not sculpted.",
            wide=True,
        )
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "Before the map and after it, at a signal efficiency of 50%: dCorr² is the squared"
            f" distance correlation of the background's score and {protected}.",
            best={"R50": "higher", "AUC": "higher", "JSD": 0.0, "dCorr²": 0.0},
        )
        page.conclude(
            [
                Aim("The map sculpts less than the score", "JSD", AFTER, against=BEFORE),
                Aim("Nothing is left of the sculpting", "JSD", AFTER, "equal", 0.0, tolerance=0.05),
                Aim("The map costs no rejection", "R50", AFTER, "equal", against=BEFORE),
            ]
        )
        return page


def _rows(
    reading: Reading,
    files: Files,
    score: str,
    protect: Texts,
    weight: str | None,
    *,
    own: bool = False,
) -> tuple[Rows, Sequence[str]]:
    """Read score, protected columns and weight of files; return them and the protected names."""
    if reading.columns is not None:
        raise InputError("columns is for jets; name a score's columns by score and protect.")
    columns = split_expressions(protect) or [PROTECTED]
    extra = [] if weight is None else [weight]
    return reading.rows(files, [score, *columns, *extra], own=own), columns


def _cut(score: Floats, label: NDArray[np.int64], m: Floats, weight: Floats) -> Sculpting:
    return sculpting(score, label, m, weight, convention=CONVENTION)


def _results(
    name: str, score: Floats, label: NDArray[np.int64], m: Floats, weight: Floats
) -> list[Result]:
    """Return area, rejection, divergence and distance correlation of one score."""
    background = label == 0
    cut = _cut(score, label, m, weight)
    tensors = (torch.from_numpy(t[background]) for t in (score, m, weight))
    quantities = {
        "AUC": auc(score, label, weight),
        "R50": cut.rejection,
        "JSD": cut.jsd.corrected,
    }
    results = [Result.over_seeds(name, key, [value]) for key, value in quantities.items()]
    return [*results, Result(name, "dCorr²", float(distance_correlation(*tensors)))]
