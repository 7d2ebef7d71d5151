"""Kinematics of four-vectors (px, py, pz, E) in GeV as torch tensors, padding allowed.

All functions are differentiable, finite for zero vectors (padding), and export to ONNX.
"""

import math

import torch
from torch import Tensor

__all__ = [
    "asinh",
    "delta_phi",
    "jet_axis",
    "mass",
    "pt",
    "pt_eta_phi",
    "pt_rapidity_phi",
    "relative",
]

TINY = 1e-8


def pt(p4: Tensor) -> Tensor:
    """Return sqrt(px^2 + py^2), (..., 4) -> (...)."""
    return (p4[..., 0].square() + p4[..., 1].square()).clamp(min=TINY**2).sqrt()


def mass(p4: Tensor) -> Tensor:
    """Return sqrt(max(E^2 - p^2, 0)), (..., 4) -> (...)."""
    squared = p4[..., 3].square() - p4[..., :3].square().sum(-1)
    return squared.clamp(min=TINY**2).sqrt()


def pt_eta_phi(p4: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return transverse momentum, pseudorapidity asinh(pz/pt) and azimuth, each (...)."""
    transverse = pt(p4)
    return transverse, asinh(p4[..., 2] / transverse), _azimuth(p4, transverse)


def pt_rapidity_phi(p4: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return transverse momentum, rapidity (1/2) ln((E + pz)/(E - pz)) and azimuth."""
    transverse = pt(p4)
    m2 = (p4[..., 3].square() - p4[..., :3].square().sum(-1)).clamp(min=0)
    # asinh(pz/mt) is the rapidity and keeps its precision in float32 for forward particles.
    transverse_mass = (transverse.square() + m2).sqrt()
    return transverse, asinh(p4[..., 2] / transverse_mass), _azimuth(p4, transverse)


def asinh(x: Tensor) -> Tensor:
    """Return asinh(x) to the absolute precision of its type; several times faster than torch's."""
    size = x.abs()
    # By functions that onnxruntime has in float64; the sign by a product: ONNX has no copysign.
    return (size + (size * size + 1).sqrt()).log() * x.sign()


def _azimuth(p4: Tensor, transverse: Tensor) -> Tensor:
    # A padded slot has px = py = 0, where atan2 has no gradient: move it off the origin.
    return torch.atan2(p4[..., 1], p4[..., 0] + (transverse <= TINY))


def delta_phi(a: Tensor, b: Tensor) -> Tensor:
    """Return a - b wrapped to [-pi, pi)."""
    difference = a - b
    # Adding pi first, as is usual, would round small angles to 2e-7 in float32.
    return difference - 2 * math.pi * torch.floor(difference / (2 * math.pi) + 0.5)


def jet_axis(p4: Tensor, mask: Tensor) -> Tensor:
    """Sum the real constituents, (B, N, 4) and (B, N) -> (B, 4)."""
    return _summed(p4 * mask[..., None])


def _summed(x: Tensor) -> Tensor:
    """Sum over the particles of a jet, (B, N, ...) -> (B, ...).

    An exported file adds in double precision: in single the padding, which other jets of a batch
    bring, would group the terms anew and move a probability by 1e-6.
    """
    if torch.compiler.is_exporting():
        return x.sum(1, dtype=torch.float64).to(x.dtype)
    return x.sum(1)


def relative(p4: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (z, deta, dphi) of constituents to their jet, each (B, N), zero where padded.

    z is the share of the summed pt; deta and dphi are measured from the axis of the summed
    four-vector.
    """
    transverse = pt(p4)
    axis = jet_axis(p4, mask)
    transverse_axis = pt(axis)
    real = mask.to(p4.dtype)
    z = transverse * real
    z = z / _summed(z).clamp(min=TINY)[:, None]
    axis_eta = asinh(axis[:, 2] / transverse_axis)
    deta = (asinh(p4[..., 2] / transverse) - axis_eta[:, None]) * real
    # The angle from the axis in the transverse plane, without a wrap. Padding stands on the axis.
    px, py = p4[..., 0], p4[..., 1]
    axis_px, axis_py = axis[:, None, 0], axis[:, None, 1]
    along = px * axis_px + py * axis_py + (1 - real)
    dphi = torch.atan2(py * axis_px - px * axis_py, along) * real
    return z, deta, dphi
