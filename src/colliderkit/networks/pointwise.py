"""Pointwise layers: dense layers on each particle, edge or pair, computed on the real ones only.

A padded batch (B, N, C) becomes P *rows*, one a real particle (`Packing`); whatever acts on one
particle at a time acts on rows. Edges and pairs are many more than particles, so their layers
(`PointwiseLayers`) run on pieces of some thousand rows that stay in the processor's cache. They
keep one tensor a layer for the backward pass and compute the rest again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from colliderkit.networks.dense import product, weight_gradient

__all__ = ["Dropout", "Packing", "PointwiseLayers", "chunk_rows", "row_norm"]


def chunk_rows(width: int, device: torch.device) -> int:
    """Return how many rows of `width` numbers to treat at a time: all of them on a GPU."""
    return max(1, (1 << 18 if device.type == "cpu" else 1 << 40) // width)


class Packing:
    """Move particles between padded slots (B, N) and the P rows of the real ones.

    During an ONNX export every slot is a row: the number of real particles is no shape that the
    graph could carry. What the real particles get is the same either way.

    - `slots`: (P,) the slot b N + n of each row;
    - `row`: (B, N) the row of each real slot (any row where padded);
    - `counts`: (B,) the number of real particles.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask
        self.counts = mask.sum(1)
        self.exporting = torch.compiler.is_exporting()
        if self.exporting:
            self.row = torch.arange(mask.numel(), device=mask.device).view(mask.shape)
            self.slots = self.row.flatten()
        else:
            self.slots = mask.flatten().nonzero().squeeze(1)
            self.row = (mask.flatten().cumsum(0) - 1).clamp(min=0).view(mask.shape)

    def pack(self, padded: Tensor) -> Tensor:
        """Gather the real particles, (B, N, C) -> (P, C)."""
        flat = padded.flatten(0, 1)
        return flat if self.exporting else flat.index_select(0, self.slots)

    def unpack(self, rows: Tensor) -> Tensor:
        """Scatter rows back into slots, (P, C) -> (B, N, C), zero where padded."""
        batch, size = self.mask.shape
        if self.exporting:
            return rows.view(batch, size, rows.shape[1]) * self.mask[..., None]
        padded = rows.new_zeros(batch * size, rows.shape[1])
        return padded.index_copy(0, self.slots, rows).view(batch, size, rows.shape[1])

    def mean(self, rows: Tensor) -> Tensor:
        """Average over the real particles of each jet, (P, C) -> (B, C); 0 for an empty jet."""
        return self.unpack(rows).sum(1) / self.counts.clamp(min=1)[:, None]


