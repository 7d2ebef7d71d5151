"""CaloDiffusion's conditional U-Net over the cylinder of a calorimeter (2308.03876)."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.networks.denoising import waves

__all__ = ["CalorimeterUNet", "CylinderConv", "RingMap"]

GROUPS = 8
FREQUENCIES = 32


class CalorimeterUNet(nn.Module):
    """U-Net of x_t (B, V), time (B, 1) and condition (B, C) -> (B, V), convolving the cylinder.

    Voxels stand in an image (layer, angle, r), irregular ones through a `RingMap`. Each level has
    two residual blocks and linear attention; between levels depth and r are halved. Angles are
    not, unlike in the paper: so a rotation of the input by one bin is a rotation of the output.
    Images of r and depth, and of the angle if `directions` matter, are further input channels.

    Args:
        geometry: of the voxels.
        context: C.
        widths: channels of the input and of each level below it; multiples of 8.
        embedding: numbers for time, and as many for the condition.
        directions: give the angle to the network, for showers that do not come along the axis.
    """

    places: Tensor

    def __init__(
        self,
        geometry: Geometry,
        context: int,
        *,
        widths: Sequence[int] = (16, 16, 16, 32),
        embedding: int = 64,
        directions: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or any(width % GROUPS for width in widths):
            raise InputError(f"widths {tuple(widths)} of a U-Net: give two multiples of 8 or more.")
        self.rings = RingMap(geometry)
        self.register_buffer("places", _places(self.rings, directions), persistent=False)
        self.time = _embedding(2 * FREQUENCIES, embedding)
        self.condition = _embedding(context, embedding)
        size = 2 * embedding
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        last = widths[-1]
        self.first = CylinderConv(1 + len(self.places), widths[0])
        self.down = nn.ModuleList(_Level(a, b, size) for a, b in pairs)
        self.shrink = nn.ModuleList(CylinderConv(b, b, stride=2) for _, b in pairs[:-1])
        self.before = _Residual(last, last, size)
        self.middle = _LinearAttention(last)
        self.after = _Residual(last, last, size)
        self.up = nn.ModuleList(_Level(2 * b, a, size) for a, b in reversed(pairs))
        self.grow = nn.ModuleList(CylinderConv(a, a) for a, _ in reversed(pairs[1:]))
        self.last = _Residual(2 * widths[0], widths[0], size)
        self.out = nn.Conv3d(widths[0], 1, 1)

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        e = torch.cat([self.time(waves(t, FREQUENCIES)), self.condition(c)], 1)
        image = self.rings.encode(x)[:, None]
        places = self.places[None].expand(image.shape[0], -1, -1, -1, -1)
        h = begin = self.first(torch.cat([image, places], 1))
        skips = []
        for i, level in enumerate(self.down):
            h = level(h, e)
            skips.append(h)
            if i < len(self.shrink):
                h = self.shrink[i](h)
        h = self.after(self.middle(self.before(h, e)), e)
        for i, level in enumerate(self.up):
            h = level(torch.cat([h, skips.pop()], 1), e)
            if i < len(self.grow):
                h = self.grow[i](_nearest(h, skips[-1]))
        h = self.out(self.last(torch.cat([h, begin], 1), e))
        voxels: Tensor = self.rings.decode(h[:, 0])
        return voxels


class RingMap(nn.Module):
    """Map voxels (B, V) to an image (B, layers, angles, rings), and back: GLaM (2308.03876).

    The rings of the image are the union of all layers' edges. Each layer has a linear map without
    bias from its rings to these, which begins as the shares of area that they have in common, so
    that sums are kept, and one back, which begins as its pseudoinverse; both are learned. A layer
    of fewer cuts in angle is spread evenly over those of the others, and summed on the way back.
    For a regular geometry there is nothing to learn.

    Raises `InputError` where the cuts of a layer do not divide the largest number of them, or a
    layer has rectangular cells.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        layers = geometry.rounds
        self.cuts = [layer.angles for layer in layers]
        self.sizes = [layer.rings for layer in layers]
        self.angles = max(self.cuts)
        for layer in layers:
            if self.angles % layer.angles:
                raise InputError(
                    f"layer {layer.number}: its {layer.angles} cuts in angle do not divide the"
                    f" {self.angles} of another layer; a U-Net needs that they do."
                )
        self.edges = geometry.r_edges
        self.regular = len({(layer.r_edges, layer.angles) for layer in layers}) == 1
        self.shape = (len(layers), self.angles, len(self.edges) - 1)
        # Of each layer, the share of its rings (columns) in those between the edges (rows).
        shares = [] if self.regular else [layer.shares(self.edges).T.copy() for layer in layers]
        self.into = nn.ParameterList(_parameter(share) for share in shares)
        self.back = nn.ParameterList(
            _parameter(np.linalg.pinv(share).astype(np.float64)) for share in shares
        )

    def encode(self, x: Tensor) -> Tensor:
        """Return the image (B, L, A, R) of voxels (B, V)."""
        if self.regular:
            return x.unflatten(1, self.shape)
        sizes = [cuts * rings for cuts, rings in zip(self.cuts, self.sizes, strict=True)]
        images = []
        for part, weight, cuts, rings in zip(
            x.split(sizes, 1), self.into, self.cuts, self.sizes, strict=True
        ):
            times = self.angles // cuts
            spread = part.unflatten(1, (cuts, rings)).repeat_interleave(times, 1) / times
            images.append(spread @ weight.t())
        return torch.stack(images, 1)

    def decode(self, image: Tensor) -> Tensor:
        """Return the voxels (B, V) of an image (B, L, A, R)."""
        if self.regular:
            return image.flatten(1)
        parts = []
        for layer, weight, cuts in zip(image.unbind(1), self.back, self.cuts, strict=True):
            gathered = layer.unflatten(1, (cuts, self.angles // cuts)).sum(2)
            parts.append((gathered @ weight.t()).flatten(1))
        return torch.cat(parts, 1)


class CylinderConv(nn.Conv3d):
    """Convolve images (B, C, depth, angle, r) by 3 x 3 x 3, circular in angle, else with zeros.

    `stride` is that in depth and r.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride=(stride, 1, stride), padding=(1, 0, 1))

    def forward(self, input: Tensor) -> Tensor:
        turned = torch.cat([input[..., -1:, :], input, input[..., :1, :]], 3)
        return super().forward(turned)


class _Residual(nn.Module):
    """Two convolutions beside the identity, the embedding (B, E) added between them."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.one = CylinderConv(inputs, outputs)
        self.two = CylinderConv(outputs, outputs)
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, outputs) for _ in range(2))
        self.embedding = nn.Linear(embedding, outputs)
        self.beside = nn.Conv3d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        inner = F.silu(self.norms[0](self.one(h)))
        inner = inner + self.embedding(F.silu(e))[:, :, None, None, None]
        outer: Tensor = F.silu(self.norms[1](self.two(inner))) + self.beside(h)
        return outer


