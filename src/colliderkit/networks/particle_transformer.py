"""The Particle Transformer (2202.03772): attention biased by the kinematics of each pair."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from colliderkit.events import fourvectors
from colliderkit.networks.dense import Dense, linear, product, weight_gradient
from colliderkit.networks.pointwise import (
    GELU,
    Dropout,
    Packing,
    PointwiseLayers,
    chunk_rows,
    row_norm,
)

__all__ = ["ParticleTransformer", "pair_features"]

TINY = 1e-8
NEVER = -1e9  # the attention bias of a padded particle


class ParticleTransformer(nn.Module):
    """Classify a jet by attention among its particles, then of a class token to them.

    Takes `features` (B, N, F), `vectors` (B, N, 4) px, py, pz, E in GeV and `mask` (B, N), True
    where real; returns logits (B, outputs). `embed` are the widths of the particle embedding
    (the last is that of the transformer), `pair_embed` those of the pair embedding before one
    channel a head. Dropout acts in the particle blocks alone.
    """

    representation = "set"
    class_blocks: Any  # nn.ModuleList of Block, which mypy cannot say

    def __init__(
        self,
        inputs: int,
        outputs: int = 2,
        *,
        embed: Sequence[int] = (128, 512, 128),
        pair_embed: Sequence[int] = (64, 64, 64),
        heads: int = 8,
        blocks: int = 8,
        class_blocks: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        width = embed[-1]
        self.norm = nn.BatchNorm1d(inputs)
        self.embed = nn.Sequential()
        for before, after in zip([inputs, *embed[:-1]], embed, strict=True):
            self.embed.extend([nn.LayerNorm(before), Dense(before, after), nn.GELU()])
        self.pairs = PairBias([*pair_embed, heads])
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(blocks)])
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.class_blocks = nn.ModuleList([Block(width, heads, 0.0) for _ in range(class_blocks)])
        self.class_norm = nn.LayerNorm(width)
        self.head = Dense(width, outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw Xavier-uniform weights, the later of two in a block shrunk with its depth."""
        nn.init.trunc_normal_(self.class_token, std=0.02)
        for module in [self.embed, self.blocks, self.class_blocks, self.head]:
            for layer in module.modules():
                if isinstance(layer, Dense):
                    # Queries, keys and values are three square matrices in one.
                    parts = 3 if layer.out_features == 3 * layer.in_features else 1
                    for part in layer.weight.chunk(parts):
                        nn.init.xavier_uniform_(part)
                    nn.init.zeros_(layer.bias)
        for depth, block in enumerate(self.blocks, start=1):
            assert isinstance(block, Block)
            with torch.no_grad():
                block.project.weight.div_(math.sqrt(2 * depth))
                block.contract.weight.div_(math.sqrt(2 * depth))

    def forward(self, features: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
        # The batch meets only in its normalisations. All else goes group by group, so that what a
        # layer writes is still in the cache when the next one reads it.
        order, groups = _groups(mask)
        features, vectors, mask = features[order], vectors[order], mask[order]
        x = row_norm(Packing(mask).pack(features), self.norm)
        biases = self.pairs(vectors, mask, groups)
        tokens = []
        for group, bias in zip(groups, biases, strict=True):
            h = self.embed(x[group.start : group.stop])
            for block in self.blocks:
                h = block(h, group, bias)
            token = self.class_token.expand(group.mask.shape[0], -1, -1)
            for block in self.class_blocks:
                token = block.attend_class(token, h, group)
            tokens.append(token)
        output: Tensor = self.head(self.class_norm(torch.cat(tokens).squeeze(1)))
        return output[order.argsort()]


class Block(nn.Module):
    """Attend and transform, with the additional scales and norms of NormFormer (2110.09456).

    x <- x + LN(c_h Attention(LN(x))),    x <- w x + W_2 LN(GELU(W_1 LN(x)))
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.project_in = Dense(width, 3 * width)
        self.project = Dense(width, width)
        self.head_scale = nn.Parameter(torch.ones(heads))
        self.attended_norm = nn.LayerNorm(width)
        self.expand_norm = nn.LayerNorm(width)
        self.expand = Dense(width, 4 * width)
        self.contract_norm = nn.LayerNorm(4 * width)
        self.contract = Dense(4 * width, width)
        self.residual_scale = nn.Parameter(torch.ones(width))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, group: "Group", bias: Tensor) -> Tensor:
        """Update the particles of a group, (P, C) -> (P, C), with bias (b, heads, n, n)."""
        qkv = self.project_in(self.attention_norm(x))
        if group.packing.exporting:
            q, k, v = (
                group.packing.unpack(qkv).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            )
            attended = group.packing.pack(_attend(q, k, v, bias))
        else:
            attended = _Attention.apply(qkv, bias, group, self.dropout)
        return self.transform(x, attended)

    def attend_class(self, token: Tensor, x: Tensor, group: "Group") -> Tensor:
        """Update the class token (b, 1, C) from itself and the particles (P, C)."""
        width = token.shape[2]
        # As published, the token asks as it is; what it looks at is normalised.
        query, keys = self.project_in.weight.split([width, 2 * width])
        query_bias, keys_bias = self.project_in.bias.split([width, 2 * width])
        q = linear(token, query, query_bias).unflatten(2, (self.heads, -1)).transpose(1, 2)
        of_particles = group.packing.unpack(linear(self.attention_norm(x), keys, keys_bias))
        of_token = linear(self.attention_norm(token), keys, keys_bias)
        k, v = (
            torch.cat([of_token, of_particles], 1)
            .unflatten(2, (2, self.heads, -1))
            .permute(2, 0, 3, 1, 4)
        )
        padded = F.pad(~group.mask, (1, 0), value=False)
        return self.transform(token, _attend(q, k, v, padded[:, None, None, :] * NEVER))

    def transform(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what was attended to, (..., C), and transform each particle."""
        # c_h scales the projected channels; scaling the projection is less work.
        scale = self.head_scale.repeat_interleave(x.shape[-1] // self.heads)
        weight, bias = self.project.weight * scale[:, None], self.project.bias * scale
        x = x + self.dropout(self.attended_norm(linear(attended, weight, bias)))
        h = self.expand(self.expand_norm(x))
        if torch.compiler.is_exporting() or torch.is_autocast_enabled(h.device.type):
            h = self.contract_norm(self.dropout(F.gelu(h)))
        else:
            norm = self.contract_norm
            h = _ActivateAndNorm.apply(h, norm.weight, norm.bias, norm.eps, self.dropout)
        return torch.addcmul(self.dropout(self.contract(h)), self.residual_scale, x)


class _ActivateAndNorm(torch.autograd.Function):
    """LN(dropout(GELU(y))), (..., C) -> (..., C), of which y alone waits for the backward pass.

    It is the widest tensor of a block; to compute the activation again takes less than to keep it.
    """

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, weight: Tensor, bias: Tensor, eps: float, dropout: Dropout
    ) -> Tensor:
        h = F.gelu(y)
        keep = dropout.keep(y.shape, y.device) if dropout.training and dropout.p > 0 else None
        if keep is not None:
            h *= dropout.factor(keep, h.dtype)
        normal, mean, rstd = torch.ops.aten.native_layer_norm(h, h.shape[-1:], weight, bias, eps)
        ctx.save_for_backward(y, weight, bias, keep, mean, rstd)
        ctx.dropout = dropout
        output: Tensor = normal
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, weight, bias, keep, mean, rstd = ctx.saved_tensors
        h = F.gelu(y)
        factor = None if keep is None else ctx.dropout.factor(keep, h.dtype)
        if factor is not None:
            h *= factor
        below, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
            grad.contiguous(), h, h.shape[-1:], mean, rstd, weight, bias, [True, True, True]
        )
        if factor is not None:
            below *= factor
        return torch.ops.aten.gelu_backward(below, y), d_weight, d_bias, None, None


