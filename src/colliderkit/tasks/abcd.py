"""The task of an ABCD estimate: fit, apply, evaluate and page."""

from pathlib import Path

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.methods.method import Method, load
from colliderkit.methods.search.abcd import ABCD
from colliderkit.methods.search.double_disco import ABCDisCoTEC
from colliderkit.methods.search.plane import Estimate
from colliderkit.metrics.value import Value
from colliderkit.report import abcd as plots
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.training import training
from colliderkit.report.verdict import Claim
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.reading import OfSamples, Reading, beside, of_sample
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["AbcdTask"]

Floats = NDArray[np.float64]
Files = list[str] | str
Texts = list[str] | str | None
SAMPLES = ("signal", "background")
SCORES = ("score_x", "score_y")
REGION, WEIGHT = "region", "weight"
ROW = "region A"
CLOSE = 0.3  # an error of closure that still says something


class AbcdTask(Task):
    """Estimate a background from two scores (ABCD), given ones or two that are learned."""

    methods = ("abcd", "abcdiscotec")

    def read(
        self,
        method: ABCD,
        reading: Reading,
        *,
        background: Files,
        signal: Files | None = None,
        x: str | None = None,
        y: str | None = None,
        columns: Texts = None,
        weight: OfSamples = None,
    ) -> Inputs:
        r"""Choose cuts on two scores of simulated events, or learn both scores.

        Args:
            background: ROOT, HDF5 or Parquet files of the simulated background.
            signal: files of a simulated signal; the method abcd needs none where cuts are given.
            x: the first score, by name or expression, of the method abcd.
            y: the second score.
            columns: what abcdiscotec learns its scores from, by name or expression.
            weight: an expression, or one a sample; those of a sample sum to its expected yield.

        Examples:
            colliderkit fit abcd --background qcd.root --signal top.root --x tau32 --y mass \
              --out abcd
            colliderkit fit abcd --method abcdiscotec --background qcd.root --signal top.root \
              --columns mass,tau21,tau32 --out abcd
        """
        if isinstance(method, ABCDisCoTEC):
            if x is not None or y is not None:
                raise InputError("x and y are scores that are given; abcdiscotec learns them.")
            names = split_expressions(columns)
            if not names or signal is None:
                missing = "signal" if names else "columns"
                raise InputError(f"{missing} is missing; abcdiscotec learns from it.")
        else:
            if x is None or y is None or columns is not None:
                raise InputError(
                    "the method abcd takes two scores, x and y; name both, or take --method"
                    " abcdiscotec with columns to learn them from."
                )
            names = [x, y]
        method.set_params(columns=names)
        files = {"background": background} | ({} if signal is None else {"signal": signal})
        tables, weights = [], []
        for sample, paths in files.items():
            text = of_sample(weight, "weight", sample, SAMPLES)
            table, w = _table(reading, names, paths, text)
            tables.append(table)
            weights.append(w)
        label = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        arguments = {
            "X": np.concatenate(tables),
            "y": label,
            "weight": None if weight is None else np.concatenate(weights),
        }
        return Inputs(method, arguments)

    def apply(
        self, method: ABCD, reading: Reading, files: Files, *, out: Path, force: bool = False
    ) -> None:
        """Write `score_x`, `score_y` and `region` beside all that was read.

        The region is 3 for A (both cuts passed), 2 for B (that of x), 1 for C (that of y), else 0.

        Args:
            files: ROOT, HDF5 or Parquet files.

        Examples:
            colliderkit apply abcd data.root --out regions.parquet
        """
        rows = _checked(reading).rows(files, list(method.columns), own=True)
        scores = method.scores(rows.table(method.columns))
        passed = scores >= method.cuts_
        added = dict(zip(SCORES, scores.T, strict=True))
        write(
            out,
            beside(rows.own, {**added, REGION: 2 * passed[:, 0] + passed[:, 1]}),
            force=force,
        )

    def evaluate(
        self,
        method: ABCD,
        reading: Reading,
        *,
        data: Files,
        weight: str | None = None,
        blind: bool = False,
    ) -> Evaluation:
        """Estimate the background of data in region A, and how well it closes elsewhere.

        Args:
            data: ROOT, HDF5 or Parquet files.
            weight: an expression; else events count one.
            blind: leave the events of A out of all that is written.

        Examples:
            colliderkit evaluate abcd --data data.root --out abcd-data
        """
        table, w = _table(reading, list(method.columns), data, weight)
        scores = method.scores(table)
        found = method.estimate_of(scores, weight=w)
        kept = ~(scores >= method.cuts_).all(1) if blind else np.ones(len(scores), dtype=bool)
        events = {**dict(zip(SCORES, scores[kept].T, strict=True)), WEIGHT: w[kept]}
        return Evaluation(
            f"ABCD on {len(table)} events", results_of(found, blind), events, {"blind": blind}
        )

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw the plane with its regions, and the closure outside of A.

        Examples:
            colliderkit report abcd-data
        """
        method: ABCD = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        scores = np.column_stack([np.asarray(events[name]) for name in SCORES])
        weight = np.asarray(events[WEIGHT])
        found = method.estimate_of(scores, weight=weight)
        blind = bool(note["blind"])
        names = list(method.columns) if method.name == "abcd" else ["First score", "Second score"]
        summary = (
            f"Three regions foretell {found.expected} events in the fourth,"
            f" {found.counting.error / found.counting.value:.1%} of it for counting and"
            f" {found.closure:.1%} for non-closure."
        )
        if not blind:
            summary += f" {found.observed:g} are observed."
        page = runs.page("A background from two scores", summary, model, note)
        page.add_heading("Estimate")
        page.add_results(results_of(found, blind), "Region A, foretold by N_B N_C / N_D.")
        sums = found.counts.sums
        page.add_table(
            ["region", "passes", "events"],
            [
                ["A", "both cuts", "blinded" if blind else float(sums[1, 1])],
                ["B", f"{names[0]} ≥ {method.cuts_[0]:.4g}", float(sums[1, 0])],
                ["C", f"{names[1]} ≥ {method.cuts_[1]:.4g}", float(sums[0, 1])],
                ["D", "none", float(sums[0, 0])],
            ],
            "Sums of weights in the four regions.",
        )
        if len(events):
            page.add_figure(
                plots.plane(scores, weight, method.cuts_, names),
                "Events in the plane of both scores; lines are the cuts.",
            )
        if found.checks:
            page.add_figure(
                plots.validation(found.checks, names),
                "Non-closure of validation regions, none of which holds an event of A: the cut of"
                " one score is moved down, and what passes the cut proper is left out.",
            )
            page.add_table(
                ["region", "boundary", "expected", "observed", "non-closure"],
                [
                    [
                        f"below the cut of {names['xy'.index(check.axis)]}",
                        check.boundary,
                        check.counts.expected,
                        check.counts.observed,
                        check.counts.closure,
                    ]
                    for check in found.checks
                ],
                "Validation regions; errors are of counting. Regions of one score share events.",
            )
        page.claims += claims_of(found, blind)
        if isinstance(method, ABCDisCoTEC):
            page.add_heading("Training")
            page.add_figure(training(method.history_), "Loss of each epoch.", wide=True)
        return page

    def summary(self, method: Method) -> str:
        """Say where the cuts are and how well the simulation closes."""
        assert isinstance(method, ABCD)
        x, y = method.cuts_
        closure = method.background_.closure
        return f"cuts {x:.4g} and {y:.4g}; non-closure of the simulation {closure}"


def results_of(found: Estimate, blind: bool) -> list[Result]:
    """Return the rows of an estimate; `blind` leaves out what the events of A say."""
    expected, counting = found.expected, found.counting
    rows = [
        Result(ROW, "expected", expected.value, expected.error),
        Result(ROW, "counting error", counting.error),
        Result(ROW, "non-closure error", found.closure * expected.value),
    ]
    if found.simulated is not None:
        simulated = found.simulated
        rows.append(Result(ROW, "non-closure, simulated", simulated.value, simulated.error))
    if found.signal is not None:
        rows.append(Result(ROW, "signal expected", found.signal.observed))
    if not blind:
        rows += [
            Result(ROW, "observed", found.observed),
            Result(ROW, "significance", found.significance),
        ]
        if found.strength is not None:
            rows.append(Result(ROW, "signal strength", found.strength.value, found.strength.error))
    if found.contamination is not None:
        rows.append(Result(ROW, "raised by a signal of strength 1", found.contamination))
    return rows


def claims_of(found: Estimate, blind: bool) -> list[Claim]:
    """Return what a page concludes: closure in each region, and whether there is an excess."""
    claims = [
        Claim(
            f"The validation region at {check.axis} ≥ {check.boundary:.3g} closes",
            check.counts.closure,
            "equal",
            Value(0.0, 0.0),
            among=len(found.checks),
            tolerance=CLOSE,
        )
        for check in found.checks
    ]
    if not blind:
        claims.append(
            Claim(
                "There is an excess: the significance is above 3 standard deviations",
                Value(found.significance, 0.0),
                "above",
                Value(3.0, 0.0),
            )
        )
    return claims


def _table(
    reading: Reading, names: list[str], files: Files, weight: str | None
) -> tuple[Floats, Floats]:
    extra = [] if weight is None else [weight]
    rows = _checked(reading).rows(files, list(dict.fromkeys([*names, *extra])))
    w = np.ones(len(rows)) if weight is None else rows.table([weight])[:, 0]
    return rows.table(names), w


def _checked(reading: Reading) -> Reading:
    if reading.columns is not None:
        raise InputError("columns is for jets; name scores by x and y, or what they learn from.")
    return reading
