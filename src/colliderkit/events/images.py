"""Jet image: transverse momentum in pixels of the (eta, phi) plane."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events import fourvectors

__all__ = ["JetImage"]

TINY = 1e-8
# A lone particle stands in the centre and two stand on the principal axis. For even `pixels` that
# is where pixels meet, and rounding would choose among them: move all by this part of a pixel.
OFF_EDGE = 1e-6


class JetImage(nn.Module):
    """Turn raw columns (B, N, C) into ``(image (B, 1, pixels, pixels),)``, in the order applied:

    - `centred`: the centre is the pt-weighted centroid; else the axis of the summed four-vector;
    - `rotated`: about the centre, so that the principal axis of pt points along rows (phi);
    - `flipped`: so that the half of larger eta, and then of larger phi, holds more pt;
    - `normalised`: the pixels sum to 1; else they are in GeV.

    Row and column count phi and eta upwards over a window of `width` rad, in which a pixel holds
    its lower edge; particles outside are lost. `columns` begin with px, py, pz, E [GeV]. The
    steps are those of 1803.00107. There is no gradient with respect to the positions.

    Positions are computed in float64: a particle that rounding moves over the edge of a pixel
    would give another image in another runtime.
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
        pt, x, y = _positions((values[..., :4] * mask[..., None]).double(), mask)
        z = pt / pt.sum(1, keepdim=True).clamp(min=TINY)
        if self.centred:
            x = x - (z * x).sum(1, keepdim=True)
            y = y - (z * y).sum(1, keepdim=True)
        if self.rotated:
            x, y = _upright(z, x, y)
        if self.flipped:
            x = x * _towards_plus(z, x)
            y = y * _towards_plus(z, y)
        column = (x / self.width + 0.5) * self.pixels + OFF_EDGE
        row = (y / self.width + 0.5) * self.pixels + OFF_EDGE
        inside = (column >= 0) & (column < self.pixels) & (row >= 0) & (row < self.pixels)
        content = (z if self.normalised else pt).to(values.dtype) * inside
        last = self.pixels - 1
        pixel = row.long().clamp(0, last) * self.pixels + column.long().clamp(0, last)
        flat = content.new_zeros(values.shape[0], self.pixels**2).scatter_add(1, pixel, content)
        if self.normalised:
            flat = flat / flat.sum(1, keepdim=True).clamp(min=TINY)
        return (flat.view(-1, 1, self.pixels, self.pixels),)


def _positions(p4: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return pt, and eta and phi from the jet axis, each (B, N) float64."""
    axis = fourvectors.jet_axis(p4, mask)[:, None]
    pt, axis_pt = fourvectors.pt(p4), fourvectors.pt(axis)
    deta = fourvectors.asinh(p4[..., 2] / pt) - fourvectors.asinh(axis[..., 2] / axis_pt)
    cosine = (p4[..., :2] * axis[..., :2]).sum(-1) / (pt * axis_pt)
    sine = (p4[..., 1] * axis[..., 0] - p4[..., 0] * axis[..., 1]) / (pt * axis_pt)
    # onnxruntime has no arctangent in float64: take that of float32, mend it by sin(phi - guess).
    guess = torch.atan2(sine.float(), cosine.float()).double()
    dphi = guess + sine * guess.cos() - cosine * guess.sin()
    return pt * mask, deta, dphi


def _upright(z: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate the principal axis of sum z (x, y)(x, y)^T onto y; a round jet stays as it is."""
    # The axis stands at half the angle of the vector (<x^2 - y^2>, 2 <xy>).
    even = (z * (x.square() - y.square())).sum(1, keepdim=True)
    odd = 2 * (z * x * y).sum(1, keepdim=True)
    length = (even.square() + odd.square()).sqrt()
    double = torch.where(length > TINY**2, even / length.clamp(min=TINY**2), -1.0)
    sine = ((1 - double) / 2).clamp(min=0).sqrt()
    cosine = ((1 + double) / 2).clamp(min=0).sqrt() * torch.where(odd < 0, -1.0, 1.0)
    return x * sine - y * cosine, x * cosine + y * sine


def _towards_plus(z: Tensor, x: Tensor) -> Tensor:
    """Return (B, 1): -1 where negative x hold more of z than positive x, else 1."""
    balance = (z * (x > TINY)).sum(1, keepdim=True) - (z * (x < -TINY)).sum(1, keepdim=True)
    return torch.where(balance < 0, -1.0, 1.0)
