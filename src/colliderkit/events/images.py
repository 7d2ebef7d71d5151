"""A jet as an image: transverse momentum in pixels of the (eta, phi) plane."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events import fourvectors

__all__ = ["JetImage"]

TINY = 1e-8


class JetImage(nn.Module):
    """Turn raw columns (B, N, C) into ``(image (B, 1, pixels, pixels),)``, in the order applied:

    - `centred`: the centre is the pt-weighted centroid; else the axis of the summed four-vector;
    - `rotated`: about the centre, so that the principal axis of pt points along rows (phi);
    - `flipped`: so that the half of larger eta, and then of larger phi, holds more pt;
    - `normalised`: the pixels sum to 1; else they are in GeV.

    Row and column count phi and eta upwards over a window of `width` rad, in which a pixel holds
    its lower edge; particles outside are lost. `columns` begin with px, py, pz, E [GeV]. The
    steps are those of 1803.00107. There is no gradient with respect to the positions.
    """

    def __init__(
        self,
        columns: Sequence[str] = ("px", "py", "pz", "E"),
        *,
        pixels: int = 40,
        width: float = 1.6,
        centred: bool = True,
        rotated: bool = True,
        flipped: bool = True,
        normalised: bool = True,
    ) -> None:
        super().__init__()
        if pixels < 1 or not width > 0:
            raise InputError(f"an image of {pixels} pixels over {width} rad is empty; enlarge it.")
        self.columns = tuple(columns)
        self.pixels = pixels
        self.width = width
        self.centred = centred
        self.rotated = rotated
        self.flipped = flipped
        self.normalised = normalised

    @property
    def size(self) -> int:
        """The number of channels."""
        return 1

    def fit(self, values: Tensor) -> "JetImage":
        """Return itself: an image has no scale to fit."""
        return self

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor]:
        vectors = values[..., :4] * mask[..., None]
        z, x, y = fourvectors.relative(vectors, mask)
        if self.centred:
            x = x - (z * x).sum(1, keepdim=True)
            y = y - (z * y).sum(1, keepdim=True)
        if self.rotated:
            x, y = _upright(z, x, y)
        if self.flipped:
            x = x * _towards_plus(z, x)
            y = y * _towards_plus(z, y)
        column = (x / self.width + 0.5) * self.pixels
        row = (y / self.width + 0.5) * self.pixels
        inside = (column >= 0) & (column < self.pixels) & (row >= 0) & (row < self.pixels)
        content = (z if self.normalised else fourvectors.pt(vectors)) * (inside & mask)
        last = self.pixels - 1
        pixel = row.long().clamp(0, last) * self.pixels + column.long().clamp(0, last)
        flat = content.new_zeros(len(values), self.pixels**2).scatter_add(1, pixel, content)
        if self.normalised:
            flat = flat / flat.sum(1, keepdim=True).clamp(min=TINY)
        return (flat.view(-1, 1, self.pixels, self.pixels),)


def _upright(z: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate the principal axis of sum z (x, y)(x, y)^T onto y; a round jet stays as it is."""
    # The axis stands at half the angle of the vector (<x^2 - y^2>, 2 <xy>).
    even = (z * (x.square() - y.square())).sum(1, keepdim=True)
    odd = 2 * (z * x * y).sum(1, keepdim=True)
    round_jet = even.square() + odd.square() < TINY**2
    angle = torch.atan2(odd, torch.where(round_jet, -torch.ones_like(even), even)) / 2
    turn = torch.where(round_jet, torch.zeros_like(angle), math.pi / 2 - angle)
    return x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos()


def _towards_plus(z: Tensor, x: Tensor) -> Tensor:
    """Return (B, 1): -1 where negative x hold more of z than positive x, else 1."""
    balance = (z * (x > 0)).sum(1, keepdim=True) - (z * (x < 0)).sum(1, keepdim=True)
    return torch.where(balance < 0, -1.0, 1.0)
