"""Write a method's scores beside the events' own columns."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import awkward as ak

from colliderkit.cli import TAGGERS, of_model, run
from colliderkit.files import refuse_existing
from colliderkit.methods.method import load
from colliderkit.sources import write
from colliderkit.tasks.ratio import apply_ratio
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.showers import apply_surrogate

__all__ = ["apply", "main", "score_columns", "with_scores"]


def with_scores(jets: ak.Array, method: Any) -> ak.Array:
    """Add `score` (two classes: the probability of the second) or `score_CLASS` to each jet.

    Regressed quantities are added as `predicted_NAME`.
    """
    tagger = getattr(method, "method", method)
    probability = method.predict_proba(jets)
    columns = probability[:, 1:].T if len(tagger.classes) == 2 else probability.T
    for name, column in zip(score_columns(tagger.classes), columns, strict=True):
        jets = ak.with_field(jets, column, name)
    if tagger is method and tagger.regress:
        for name, values in method.regression(jets).items():
            jets = ak.with_field(jets, values, f"predicted_{name}")
    return jets


def score_columns(classes: Sequence[str]) -> list[str]:
    """Name the columns of the scores."""
    return ["score"] if len(classes) == 2 else [f"score_{name}" for name in classes]


def apply(
    model: Path,
    files: list[str] | str,
    *,
    out: Path,
    reading: Reading,
    force: bool = False,
) -> None:
    """Score events and write them with all that was read (``apply MODEL --help``: of a method).

    Args:
        model: a folder written by fit.
        files: ROOT, HDF5 or Parquet files.
        out: a .root or .parquet file.
        force: overwrite `out`.
    """
    refuse_existing(out, force)
    method = load(model)
    write(out, ak.concatenate([with_scores(c, method) for c in reading.chunks(files)]), force=force)
    print(f"scores: {out}")


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the method that the model holds."""
    functions: dict[str, Callable[..., None]] = {
        **dict.fromkeys(TAGGERS, apply),
        "ratio": apply_ratio,
        "shower-surrogate": apply_surrogate,
    }
    function = of_model(argv, "apply", functions)
    parts: dict[str, type] = {"reading": Reading} if function is not apply_surrogate else {}
    run(function, argv, "colliderkit apply", parts, positional=["model"])