@dataclass(frozen=True)
class Group:
    """A group of jets of similar length: rows `start` to `stop` of the batch.

    `mask` is (b, n), n the longest of them, the real particles first.
    """

    mask: Tensor
    start: int
    stop: int
    packing: Packing


def _groups(mask: Tensor, pairs: int = 1 << 19) -> tuple[Tensor, list[Group]]:
    """Return an order of jets by length, and groups of them with at most so many pairs each."""
    if torch.compiler.is_exporting():
        whole = Group(mask, 0, mask.shape[0] * mask.shape[1], Packing(mask))
        return torch.arange(mask.shape[0], device=mask.device), [whole]
    counts, order = mask.sum(1).sort(stable=True)
    if mask.device.type != "cpu":
        pairs = 1 << 40
    lengths = counts.tolist()
    groups: list[Group] = []
    first, start = 0, 0
    for last, length in enumerate(lengths, start=1):
        following = lengths[last] if last < len(lengths) else math.inf
        if (last + 1 - first) * following**2 > pairs:
            stop = start + sum(lengths[first:last])
            slot = torch.arange(max(1, length), device=mask.device)
            part = slot < counts[first:last, None]
            groups.append(Group(part, start, stop, Packing(part)))
            first, start = last, stop
    return order, groups


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(c) + bias) v, (b, heads, n, c) -> (b, n, heads c)."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


