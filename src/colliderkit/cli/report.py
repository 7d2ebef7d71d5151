"""Draw an evaluation as one HTML file."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import awkward as ak
import numpy as np
import yaml

from colliderkit.cli import TAGGERS, given, of_model, run
from colliderkit.cli.evaluate import scored_tagger
from colliderkit.events.schema import weights_of
from colliderkit.files import atomic_file, existing_file, refuse_existing
from colliderkit.methods.method import load
from colliderkit.report.html import Report
from colliderkit.report.tagging import add_taggers, last_class
from colliderkit.tasks.ratio import report_ratio
from colliderkit.tasks.unfolding import report_unfolding

__all__ = ["main", "report"]


def report(model: Path, evaluation: Path, *, force: bool = False) -> None:
    """Write report.html beside an evaluation's results.

    Args:
        model: a folder written by fit.
        evaluation: a folder written by evaluate.
        force: overwrite report.html.
    """
    path = refuse_existing(evaluation / "report.html", force)
    method = load(model)
    tagger = getattr(method, "method", method)
    results = existing_file(evaluation / "results.json")
    about = json.loads(results.read_text())
    jets = ak.from_parquet(existing_file(evaluation / "scores.parquet"))
    truth = last_class(
        np.asarray(jets["label"]), weights_of(jets), tagger.classes, about["efficiencies"]
    )
    page = Report(
        f"A tagger of {', '.join(tagger.classes)} jets",
        f"The network {tagger.network}, fitted in {model}, on {len(jets)} jets that it has not"
        " seen.",
        command=about["command"],
        configuration=about["configuration"]
        + "\n# model\n"
        + yaml.safe_dump(json.loads((model / "method.json").read_text())["parameters"]),
    )
    counts = np.bincount(truth.label, minlength=len(tagger.classes))
    add_taggers(page, [scored_tagger(method, jets)], truth)
    page.add_heading("Jets")
    page.add_table(
        ["class", "jets", "sum of weights"],
        [
            [name, int(counts[k]), f"{truth.weight[truth.label == k].sum():.6g}"]
            for k, name in enumerate(tagger.classes)
        ],
    )
    with atomic_file(path, force) as part:
        part.write_text(page.html(), encoding="utf-8")
    print(f"report: {path}")


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the method that the model holds, or of showers."""
    folder = given(argv, "evaluation", ["evaluation"])
    if folder is not None and (Path(folder) / "showers.hdf5").is_file():
        from colliderkit.cli.showers import report_showers

        run(report_showers, argv, "colliderkit report", positional=["evaluation"])
        return
    functions: dict[str, Callable[..., None]] = {
        **dict.fromkeys(TAGGERS, report),
        "ratio": report_ratio,
        "omnifold": report_unfolding,
    }
    function = of_model(argv, "report", functions)
    run(function, argv, "colliderkit report", positional=["model", "evaluation"])
