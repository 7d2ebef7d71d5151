"""Write a fitted method for others: as ONNX, a workspace or a submission to HEPData."""

from collections.abc import Callable, Sequence
from pathlib import Path

from colliderkit.cli import TAGGERS, of_model, run
from colliderkit.files import refuse_existing
from colliderkit.methods.method import load
from colliderkit.serve.onnx import export_method
from colliderkit.tasks.inference import export_summary
from colliderkit.tasks.ratio import export_ratio
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.showers import export_showers
from colliderkit.tasks.unfolding import export_unfolding

__all__ = ["export", "main"]


def export(
    model: Path,
    files: list[str] | str,
    *,
    out: Path,
    reading: Reading,
    force: bool = False,
) -> None:
    """Export a tagger as ONNX, checked on events (``export MODEL --help``: another method).

    Args:
        model: a folder written by fit.
        files: events on which both must agree; the first 512 are used.
        out: the .onnx file.
        force: overwrite `out`.
    """
    refuse_existing(out, force)
    jets = reading.head(files, 512)
    difference = export_method(load(model), out, jets, force=force)
    print(f"exported: {out} (largest difference to torch {difference:.1e} on {len(jets)} events)")


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the method that the model holds."""
    functions: dict[str, Callable[..., None]] = {
        **dict.fromkeys(TAGGERS, export),
        "ratio": export_ratio,
        "inference-aware": export_summary,
        "omnifold": export_unfolding,
        "shower-surrogate": export_showers,
    }
    function = of_model(argv, "export", functions)
    alone = (export_unfolding, export_showers)  # they need no events
    parts: dict[str, type] = {} if function in alone else {"reading": Reading}
    run(function, argv, "colliderkit export", parts, positional=["model"])