class _Attention(torch.autograd.Function):
    """Attend among the particles of each jet: `_attend` with dropout, on rows."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, bias: Tensor, group: Group, dropout: Dropout) -> Tensor:
        batch, heads, size, _ = bias.shape
        slots = group.packing.unpack(qkv).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = slots.reshape(3, batch * heads, size, -1)
        scale = q.shape[2] ** -0.5
        p = torch.baddbmm(bias.flatten(0, 1), q, k.transpose(1, 2), alpha=scale).softmax(2)
        keep = dropout.keep(p.shape, p.device) if dropout.training and dropout.p > 0 else None
        dropped = p if keep is None else dropout.factor(keep, p.dtype).mul_(p)
        ctx.save_for_backward(q, k, v, p, keep)
        ctx.group, ctx.shape, ctx.dropout = group, bias.shape, dropout
        attended = (dropped @ v).view(batch, heads, size, -1).transpose(1, 2)
        return group.packing.pack(attended.flatten(2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, p, keep = ctx.saved_tensors
        batch, heads, size, _ = ctx.shape
        packing = ctx.group.packing
        out = packing.unpack(grad).view(batch, size, heads, -1).transpose(1, 2).reshape(v.shape)
        chance = out @ v.transpose(1, 2)
        dropped = p
        if keep is not None:
            factor = ctx.dropout.factor(keep, p.dtype)
            chance.mul_(factor)
            dropped = factor.mul_(p)
        scores = torch.ops.aten._softmax_backward_data(chance, p, 2, p.dtype)
        scale = q.shape[2] ** -0.5
        slots = torch.stack(
            [
                (scores @ k).mul_(scale),
                (scores.transpose(1, 2) @ q).mul_(scale),
                dropped.transpose(1, 2) @ out,
            ]
        )
        slots = slots.view(3, batch, heads, size, -1).permute(1, 3, 0, 2, 4)
        qkv = packing.pack(slots.reshape(batch, size, -1))
        return qkv, scores.view(ctx.shape), None, None


def pair_features(a: Tensor, b: Tensor) -> Tensor:
    """Return ln kT, ln z, ln Delta and ln m^2 of pairs of four-vectors, (..., 4) -> (..., 4).

    Delta^2 = dy^2 + dphi^2 in rapidity and azimuth, kT = min(pt_a, pt_b) Delta,
    z = min(pt_a, pt_b) / (pt_a + pt_b), m^2 = (a + b)^2; each at least 1e-8.
    """
    pt_a, y_a, phi_a = fourvectors.pt_rapidity_phi(a)
    pt_b, y_b, phi_b = fourvectors.pt_rapidity_phi(b)
    square = (y_a - y_b).square() + fourvectors.delta_phi(phi_a, phi_b).square()
    # At Delta = 0, as in a particle's pair with itself, the root has no gradient.
    delta = square.clamp(min=TINY**2).sqrt()
    softer = torch.minimum(pt_a, pt_b)
    kt = torch.where(square > TINY**2, softer * delta, 0.0).clamp(min=TINY)
    z = (softer / (pt_a + pt_b).clamp(min=TINY)).clamp(min=TINY)
    px, py, pz, energy = (a + b).unbind(-1)
    m2 = (energy.square() - (px.square() + py.square() + pz.square())).clamp(min=TINY)
    return torch.stack([kt, z, delta, m2], -1).log()


class PairBias(nn.Module):
    """Embed the features of each pair into one attention bias a head.

    The features are symmetric, so each pair i >= j of real particles is embedded once; a
    particle makes a pair with itself. Linear - BatchNorm - GELU for each of `sizes`, after a
    batch normalisation of the four features.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.layers = PointwiseLayers([4, *sizes], GELU, bias=True)

    def forward(self, vectors: Tensor, mask: Tensor, groups: list[Group]) -> list[Tensor]:
        """Return the bias (b, heads, n, n) of each group, never looking at padded particles."""
        if torch.compiler.is_exporting():
            u = pair_features(vectors[:, :, None], vectors[:, None, :])
            u = row_norm(u.flatten(0, 2), self.norm).view(u.shape)
            bias = self.layers.plain(linear(u, self.layers.linears[0].weight))
            return [bias.permute(0, 3, 1, 2) + ~mask[:, None, None, :] * NEVER]
        rows = vectors[mask]
        lengths = mask.sum(1)
        pairs = lengths * (lengths + 1) // 2
        # The lower triangle of n x n, row by row, begins that of every larger n.
        i, j = torch.tril_indices(mask.shape[1], mask.shape[1], device=mask.device)
        jet = torch.arange(len(mask), device=mask.device).repeat_interleave(pairs)
        local = torch.arange(len(jet), device=mask.device) - (pairs.cumsum(0) - pairs)[jet]
        i, j = i[local], j[local]
        first = (lengths.cumsum(0) - lengths)[jet]
        u = row_norm(pair_features(rows[first + i], rows[first + j]), self.norm)
        cells = []
        jets, start = 0, 0
        for group in groups:
            batch, size = group.mask.shape
            stop = start + int(pairs[jets : jets + batch].sum())
            row = (jet[start:stop] - jets) * size
            cells.append(
                Cells(
                    group.mask,
                    (row + i[start:stop]) * size + j[start:stop],
                    (row + j[start:stop]) * size + i[start:stop],
                )
            )
            jets, start = jets + batch, stop
        weight = self.layers.linears[0].weight
        return list(_PairBias.apply(self.layers, cells, u, weight, *self.layers.tensors()))


