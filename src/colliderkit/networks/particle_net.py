"""ParticleNet (1902.08570): convolutions on the graph of each particle's nearest neighbours."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from colliderkit.events import fourvectors
from colliderkit.events.graphs import in_angle, nearest_by_length, squared_distance
from colliderkit.networks.dense import Dense, linear
from colliderkit.networks.pointwise import RELU, Packing, PointwiseLayers, chunk_rows, row_norm

__all__ = ["ParticleNet", "ParticleNetLite"]


class ParticleNet(nn.Module):
    """Classify a jet by edge convolutions over its particles.

    The first neighbours are those in (deta, dphi), the following ones those in the features that
    the last convolution made. A particle has min(k, n - 1) neighbours in a jet of n: padding is
    nobody's neighbour, and a lone particle keeps the shortcut alone. Takes `features` (B, N, F),
    `vectors` (B, N, 4) px, py, pz, E in GeV and `mask` (B, N), True where real; returns logits
    (B, outputs). Input features are normalised over the batch.
    """

    representation = "set"

    def __init__(
        self,
        inputs: int,
        outputs: int = 2,
        *,
        neighbours: int = 16,
        blocks: Sequence[Sequence[int]] = ((64, 64, 64), (128, 128, 128), (256, 256, 256)),
        hidden: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.norm = nn.BatchNorm1d(inputs)
        widths = [inputs, *(block[-1] for block in blocks)]
        self.convolutions = nn.ModuleList(
            [
                EdgeConvolution(width, block)
                for width, block in zip(widths[:-1], blocks, strict=True)
            ]
        )
        self.head = nn.Sequential(
            Dense(widths[-1], hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            Dense(hidden, outputs),
        )

    def forward(self, features: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
        packing = Packing(mask)
        x = row_norm(packing.pack(features), self.norm)
        _, deta, dphi = fourvectors.relative(vectors, mask)
        for layer, convolution in enumerate(self.convolutions):
            if layer == 0:
                points, distance = torch.stack([deta, dphi], -1), in_angle
            else:
                points, distance = packing.unpack(x.detach()), squared_distance
            near = nearest_by_length(points, mask, self.neighbours, distance)
            x = convolution(x, *near, packing)
        output: Tensor = self.head(packing.mean(x))
        return output


class ParticleNetLite(ParticleNet):
    """ParticleNet with two blocks, 7 neighbours and 26k parameters (1902.08570)."""

    def __init__(
        self,
        inputs: int,
        outputs: int = 2,
        *,
        neighbours: int = 7,
        blocks: Sequence[Sequence[int]] = ((32, 32, 32), (64, 64, 64)),
        hidden: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(
            inputs,
            outputs,
            neighbours=neighbours,
            blocks=blocks,
            hidden=hidden,
            dropout=dropout,
        )


class EdgeConvolution(nn.Module):
    """Average an MLP over the edges of each particle: EdgeConv (1801.07829) with a shortcut.

        x_i' = ReLU(s(x_i) + 1/|N(i)| sum over j in N(i) of MLP(x_i, x_j - x_i))

    The MLP is Linear - BatchNorm - ReLU for each of `sizes`, s is Linear - BatchNorm, or nothing
    where the width does not change.
    """

    def __init__(self, inputs: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.edges = PointwiseLayers([2 * inputs, *sizes], RELU, bias=False)
        self.shortcut, self.shortcut_norm = None, None
        if inputs != sizes[-1]:
            self.shortcut = Dense(inputs, sizes[-1], bias=False)
            self.shortcut_norm = nn.BatchNorm1d(sizes[-1])

    def forward(self, x: Tensor, slot: Tensor, exists: Tensor, packing: Packing) -> Tensor:
        """Update particles, (P, C) -> (P, C'), by neighbours: slots (B, N, k), and which exist."""
        # W (x_i, x_j - x_i) = (U - V) x_i + V x_j: the first layer is computed on particles.
        to_self, to_other = self.edges.linears[0].weight.chunk(2, dim=1)
        receiver, sender = linear(x, to_self - to_other), linear(x, to_other)
        jets = torch.arange(slot.shape[0], device=x.device)[:, None, None]
        senders = packing.row[jets, slot].flatten(0, 1)
        if packing.exporting:
            h = self.edges.plain(receiver[:, None] + sender[senders])
            real = exists.flatten(0, 1)
            mean = (h * real[..., None]).sum(1) / real.sum(1).clamp(min=1)[:, None]
        else:
            senders = senders[packing.slots]
            degrees = exists.flatten(0, 1)[packing.slots].sum(1)
            # The edges stay in float32 where the rest is in half precision.
            full = self.edges.linears[0].weight.dtype
            with torch.autocast(x.device.type, enabled=False):
                mean = _EdgeMean.apply(
                    self.edges,
                    senders,
                    degrees,
                    receiver.to(full),
                    sender.to(full),
                    *self.edges.tensors(),
                )
        if self.shortcut is not None and self.shortcut_norm is not None:
            x = row_norm(self.shortcut(x), self.shortcut_norm)
        return F.relu(x + mean)


class _EdgeMean(torch.autograd.Function):
    """Average the MLP over the `degrees` (P,) first of the `senders` (P, k) of each particle.

    A piece is a run of particles of equal degree d, its edges a dense block (rows, d, C).
    """

    @staticmethod
    def forward(
        ctx: Any,
        layers: PointwiseLayers,
        senders: Tensor,
        degrees: Tensor,
        receiver: Tensor,
        sender: Tensor,
        *tensors: Tensor | None,
    ) -> Tensor:
        width = max(layers.sizes[1:])
        pieces, first = [], []
        for start, stop, degree in _runs(degrees, chunk_rows(width, receiver.device)):
            piece = senders[start:stop, :degree].flatten()
            edges = sender.index_select(0, piece).view(stop - start, degree, -1)
            pieces.append((start, stop, degree, piece))
            first.append(edges.add_(receiver[start:stop, None]).flatten(0, 1))
        run = layers.run(first)
        mean = receiver.new_zeros(len(receiver), layers.sizes[-1])
        for (start, stop, degree, _), y in zip(pieces, run.layers[-1], strict=True):
            h = layers.activation.forward(run.norms[-1](y))
            torch.mean(h.view(stop - start, degree, -1), 1, out=mean[start:stop])
        ctx.layers, ctx.pieces, ctx.run = layers, pieces, run
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        d_receiver = grad.new_zeros(len(grad), ctx.layers.sizes[1])
        d_sender = torch.zeros_like(d_receiver)

        def spread(start: int, stop: int, degree: int, _: Tensor) -> Tensor:
            edges = (grad[start:stop, None] / degree).expand(-1, degree, -1)
            return edges.reshape((stop - start) * degree, -1)

        def take(piece: int, edges: Tensor) -> None:
            start, stop, degree, senders = ctx.pieces[piece]
            torch.sum(edges.view(stop - start, degree, -1), 1, out=d_receiver[start:stop])
            d_sender.index_add_(0, senders, edges)

        grads = (spread(*piece) for piece in ctx.pieces)
        tensors = ctx.layers.run_backward(ctx.run, grads, take)
        return None, None, None, d_receiver, d_sender, *tensors


def _runs(degrees: Tensor, edges: int) -> list[tuple[int, int, int]]:
    """Cut particles into runs (start, stop, degree) of one degree and at most so many edges.

    Particles without neighbours are left out.
    """
    values, lengths = torch.unique_consecutive(degrees, return_counts=True)
    runs, start = [], 0
    for degree, length in zip(values.tolist(), lengths.tolist(), strict=True):
        step = max(1, edges // max(1, degree))
        if degree > 0:
            runs += [
                (first, min(first + step, start + length), degree)
                for first in range(start, start + length, step)
            ]
        start += length
    return runs
