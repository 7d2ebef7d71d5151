"""Explain a tagger: attribution by integrated gradients, and permutation importance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.schema import labels_of, weights_of
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.classes import auc_of_classes
from colliderkit.metrics.roc import auc
from colliderkit.metrics.value import Value
from colliderkit.networks.model import Model
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import predict

__all__ = ["Attribution", "integrated_gradients", "permutation_importance"]

MOST_STEPS = 2048


@dataclass(frozen=True)
class Attribution:
    """Attribution of the log-odds of a class to features.

    - `values`: the shape of the features, (B, N, F) or (B, C), float32, zero where padded;
    - `total`: (B,) the log-odds less those of the baseline: what the values should sum to;
    - `residual`: (B,) the sum of the values less `total`, what is left of the numerical
      integration.
    """

    values: Tensor
    total: Tensor
    residual: Tensor

    def by_feature(self, names: Sequence[str]) -> dict[str, Value]:
        """Return the mean over events of sum over particles of |attribution|, by feature."""
        size = self.values.abs()
        while size.ndim > 2:
            size = size.sum(1)
        error = size.std(0) / len(size) ** 0.5
        return {
            name: Value(float(size[:, i].mean()), float(error[i])) for i, name in enumerate(names)
        }


def integrated_gradients(
    model: Model,
    values: Tensor,
    mask: Tensor | None = None,
    *,
    target: int = 1,
    classes: int = 2,
    baseline: Tensor | float = 0.0,
    tolerance: float = 1e-3,
) -> Attribution:
    """Attribute the log-odds of class `target` to the features (1703.01365).

    a_i = (x_i - b_i) int_0^1 df/dx_i (b + t (x - b)) dt, with f = z_target - ln sum_other exp(z)
    over the first `classes` outputs z. x is the first thing that the model's representation
    gives (scaled features of particles, an image or a table); b is `baseline`, by default zero,
    which scaled features have on average. Whatever else the representation gives (four-vectors,
    mask) stays as it is.

    The values sum to f(x) - f(b). The midpoint rule is refined until they do within `tolerance`
    times max(1, |f(x) - f(b)|), or 2048 steps: a network that is not continuous in its features
    (neighbours found anew on the way) can keep a larger `residual`. Raises `InputError` for a
    network without gradients, or one that does not look at its features.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            raw = (values,) if mask is None else (values, mask)
            represented = model.representation(*raw)
        if not isinstance(represented, tuple):
            represented = (represented,)
        inputs, *rest = represented
        start = torch.as_tensor(baseline, dtype=inputs.dtype, device=inputs.device)
        path = inputs - start
        if mask is not None and inputs.ndim == 3:
            path = path * mask[..., None]

        def log_odds(x: Tensor) -> Tensor:
            outputs = model.network(x, *rest)[:, :classes]
            others = [k for k in range(classes) if k != target]
            return outputs[:, target] - outputs[:, others].logsumexp(1)

        with torch.no_grad():
            total = log_odds(inputs) - log_odds(inputs - path)
        steps = 32
        while True:
            attribution = path * _mean_gradient(log_odds, inputs, path, steps)
            residual = attribution.flatten(1).sum(1) - total
            worst = (residual.abs() / total.abs().clamp(min=1)).max() if len(total) else 0.0
            if worst <= tolerance or steps >= MOST_STEPS:
                return Attribution(attribution, total, residual)
            steps *= 4
    finally:
        model.train(training)


def permutation_importance(
    tagger: Tagger,
    jets: ak.Array,
    *,
    repeats: int = 3,
    seed: int = 0,
    batch_size: int = 512,
) -> dict[str, Value]:
    """Return how much AUC a fitted tagger loses when one feature is permuted, by its name.

    A column of a table is exchanged between jets; a feature of particles between all particles
    of `batch_size` jets drawn at random, their number and four-vectors staying with the jet.
    The value is the mean over `repeats`, its error their standard deviation. For more than two
    classes the AUC is the mean over pairs. A feature that others can stand in for loses little:
    importance is not information.
    """
    label, weight = labels_of(jets, len(tagger.classes)), weights_of(jets)
    random = torch.Generator().manual_seed(seed)
    inputs = tagger.inputs(jets)
    # Files are often ordered by class: particles must be exchanged between classes too.
    order = torch.randperm(len(jets), generator=random)
    data = Dataset(inputs, torch.zeros(len(jets)), torch.ones(len(jets)))
    model = tagger.model_.eval()

    def area(outputs: Tensor) -> float:
        p = torch.softmax(outputs[:, : len(tagger.classes)].double(), 1).numpy()
        if len(tagger.classes) == 2:
            return auc(p[:, 1], label, weight).value
        return auc_of_classes(p, label, weight)

    best = area(predict(model, data))
    names = _names(tagger)
    drops: dict[str, NDArray[np.float64]] = {}
    for i, name in enumerate(names):
        areas = []
        for _ in range(repeats):
            if isinstance(inputs, Tensor):
                table = inputs.clone()
                table[:, i] = table[torch.randperm(len(table), generator=random), i]
                outputs = predict(model, Dataset(table, data.target, data.weight))
            else:
                parts = [
                    _exchanged(model, data, events, i, random) for events in order.split(batch_size)
                ]
                outputs = torch.empty(len(jets), parts[0].shape[1])
                outputs[order] = torch.cat(parts)
            areas.append(area(outputs))
        drops[name] = best - np.array(areas)
    return {
        name: Value(float(drop.mean()), float(drop.std(ddof=1)) if repeats > 1 else float("nan"))
        for name, drop in drops.items()
    }


def _mean_gradient(
    function: Callable[[Tensor], Tensor], inputs: Tensor, path: Tensor, steps: int
) -> Tensor:
    total = torch.zeros_like(inputs)
    for step in range(steps):
        x = (inputs - path * (1 - (step + 0.5) / steps)).requires_grad_()
        output = function(x).sum()
        if not output.requires_grad:
            raise InputError("this model has no gradient; take permutation_importance for it.")
        (gradient,) = torch.autograd.grad(output, x, allow_unused=True)
        if gradient is None:
            raise InputError(
                "this network looks at four-vectors alone and not at its features;"
                " draw its filters, or attribute to the features of another network."
            )
        total += gradient
    return total / steps


@torch.inference_mode()
def _exchanged(
    model: Model, data: Dataset, events: Tensor, feature: int, random: torch.Generator
) -> Tensor:
    """Return the outputs for `events` with one feature permuted over their real particles."""
    batch = data.batch(events)
    assert batch.mask is not None
    features, *rest = model.representation(batch.values, batch.mask)
    # The representation may have ordered the particles: its own mask says which are real.
    mask = rest[-1]
    features = features.clone()
    column = features[..., feature][mask]
    features[..., feature][mask] = column[torch.randperm(len(column), generator=random)]
    outputs: Tensor = model.network(features, *rest).float()
    return outputs


def _names(tagger: Tagger) -> tuple[str, ...]:
    """Return the names of what the network takes."""
    representation = tagger.model_.representation
    holder: Any = getattr(representation, "set", representation)
    if hasattr(holder, "features"):
        return tuple(holder.features)
    if tagger.columns_[:4] == ("px", "py", "pz", "E"):
        raise InputError(
            f"network '{tagger.network}' takes no named features; permutation importance needs"
            " features of particles or a table of observables."
        )
    return tuple(tagger.columns_)