class _Level(nn.Module):
    """Two residual blocks and linear attention."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.one = _Residual(inputs, outputs, embedding)
        self.two = _Residual(outputs, outputs, embedding)
        self.attention = _LinearAttention(outputs)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        attended: Tensor = self.attention(self.two(self.one(h, e), e))
        return attended


class _LinearAttention(nn.Module):
    """Attention among all P places of an image at a cost of P, one head (1812.01243).

    softmax_D(q) (softmax_P(k)^T v) / sqrt(D), beside the identity.
    """

    def __init__(self, channels: int, size: int = 32) -> None:
        super().__init__()
        self.size = size
        self.norm = nn.GroupNorm(1, channels)
        self.qkv = nn.Conv3d(channels, 3 * size, 1, bias=False)
        self.out = nn.Sequential(nn.Conv3d(size, channels, 1), nn.GroupNorm(1, channels))

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(h)).flatten(2).split(self.size, 1)  # (B, D, P)
        q = q.softmax(1) / math.sqrt(self.size)
        mixed = v @ k.softmax(2).transpose(1, 2) @ q
        attended: Tensor = h + self.out(mixed.unflatten(2, h.shape[2:]))
        return attended


def _embedding(inputs: int, size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, size), nn.GELU(), nn.Linear(size, size))


def _nearest(h: Tensor, like: Tensor) -> Tensor:
    """Enlarge an image to the depth and r of another, by repetition."""
    h = h.repeat_interleave(2, 2).repeat_interleave(2, 4)
    return h[:, :, : like.shape[2], :, : like.shape[4]]


def _parameter(values: NDArray[np.float64]) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values).float())


def _places(rings: RingMap, directions: bool) -> Tensor:
    """Return images of r and depth, and of the angle, between 0 and 1: (2 or 3, L, A, R)."""
    layers, angles, _ = rings.shape
    r = (rings.edges[1:] + rings.edges[:-1]) / 2
    along = np.arange(layers) / max(layers - 1, 1)
    around = (np.arange(angles) + 0.5) / angles
    images = [r / r.max() + 0 * around[:, None] + 0 * along[:, None, None]]
    images.append(along[:, None, None] + 0 * images[0])
    if directions:
        images.append(around[:, None] + 0 * images[0])
    return torch.from_numpy(np.stack(images)).float()
