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
            self.embed.extend([nn.LayerNorm(before), nn.Linear(before, after), nn.GELU()])
        self.pairs = PairBias([*pair_embed, heads])
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(blocks)])
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.class_blocks = nn.ModuleList([Block(width, heads, 0.0) for _ in range(class_blocks)])
        self.class_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw Xavier-uniform weights, the later of two in a block shrunk with its depth."""
        nn.init.trunc_normal_(self.class_token, std=0.02)
        for module in [self.embed, self.blocks, self.class_blocks, self.head]:
            for linear in module.modules():
                if isinstance(linear, nn.Linear):
                    # Queries, keys and values are three square matrices in one.
                    parts = 3 if linear.out_features == 3 * linear.in_features else 1
                    for part in linear.weight.chunk(parts):
                        nn.init.xavier_uniform_(part)
                    nn.init.zeros_(linear.bias)
        for depth, block in enumerate(self.blocks, start=1):
            assert isinstance(block, Block)
            with torch.no_grad():
                block.project.weight.div_(math.sqrt(2 * depth))
                block.contract.weight.div_(math.sqrt(2 * depth))

    def forward(self, features: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
        exporting = torch.compiler.is_exporting()
        if not exporting:
            # Jets of similar length side by side: groups of them are padded to their own longest.
            order = mask.sum(1).argsort(stable=True)
            features, vectors, mask = features[order], vectors[order], mask[order]
        packing = Packing(mask)
        x = self.embed(row_norm(packing.pack(features), self.norm))
        groups = [Group(mask, 0, len(x))] if exporting else _groups(mask)
        biases = self.pairs(vectors, mask, groups)
        for block in self.blocks:
            x = block(x, groups, biases)
        token = self.class_token.expand(len(mask), -1, -1)
        for block in self.class_blocks:
            token = block.attend_class(token, x, packing)
        output: Tensor = self.head(self.class_norm(token.squeeze(1)))
        return output if exporting else output[order.argsort()]


class Block(nn.Module):
    """Attend and transform, with the additional scales and norms of NormFormer (2110.09456).

        x <- x + LN(c_h Attention(LN(x))),    x <- w x + W_2 LN(GELU(W_1 LN(x)))
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.project_in = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.head_scale = nn.Parameter(torch.ones(heads))
        self.attended_norm = nn.LayerNorm(width)
        self.expand_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract_norm = nn.LayerNorm(4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.residual_scale = nn.Parameter(torch.ones(width))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, groups: list["Group"], biases: list[Tensor]) -> Tensor:
        """Update particles, (P, C) -> (P, C)."""
        qkv = self.project_in(self.attention_norm(x))
        if torch.compiler.is_exporting():
            q, k, v = groups[0].heads(qkv, self.heads)
            attended = groups[0].rows(torch.softmax(_scores(q, k, biases[0]), -1) @ v)
        else:
            attended = _Attention.apply(qkv, self.heads, self.dropout, groups, *biases)
        return self.transform(x, attended)

    def attend_class(self, token: Tensor, x: Tensor, packing: Packing) -> Tensor:
        """Update the class token (B, 1, C) from itself and the particles (P, C)."""
        batch, _, width = token.shape
        # As published, the token asks as it is; what it looks at is normalised.
        query, keys = self.project_in.weight.split([width, 2 * width])
        query_bias, keys_bias = self.project_in.bias.split([width, 2 * width])
        q = F.linear(token, query, query_bias)
        seen = packing.unpack(F.linear(self.attention_norm(x), keys, keys_bias))
        own = F.linear(self.attention_norm(token), keys, keys_bias)
        k, v = torch.cat([own, seen], 1).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q = q.unflatten(2, (self.heads, -1)).transpose(1, 2)
        padded = F.pad(~packing.mask, (1, 0), value=False)
        bias = padded[:, None, None, :] * NEVER
        attended = torch.softmax(_scores(q, k, bias), -1) @ v
        return self.transform(token, attended.transpose(1, 2).reshape(batch, 1, width))

    def transform(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what was attended to, (..., C), and transform each particle."""
        # c_h scales the channels of the projected heads.
        scale = self.head_scale.repeat_interleave(x.shape[-1] // self.heads)
        x = x + self.dropout(self.attended_norm(self.project(attended) * scale))
        h = self.dropout(F.gelu(self.expand(self.expand_norm(x))))
        h = self.dropout(self.contract(self.contract_norm(h)))
        return h + self.residual_scale * x


@dataclass(frozen=True)
class Group:
    """Hold some jets of similar length: rows `start` to `stop`, `mask` (b, n) of their own."""

    mask: Tensor
    start: int
    stop: int

    def heads(self, rows: Tensor, heads: int) -> Tensor:
        """Put rows of q, k and v (P, 3 C) into slots (3, b, heads, n, C / heads)."""
        slots = Packing(self.mask).unpack(rows[self.start : self.stop])
        return slots.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)

    def rows(self, heads: Tensor) -> Tensor:
        """Take the real particles' rows out of (b, heads, n, c) again."""
        return Packing(self.mask).pack(heads.transpose(1, 2).flatten(2))


def _groups(mask: Tensor, numbers: int = 1 << 16) -> list[Group]:
    """Cut jets sorted by length into groups of at most so many pairs."""
    lengths = mask.sum(1).tolist()
    groups: list[Group] = []
    first, start = 0, 0
    for last in range(1, len(lengths) + 1):
        longest = max(1, lengths[min(last, len(lengths) - 1)])
        full = mask.device.type == "cpu" and (last + 1 - first) * longest**2 > numbers
        if last == len(lengths) or full:
            size = max(1, lengths[last - 1])
            stop = start + sum(lengths[first:last])
            groups.append(Group(mask[first:last, :size], start, stop))
            first, start = last, stop
    return groups


def _scores(q: Tensor, k: Tensor, bias: Tensor) -> Tensor:
    """Return q k^T / sqrt(c) + bias, (..., n, c) and (..., m, c) -> (..., n, m)."""
    return q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias


class _Attention(torch.autograd.Function):
    """Attend within each jet, group after group: softmax(q k^T / sqrt(c) + bias) v."""

    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        heads: int,
        dropout: Dropout,
        groups: list[Group],
        *biases: Tensor,
    ) -> Tensor:
        width = qkv.shape[1] // 3
        out = qkv.new_empty(len(qkv), width)
        ctx.kept = []
        for group, bias in zip(groups, biases, strict=True):
            jets, size = group.mask.shape
            q, k, v = group.heads(qkv, heads).reshape(3, jets * heads, size, -1)
            scores = torch.baddbmm(
                bias.flatten(0, 1), q, k.transpose(1, 2), alpha=q.shape[2] ** -0.5
            )
            p = scores.softmax(2)
            factor = dropout.factor(p.shape, p) if dropout.training and dropout.p > 0 else None
            used = p if factor is None else p * factor
            out[group.start : group.stop] = group.rows((used @ v).view(jets, heads, size, -1))
            ctx.kept.append((q, k, v, p, factor))
        ctx.groups, ctx.heads = groups, heads
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        qkv = grad.new_empty(len(grad), 3 * grad.shape[1])
        biases = []
        for group, (q, k, v, p, factor) in zip(ctx.groups, ctx.kept, strict=True):
            jets, size = group.mask.shape
            packing = Packing(group.mask)
            out = packing.unpack(grad[group.start : group.stop])
            out = out.unflatten(2, (ctx.heads, -1)).transpose(1, 2).reshape(v.shape)
            dp = out @ v.transpose(1, 2)
            if factor is not None:
                dp.mul_(factor)
            dv = (p if factor is None else p * factor).transpose(1, 2) @ out
            scores = torch.ops.aten._softmax_backward_data(dp, p, 2, p.dtype)
            dq = (scores @ k).mul_(q.shape[2] ** -0.5)
            dk = (scores.transpose(1, 2) @ q).mul_(q.shape[2] ** -0.5)
            slots = torch.stack([dq, dk, dv]).view(3, jets, ctx.heads, size, -1)
            qkv[group.start : group.stop] = packing.pack(
                slots.permute(1, 3, 0, 2, 4).reshape(jets, size, -1)
            )
            biases.append(scores.view(jets, ctx.heads, size, size))
        ctx.kept = None
        return qkv, None, None, None, *biases


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
            bias = self.layers.plain(F.linear(u, self.layers.linears[0].weight))
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
        weight = self.layers.linears[0].weight
        embedded = _PairEmbedding.apply(self.layers, u, weight, *self.layers.tensors())
        # Both triangles are added, so the diagonal comes twice.
        embedded = embedded * torch.where(i == j, 0.5, 1.0).to(embedded.dtype)[:, None]
        biases, start, jets = [], 0, 0
        for group in groups:
            batch, size = group.mask.shape
            stop = start + int(pairs[jets : jets + batch].sum())
            cell = ((jet[start:stop] - jets) * size + i[start:stop]) * size + j[start:stop]
            triangle = embedded.new_zeros(batch * size * size, embedded.shape[1])
            triangle = triangle.index_copy(0, cell, embedded[start:stop])
            triangle = triangle.view(batch, size, size, -1).permute(0, 3, 1, 2)
            square = triangle + triangle.transpose(2, 3)
            biases.append((square + ~group.mask[:, None, None, :] * NEVER).contiguous())
            start, jets = stop, jets + batch
        return biases


class _PairEmbedding(torch.autograd.Function):
    """Run the layers over pairs, (R, 4) -> (R, heads), in pieces."""

    @staticmethod
    def forward(
        ctx: Any, layers: PointwiseLayers, u: Tensor, weight: Tensor, *tensors: Tensor | None
    ) -> Tensor:
        width = max(linear.out_features for linear in layers.linears)
        run = layers.run([F.linear(x, weight) for x in u.split(chunk_rows(width, u.device))])
        ctx.layers, ctx.run = layers, run
        ctx.save_for_backward(u, weight)
        return torch.cat([layers.activation.forward(run.norms[-1](y)) for y in run.layers[-1]])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        u, weight = ctx.saved_tensors
        rows = [len(y) for y in ctx.run.layers[0]]
        inputs, found = u.split(rows), torch.zeros_like(weight)
        below: list[Tensor] = []

        def take(piece: int, first: Tensor) -> None:
            found.addmm_(first.T, inputs[piece])
            below.append(first @ weight)

        tensors = ctx.layers.run_backward(ctx.run, grad.split(rows), take)
        return None, torch.cat(below), found, *tensors
