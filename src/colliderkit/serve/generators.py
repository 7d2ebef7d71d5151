"""ONNX export of a conditional generator, its sampler and scales inside."""

import copy
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

import colliderkit
from colliderkit.errors import InputError
from colliderkit.events.tables import as_table
from colliderkit.files import atomic_file, refuse_existing
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.generators.generator import Generator
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.serve.onnx import TOLERANCE
from colliderkit.serve.translation import session, translate

__all__ = ["export_generator"]

ROWS = 200  # on which the file is checked
USUAL = 0.99  # the share of numbers that must agree
FEATURES = 50  # of a flow, which makes them one after the other, each a call of its networks


class _Graph(nn.Module):
    """Map noise (B, Z) and conditions (B, C), where there are any, to rows (B, F)."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        context = torch.zeros_like(noise[:, :1]) if condition is None else condition
        return self.generator.decode(noise, context)


def export_generator(
    method: ConditionalGenerator,
    path: str | Path,
    condition: ArrayLike | None = None,
    *,
    force: bool = False,
) -> float:
    """Write a fitted generator as one ONNX file; return its difference to torch.

    The file takes ``noise`` (batch, Z) float32, standard normal, and, where there are conditions,
    ``condition`` (batch, C) float32, raw, and gives ``sample`` (batch, F) float32 in units of the
    data. It needs onnxruntime alone; Z is in `metadata_props`.

    On 200 rows torch and onnxruntime must agree to 1e-4 of a column's standard deviation in 99%
    of the numbers; their conditions are the first of `condition` (N, C), over again. Otherwise
    `InputError`, and no file. Raises `InputError` also for conditions that were not fitted, and
    for a flow of more than 50 columns, which come one after the other.
    """
    refuse_existing(path, force)
    generator = copy.deepcopy(method.generator_).eval()
    if isinstance(generator, ConditionalFlow) and generator.features > FEATURES:
        raise InputError(
            f"generator 'flow' makes {generator.features} columns one after the other, which is"
            " too long for one graph; fit generator 'student-flow', which makes them at once."
        )
    table = np.empty((0, 0)) if condition is None else as_table(condition, "condition")
    if table.shape[1] != method.conditions_ or (method.conditions_ and len(table) == 0):
        raise InputError(
            f"condition has {len(table)} rows of {table.shape[1]} columns, and"
            f" {method.conditions_} conditions were fitted; give rows of as many."
        )
    random = torch.Generator().manual_seed(0)
    inputs = {"noise": torch.randn(ROWS, generator.noise_size, generator=random)}
    if method.conditions_:
        inputs["condition"] = torch.from_numpy(np.resize(table, (ROWS, table.shape[1]))).float()
    graph, batch = _Graph(generator), torch.export.Dim("batch")
    proto = translate(
        graph,
        tuple(x[:3] for x in inputs.values()),
        [*inputs],
        ["sample"],
        tuple({0: batch} for _ in inputs),
        "generator",
    )
    with torch.no_grad():
        truth = graph(*inputs.values()).numpy()
    running = session(proto.SerializeToString())
    usual = 0.0
    for rows in (slice(None), slice(0, 1), slice(5, 12)):
        (found,) = running.run(None, {name: x[rows].numpy() for name, x in inputs.items()})
        difference = np.abs(found - truth[rows]) / generator.scaling.std.numpy()
        usual = max(usual, float(np.quantile(difference, USUAL)))
    if not usual <= TOLERANCE:
        raise InputError(
            f"generator: ONNX and torch differ by {usual:.1e} standard deviations in more than"
            f" {1 - USUAL:.0%} of the numbers, more than {TOLERANCE:g}; nothing is written."
        )
    from onnx import helper

    properties = {
        "method": method.name,
        "generator": method.generator,
        "noise": generator.noise_size,
        "difference": usual,
    }
    proto.producer_name, proto.producer_version = "colliderkit", colliderkit.__version__
    helper.set_model_props(
        proto, {k: v if isinstance(v, str) else json.dumps(v) for k, v in properties.items()}
    )
    with atomic_file(path, force) as part:
        part.write_bytes(proto.SerializeToString())
    return usual
