"""The task of a trigger: fit, apply, evaluate, page and export."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import weights_of
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file, refuse_existing
from colliderkit.methods.method import load
from colliderkit.methods.search.menu import Menu, Rates, menu_rates, rate_of
from colliderkit.methods.search.trigger import Trigger
from colliderkit.metrics.value import Value, binomial_variance, number
from colliderkit.report.html import Report
from colliderkit.report.plots import round_edges
from colliderkit.report.results import Result, read_results
from colliderkit.report.trigger import item_rates, overlaps, scores_and_threshold
from colliderkit.report.verdict import Aim
from colliderkit.serve.trigger import Bits, export_trigger
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.trigger_records import write_records
from colliderkit.tasks import runs
from colliderkit.tasks.autoencoder import AutoencoderTask
from colliderkit.tasks.reading import OfSamples, Reading, beside, free_name, of_sample
from colliderkit.tasks.scored import unlabelled
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["TriggerTask"]

Files = list[str] | str
Texts = list[str] | str | None
SCORE, KEPT, SAMPLE, WEIGHT = "anomaly", "kept", "sample", "weight"  # columns that are written
STREAM, RATE, WITHIN = "stream", "rate", "rate / target"
PURE, THIS, ANY = "pure rate", "this trigger", "any item of the menu, or this trigger"


class TriggerTask(Task):
    """Keep the most anomalous events of an unlabelled stream, at a given rate."""

    methods = ("trigger",)
    around: ClassVar[Mapping[str, str]] = {"trigger": "autoencoder"}

    def read(
        self,
        method: Trigger,
        reading: Reading,
        files: Files,
        *,
        features: Texts = None,
        weight: str | None = None,
    ) -> Inputs:
        r"""Train an anomaly score on a stream, and set the threshold for a rate by the rest of it.

        Args:
            files: ROOT, HDF5 or Parquet files of the stream, without labels.
            features: columns or expressions with a number an event (a,b,log(c)), for files that
                hold no particles; without it the files hold jets.
            weight: an expression, 0 or more, that undoes a prescale; else the files' own weights.

        Examples:
            colliderkit fit trigger stream.h5 --features 'met_pt,e1_pt,mu1_pt,j1_pt,j2_pt' \
              --target 1000 --input_rate 100000 --out trigger
            colliderkit fit trigger stream.h5 --features 'met_pt,e1_pt,mu1_pt,j1_pt,j2_pt' \
              --topologies.objects '{leptons: [e?_pt, mu?_pt], jets: [j?_pt]}' \
              --target 1000 --input_rate 100000 --out trigger
        """
        score: Any = method.method
        inputs = AutoencoderTask().read(score, reading, files, features=features, weight=weight)
        return Inputs(method, inputs.arguments)

    def update(
        self,
        method: Trigger,
        reading: Reading,
        files: Files,
        *,
        target: float | None = None,
        input_rate: float | None = None,
        weight: str | None = None,
    ) -> tuple[Trigger, str]:
        """Set the threshold anew by the newest events of the stream, with the score as it is.

        Args:
            files: ROOT, HDF5 or Parquet files of the stream that no training has seen.
            target: another rate of what is kept, in the unit of the input rate.
            input_rate: another rate of the stream.
            weight: an expression, 0 or more, that undoes a prescale; else the files' own weights.

        Examples:
            colliderkit update trigger newest.h5 --out trigger-2
        """
        events, weights = events_of(method, reading, files, weight)
        given = {"target": target, "input_rate": input_rate}
        method.set_params(**{name: value for name, value in given.items() if value is not None})
        method.update(events, weight=weights)
        last = method.updates_[-1]
        before = Value(last.before, last.before_error)
        return method, f"{self.summary(method)}; with the threshold until then {before}"

    def apply(
        self,
        method: Trigger,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        records: Texts = None,
        force: bool = False,
    ) -> None:
        """Write `anomaly` and whether an event is `kept` beside all that was read.

        Args:
            files: ROOT, HDF5 or Parquet files.
            records: columns or expressions that are written in two bytes each, of every event, as
                trigger-level records: kept.records.h5 beside kept.parquet.

        Examples:
            colliderkit apply trigger new.h5 --out kept.parquet
            colliderkit apply trigger new.h5 --records j1_pt,j1_eta,j1_phi --out kept.parquet
        """
        written = split_expressions(records)
        small = refuse_existing(out.with_suffix(".records.h5"), force) if written else None
        if features_of(method) is None:
            if written:
                raise InputError(
                    "records are of tables, and the trigger takes jets; leave records out."
                )
            parts = []
            for jets in reading.chunks(files):
                score = method.score(jets)
                for name, column in ((SCORE, score), (KEPT, score > method.threshold_)):
                    jets = ak.with_field(jets, column, free_name(name, jets.fields))
                parts.append(jets)
            write(out, ak.concatenate(parts), force=force)
            return
        names = features_of(method) or []
        texts = [*names, *(text for text in written if text not in names)]
        rows = reading.rows(files, texts, own=True, optional=["event"] if small else ())
        score = method.score(rows.table(names))
        added = {SCORE: score, KEPT: score > method.threshold_}
        if small is not None:
            table = dict(zip(written, rows.table(written).T, strict=True))
            event = rows.numbers("event") if "event" in rows.columns else np.arange(len(score))
            write_records(small, table, written, event=event, force=force)
        write(out, beside(rows.own, added), force=force)

    def evaluate(
        self,
        method: Trigger,
        reading: Reading,
        *,
        stream: Files,
        signals: dict[str, list[str] | str] | None = None,
        menu: dict[str, str] | None = None,
        prescales: dict[str, float] | None = None,
        weight: OfSamples = None,
    ) -> Evaluation:
        r"""Measure the rate in new events of the stream, and the efficiency for signals by name.

        Args:
            stream: files of the stream that the fit has not seen.
            signals: files by the name of a signal, as '{leptoquark: lq.h5}'.
            menu: the trigger's other items, conditions by name as '{muon: mu1_pt > 50}', for the
                pure rate, which no other item keeps.
            prescales: of items of the menu by name, one event in so many.
            weight: an expression, or one for each sample by name; else the files' own weights.

        Examples:
            colliderkit evaluate trigger --stream new.h5 --signals '{leptoquark: lq.h5}' --out test
            colliderkit evaluate trigger --stream new.h5 \
              --menu '{muon: mu1_pt > 50, missing: met_pt > 150}' --out test
        """
        items = None if menu is None else Menu(menu, prescales or {})
        if items is None and prescales:
            raise InputError("prescales are of the items of a menu, and there is none; give menu.")
        if items is not None and {THIS, ANY} & set(items.items):
            raise InputError(f"menu: '{THIS}' is this trigger's own name; give the item another.")
        samples = {STREAM: stream, **(signals or {})}
        scores, weights = {}, {}
        topologies: list[Result] = []
        for name, files in samples.items():
            own = of_sample(weight, "weight", name, list(samples))
            events, weights[name] = events_of(method, reading, files, own)
            scores[name] = method.score(events)
            if name == STREAM and method.topologies is not None:
                topologies = by_topology(method, events, scores[name], weights[name])
        rate = method.rate_of(scores[STREAM], weights[STREAM])
        # Of the target, with the error that counting leaves of the threshold.
        total = float(np.hypot(rate.error, method.expected().error))
        rows = [
            Result(STREAM, RATE, rate.value, rate.error, counting=rate.error),
            Result(STREAM, WITHIN, rate.value / method.target, total / method.target),
            *(
                efficiency(name, score > method.threshold_, weights[name])
                for name, score in scores.items()
                if name != STREAM
            ),
            *topologies,
        ]
        found: Rates | None = None
        if items is not None:
            conditions = list(items.items.values())
            accepted = reading.rows(stream, conditions).table(conditions) != 0
            kept_here = scores[STREAM] > method.threshold_
            found = menu_rates(
                np.column_stack([accepted, kept_here]),
                [*items.shares, 1.0],
                [*items.items, THIS],
                input_rate=method.input_rate,
                weight=weights[STREAM],
            )
            rows += of_menu(found)
        kept = {
            SAMPLE: np.concatenate([np.full(len(s), i) for i, s in enumerate(scores.values())]),
            SCORE: np.concatenate(list(scores.values())),
            WEIGHT: np.concatenate(list(weights.values())),
        }
        about: dict[str, Any] = {"samples": list(scores)}
        if found is not None:
            about["menu"] = found.names
            about["shared"] = found.shared.tolist()
        return Evaluation(f"a trigger on {len(scores[STREAM])} events", rows, kept, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: the scores and the threshold, rate and efficiencies.

        Examples:
            colliderkit report test
        """
        method: Trigger = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        of, score = np.asarray(events[SAMPLE]), np.asarray(events[SCORE])
        samples = {name: score[of == i] for i, name in enumerate(note["samples"])}
        weight = np.asarray(events[WEIGHT])
        weights = {name: weight[of == i] for i, name in enumerate(note["samples"])}
        last = method.updates_[-1]
        page = runs.page(
            "An anomaly trigger",
            f"It keeps {number(method.target)} of {number(method.input_rate)} events of a stream,"
            f" by a threshold that {number(int(last.events))} events set: counting leaves"
            f" {last.error:.1%} of the rate open. No label entered the training.",
            model,
            note,
        )
        page.add_heading("Rate and efficiencies")
        rows = read_results(evaluation / runs.RESULTS)
        of_items = [row for row in rows if row.subject in (*note.get("menu", ()), ANY)]
        page.add_results(
            [row for row in rows if row not in of_items],
            f"Rate in {number(len(samples[STREAM]))} new events, in the unit of the input rate;"
            " over the target, with the error of the threshold; shares of signals that are kept.",
        )
        edges = round_edges(*np.quantile(score, [0.001, 0.9995]))
        page.add_figure(
            scores_and_threshold(samples, method.threshold_, edges, weights),
            "Scores of the stream and of signals, normalised; what lies right of the line is kept.",
            wide=True,
        )
        if names := note.get("menu"):
            page.add_heading("Beside the menu")
            page.add_results(
                of_items,
                "Rates after prescales, in the unit of the input rate, and the part of each that no"
                " other item keeps, with counting errors.",
            )
            rate, pure = (
                [row.estimate for row in of_items if row.quantity == which and row.subject != ANY]
                for which in (RATE, PURE)
            )
            page.add_figure(
                item_rates(names, rate, pure, "unit of the input rate"),
                "Rates and pure rates of the items; what has no event is left out.",
            )
            page.add_figure(
                overlaps(names, np.array(note["shared"])),
                "The share of each item's events that each other one keeps too.",
            )
        page.conclude([RATE_AIM])
        return page

    def export(
        self,
        method: Trigger,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        bits: Bits | None = None,
        force: bool = False,
    ) -> str:
        """Export as ONNX, checked on events of the stream; in floats, or in integers with `bits`.

        Args:
            files: events of the stream, at least ten times input rate over target.
            bits: of the activations, 8 or 16: layers in integers, and a threshold of their own.

        Examples:
            colliderkit export trigger stream.h5 --bits 8 --out trigger.onnx
        """
        events, _ = events_of(method, reading, files)
        done = export_trigger(method, out, events, bits=bits, force=force)
        return (
            f"keeps {done.kept} of the events, {done.agreement:.1%} of those that it or the"
            f" original keeps in common; score above"
            f" {', '.join(f'{value:.6g}' for value in done.thresholds.values())}"
        )

    def summary(self, method: Trigger) -> str:
        """Give the threshold and what is left open of the rate."""
        last = method.updates_[-1]
        return (
            f"score above {method.threshold_:.6g}, set by {last.events:.0f} events: rate"
            f" {method.expected()}"
        )