def row_norm(rows: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Normalise rows (P, C) over the batch; a single row has no variance and is not counted."""
    batch = norm.training and len(rows) > 1
    if batch and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    return F.batch_norm(
        rows,
        norm.running_mean,
        norm.running_var,
        norm.weight,
        norm.bias,
        training=batch,
        momentum=norm.momentum or 0.0,
        eps=norm.eps,
    )


class Dropout(nn.Module):
    """Zero each number with probability `p` and scale the others by 1 / (1 - p).

    On a CPU torch draws one Bernoulli number at a time, in longer than all else that a
    transformer does with it. Sixteen bits of numpy's generator, seeded from torch's, do: `p` is
    rounded to a multiple of 2^-16.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        dropped: Tensor = _Dropped.apply(x, self.keep(x.shape, x.device), self)
        return dropped

    def keep(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Draw 1 for each number to keep and 0 for the others, as int8."""
        if device.type != "cpu":
            return (torch.rand(tuple(shape), device=device) >= self.p).to(torch.int8)
        size = int(np.prod(shape))
        draw = np.random.SFC64(int(torch.randint(1 << 62, ())))
        keep = np.empty(size, dtype=bool)
        limit = np.uint16(round(self.p * 65536))
        for start in range(0, size, 1 << 18):
            piece = keep[start : start + (1 << 18)]
            bits = draw.random_raw((len(piece) + 3) // 4).view(np.uint16)
            np.greater_equal(bits[: len(piece)], limit, out=piece)
        return torch.from_numpy(keep.view(np.int8)).view(tuple(shape))

    def factor(self, keep: Tensor, dtype: torch.dtype) -> Tensor:
        """Return 1 / (1 - p) where kept, else 0: torch is slow to multiply by another type."""
        return keep.to(dtype).mul_(1 / (1 - self.p))


class _Dropped(torch.autograd.Function):
    """Scale what is kept; a byte a number waits for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, keep: Tensor, dropout: Dropout) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.dropout = dropout
        return dropout.factor(keep, x.dtype).mul_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (keep,) = ctx.saved_tensors
        return ctx.dropout.factor(keep, grad.dtype).mul_(grad), None, None


@dataclass(frozen=True)
class Activation:
    """A function h(z) and its backward pass (dL/dh, z) -> dL/dz."""

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


RELU = Activation(F.relu, lambda grad, z: torch.ops.aten.threshold_backward(grad, z, 0))
GELU = Activation(F.gelu, lambda grad, z: torch.ops.aten.gelu_backward(grad, z))


class PointwiseLayers(nn.Module):
    """Apply h_l = activation(BatchNorm(W_l h_{l-1} + b_l)) to many rows, l = 1..L.

    The users make the first products y_1 = W_1 h_0 in their own ways, piece by piece, and take
    h_L piece by piece. `run` leads from the one to the other, `run_backward` back; both are for
    the `torch.autograd.Function` of a user. Where all rows have one shape, as in an ONNX export,
    `plain` does the same in one sweep.
    """

    linears: Any  # nn.ModuleList of nn.Linear, which mypy cannot say
    norms: Any

    def __init__(self, sizes: Sequence[int], activation: Activation, bias: bool) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.activation = activation
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.linears = nn.ModuleList([nn.Linear(a, b, bias=bias) for a, b in pairs])
        self.norms = nn.ModuleList([nn.BatchNorm1d(b) for _, b in pairs])

    def tensors(self) -> list[Tensor | None]:
        """List gamma, beta, b and W of each layer, W_1 left out: it belongs to the users."""
        tensors: list[Tensor | None] = []
        for linear, norm in zip(self.linears, self.norms, strict=True):
            tensors += [norm.weight, norm.bias, linear.bias, linear.weight]
        return tensors[:3] + tensors[4:]

    def plain(self, first: Tensor) -> Tensor:
        """Lead y_1 (..., C_1) to h_L (..., C_L) with the running mean and variance."""
        norms = [self.normalisation([], layer) for layer in range(len(self.norms))]
        h = self.activation.forward(norms[0](first))
        for norm, linear in zip(norms[1:], self.linears[1:], strict=True):
            h = self.activation.forward(norm(F.linear(h, linear.weight)))
        return h

    def run(self, first: Any) -> "ForwardPass":
        """Lead pieces of y_1, a list or what can stand for one, to pieces of y_L; normalise."""
        layers: list[Any] = [first]
        norms = [self.normalisation(first, 0)]
        for layer in range(1, len(self.norms)):
            weight, norm = self.linears[layer].weight, norms[-1]
            layers.append([product(self.activation.forward(norm(y)), weight) for y in layers[-1]])
            norms.append(self.normalisation(layers[-1], layer))
        return ForwardPass(layers, norms)

    def run_backward(
        self,
        run: "ForwardPass",
        grads: Iterable[Tensor],
        take: Callable[[int, Tensor], None],
    ) -> list[Tensor | None]:
        """Lead pieces of dL/dh_L back: call take(piece, dL/dy_1) and return what `tensors` lists.

        With g = dL/dz, z = scale y + shift and means over the R rows of the batch,

            dL/dy = scale (g - <g> - x <g x>),    x = (y - mean) rstd,

        so g must be known for all rows before dL/dy is for one: a sweep makes dL/dy_l and from it
        g of the layer below.
        """
        back = self.activation.backward
        gradients: list[Tensor | None] = []
        g = []
        sums = GradientSums()
        for y, grad in zip(run.layers[-1], grads, strict=True):
            g.append(sums.add(back(grad, run.norms[-1](y)), y))
        for layer in range(len(run.layers) - 1, -1, -1):
            norm, linear = run.norms[layer], self.linears[layer]
            gamma, beta = sums.gradients(norm)
            slope, offset = norm.chain(gamma, beta)
            weight = torch.zeros_like(linear.weight)
            flipped = linear.weight.t().contiguous()
            sums, below = GradientSums(), []
            # From the last piece to the first, each dropped once it is used.
            ys, above = run.layers.pop(), g
            while above:
                piece = len(above) - 1
                grad = torch.addcmul(offset, ys.pop(), slope).addcmul_(above.pop(), norm.scale)
                if layer == 0:
                    take(piece, grad)
                    continue
                y_below = run.layers[-1][piece]
                z = run.norms[layer - 1](y_below)
                weight += weight_gradient(grad, self.activation.forward(z))
                below.append(sums.add(back(product(grad, flipped), z), y_below))
            # Batch normalisation takes a bias away again: its gradient is zero.
            bias = None if linear.bias is None else norm.scale * beta * (norm.rows == 0)
            gradients = [gamma, beta, bias, weight, *gradients]
            g = below[::-1]
        return gradients[:3] + gradients[4:]

    def normalisation(self, pieces: Sequence[Tensor], layer: int) -> "Normalisation":
        """Fold bias and batch normalisation; in training move the running mean and variance.

        Without a variance (fewer than two rows) the running ones serve in training too.
        """
        norm = self.norms[layer]
        bias = self.linears[layer].bias
        rows = sum(len(y) for y in pieces) if self.training else 0
        if rows > 1:
            mean = torch.stack([column_sum(y).double() for y in pieces]).sum(0) / rows
            square = torch.stack([column_sum(y * y).double() for y in pieces]).sum(0) / rows
            var = (square - mean.square()).clamp(min=0)
            batch_mean = mean if bias is None else mean + bias
            norm.running_mean.lerp_(batch_mean.to(norm.running_mean.dtype), norm.momentum)
            unbiased = var * (rows / (rows - 1))
            norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
            norm.num_batches_tracked.add_(1)
            mean, var = mean.to(norm.weight.dtype), var.to(norm.weight.dtype)
        else:
            rows = 0
            # y goes without the bias, so the mean does.
            mean = norm.running_mean if bias is None else norm.running_mean - bias
            var = norm.running_var
        rstd = (var + norm.eps).rsqrt()
        scale = norm.weight * rstd
        return Normalisation(scale, norm.bias - scale * mean, mean, rstd, rows)


@dataclass(frozen=True)
class Normalisation:
    """Batch normalisation of one layer as z = scale y + shift, all (C,)."""

    scale: Tensor
    shift: Tensor
    mean: Tensor
    rstd: Tensor
    rows: int  # 0 where mean and variance are the running ones, which have no gradient

    def __call__(self, y: Tensor) -> Tensor:
        return torch.addcmul(self.shift, y, self.scale)

    def chain(self, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        """Return slope and offset of dL/dy = scale dL/dz + slope y + offset."""
        if self.rows == 0:
            return torch.zeros_like(self.scale), torch.zeros_like(self.scale)
        slope = -self.scale * self.rstd * gamma / self.rows
        return slope, -self.scale * beta / self.rows - slope * self.mean


@dataclass
class ForwardPass:
    """A forward pass: y of each layer in pieces, and its normalisation, for the backward pass."""

    layers: list[Any]  # lists of tensors
    norms: list[Normalisation]


class GradientSums:
    """Add up dL/dz and y dL/dz over the pieces of a layer."""

    def __init__(self) -> None:
        self.grad: Tensor | float = 0.0
        self.product: Tensor | float = 0.0

    def add(self, grad: Tensor, y: Tensor) -> Tensor:
        self.grad = self.grad + column_sum(grad).double()
        self.product = self.product + column_sum(grad * y).double()
        return grad

    def gradients(self, norm: Normalisation) -> tuple[Tensor, Tensor]:
        """Return dL/dgamma = sum of x dL/dz and dL/dbeta = sum of dL/dz."""
        zero = torch.zeros_like(norm.scale)
        gamma = (zero + self.product - norm.mean * self.grad) * norm.rstd
        return gamma.to(zero.dtype), (zero + self.grad).to(zero.dtype)


def column_sum(x: Tensor) -> Tensor:
    """Sum rows, (R, C) -> (C,): as a product with ones, several times faster than `sum(0)`."""
    return x.new_ones(len(x)) @ x
