"""The verbs of a summary for a measurement with nuisances: fit and export."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import refuse_existing
from colliderkit.methods.inference.inferno import InferenceAware
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.method import load
from colliderkit.serve.histfactory import workspace, write_workspace
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.tasks import runs
from colliderkit.tasks.reading import OfSamples, Reading, of_sample

__all__ = ["export_summary", "fit_summary"]

Floats = NDArray[np.float64]
Files = list[str] | str
SAMPLES = ("signal", "background")


def fit_summary(
    *,
    out: Path,
    method: InferenceAware,
    reading: Reading,
    signal: Files,
    background: Files,
    columns: list[str] | str,
    weight: OfSamples = None,
    nuisances: list[dict[str, Any]] | None = None,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    configuration: str = "",
) -> Path:
    """Sort events into bins such that the error of the signal yield is smallest (INFERNO).

    Args:
        out: the folder that the fitted summary is written to.
        signal: ROOT, HDF5 or Parquet files of the signal.
        background: files of the background.
        columns: observables, by name or expression: ``mass,log(pt)``.
        weight: an expression, or one a sample; those of a sample sum to its expected yield.
        nuisances: a list such as
            ``[{name: scale, transform: scale, column: mass, nominal: 1, width: 0.02}]``, of the
            transformations shift, scale, rate (of a `column`) and yield. A `process` is background
            (as if not given), signal or all; without a `width` the parameter is free and needs a
            `step`.
        seed: of initial weights, batches and the split.
        resume: go on from the last checkpoint of an interrupted run.
        force: overwrite `out`, and drop what an interrupted run left.
    """
    work = runs.begin(out, resume, force)
    names = split_expressions(columns)
    method.set_params(columns=names, nuisances=[_nuisance(n, names) for n in nuisances or ()])
    x, label, weights = _labelled(reading, names, (signal, background), weight)
    with runs.kept(work, "*.ckpt"):
        method.fit(x, label, weights, seed=seed, folder=work, resume=resume)
    runs.finish(method, out, work, configuration, force)
    print(f"fitted summary: {out}")
    return out


def export_summary(
    model: Path,
    *,
    out: Path,
    reading: Reading,
    signal: Files,
    background: Files,
    weight: OfSamples = None,
    luminosity: float | None = None,
    force: bool = False,
) -> None:
    """Write the bins of a summary with their variations as a workspace (JSON) that pyhf fits.

    Args:
        model: a folder written by fit inference-aware.
        out: the .json file.
        signal: files of the signal that the fit has not seen.
        background: files of the background that the fit has not seen.
        weight: an expression, or one a sample; those of a sample sum to its expected yield.
        luminosity: its relative error, common to both samples.
        force: overwrite `out`.
    """
    refuse_existing(out, force)
    method: InferenceAware = load(model)
    if not method.columns:
        raise InputError(f"{model}: does not name its columns; fit it with --columns.")
    given = _labelled(reading, method.columns, (signal, background), weight)
    templates = method.templates(*given)
    write_workspace(workspace(templates, luminosity=luminosity), out, force=force)
    error = templates.expected_error()
    print(f"exported: {out} (expected error of the signal yield {error:.4g})")


def _nuisance(given: dict[str, Any], columns: Sequence[str]) -> Nuisance:
    """Make a nuisance parameter of what YAML can hold; its column is a name or a place."""
    chosen = dict(given)
    if isinstance(chosen.get("column"), str):
        if chosen["column"] not in columns:
            raise InputError(
                f"nuisance '{chosen.get('name')}': column '{chosen['column']}' is none of"
                f" {', '.join(columns)}."
            )
        chosen["column"] = list(columns).index(chosen["column"])
    if not isinstance(chosen.get("transform"), str):
        raise InputError(f"nuisance '{chosen.get('name')}': name a transform, such as shift.")
    try:
        return Nuisance(**chosen)
    except TypeError as error:
        reason = str(error).split("__init__() ")[-1]
        raise InputError(f"nuisance '{chosen.get('name')}': {reason}.") from error


def _labelled(
    reading: Reading, columns: Sequence[str], files: tuple[Files, Files], weight: OfSamples
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Read signal (1) and background (0): events (N, C), labels (N,) and weights (N,)."""
    if reading.columns is not None or reading.layout is not None:
        raise InputError("observables of a table have no --layout; leave it out.")
    tables, weights = [], []
    for name, path in zip(SAMPLES, files, strict=True):
        own = of_sample(weight, "weight", name, SAMPLES)
        rows = reading.rows(path, [*columns, *([] if own is None else [own])])
        tables.append(rows.table(columns))
        weights.append(np.ones(len(rows)) if own is None else rows.table([own])[:, 0])
    label = np.repeat([1, 0], [len(table) for table in tables])
    return np.concatenate(tables), label, np.concatenate(weights)
