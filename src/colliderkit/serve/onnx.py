"""One ONNX file from raw columns to probabilities, checked against torch."""

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import colliderkit
from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.files import atomic_file, refuse_existing
from colliderkit.networks.model import Model

__all__ = ["TOLERANCE", "export", "export_method"]

# The largest difference between onnxruntime and torch at which a file is still written.
TOLERANCE = 1e-4
UNITS = {
    **dict.fromkeys(("px", "py", "pz", "E"), "GeV"),
    **dict.fromkeys(("d0", "z0", "d0_error", "z0_error"), "mm"),
    "charge": "e",
}


class Deployed(nn.Module):
    """Answer raw columns with class probabilities, then each regressed quantity in its units.

    `constituents` (batch, length, columns) are zero-padded: a particle is real if its energy,
    the fourth column, is positive. A table (batch, columns) goes through as it is.
    """

    def __init__(self, model: nn.Module, classes: int, scales: Sequence[tuple[float, float]]):
        super().__init__()
        self.model = model
        self.classes = classes
        self.scales = scales

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        mask = inputs[..., 3] > 0 if inputs.ndim == 3 else None
        outputs = self.model(inputs, mask)
        probability = outputs[:, : self.classes].softmax(-1)
        quantities = (
            outputs[:, self.classes + i] * scale + mean
            for i, (mean, scale) in enumerate(self.scales)
        )
        return (probability, *quantities)


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
    regress = dict(regress or {})
    deployed = Deployed(copy.deepcopy(model).cpu().float(), len(classes), list(regress.values()))
    deployed.eval()
    proto = _translated(deployed, example, list(regress))
    difference = _difference(deployed, proto.SerializeToString(), example)
    if not difference <= TOLERANCE:
        name = type(model.network).__name__
        raise InputError(
            f"{path}: not written, because onnxruntime differs from torch by {difference:.1e} for"
            f" {name} on these events (allowed are {TOLERANCE:.0e}); please report it."
        )
    from onnx import helper

    proto.producer_name, proto.producer_version = "colliderkit", colliderkit.__version__
    properties = {
        "columns": list(columns),
        "units": [UNITS.get(name, "") for name in columns],
        "classes": list(classes),
        "colliderkit": colliderkit.__version__,
        "network": type(model.network).__name__,
        "largest_difference_to_torch": f"{difference:.3e}",
        **(metadata or {}),
    }
    helper.set_model_props(
        proto, {k: v if isinstance(v, str) else json.dumps(v) for k, v in properties.items()}
    )
    with atomic_file(path, force) as part:
        part.write_bytes(proto.SerializeToString())
    return difference


def export_method(method: Any, path: str | Path, jets: ak.Array, *, force: bool = False) -> float:
    """Write a fitted tagger as one ONNX file, checked on `jets`; see `export`."""
    if not hasattr(method, "model_") or not hasattr(method, "inputs"):
        raise InputError(f"{type(method).__name__}: not fitted, or not a method that exports.")
    scales: dict[str, tuple[float, float]] = {}
    if method.regress:
        pairs = zip(method.target_mean_.tolist(), method.target_scale_.tolist(), strict=True)
        scales = dict(zip(method.regress, pairs, strict=True))
    return export(
        method.model_,
        path,
        example=method.inputs(jets),
        classes=method.classes,
        columns=method.columns_,
        regress=scales,
        metadata={"method": method.name, "seed": method.seed_},
        force=force,
    )


def _translated(deployed: Deployed, example: Ragged | Tensor, regress: list[str]) -> Any:
    """Return the ONNX model of `deployed`."""
    batch = torch.export.Dim("batch")
    if isinstance(example, Ragged):
        # Sizes of 1 would be taken for constants.
        traced, _ = example.padded(torch.arange(max(2, min(len(example), 4))) % len(example))
        traced = nn.functional.pad(traced, (0, 0, 0, max(0, 2 - traced.shape[1])))
        name, free = "constituents", {0: batch, 1: torch.export.Dim("length")}
    else:
        traced, name, free = example[torch.arange(2) % len(example)], "table", {0: batch}
    try:
        with _quiet(), _recurrence_kept():
            try:
                program = torch.export.export(deployed, (traced,), dynamic_shapes=(free,))
            except Exception:
                # ``len(tensor)`` is a constant to that tracer. This one, slower, follows it, but
                # unrolls recurrent layers.
                program = torch.export.export(
                    deployed, (traced,), dynamic_shapes=(free,), strict=True
                )
            translated = torch.onnx.export(
                program,
                (traced,),
                dynamo=True,
                dynamic_shapes=(free,),
                input_names=[name],
                output_names=["probability", *regress],
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        network = type(deployed.model.network).__name__
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise InputError(f"{network}: torch cannot write it as ONNX ({reason}).") from error
    assert translated is not None
    proto = translated.model_proto
    # The exporter notes the lines of source that made each node, with the paths of this machine.
    graph = proto.graph
    for noted in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del noted.metadata_props[:]
    for weight in graph.initializer:
        del weight.metadata_props[:]
    return proto


def _difference(deployed: Deployed, serialised: bytes, example: Ragged | Tensor) -> float:
    """Return the largest difference of the outputs, quantities in units of their scale."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(serialised, options, providers=["CPUExecutionProvider"])
    (name,) = (node.name for node in session.get_inputs())
    largest = 0.0
    for values, mask in _cases(example):
        with torch.no_grad():
            outputs = deployed.model(values, mask)
        logits, quantities = outputs.tensor_split([deployed.classes], dim=1)
        truth = [logits.softmax(1), *quantities.unbind(1)]
        given = session.run(None, {name: values.numpy()})
        for i, (mean, scale) in enumerate(deployed.scales, start=1):
            given[i] = (given[i] - mean) / scale
        for ours, theirs in zip(truth, given, strict=True):
            largest = max(largest, _largest(ours.numpy(), theirs))
    return largest


def _cases(example: Ragged | Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Cut the events into batches of several sizes and lengths."""
    every = torch.arange(min(len(example), 512))
    batches = [every, every[:1], every[:2], every[-7:]]
    if isinstance(example, Tensor):
        for events in batches:
            yield example[events], None
        return
    for events in batches:
        values, mask = example.padded(events)
        yield values, mask
        yield nn.functional.pad(values, (0, 0, 0, 5)), nn.functional.pad(mask, (0, 5))
    for length in (1, 2, 3):
        yield example.padded(every[:64], length)
    values, mask = example.padded(every[:3])
    yield torch.zeros_like(values), torch.zeros_like(mask)


def _largest(a: NDArray[Any], b: NDArray[Any]) -> float:
    if a.shape != b.shape or (np.isnan(a) != np.isnan(b)).any():
        return float("inf")
    return float(np.nanmax(np.abs(a - b), initial=0.0))


@contextlib.contextmanager
def _recurrence_kept() -> Iterator[None]:
    """Keep an LSTM or GRU one loop of any length, where the tracer would write out each step."""
    with contextlib.ExitStack() as stack:
        # A torch without these traces recurrent networks for one length, which is an error then.
        with contextlib.suppress(ImportError, AttributeError):
            from torch.export import _patches

            stack.enter_context(_patches.register_lstm_while_loop_decomposition())
            stack.enter_context(_patches.register_gru_while_loop_decomposition())
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress, warnings and logs off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
