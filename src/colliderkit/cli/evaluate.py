"""Measure a method on events that it has not seen."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from colliderkit.cli import TAGGERS, given, of_model, run
from colliderkit.cli.apply import score_columns, with_scores
from colliderkit.cli.fit import class_files
from colliderkit.errors import InputError
from colliderkit.events.schema import weights_of
from colliderkit.files import refuse_existing
from colliderkit.methods.method import load
from colliderkit.report.results import Result, write_results
from colliderkit.report.tagging import Scored, last_class, results_of
from colliderkit.sources import write
from colliderkit.tasks import runs
from colliderkit.tasks.ratio import evaluate_ratio
from colliderkit.tasks.reading import Reading

__all__ = ["evaluate", "main", "scored_tagger"]


def evaluate(
    model: Path,
    *,
    out: Path,
    reading: Reading,
    signal: list[str] | str | None = None,
    background: list[str] | str | None = None,
    files: dict[str, list[str] | str] | None = None,
    efficiencies: list[float] | None = None,
    force: bool = False,
    configuration: str = "",
) -> None:
    """Measure a tagger on labelled events (``evaluate MODEL --help``: of another method;
    ``evaluate --showers FILE --help``: files of showers).

    Args:
        model: a folder written by fit.
        out: a folder for scores.parquet and results.json.
        signal: files of the signal.
        background: files of the background.
        files: for several classes, files by class name; the last is the signal.
        efficiencies: signal efficiencies of the rejections; 0.3 and 0.5 if not given.
        force: overwrite what is in `out`.
    """
    for name in ("scores.parquet", "results.json"):
        refuse_existing(out / name, force)
    method = load(model)
    tagger = getattr(method, "method", method)
    by_class = class_files(signal, background, files)
    if list(by_class) != list(tagger.classes):
        raise InputError(
            f"{model}: was fitted to the classes {list(tagger.classes)}, not {list(by_class)}."
        )
    parts = []
    for chunk in reading.classes(by_class):
        scored = with_scores(chunk, method)
        parts.append(scored[[name for name in scored.fields if name != "constituents"]])
    jets = ak.concatenate(parts)
    truth = last_class(
        np.asarray(jets["label"]), weights_of(jets), tagger.classes, efficiencies or (0.3, 0.5)
    )
    results = results_of(scored_tagger(method, jets), truth)
    write(out / "scores.parquet", jets, force=force)
    about = runs.about(
        f"{tagger.network} on {len(jets)} jets",
        model,
        configuration,
        efficiencies=[*(efficiencies or (0.3, 0.5))],
    )
    write_results(out / "results.json", results, about, force)
    _print(results)
    print(f"scores:  {out / 'scores.parquet'}\nresults: {out / 'results.json'}")


def scored_tagger(method: Any, jets: ak.Array) -> Scored:
    """Collect what is shown of a method from the scores that `with_scores` added."""
    tagger = getattr(method, "method", method)
    columns: list[NDArray[np.float64]] = [
        np.asarray(jets[name]) for name in score_columns(tagger.classes)
    ]
    if len(tagger.classes) == 2:
        columns = [1 - columns[0], columns[0]]
    histories = [member.history_ for member in getattr(method, "members_", [method])]
    return Scored(tagger.network, np.stack(columns, axis=1)[None], histories)


def _print(results: Sequence[Result]) -> None:
    table = Table("figure", "value ± counting error")
    for result in results:
        table.add_row(result.figure, result.ours())
    Console().print(table)


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the method that the model holds, or of showers."""
    if given(argv, "showers") is not None:
        from colliderkit.cli.showers import evaluate_showers

        run(evaluate_showers, argv, "colliderkit evaluate")
        return
    functions: dict[str, Callable[..., None]] = {
        **dict.fromkeys(TAGGERS, evaluate),
        "ratio": evaluate_ratio,
    }
    function = of_model(argv, "evaluate", functions)
    run(function, argv, "colliderkit evaluate", {"reading": Reading}, positional=["model"])
