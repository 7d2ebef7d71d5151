"""Train a method on event files."""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import awkward as ak

from colliderkit.cli import run
from colliderkit.errors import InputError
from colliderkit.methods.decorrelation import DecorrelatedTagger
from colliderkit.methods.inference.inferno import InferenceAware
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.methods.tagging.ensembles import CrossFit, Ensemble
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.tasks import runs
from colliderkit.tasks.inference import fit_summary
from colliderkit.tasks.ratio import fit_ratio
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.showers import fit_surrogate
from colliderkit.tasks.unfolding import fit_unfolding

__all__ = ["class_files", "main", "tagging"]


def tagging(
    *,
    out: Path,
    tagger: Tagger,
    reading: Reading,
    signal: list[str] | str | None = None,
    background: list[str] | str | None = None,
    files: dict[str, list[str] | str] | None = None,
    members: int = 1,
    folds: int = 0,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    configuration: str = "",
) -> Path:
    """Train a jet tagger, of `decorrelated-tagging` one that leaves a quantity alone.

    Args:
        out: the folder that the fitted tagger is written to.
        signal: ROOT, HDF5 or Parquet files of the signal.
        background: files of the background.
        files: for several classes, files by class name, instead of signal and background.
        members: trainings with other seeds that are averaged.
        folds: cross-fit with this many folds, for unbiased scores of the training sample.
        seed: of initial weights, batches and the split.
        resume: go on from the last checkpoint of an interrupted run.
        force: overwrite `out`, and drop what an interrupted run left.
    """
    first_process = {os.environ.get(name, "0") for name in ("LOCAL_RANK", "NODE_RANK")} == {"0"}
    work = out.with_name(out.name + ".training")
    if first_process:
        runs.begin(out, resume, force)
    if members > 1 and folds:
        raise InputError("--members and --folds exclude each other; give one.")
    by_class = class_files(signal, background, files)
    tagger.set_params(classes=list(by_class))
    method: Tagger | Ensemble | CrossFit = tagger
    if members > 1:
        method = Ensemble(tagger, members=members)
    elif folds:
        method = CrossFit(tagger, folds=folds)
    chunks = reading.classes(by_class)
    with runs.kept(work, "*.ckpt") if first_process else nullcontext():
        # One tagger is trained from a file of its own, however large; several need the jets.
        jets = chunks if method is tagger else ak.concatenate(list(chunks))
        method.fit(jets, seed=seed, folder=work, resume=resume)
    if first_process:
        runs.finish(method, out, work, configuration, force)
        print(f"fitted {tagger.network}: {out}")
    return out


def class_files(
    signal: list[str] | str | None,
    background: list[str] | str | None,
    files: dict[str, list[str] | str] | None,
) -> dict[str, list[str] | str]:
    """Return the files by class, in the order of the label, however they were given."""
    if files and not signal and not background:
        return files
    if signal and background and not files:
        return {"background": background, "signal": signal}
    raise InputError("give --signal and --background, or --files for several classes.")


def main(argv: Sequence[str]) -> None:
    """Parse and run."""
    methods: dict[str, tuple[Callable[..., Path], dict[str, type]]] = {
        "tagging": (tagging, {"tagger": Tagger, "reading": Reading}),
        "decorrelated-tagging": (tagging, {"tagger": DecorrelatedTagger, "reading": Reading}),
        "ratio": (fit_ratio, {"method": Ratio, "reading": Reading}),
        "inference-aware": (fit_summary, {"method": InferenceAware, "reading": Reading}),
        "unfolding": (fit_unfolding, {"method": OmniFold, "reading": Reading}),
        "showers": (fit_surrogate, {"method": ShowerSurrogate}),
    }
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: colliderkit fit METHOD [options]\n\nmethods: {', '.join(methods)}")
        return
    if argv[0] not in methods:
        raise InputError(f"'{argv[0]}' is no method; choose from {', '.join(methods)}.")
    function, parts = methods[argv[0]]
    run(function, argv[1:], f"colliderkit fit {argv[0]}", parts)
