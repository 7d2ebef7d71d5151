"""Transformer and MLP-mixer over the rings of a calorimeter, for layers that are all different."""

import torch
from torch import Tensor, nn

from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.networks.denoising import FREQUENCIES, waves
from colliderkit.networks.dense import dense

__all__ = ["RingMixer", "RingTransformer", "Rings", "rings_of"]


class Rings(nn.Module):
    """Network of showers x (B, V), time t (B, 1) and conditions c (B, C) -> (B, V), by rings.

    A ring of a layer is a token of `width` numbers; its voxels, one for each cut in angle, are
    what it is made of, and every ring has its own linear maps from and to them. Each block mixes
    the rings (``across``, by the subclass) and then the numbers of each (``along``), both shifted
    and scaled by time and condition (2212.09748), which, beside the layers' energies, are all
    that a block knows of the whole. After the patches of CaloDREAM (2405.09629), which need layers
    that are alike.
    """

    index: Tensor
    inverse: Tensor

    def __init__(
        self, geometry: Geometry, context: int, *, width: int, depth: int, hidden: int
    ) -> None:
        super().__init__()
        index = rings_of(geometry)
        rings, angles = index.shape
        real = index < geometry.voxels
        inverse = torch.empty(geometry.voxels, dtype=torch.int64)
        inverse[index[real]] = torch.arange(index.numel()).view_as(index)[real]
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("inverse", inverse, persistent=False)
        self.entry = nn.Parameter(torch.randn(rings, angles, width) / angles**0.5)
        self.place = nn.Parameter(0.02 * torch.randn(rings, width))
        self.exit = nn.Parameter(torch.zeros(rings, width, angles))
        self.offset = nn.Parameter(torch.zeros(rings, angles))
        self.condition = nn.Sequential(
            dense(context + 2 * FREQUENCIES, 2 * width),
            nn.SiLU(),
            dense(2 * width, 2 * width),
            nn.SiLU(),
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulations = nn.ModuleList(dense(2 * width, 6 * width) for _ in range(depth))
        self.across = nn.ModuleList(self.mixing(rings, width) for _ in range(depth))
        self.along = nn.ModuleList(_perceptron(width, hidden * width) for _ in range(depth))
        self.last = dense(2 * width, 2 * width)
        for layer in (*self.modulations, self.last):
            nn.init.zeros_(layer.weight)

    def mixing(self, rings: int, width: int) -> nn.Module:
        """Return what mixes the rings in one block, (B, R, W) -> (B, R, W)."""
        raise NotImplementedError

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        # One zero more, where the padding of rings with fewer cuts is read.
        ring = torch.cat([x, x.new_zeros(x.shape[0], 1)], 1)[:, self.index]
        c = self.condition(torch.cat([c, waves(t)], 1))
        h = torch.einsum("bra,raw->brw", ring, self.entry) + self.place
        for modulation, across, along in zip(
            self.modulations, self.across, self.along, strict=True
        ):
            scale, shift, gate, scale2, shift2, gate2 = modulation(c)[:, None].chunk(6, -1)
            h = h + (1 + gate) * across(self.norm(h) * (1 + scale) + shift)
            h = h + (1 + gate2) * along(self.norm(h) * (1 + scale2) + shift2)
        scale, shift = self.last(c)[:, None].chunk(2, -1)
        h = self.norm(h) * (1 + scale) + shift
        y = torch.einsum("brw,rwa->bra", h, self.exit) + self.offset
        return y.flatten(1)[:, self.inverse]


class RingTransformer(Rings):
    """Transformer over the rings (see `Rings`): they see one another by attention.

    Args:
        geometry: whose voxels are V.
        context: C.
        width: numbers of a token; `heads` divides it.
        depth: blocks.
        hidden: width of the perceptron in units of `width`.
    """

    def __init__(
        self,
        geometry: Geometry,
        context: int,
        *,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        hidden: int = 2,
    ) -> None:
        self.heads = heads
        super().__init__(geometry, context, width=width, depth=depth, hidden=hidden)

    def mixing(self, rings: int, width: int) -> nn.Module:
        return _RingAttention(width, self.heads)


class RingMixer(Rings):
    """MLP-mixer over the rings (see `Rings`): they are mixed by perceptrons (2105.01601).

    The rings of a calorimeter stay where they are, so that what one needs of another can be a
    matrix, the same for each of the `width` numbers. Arguments as `RingTransformer`, no heads.
    """

    def __init__(
        self,
        geometry: Geometry,
        context: int,
        *,
        width: int = 64,
        depth: int = 4,
        hidden: int = 2,
    ) -> None:
        super().__init__(geometry, context, width=width, depth=depth, hidden=hidden)

    def mixing(self, rings: int, width: int) -> nn.Module:
        return _RingPerceptron(rings)


class _RingAttention(nn.Module):
    """Let each ring gather from all, (B, R, W) -> (B, R, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attended, self.mixed = dense(width, 3 * width), dense(width, width)

    def forward(self, h: Tensor) -> Tensor:
        rows, rings, width = h.shape
        q, k, v = (
            self.attended(h)
            .view(rows, rings, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        mixed: Tensor = self.mixed(attended.transpose(1, 2).reshape(rows, rings, width))
        return mixed


class _RingPerceptron(nn.Module):
    """Apply one perceptron along the rings to each number, (B, R, W) -> (B, R, W)."""

    def __init__(self, rings: int) -> None:
        super().__init__()
        self.perceptron = _perceptron(rings, 2 * rings)

    def forward(self, h: Tensor) -> Tensor:
        mixed: Tensor = self.perceptron(h.transpose(1, 2)).transpose(1, 2)
        return mixed


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(dense(width, hidden), nn.SiLU(), dense(hidden, width))


def rings_of(geometry: Geometry) -> Tensor:
    """Return the voxels of each ring, (R, most angles); V stands where a ring has fewer."""
    most = max(layer.angles for layer in geometry.rounds)
    rows = []
    for start, layer in zip(geometry.starts, geometry.rounds, strict=False):
        for ring in range(layer.rings):
            voxels = [int(start) + angle * layer.rings + ring for angle in range(layer.angles)]
            rows.append(voxels + [geometry.voxels] * (most - len(voxels)))
    return torch.tensor(rows)
