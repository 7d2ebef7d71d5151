"""Linear layers, through oneDNN on a CPU.

torch hands matrix products of float32 to MKL, which leaves half the speed of AMD's processors
unused (measured on EPYC with AVX-512: 100 against 220 GFLOP/s a core); oneDNN, which comes with
torch too, is as fast on Intel's. Its products are reached through the operator that
`torch.compile` calls. Where that is missing, and for anything but dense float32 on a CPU, the
layers are torch's.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Dense", "dense", "linear", "product", "weight_gradient"]

# Each new shape is a new kernel, made in the time of a product: so most rows go in blocks of one
# size, and the rest through torch.
ROWS = 1024
WHOLE = (ROWS, 2 * ROWS, 4 * ROWS)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
    """Return x W^T + b, (R, K), (C, K), (C,) -> (R, C), or its ReLU; without gradients."""
    if not _through_onednn(x):
        y = F.linear(x, weight, bias)
        return y.relu_() if relu else y
    if not (weight.is_contiguous() or weight.t().is_contiguous()):
        # A part of a matrix would meet a kernel that is a hundred times slower.
        weight = weight.contiguous()
    attr = "relu" if relu else "none"
    block = torch.ops.mkldnn._linear_pointwise
    if len(x) in WHOLE:
        fast: Tensor = block(x, weight, bias, attr, [], "")
        return fast
    y = x.new_empty(len(x), len(weight))
    for rows in _blocks(len(x)):
        if rows.stop - rows.start in WHOLE:
            y[rows] = block(x[rows], weight, bias, attr, [], "")
        else:
            rest = F.linear(x[rows], weight, bias)
            y[rows] = rest.relu_() if relu else rest
    return y


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Return dL/dW = dL/dy^T x of y = x W^T, (R, C), (R, K) -> (C, K); without gradients."""
    if not _through_onednn(x) or len(x) < ROWS:
        return grad.t() @ x
    total = x.new_zeros(x.shape[1], grad.shape[1])
    for rows in _blocks(len(x)):
        a, b = x[rows].t(), grad[rows]
        if rows.stop - rows.start in WHOLE:
            total += torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
        else:
            total.addmm_(a, b)
    return total.t()


def _blocks(rows: int) -> Iterator[slice]:
    """Cut rows into the largest of `WHOLE` that fit, and a rest."""
    start = 0
    for size in reversed(WHOLE):
        while rows - start >= size:
            yield slice(start, start + size)
            start += size
    if start < rows:
        yield slice(start, rows)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x W^T + b, (..., K), (C, K), (C,) -> (..., C)."""
    plain = (
        not _through_onednn(x)
        or torch.is_autocast_enabled("cpu")
        or torch._C._are_functorch_transforms_active()
    )
    if plain:
        return F.linear(x, weight, bias)
    y: Tensor = _Linear.apply(x.flatten(0, -2), weight, bias)
    return y.view(*x.shape[:-1], -1)


class Dense(nn.Linear):
    """A linear layer of torch whose product is `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def dense(inputs: int, outputs: int) -> Dense:
    """Return a linear layer with He-uniform weights and zero biases (1502.01852)."""
    layer = Dense(inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer


class _Linear(torch.autograd.Function):
    """x W^T + b with a backward pass that can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        d_x = d_weight = d_bias = None
        again = torch.is_grad_enabled()
        if ctx.needs_input_grad[0]:
            d_x = linear(grad, weight.t()) if again else product(grad, weight.t())
        if ctx.needs_input_grad[1]:
            d_weight = linear(grad.t(), x.t()) if again else weight_gradient(grad, x)
        if ctx.needs_input_grad[2]:
            # Columns are summed as a product with ones, several times faster than `sum(0)`.
            d_bias = grad.new_ones(len(grad)) @ grad
        return d_x, d_weight, d_bias


def _through_onednn(x: Tensor) -> bool:
    return bool(
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.ndim >= 2
        and x.shape[0] > 0
        and not torch.compiler.is_compiling()
        and not torch.compiler.is_exporting()
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