RATE_AIM = Aim(
    "The rate of the stream is within a tenth of the target", WITHIN, STREAM, "within", (0.9, 1.1)
)


def features_of(method: Trigger) -> list[str] | None:
    """Return the columns that the score was trained on, None where it takes jets."""
    names = getattr(method.scorer_, "features", None)
    return None if names is None else list(names)


def events_of(
    method: Trigger, reading: Reading, files: Files, weight: str | None = None
) -> tuple[Any, Floats]:
    """Return what the score takes of files, a table or jets, and the weights (N,) of its events."""
    found = unlabelled(method.scorer_, reading, files, weight)
    events, weights = found["events"], found.get("weight")
    if weights is None:
        weights = weights_of(events) if hasattr(events, "fields") else np.ones(len(events))
    return events, weights


def by_topology(method: Trigger, events: Any, score: Floats, weight: Floats) -> list[Result]:
    """Return the rate in each topology of the stream."""
    assert method.groups_ is not None
    of = method.topology(events)
    kept = score > method.threshold_
    rates = {
        name: rate_of(kept & (of == i), weight, method.input_rate)
        for i, name in enumerate(method.groups_.names)
    }
    return [Result(name, RATE, v.value, v.error, counting=v.error) for name, v in rates.items()]


def of_menu(found: Rates) -> list[Result]:
    """Return rates and pure rates of the items of a menu, and of all together."""
    both = ((RATE, found.rate), (PURE, found.pure))
    rows = [
        Result(name, quantity, v.value, v.error, counting=v.error)
        for quantity, values in both
        for name, v in zip(found.names, values, strict=True)
    ]
    return [*rows, Result(ANY, RATE, found.total.value, found.total.error)]


def efficiency(name: str, kept: NDArray[np.bool_], weight: Floats) -> Result:
    """Return the share of a signal that is kept, (N,), with its counting error."""
    total = weight.sum()
    share = float(weight[kept].sum() / total)
    squares = (weight[kept] ** 2).sum(), (weight**2).sum()
    error = float(binomial_variance(share, squares[0] / total**2, squares[1] / total**2) ** 0.5)
    return Result(name, "efficiency", share, error, counting=error)