@dataclass(frozen=True)
class Cells:
    """Indices of the pairs (R,) of a group among its b n n cells, in both triangles."""

    mask: Tensor
    lower: Tensor
    upper: Tensor


class FirstProducts(Sequence[Tensor]):
    """Make the first products W u of pieces of pairs where they are needed, to keep none."""

    def __init__(self, inputs: Sequence[Tensor], weight: Tensor) -> None:
        self.inputs = list(inputs)
        self.weight = weight

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, piece: Any) -> Any:
        return product(self.inputs[piece], self.weight)

    def pop(self) -> Tensor:
        """Give the last piece and drop it."""
        return product(self.inputs.pop(), self.weight)


class _PairBias(torch.autograd.Function):
    """Embed pairs, (R, 4) -> (R, heads), and spread them to a bias (b, heads, n, n) a group."""

    @staticmethod
    def forward(
        ctx: Any,
        layers: PointwiseLayers,
        cells: list[Cells],
        u: Tensor,
        weight: Tensor,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, ...]:
        width = max(layers.sizes[1:])
        run = layers.run(FirstProducts(u.split(chunk_rows(width, u.device)), weight))
        h = torch.cat([layers.activation.forward(run.norms[-1](y)) for y in run.layers[-1]])
        biases = []
        for cell, pairs in zip(cells, h.split([len(c.lower) for c in cells]), strict=True):
            batch, size = cell.mask.shape
            bias = h.new_full((batch * size * size, h.shape[1]), NEVER)
            bias.index_copy_(0, cell.lower, pairs).index_copy_(0, cell.upper, pairs)
            biases.append(bias.view(batch, size, size, -1).permute(0, 3, 1, 2).contiguous())
        ctx.layers, ctx.cells, ctx.run = layers, cells, run
        ctx.save_for_backward(u, weight)
        return tuple(biases)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u, weight = ctx.saved_tensors
        embedded = []
        for cell, grad in zip(ctx.cells, grads, strict=True):
            bias = grad.permute(0, 2, 3, 1).reshape(-1, grad.shape[1])
            off_diagonal = (cell.lower != cell.upper).to(bias.dtype)[:, None]
            pairs = bias.index_select(0, cell.upper).mul_(off_diagonal)
            embedded.append(pairs.add_(bias.index_select(0, cell.lower)))
        rows = [len(x) for x in ctx.run.layers[0].inputs]
        inputs, d_weight = u.split(rows), torch.zeros_like(weight)
        below = list(inputs)

        def take(piece: int, first: Tensor) -> None:
            d_weight.add_(weight_gradient(first, inputs[piece]))
            below[piece] = product(first, weight.t())

        tensors = ctx.layers.run_backward(ctx.run, torch.cat(embedded).split(rows), take)
        return None, None, torch.cat(below), d_weight, *tensors
