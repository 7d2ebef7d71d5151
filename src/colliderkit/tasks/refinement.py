"""The task of a refinement: fit, apply, evaluate and page, on files of paired objects."""

from collections.abc import Sequence
from pathlib import Path

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.simulation.refinement import Refinement
from colliderkit.metrics.separation import separation
from colliderkit.metrics.value import Value, number
from colliderkit.report.distributions import distribution
from colliderkit.report.html import Report
from colliderkit.report.plots import round_edges
from colliderkit.report.results import Result, read_results
from colliderkit.report.training import training
from colliderkit.report.verdict import Aim
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.rows import Rows
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading, beside
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["RefinementTask"]

Files = list[str] | str
Texts = list[str] | str
BINS = 40
SAMPLES = ("fast", "refined", "full")


class RefinementTask(Task):
    """Refine quantities of a fast simulation with paired objects of the full one."""

    methods = ("refinement",)

    def read(
        self,
        method: Refinement,
        reading: Reading,
        files: Files,
        *,
        fast: Texts,
        full: Texts,
        condition: Texts | None = None,
        weight: str | None = None,
        event: str | None = None,
    ) -> Inputs:
        """Learn what moves quantities of a fast simulation to where the full one has them.

        Args:
            files: ROOT, HDF5 or Parquet files, a row an object, simulated twice.
            fast: columns or expressions of the fast simulation, as ``fast_mass,log(fast_pt)``.
            full: the same quantities of the full one, in this order.
            condition: columns or expressions of the truth that the refinement may depend on.
            weight: an expression; else objects count one.
            event: of the number by which objects are split, rows if not given.
        """
        names, theirs, conditions = (split_expressions(texts) for texts in (fast, full, condition))
        if len(names) != len(theirs):
            raise InputError(f"full has {len(theirs)} columns for the {len(names)} of fast.")
        extra = [text for text in (weight, event) if text is not None]
        rows = reading.rows(files, [*names, *theirs, *conditions, *extra])
        arguments = {
            "fast": rows.table(names),
            "full": rows.table(theirs),
            "condition": rows.table(conditions) if conditions else None,
            "weight": None if weight is None else rows.table([weight])[:, 0],
            "event": None if event is None else rows.columns[event].astype(np.int64),
        }
        return Inputs(method, arguments)

    def apply(
        self,
        method: Refinement,
        reading: Reading,
        files: Files,
        *,
        fast: Texts,
        condition: Texts | None = None,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write ``refined COLUMN`` of each quantity beside all that was read, as ROOT or Parquet.

        Args:
            files: ROOT, HDF5 or Parquet files.
            fast: columns or expressions of the fast simulation, as in fit.
            condition: columns or expressions of the truth, as in fit.
        """
        names, conditions = split_expressions(fast), split_expressions(condition)
        rows = reading.rows(files, [*names, *conditions], own=True)
        refined = _refined(method, rows, names, conditions)
        columns = {f"refined {name}": refined[:, i] for i, name in enumerate(names)}
        write(out, beside(rows.own, columns), force=force)

    def evaluate(
        self,
        method: Refinement,
        reading: Reading,
        files: Files,
        *,
        fast: Texts,
        full: Texts,
        condition: Texts | None = None,
    ) -> Evaluation:
        """Measure how far refined objects are from the full simulation, one by one and together.

        Args:
            files: files of pairs that the fit has not seen.
            fast: columns or expressions of the fast simulation, as in fit.
            full: the same quantities of the full one, in this order.
            condition: columns or expressions of the truth, as in fit.
        """
        names, theirs, conditions = (split_expressions(texts) for texts in (fast, full, condition))
        rows = reading.rows(files, [*names, *theirs, *conditions])
        tables = {
            "fast": rows.table(names),
            "refined": _refined(method, rows, names, conditions),
            "full": rows.table(theirs),
        }
        known = rows.table(conditions) if conditions else None
        results = []
        for subject in ("fast", "refined"):
            losses = method.losses(tables[subject], tables["full"], known)
            for quantity, loss in zip(("pairs' loss", "ensemble loss"), losses, strict=True):
                error = loss.std() / len(loss) ** 0.5
                results.append(_result(subject, quantity, Value(float(loss.mean()), float(error))))
            for i, name in enumerate(names):
                x, y = tables[subject][:, i], tables["full"][:, i]
                inner = np.unique(np.quantile(y, np.linspace(0, 1, BINS + 1)[1:-1]))
                value = separation(x, y, [-np.inf, *inner, np.inf]).value
                results.append(_result(subject, f"separation of {name}", value))
        columns = {
            f"{sample} {name}": tables[sample][:, i]
            for sample in SAMPLES
            for i, name in enumerate(names)
        }
        return Evaluation(f"refinement of {len(rows)} objects", results, columns, {"names": names})

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw each quantity of the fast simulation, refined and full."""
        method: Refinement = load(model)
        note = runs.about(evaluation)
        objects = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        page = runs.page(
            "A fast simulation refined",
            f"Quantities of {number(len(objects))} objects, refined, beside those of the full"
            " simulation.",
            model,
            note,
        )
        page.add_heading("Closure")
        results = read_results(evaluation / runs.RESULTS)
        for name in note["names"]:
            samples = {sample: np.asarray(objects[f"{sample} {name}"]) for sample in SAMPLES}
            low, high = np.quantile(samples["full"], [0.002, 0.998])
            edges = round_edges(low, high)
            order = {sample: samples[sample] for sample in reversed(SAMPLES)}
            page.add_figure(
                distribution(order, edges, name),
                f"{name}, normalised: refined should lie on full.",
            )
        page.add_results(
            results,
            "The loss of the pairs asks each object to be near its partner, that of the ensemble"
            " all of them to be distributed alike. Separations are 1/2 Σ (p - q)² / (p + q) to the"
            " full simulation, in bins that it fills alike.",
            best={result.quantity: "lower" for result in results},
        )
        page.conclude(
            [
                Aim("Refined objects are nearer to their partners", "pairs' loss", "refined",
                    against="fast"),
                Aim("All together are nearer to the full simulation", "ensemble loss", "refined",
                    against="fast"),
                Aim("Each quantity is nearer to the full simulation", "separation of *", "refined",
                    against="fast"),
            ]
        )  # fmt: skip
        page.add_heading("Training")
        page.add_figure(training(method.history_), "Loss of each epoch.", wide=True)
        return page

    def summary(self, method: Refinement) -> str:
        price = f", multiplier {method.multiplier_:.3g}" if method.multiplier_ else ""
        return f"fitted refinement{price}"


def _refined(
    method: Refinement, rows: Rows, names: Sequence[str], conditions: Sequence[str]
) -> Floats:
    return method.transform(rows.table(names), rows.table(conditions) if conditions else None)


def _result(subject: str, quantity: str, value: Value) -> Result:
    return Result(subject, quantity, value.value, value.error, counting=value.error)
