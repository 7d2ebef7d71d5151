"""Export a fitted method to ONNX, from raw columns to its answer, checked against torch."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import colliderkit
from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.files import atomic_file, refuse_existing
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.networks.model import Model
from colliderkit.serve.deployed import Deployed, DeployedRatio, DeployedScore, DeployedTagger
from colliderkit.serve.translation import session, translate

__all__ = ["TOLERANCE", "export", "export_method", "single", "write_checked"]

Inputs = Ragged | Tensor
# The largest difference between onnxruntime and torch at which a file is still written.
TOLERANCE = 1e-4
UNITS = {
    **dict.fromkeys(("px", "py", "pz", "E"), "GeV"),
    **dict.fromkeys(("d0", "z0", "d0_error", "z0_error"), "mm"),
    "charge": "e",
}
ROUNDED = 1e-3  # of a column's spread, the largest that float32 may round a table by


def export(
    model: Model,
    path: str | Path,
    *,
    example: Ragged | Tensor,
    classes: Sequence[str],
    columns: Sequence[str] | None = None,
    regress: Mapping[str, tuple[float, float]] | None = None,
    metadata: Mapping[str, Any] | None = None,
    force: bool = False,
) -> float:
    """Write `model` as one ONNX file and return its largest difference to torch.

    The file takes ``constituents`` (batch, length, columns) float32, zero-padded, or ``table``
    (batch, columns) float32; batch and length are free. It gives ``probability`` (batch, classes)
    and one output (batch,) for each name of `regress`, whose standardised output is multiplied
    by the scale and shifted by the mean: ``{name: (mean, scale)}``. It needs onnxruntime alone::

        onnxruntime.InferenceSession("tagger.onnx").run(None, {"constituents": jets})[0]

    with ``jets`` (jets, particles, 4) float32 of px, py, pz, E in GeV, zeros after the last
    particle. A particle without energy counts as padding.

    `example` are real events: on them, in several batch sizes, lengths down to a single particle,
    and an empty jet, onnxruntime must agree with torch to 1e-4 in probability (and in `scale` for
    quantities); otherwise `InputError` says by how much, and no file is written. Columns, units,
    classes, version, the difference and `metadata` are in the file's `metadata_props`; what is
    not a string is JSON there. Raises `InputError` also if a network cannot be expressed.
    """
    refuse_existing(path, force)
    if isinstance(example, Ragged):
        columns = example.columns
    if len(example) == 0:
        raise InputError("ONNX export: no example events; give some to check the file on.")
    if columns is None:
        raise InputError("ONNX export: name the columns of the table.")
    example = single(example, columns)
    deployed = DeployedTagger(copy.deepcopy(model).cpu().float(), len(classes), regress or {})
    properties = {"classes": list(classes), **(metadata or {})}
    return write_checked(deployed, path, example, None, columns, properties, force)


def export_method(method: Any, path: str | Path, events: Any, *, force: bool = False) -> float:
    """Write a fitted tagger or ratio as one ONNX file, checked on `events`.

    For a tagger see `export`. The file of a ratio takes the same, and ``theta``
    (batch, parameters) float32 where the ratio has parameters; it gives ``log_ratio`` (batch,),
    ln p1/p0 with the members combined and calibrated, on which it agrees with torch to 1e-4.
    It answers outside the trained range of theta too, which stands in its metadata. That of an
    autoencoder takes raw events too, and gives ``score`` (batch,), on which both agree to 1e-4 of
    the root mean square score of the `events`.

    Raises `InputError` for a method that has no form in ONNX, and `NotFitted` before `fit`.
    """
    if isinstance(method, Ratio):
        return _export_ratio(method, path, events, force)
    if isinstance(method, Autoencoder):
        return _export_score(method, path, events, force)
    if not isinstance(method, Tagger):
        raise InputError(
            f"{type(method).__name__} cannot be written as ONNX; a Tagger, a Ratio, an Autoencoder"
            " and a ShowerSurrogate can."
        )
    scales: dict[str, tuple[float, float]] = {}
    if method.regress:
        pairs = zip(method.target_mean_.tolist(), method.target_scale_.tolist(), strict=True)
        scales = dict(zip(method.regress, pairs, strict=True))
    return export(
        method.model_,
        path,
        example=method.inputs(events),
        classes=method.classes,
        columns=method.columns_,
        regress=scales,
        metadata={"method": method.name, "seed": method.seed_},
        force=force,
    )


def _export_ratio(method: Ratio, path: str | Path, events: Any, force: bool) -> float:
    refuse_existing(path, force)
    example = method.inputs(events)
    columns = example.columns if isinstance(example, Ragged) else method.names_
    example = single(example, columns)
    properties: dict[str, Any] = {"method": method.name, "seed": method.seed_}
    theta = None
    if method.parameters:
        low, high = torch.from_numpy(method.range_).float()
        drawn = torch.rand(len(example), len(low), generator=torch.Generator().manual_seed(0))
        theta = low + drawn * (high - low)
        properties["parameters"] = list(method.parameters)
        properties["theta_range"] = [[float(a), float(b)] for a, b in method.range_.T]
    deployed = DeployedRatio(copy.deepcopy(method))
    return write_checked(deployed, path, example, theta, columns, properties, force, method)


def _export_score(method: Autoencoder, path: str | Path, events: Any, force: bool) -> float:
    refuse_existing(path, force)
    example = single(method.inputs(events), method.columns_)
    size = float(np.sqrt(np.mean(method.score(events) ** 2)))
    deployed = DeployedScore(
        copy.deepcopy(method.model_).cpu(), radius=method.measure == "radius", scale=size
    )
    properties = {"method": method.name, "seed": method.seed_, "kind": method.kind}
    return write_checked(deployed, path, example, None, method.columns_, properties, force)


def single(example: Inputs, columns: Sequence[str]) -> Inputs:
    """Return a table (N, C) rounded to the float32 that a file takes, and float64 as ever.

    Ragged columns are float32 already. A network is given float64, and finds what is small beside
    a column's distance from zero; the file cannot. Raises `InputError` for a column that float32
    rounds by more than `ROUNDED` of its spread.
    """
    if isinstance(example, Ragged):
        return example
    table = example.float().double()
    lost = (table - example).abs().amax(0) / example.double().std(0, correction=0)
    worst = int(lost.nan_to_num(0.0, posinf=0.0).argmax())
    if ROUNDED < float(lost[worst]) < float("inf"):
        mean, spread = float(example[:, worst].mean()), float(example[:, worst].std())
        raise InputError(
            f"ONNX export: column '{columns[worst]}' lies at {mean:.6g} with a spread of"
            f" {spread:.3g}, which the float32 input of a file cannot hold; subtract {mean:.3g}"
            " from it before the fit."
        )
    return table


def write_checked(
    deployed: Deployed,
    path: str | Path,
    example: Inputs,
    theta: Tensor | None,
    columns: Sequence[str],
    metadata: Mapping[str, Any],
    force: bool,
    ratio: Ratio | None = None,
) -> float:
    """Translate to ONNX, check against torch and write the file; return the largest difference."""
    deployed.eval()
    proto = _translated(deployed, example, theta)
    difference = _difference(deployed, proto.SerializeToString(), example, theta)
    if ratio is not None:
        difference = max(difference, _from_method(deployed, ratio, example, theta))
    if not difference <= TOLERANCE:
        raise InputError(
            f"{path}: not written, because onnxruntime differs from torch by {difference:.1e} for"
            f" {deployed.network} on these events (allowed are {TOLERANCE:.0e}); please report it."
        )
    properties = {
        "columns": list(columns),
        "units": [UNITS.get(name, "") for name in columns],
        "colliderkit": colliderkit.__version__,
        "network": deployed.network,
        "largest_difference_to_torch": f"{difference:.3e}",
        **metadata,
    }
    write_proto(proto, path, properties, force)
    return difference


def write_proto(proto: Any, path: str | Path, properties: dict[str, Any], force: bool) -> None:
    """Write an ONNX model with what it says of itself, whole or not at all."""
    from onnx import helper

    proto.producer_name, proto.producer_version = "colliderkit", colliderkit.__version__
    helper.set_model_props(
        proto, {k: v if isinstance(v, str) else json.dumps(v) for k, v in properties.items()}
    )
    with atomic_file(path, force) as part:
        part.write_bytes(proto.SerializeToString())


def _translated(deployed: Deployed, example: Inputs, theta: Tensor | None) -> Any:
    """Return the ONNX model of `deployed`."""
    batch = torch.export.Dim("batch")
    free: tuple[dict[int, Any], ...]
    if isinstance(example, Ragged):
        # Sizes of 1 would be taken for constants.
        events = torch.arange(max(2, min(len(example), 4))) % len(example)
        traced, _ = example.padded(events)
        traced = nn.functional.pad(traced, (0, 0, 0, max(0, 2 - traced.shape[1])))
        names, free = ["constituents"], ({0: batch, 1: torch.export.Dim("length")},)
    else:
        events = torch.arange(2) % len(example)
        traced, names, free = example[events].float(), ["table"], ({0: batch},)
    inputs: tuple[Tensor, ...] = (traced,)
    if theta is not None:
        inputs, names, free = (traced, theta[events]), [*names, "theta"], (*free, {0: batch})
    return translate(deployed, inputs, names, deployed.outputs, free, deployed.network)


def _difference(
    deployed: Deployed, serialised: bytes, example: Inputs, theta: Tensor | None
) -> float:
    """Return the largest difference of the outputs, each in units of its scale."""
    running = session(serialised)
    names = [node.name for node in running.get_inputs()]
    largest = 0.0
    for values, mask, events in _cases(example):
        point = None if theta is None else theta[events]
        with torch.no_grad():
            truth = deployed.answers(values, mask, point)
        taken = [values] if point is None else [values, point]
        feed = {name: tensor.float().numpy() for name, tensor in zip(names, taken, strict=True)}
        given = running.run(None, feed)
        for ours, theirs, scale in zip(truth, given, deployed.scales, strict=True):
            largest = max(largest, _largest(ours.numpy() / scale, theirs / scale))
    return largest


def _from_method(deployed: Deployed, ratio: Ratio, example: Inputs, theta: Tensor | None) -> float:
    """Return the largest difference of what is written to the method's own answer."""
    events = torch.arange(min(len(example), 512))
    if isinstance(example, Ragged):
        values, mask = example.padded(events)
        inputs: Inputs = example.at(events)
    else:
        inputs = values = example[events]
        mask = None
    point = None if theta is None else theta[events]
    with torch.no_grad():
        (found,) = deployed.answers(values, mask, point)
    return _largest(found.numpy(), ratio.answer(inputs, point).numpy())


def _cases(example: Inputs) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
    """Cut the events into batches of several sizes and lengths, with the numbers of the events."""
    every = torch.arange(min(len(example), 512))
    batches = [every, every[:1], every[:2], every[-7:]]
    if isinstance(example, Tensor):
        for events in batches:
            yield example[events], None, events
        return
    for events in batches:
        values, mask = example.padded(events)
        yield values, mask, events
        yield nn.functional.pad(values, (0, 0, 0, 5)), nn.functional.pad(mask, (0, 5)), events
    for length in (1, 2, 3):
        yield *example.padded(every[:64], length), every[:64]
    values, mask = example.padded(every[:3])
    yield torch.zeros_like(values), torch.zeros_like(mask), every[:3]


def _largest(a: NDArray[Any], b: NDArray[Any]) -> float:
    if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
        return float("inf")
    return float(np.nanmax(np.abs(a - b), initial=0.0))
