"""Networks on calorimeter images: the share of neutral energy in each cell (2003.08863).

Cells of layers of different widths are brought to images on one grid of pixels, each cell's energy
spread over its pixels; the answer of a cell is the mean over its pixels.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from colliderkit.networks.gravnet import GravNet

__all__ = ["COLUMNS", "DilatedCNN", "ImageUNet", "NeutralShare"]

# Of a hit: where its cell begins in pixels of the event's window, its layer, its energy [GeV]; and
# of the event, in each of its hits: the pixel of the track, and its momentum [GeV].
COLUMNS = ("column", "row", "layer", "energy", "track column", "track row", "momentum")
Kind = Literal["dilated", "unet", "graph"]


class DilatedCNN(nn.Module):
    """Convolutions of rising dilation: (B, inputs, S, S) -> (B, outputs, S, S)."""

    def __init__(self, inputs: int, outputs: int, channels: int = 24) -> None:
        super().__init__()
        sizes = [(inputs, 1), (channels, 2), (channels, 4), (channels, 1)]
        parts: list[nn.Module] = []
        for width, dilation in sizes:
            parts += [
                nn.Conv2d(width, channels, 3, padding=dilation, dilation=dilation),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*parts, nn.Conv2d(channels, outputs, 1))

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = self.layers(image)
        return answer


class ImageUNet(nn.Module):
    """U-Net of two halvings (1505.04597): (B, inputs, S, S) -> (B, outputs, S, S), 4 divides S."""

    def __init__(self, inputs: int, outputs: int, channels: int = 16) -> None:
        super().__init__()
        c = channels
        self.down = nn.ModuleList([_twice(inputs, c), _twice(c, 2 * c), _twice(2 * c, 4 * c)])
        self.up = nn.ModuleList([_twice(6 * c, 2 * c), _twice(3 * c, c)])
        self.last = nn.Conv2d(c, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        kept = []
        for i, layers in enumerate(self.down):
            image = layers(nn.functional.max_pool2d(image, 2) if i else image)
            kept.append(image)
        for layers, beside in zip(self.up, reversed(kept[:-1]), strict=True):
            wide = nn.functional.interpolate(image, scale_factor=2.0, mode="nearest")
            image = layers(torch.cat([wide, beside], dim=1))
        answer: Tensor = self.last(image)
        return answer


def _twice(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(),
    )


class NeutralShare(nn.Module):
    """Logit of the neutral share of each hit: (B, N, 7) by `COLUMNS`, a mask -> (B, N, outputs).

    Images of ln(1 + 50 E) of each layer, of the track at its pixel and of ln p pass a network on
    images; "graph" is a `GravNet` on the hits themselves. A hit with no pixel in the window has a
    logit of its own, learned.

    Args:
        widths: of the cells of each layer in pixels, (L,).
        kind: "dilated", "unet" or "graph".
        size: S, pixels of a side of the window.
        channels: of the network.
        outputs: numbers of each hit; the first is the logit of the share.
    """

    spans: Tensor

    def __init__(
        self,
        *,
        widths: Sequence[int],
        kind: Kind = "dilated",
        size: int = 32,
        channels: int = 24,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        self.size, self.kind, self.outputs = size, kind, outputs
        self.register_buffer("spans", torch.tensor(list(widths)), persistent=False)
        layers = len(widths)
        self.outside = nn.Parameter(torch.zeros(outputs))
        self.network: nn.Module
        if kind == "graph":
            self.network = GravNet(inputs=6 + layers, outputs=outputs, width=2 * channels)
        else:
            made = DilatedCNN if kind == "dilated" else ImageUNet
            self.network = made(layers + 2, layers * outputs, channels)

    def forward(self, hits: Tensor, mask: Tensor) -> Tensor:
        if self.kind == "graph":
            answer: Tensor = self.network(self._features(hits), mask)
            return answer
        batch, layers, size = len(hits), len(self.spans), self.size
        places = self._pixels(hits, mask)
        image = hits.new_zeros(batch * layers * size * size)
        for rows, pixels, inside, area in places:
            energy = (hits.flatten(0, 1)[rows, 3] / area)[:, None].expand_as(pixels)
            image = image.index_add(0, pixels[inside], energy[inside])
        image = image.view(batch, layers, size, size)
        shares = self.network(torch.cat([torch.log1p(50 * image), self._track(hits, mask)], 1))
        flat = shares.reshape(batch, self.outputs, -1).transpose(1, 2).reshape(-1, self.outputs)
        answers = self.outside.expand(batch * hits.shape[1], self.outputs)
        for rows, pixels, inside, _ in places:
            count = inside.sum(1)[:, None]
            chosen = flat[pixels.clamp(0, len(flat) - 1)] * inside[..., None]
            mean = chosen.sum(1) / count.clamp(min=1)
            answers = answers.index_copy(0, rows, torch.where(count > 0, mean, self.outside))
        return answers.view(*hits.shape[:2], self.outputs)

    def _pixels(self, hits: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor, Tensor, float]]:
        """Return, for each width of cells, the hits and their pixels (n, k^2), inside or not."""
        flat, real = hits.flatten(0, 1), mask.flatten()
        layer = flat[:, 2].long().clamp(0, len(self.spans) - 1)
        event = torch.arange(len(hits), device=hits.device).repeat_interleave(hits.shape[1])
        found = []
        for span in sorted(set(self.spans.tolist())):
            rows = ((self.spans[layer] == span) & real).nonzero()[:, 0]
            step = torch.arange(span, device=hits.device)
            x = flat[rows, 0].long()[:, None] + step.repeat(span)
            y = flat[rows, 1].long()[:, None] + step.repeat_interleave(span)
            inside = (x >= 0) & (x < self.size) & (y >= 0) & (y < self.size)
            plane = (event[rows] * len(self.spans) + layer[rows])[:, None]
            found.append((rows, (plane * self.size + y) * self.size + x, inside, float(span**2)))
        return found

    def _track(self, hits: Tensor, mask: Tensor) -> Tensor:
        """Return the image of the track and that of ln p, (B, 2, S, S)."""
        real = mask[..., None].to(hits.dtype)
        column, row, momentum = ((hits * real).sum(1) / real.sum(1).clamp(min=1))[:, 4:].T
        image = hits.new_zeros(len(hits), 2, self.size, self.size)
        x, y = (place.round().long().clamp(0, self.size - 1) for place in (column, row))
        image[torch.arange(len(hits), device=hits.device), 0, y, x] = torch.log1p(5 * momentum)
        image[:, 1] = momentum.clamp(min=1e-3).log()[:, None, None]
        return image

    def _features(self, hits: Tensor) -> Tensor:
        """Return what the graph sees of each hit: its layer, and place beside the track."""
        layer = hits[..., 2].long().clamp(0, len(self.spans) - 1)
        middle = hits[..., :2] + self.spans[layer][..., None].to(hits.dtype) / 2
        beside = (middle - hits[..., 4:6] - 0.5) / 4
        energy, momentum = (hits[..., i].clamp(min=1e-6).log() for i in (3, 6))
        one_hot = nn.functional.one_hot(layer, len(self.spans)).to(hits.dtype)
        rest = torch.stack([beside.norm(dim=2), energy, momentum, energy - momentum], 2)
        return torch.cat([beside, rest, one_hot], dim=2)
