"""Deep Sets: energy-flow and particle-flow networks, EFN and PFN (1810.05165), and DIPS.

PFN: F(sum_i Phi(p_i)). EFN, infrared and collinear safe: F(sum_i z_i Phi(deta_i, dphi_i)).
Nearly all time goes into Phi, so it runs on real particles only, a few thousand rows at a time:
these stay in the processor's cache through all layers.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from colliderkit.events import fourvectors
from colliderkit.networks.dense import dense, product, weight_gradient
from colliderkit.networks.mlp import MLP
from colliderkit.networks.pointwise import Packing, row_norm

__all__ = ["DIPS", "EFN", "PFN"]

ROWS = 4096  # 256 float32 channels of it are 4 MB: what a cache holds, and enough for two threads


class _DeepSet(nn.Module):
    """Deep set: the networks Phi and F, and the sum over the particles of a jet."""

    representation: ClassVar[str] = "set"

    def __init__(
        self, inputs: int, outputs: int, phi: Sequence[int], f: Sequence[int], batch_norm: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((inputs, *phi)):
            layers.append(dense(before, after))
            if batch_norm:
                layers.append(nn.BatchNorm1d(after))
            layers.append(nn.ReLU())
        self.phi = nn.Sequential(*layers)
        self.f = MLP(phi[-1], outputs, hidden=f, batch_norm=batch_norm)
        self.batch_norm = batch_norm

    def summed(self, x: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return sum_i w_i Phi(x_i) over real particles, (B, N, C) -> (B, phi[-1])."""
        packing = Packing(mask)
        rows = packing.pack(x)
        weights = None if weight is None else packing.pack(weight[..., None])
        plain = packing.exporting or rows.is_cuda or torch.is_autocast_enabled(rows.device.type)
        if self.batch_norm or plain:
            for layer in self.phi:
                rows = row_norm(rows, layer) if isinstance(layer, nn.BatchNorm1d) else layer(rows)
            kind = torch.float64 if packing.exporting else rows.dtype
            return packing.unpack(rows if weights is None else rows * weights).sum(1, dtype=kind)
        jet = packing.slots // mask.shape[1]
        keep = torch.is_grad_enabled()
        total: Tensor = _PhiSum.apply(rows, weights, jet, len(mask), keep, *self.phi.parameters())
        return total

    def of_sum(self, total: Tensor) -> Tensor:
        """Return F of the sums over particles, (B, phi[-1]) -> (B, outputs).

        In an exported file both are in double precision, which costs a jet little: else a jet by
        itself and one in a batch differ by 1e-6, as matrix products depend on the number of rows.
        """
        if not torch.compiler.is_exporting():
            logits: Tensor = self.f(total)
            return logits
        state = {
            name: x.double() for name, x in self.f.state_dict().items() if x.is_floating_point()
        }
        logits = torch.func.functional_call(self.f, state, (total.double(),))
        return logits.float()


