"""The task of a trigger: fit, apply, evaluate, page and export."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np

from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.search.trigger import Trigger
from colliderkit.metrics.value import binomial_variance, number
from colliderkit.report.html import Report
from colliderkit.report.plots import round_edges
from colliderkit.report.results import Result, read_results
from colliderkit.report.trigger import scores_and_threshold
from colliderkit.report.verdict import Aim
from colliderkit.serve.trigger import Bits, export_trigger
from colliderkit.sources import write
from colliderkit.tasks import runs
from colliderkit.tasks.autoencoder import AutoencoderTask
from colliderkit.tasks.reading import Reading, beside, free_name
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["TriggerTask"]

Files = list[str] | str
Texts = list[str] | str | None
SCORE, KEPT, SAMPLE = "anomaly", "kept", "sample"  # columns that are written
STREAM, RATE, WITHIN = "stream", "rate", "rate / target"


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
        """
        score: Any = method.method
        inputs = AutoencoderTask().read(score, reading, files, features=features, weight=weight)
        return Inputs(method, inputs.arguments)

    def apply(
        self,
        method: Trigger,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write `anomaly` and whether an event is `kept` beside all that was read.

        Args:
            files: ROOT, HDF5 or Parquet files.

        Examples:
            colliderkit apply trigger new.h5 --out kept.parquet
        """
        if features_of(method) is None:
            parts = []
            for jets in reading.chunks(files):
                score = method.score(jets)
                for name, column in ((SCORE, score), (KEPT, score > method.threshold_)):
                    jets = ak.with_field(jets, column, free_name(name, jets.fields))
                parts.append(jets)
            write(out, ak.concatenate(parts), force=force)
            return
        rows = reading.rows(files, features_of(method) or (), own=True)
        score = method.score(rows.table(features_of(method) or ()))
        added = {SCORE: score, KEPT: score > method.threshold_}
        write(out, beside(rows.own, added), force=force)

    def evaluate(
        self,
        method: Trigger,
        reading: Reading,
        *,
        stream: Files,
        signals: dict[str, list[str] | str] | None = None,
    ) -> Evaluation:
        r"""Measure the rate in new events of the stream, and the efficiency for signals by name.

        Args:
            stream: files of the stream that the fit has not seen.
            signals: files by the name of a signal, as '{leptoquark: lq.h5}'.

        Examples:
            colliderkit evaluate trigger --stream new.h5 --signals '{leptoquark: lq.h5}' --out test
        """
        scores = {
            name: method.score(events_of(method, reading, files))
            for name, files in {STREAM: stream, **(signals or {})}.items()
        }
        rate = method.rate_of(scores[STREAM])
        # Of the target, with the error that counting leaves of the threshold.
        total = float(np.hypot(rate.error, method.expected().error))
        rows = [
            Result(STREAM, RATE, rate.value, rate.error, counting=rate.error),
            Result(STREAM, WITHIN, rate.value / method.target, total / method.target),
            *(efficiency(name, s, method) for name, s in scores.items() if name != STREAM),
        ]
        events = {
            SAMPLE: np.concatenate([np.full(len(s), i) for i, s in enumerate(scores.values())]),
            SCORE: np.concatenate(list(scores.values())),
        }
        about = {"samples": list(scores)}
        return Evaluation(f"a trigger on {len(scores[STREAM])} events", rows, events, about)

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
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            f"Rate in {number(len(samples[STREAM]))} new events, in the unit of the input rate;"
            " over the target, with the error of the threshold; shares of signals that are kept.",
        )
        edges = round_edges(*np.quantile(score, [0.001, 0.9995]))
        page.add_figure(
            scores_and_threshold(samples, method.threshold_, edges),
            "Scores of the stream and of signals, normalised; what lies right of the line is kept.",
            wide=True,
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
        done = export_trigger(
            method, out, events_of(method, reading, files), bits=bits, force=force
        )
        return (
            f"keeps {done.kept} of the events, {done.agreement:.1%} of those that it or the"
            f" original keeps in common; score above {done.threshold:.6g}"
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


def events_of(method: Trigger, reading: Reading, files: Files) -> Any:
    """Return what the score takes of files: a table, or jets."""
    names = features_of(method)
    return reading.jets(files) if names is None else reading.rows(files, names).table(names)


def efficiency(name: str, score: Any, method: Trigger) -> Result:
    """Return the share of a signal that is kept, with its counting error."""
    share = float((score > method.threshold_).mean())
    error = float(binomial_variance(share, share / len(score), 1 / len(score)) ** 0.5)
    return Result(name, "efficiency", share, error, counting=error)
