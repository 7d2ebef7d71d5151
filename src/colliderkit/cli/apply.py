"""Write a method's scores beside the events' own columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak

from colliderkit.cli import run
from colliderkit.cli.reading import Reading
from colliderkit.files import refuse_existing
from colliderkit.methods.method import load
from colliderkit.sources import write

__all__ = ["apply", "main", "with_scores"]


def with_scores(jets: ak.Array, method: Any) -> ak.Array:
    """Add `score` (two classes: the probability of the second) or `score_CLASS` to each jet.

    Regressed quantities are added as `predicted_NAME`.
    """
    tagger = getattr(method, "method", method)
    probability = method.predict_proba(jets)
    if len(tagger.classes) == 2:
        jets = ak.with_field(jets, probability[:, 1], "score")
    else:
        for k, name in enumerate(tagger.classes):
            jets = ak.with_field(jets, probability[:, k], f"score_{name}")
    if tagger is method and tagger.regress:
        for name, values in method.regression(jets).items():
            jets = ak.with_field(jets, values, f"predicted_{name}")
    return jets


def apply(
    model: Path,
    files: list[str],
    *,
    out: Path,
    reading: Reading,
    force: bool = False,
) -> None:
    """Score events and write them with all that was read, as ROOT or Parquet.

    Args:
        model: a folder written by fit.
        files: ROOT, HDF5 or Parquet files.
        out: a .root or .parquet file.
        force: overwrite `out`.
    """
    refuse_existing(out, force)
    method = load(model)
    write(out, (with_scores(chunk, method) for chunk in reading.chunks(files)), force=force)
    print(f"scores: {out}")


def main(argv: Sequence[str]) -> None:
    """Parse and run."""
    run(apply, argv, "colliderkit apply", {"reading": Reading})
