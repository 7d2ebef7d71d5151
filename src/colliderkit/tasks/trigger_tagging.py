"""The task of trigger tagging: fit, apply, evaluate, page and export."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.events.trigger_seeds import CLASSES, TriggerSeeds
from colliderkit.files import existing_file
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.trigger_tagging import ITEMS, TriggerTagging
from colliderkit.metrics.turn_on import efficiency_of
from colliderkit.metrics.value import Value, number
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.trigger import scores_and_threshold
from colliderkit.report.verdict import Aim
from colliderkit.serve.trigger_tagging import export_trigger_tagging
from colliderkit.sources import write
from colliderkit.sources.files.trigger_seeds import read_trigger_seeds, seed_columns
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["RATE", "SEED_JET", "TriggerTaggingTask", "kept_rate"]

Files = list[str] | str
SEED_JET, RATE = "seed jet", "share of the stream that is kept"


class TriggerTaggingTask(Task):
    """Keep events with b quarks, boosted top quarks or W bosons by raw hits, at fixed rates."""

    methods = ("trigger-tagging",)

    def read(self, method: TriggerTagging, *, files: Files) -> Inputs:
        r"""Learn to tag seeds, and set thresholds for the share of the stream that may be kept.

        Args:
            files: Parquet files of seeds, an event a row: seed_pt, seed_eta, seed_phi, seed_label
                (0 light, 1 b, 2 boosted, 3 W, -1 not to be trained on) of each, and lists
                tower_deta, tower_dphi, tower_em, tower_had, hit_layer, hit_r, hit_dphi, hit_z in
                each. Events of weight above 0 are of the stream, signals have weight 0.

        Examples:
            colliderkit fit trigger-tagging seeds.parquet --shares '[0.01, 1e-4, 1e-3]' --out tags
        """
        return Inputs(method, {"seeds": read_and_say(files)})

    def apply(
        self, method: TriggerTagging, *, files: Files, out: Path, force: bool = False
    ) -> None:
        """Write scores and decisions of each event, beside its seeds.

        Columns: `score_ITEM` and `keep_ITEM` of b, boosted and W, and `seed_p_CLASS`.

        Args:
            files: Parquet files of seeds; labels are not needed.

        Examples:
            colliderkit apply trigger new.parquet --out kept.parquet
        """
        seeds = read_and_say(files)
        scores, probability = method.scores(seeds), method.probability(seeds)
        columns = seed_columns(seeds)
        for i, item in enumerate(ITEMS):
            columns[f"score_{item}"] = scores[:, i]
            columns[f"keep_{item}"] = scores[:, i] > method.thresholds_[i]
        for i, name in enumerate(CLASSES):
            columns[f"seed_p_{name}"] = ak.unflatten(probability[:, i], np.diff(seeds.offsets))
        write(out, columns, force=force)

    def evaluate(self, method: TriggerTagging, *, files: Files) -> Evaluation:
        """Measure rates in the stream and efficiencies of signals, beside a cut on the seed jet.

        Args:
            files: Parquet files of seeds with labels, which the fit has not seen: events of the
                stream and of signals.

        Examples:
            colliderkit evaluate trigger test.parquet --out test
        """
        seeds = read_and_say(files)
        stream = seeds.weight > 0
        if not stream.any():
            raise InputError(f"{files}: no event has a weight above 0; a rate needs the stream.")
        scores = method.scores(seeds)
        kept = {method.name: scores > method.thresholds_, SEED_JET: method.seed_keeps(seeds)}
        rows: list[Result] = []
        for i, item in enumerate(ITEMS):
            of = seeds.most((seeds.label == CLASSES.index(item)).astype(np.float64), 0.0) > 0
            signal = of & ~stream
            for name, decision in kept.items():
                rate = kept_rate(decision[stream, i], seeds.weight[stream])
                rows.append(Result(name, f"{item}: {RATE}", rate.value, rate.error))
                if signal.any():
                    value = efficiency_of(int(decision[signal, i].sum()), int(signal.sum()))
                    rows.append(Result(name, f"{item}: efficiency", value.value, value.error))
        events: dict[str, Any] = {"weight": seeds.weight, "true_pt": seeds.true_pt}
        events |= {f"score_{item}": scores[:, i] for i, item in enumerate(ITEMS)}
        about = {"method": method.name, "thresholds": method.thresholds_.tolist()}
        return Evaluation(f"{method.name} on {number(len(seeds))} events", rows, events, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: scores of the stream and of signals, rates and efficiencies.

        Examples:
            colliderkit report test
        """
        note = runs.about(evaluation)
        page = runs.page(
            "Tagging at the trigger",
            "Events with b quarks, boosted top quarks and W bosons, by towers and raw hits, at"
            " fixed shares of the stream; beside a cut on the leading seed at the same shares.",
            model,
            note,
        )
        rows = read_results(existing_file(evaluation / runs.RESULTS))
        page.add_results(rows, "Shares by weight, efficiencies by counting signals.")
        table = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        stream = ak.to_numpy(table["weight"]) > 0
        for i, item in enumerate(ITEMS):
            score = ak.to_numpy(table[f"score_{item}"])
            seen = np.isfinite(score)
            samples = {"stream": score[seen & stream], "signals": score[seen & ~stream]}
            low, high = np.quantile(score[seen], [0.0, 1.0]) if seen.any() else (0.0, 1.0)
            page.add_figure(
                scores_and_threshold(
                    {name: values for name, values in samples.items() if len(values)},
                    note["thresholds"][i],
                    np.linspace(low, max(high, low + 1e-6), 41),
                ),
                f"Scores for {item}, and the threshold; events of the stream as generated.",
            )
        page.conclude(
            [
                Aim(f"{item}: more is kept than by the seed jet", f"{item}: efficiency",
                    note["method"], "above", against=SEED_JET)
                for item in ITEMS
                if any(row.quantity == f"{item}: efficiency" for row in rows)
            ]
        )  # fmt: skip
        return page

    def export(
        self, method: TriggerTagging, *, files: Files, out: Path, force: bool = False
    ) -> str:
        """Write the network as one ONNX file: from towers and triplets to the class of a seed.

        Args:
            files: Parquet files of seeds that the file is checked on.

        Examples:
            colliderkit export trigger test.parquet --out trigger.onnx
        """
        seeds = read_and_say(files)
        difference = export_trigger_tagging(method, out, seeds, force=force)
        return f"differs from torch by {difference:.1e} at most on {number(len(seeds.pt))} seeds"

    def summary(self, method: Method) -> str:
        """Say what is kept, and by which thresholds."""
        assert isinstance(method, TriggerTagging)
        return "; ".join(
            f"{item}: {share:g} of the stream, score above {cut:.3f} (seed jet: {pt:.0f} GeV)"
            for item, share, cut, pt in zip(
                ITEMS, method.shares, method.thresholds_, method.seed_thresholds_, strict=True
            )
        )


def kept_rate(kept: NDArray[np.bool_], weight: ArrayLike) -> Value:
    """Return the share of the weights (N,) that is kept (N,), with its counting error.

    Of none that is kept the error is that of one event of mean weight.
    """
    weights: Floats = np.asarray(weight, dtype=np.float64)
    chosen = weights[kept]
    error = float(np.sqrt((chosen**2).sum())) if len(chosen) else float(weights.mean())
    return Value(float(chosen.sum() / weights.sum()), error / float(weights.sum()))


def read_and_say(files: Files) -> TriggerSeeds:
    """Read seeds, and say what was read."""
    seeds = read_trigger_seeds(files)
    stream = int((seeds.weight > 0).sum())
    labels = ", ".join(f"{int((seeds.label == i).sum())} {name}" for i, name in enumerate(CLASSES))
    account(
        f"read {files}: {number(len(seeds))} events, {number(stream)} of them of the stream"
        f" (weight > 0); {number(len(seeds.pt))} seeds: {labels};"
        f" {number(len(seeds.hit_z))} hits, taken as mm"
    )
    return seeds