class PFN(_DeepSet):
    """Classify a set of particles by F(sum_i Phi(p_i)) (particle-flow network, 1810.05165).

    ``forward(features (B, N, inputs), vectors, mask (B, N)) -> (B, outputs)``. `phi` and `f` are
    the widths of the two networks; `batch_norm` normalises each layer over the real particles.
    With 3 features and 2 outputs it has 82,458 parameters.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int = 2,
        *,
        phi: Sequence[int] = (100, 100, 256),
        f: Sequence[int] = (100, 100, 100),
        batch_norm: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, phi, f, batch_norm)

    def forward(self, features: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
        return self.of_sum(self.summed(features, mask))


class EFN(_DeepSet):
    """Classify by F(sum_i z_i Phi(deta_i, dphi_i)) (energy-flow network, 1810.05165).

    z is the share of the jet's pt; all three come from `vectors`, and `features` are not looked
    at: other inputs would spoil the infrared and collinear safety. `inputs` is taken only so
    that all networks on sets are built alike. With 2 outputs it has 82,358 parameters.
    """

    def __init__(
        self,
        inputs: int = 2,
        outputs: int = 2,
        *,
        phi: Sequence[int] = (100, 100, 256),
        f: Sequence[int] = (100, 100, 100),
    ) -> None:
        super().__init__(2, outputs, phi, f, batch_norm=False)

    def forward(self, features: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
        z, deta, dphi = fourvectors.relative(vectors, mask)
        return self.of_sum(self.summed(torch.stack([deta, dphi], -1), mask, z))

    def filters(self, points: Tensor) -> Tensor:
        """Evaluate Phi at points (M, 2) of (deta, dphi) -> (M, phi[-1]), to draw the filters."""
        with torch.no_grad():
            values: Tensor = self.phi(points)
        return values


class DIPS(PFN):
    """Classify a set of tracks: a PFN with batch norm and these widths (ATL-PHYS-PUB-2020-014)."""

    def __init__(
        self,
        inputs: int,
        outputs: int = 2,
        *,
        phi: Sequence[int] = (100, 100, 128),
        f: Sequence[int] = (100, 100, 100, 30),
        batch_norm: bool = True,
    ) -> None:
        super().__init__(inputs, outputs, phi=phi, f=f, batch_norm=batch_norm)


class _PhiSum(torch.autograd.Function):
    """Sum w_i Phi(x_i) by jet: (P, C) rows, (P, 1) weights or None, (P,) jet index -> (jets, L).

    The same values as a stack of linear layers and ReLUs followed by `index_add`, computed in
    blocks of `ROWS` rows through all layers, forwards and backwards.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weights: Tensor | None,
        jet: Tensor,
        jets: int,
        keep: bool,
        *parameters: Tensor,
    ) -> Tensor:
        kernels, biases = parameters[::2], parameters[1::2]
        total = rows.new_zeros(jets, len(kernels[-1]))
        activations = []
        for block in _blocks(len(rows)):
            layers = [rows[block]]
            for kernel, bias in zip(kernels, biases, strict=True):
                layers.append(product(layers[-1], kernel, bias, relu=True))
            x = layers[-1]
            total.index_add_(0, jet[block], x if weights is None else x * weights[block])
            if keep:
                activations.append(layers)
        ctx.save_for_backward(rows, weights, jet, *kernels)
        ctx.activations = activations
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, weights, jet, *kernels = ctx.saved_tensors
        flipped = [kernel.t().contiguous() for kernel in kernels]
        d_kernels = [torch.zeros_like(kernel) for kernel in kernels]
        d_biases = [kernel.new_zeros(len(kernel)) for kernel in kernels]
        d_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        d_weights = torch.empty_like(weights) if ctx.needs_input_grad[1] else None
        # Columns are summed as a product with ones, several times faster than `sum(0)`.
        ones = gradient.new_ones(min(ROWS, len(rows)))
        for block, layers in zip(_blocks(len(rows)), ctx.activations, strict=True):
            d = gradient.index_select(0, jet[block])
            if d_weights is not None:
                d_weights[block] = (d * layers[-1]).sum(1, keepdim=True)
            if weights is not None:
                d *= weights[block]
            for i in reversed(range(len(kernels))):
                torch.ops.aten.threshold_backward.grad_input(d, layers[i + 1], 0.0, grad_input=d)
                d_kernels[i] += weight_gradient(d, layers[i])
                d_biases[i].addmv_(d.t(), ones[: len(d)])
                if i > 0:
                    d = product(d, flipped[i])
                elif d_rows is not None:
                    d_rows[block] = product(d, flipped[0])
        pairs = zip(d_kernels, d_biases, strict=True)
        return (d_rows, d_weights, None, None, None, *(g for pair in pairs for g in pair))


def _blocks(rows: int) -> list[slice]:
    return [slice(low, min(low + ROWS, rows)) for low in range(0, rows, ROWS)]
