"""The task of a conditional generator: fit, apply, evaluate, page, export, on columns of files."""

from pathlib import Path

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.ratio import classifier_test
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.metrics.separation import separation
from colliderkit.metrics.value import Value, number
from colliderkit.report.distributions import distribution
from colliderkit.report.html import Report
from colliderkit.report.plots import round_edges
from colliderkit.report.results import Result, read_results
from colliderkit.report.training import training
from colliderkit.report.verdict import Aim
from colliderkit.serve.generators import export_generator
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.rows import Rows
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading, beside
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["GeneratorTask"]

Files = list[str] | str
Texts = list[str] | str
BINS = 40
WEIGHT = "data weight"  # its column in events.parquet


class GeneratorTask(Task):
    """Generate columns of a table, given others, from a density learned from events."""

    methods = ("conditional-generator",)

    def read(
        self,
        method: ConditionalGenerator,
        reading: Reading,
        files: Files,
        *,
        features: Texts,
        condition: Texts | None = None,
        weight: str | None = None,
        event: str | None = None,
    ) -> Inputs:
        """Learn p(features | condition) from the events of files.

        Args:
            files: ROOT, HDF5 or Parquet files, a row an event.
            features: columns or expressions that are to be generated, as ``mass,log(pt)``.
            condition: columns or expressions that they are generated from, none if not given.
            weight: an expression, 0 or more; else events count one.
            event: of the number by which events are split, rows if not given.

        Examples:
            colliderkit fit generator events.root --features pt,m --condition eta --out generator
        """
        names, conditions = split_expressions(features), split_expressions(condition)
        extra = [text for text in (weight, event) if text is not None]
        rows = reading.rows(files, [*names, *conditions, *extra])
        table = rows.events(names, weight=weight, event=event)
        arguments = {
            "x": table.values,
            "condition": rows.table(conditions) if conditions else None,
            "weight": table.weight,
            "event": table.event,
        }
        return Inputs(method, arguments)

    def apply(
        self,
        method: ConditionalGenerator,
        reading: Reading,
        files: Files,
        *,
        features: Texts,
        condition: Texts | None = None,
        sample_seed: int = 0,
        out: Path,
        force: bool = False,
    ) -> None:
        r"""Write ``generated COLUMN`` of each feature beside all that was read, as ROOT or Parquet.

        One row is drawn for each event of the files.

        Args:
            files: ROOT, HDF5 or Parquet files.
            features: names of the columns that are generated, in the order of the fit.
            condition: columns or expressions, as in fit.
            sample_seed: of the random numbers that are turned into rows.

        Examples:
            colliderkit apply generator events.root --features pt,m --condition eta \
              --out made.parquet
        """
        names, conditions = split_expressions(features), split_expressions(condition)
        rows = reading.rows(files, conditions, own=True)
        table = _generated(method, rows, names, conditions, sample_seed)
        columns = {f"generated {name}": table[:, i] for i, name in enumerate(names)}
        write(out, beside(rows.own, columns), force=force)

    def evaluate(
        self,
        method: ConditionalGenerator,
        reading: Reading,
        files: Files,
        *,
        features: Texts,
        condition: Texts | None = None,
        weight: str | None = None,
        sample_seed: int = 0,
    ) -> Evaluation:
        r"""Measure how far generated events are from those of files, of the same conditions.

        Args:
            files: files of events that the fit has not seen.
            features: columns or expressions, as in fit.
            condition: columns or expressions, as in fit.
            weight: an expression, 0 or more; else events count one.
            sample_seed: of the random numbers that are turned into rows.

        Examples:
            colliderkit evaluate generator events_test.root --features pt,m --condition eta \
              --out generator-test
        """
        names, conditions = split_expressions(features), split_expressions(condition)
        rows = reading.rows(files, [*names, *conditions, *([] if weight is None else [weight])])
        data = rows.events(names, weight=weight)
        generated = _generated(method, rows, names, conditions, sample_seed)
        results = []
        for i, name in enumerate(names):
            inner = np.unique(np.quantile(data[name], np.linspace(0, 1, BINS + 1)[1:-1]))
            result = separation(
                generated[:, i],
                data[name],
                [-np.inf, *inner, np.inf],
                weight=data.weight,
                other_weight=data.weight,
            )
            results.append(_result(f"separation of {name}", result.value))
        known = rows.table(conditions) if conditions else np.empty((len(rows), 0))
        # Different events of both, so that no tree sees the conditions of one twice.
        half = np.arange(len(rows)) % 2 == 0
        if len(rows) > 1:
            test = classifier_test(
                np.column_stack([generated, known])[half],
                np.column_stack([data.values, known])[~half],
                data.weight[half],
                data.weight[~half],
            )
            results.append(_result("classifier AUC", test))
        columns = {f"data {name}": data[name] for name in names}
        columns |= {f"generated {name}": generated[:, i] for i, name in enumerate(names)}
        columns[WEIGHT] = data.weight
        title = f"a generator of {len(names)} columns, on {len(rows)} events"
        return Evaluation(title, results, columns, {"names": names})

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw each column of data and generated events.

        Examples:
            colliderkit report generator-test
        """
        method: ConditionalGenerator = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        page = runs.page(
            "A generator of events",
            f"Columns of {number(len(events))} generated events beside those of the data, given the"
            " same conditions.",
            model,
            note,
        )
        page.add_heading("Data and generated events")
        weight = np.asarray(events[WEIGHT])
        for name in note["names"]:
            samples = {kind: np.asarray(events[f"{kind} {name}"]) for kind in ("data", "generated")}
            edges = round_edges(*np.quantile(samples["data"], [0.002, 0.998]))
            weights = dict.fromkeys(samples, weight)
            plot = distribution(samples, edges, name, weights=weights)
            page.add_figure(plot, f"{name}, normalised, of the data and generated.")
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "Separations are 1/2 Σ (p - q)² / (p + q), in bins that the data fill alike; the AUC is"
            " that of boosted trees between generated events and others of the data, given the"
            " conditions (0.5: no difference).",
        )
        page.conclude(
            [Aim("Trees tell generated events from data no better than by chance",
                 "classifier AUC", "*", "equal", 0.5, tolerance=0.05)]
        )  # fmt: skip
        page.add_heading("Training")
        page.add_figure(training(method.history_), "Loss of each epoch.", wide=True)
        return page

    def export(
        self,
        method: ConditionalGenerator,
        reading: Reading,
        files: Files,
        *,
        condition: Texts | None = None,
        out: Path,
        force: bool = False,
    ) -> str:
        """Export a generator as ONNX: noise and conditions in, rows out, the sampler inside.

        Args:
            files: events whose conditions it is checked at; the first 200 are used.
            condition: columns or expressions, as in fit.

        Examples:
            colliderkit export generator events.root --condition eta --out generator.onnx
        """
        conditions = split_expressions(condition)
        table = reading.rows(files, conditions, stop=200).table(conditions) if conditions else None
        difference = export_generator(method, out, table, force=force)
        return f"at most {difference:.1e} standard deviations from torch in 99% of the numbers"


def _generated(
    method: ConditionalGenerator, rows: Rows, names: list[str], conditions: list[str], seed: int
) -> Floats:
    """Return a generated row for each event, (N, F)."""
    if len(names) != method.features_:
        raise InputError(
            f"features has {len(names)} columns, and {method.features_} were fitted; give as many,"
            " in the order of the fit."
        )
    return method.sample(rows.table(conditions) if conditions else len(rows), seed=seed)


def _result(quantity: str, value: Value) -> Result:
    return Result("generated", quantity, value.value, value.error, counting=value.error)
