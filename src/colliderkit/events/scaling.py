"""Standardisation by mean and standard deviation, fitted once and saved with the model."""

import torch
from torch import Tensor, nn

__all__ = ["Standardise"]


class Standardise(nn.Module):
    """Standardise the last axis: (x - mean) / std, clipped to +-`clip`.

    `mean` and `std` are buffers (C,): they are saved with the weights and exported to ONNX.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, clip: float = 10.0) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, values: Tensor) -> "Standardise":
        """Compute mean and standard deviation of (P, C) rows; a constant column keeps std 1.

        Constant is what varies by no more than float32 rounds, whatever the size of its values.
        """
        rows = values.double()
        spread = rows.std(0, correction=0)
        constant = spread <= 1e-6 * rows.abs().mean(0)
        self.mean.copy_(rows.mean(0))
        self.std.copy_(torch.where(constant, torch.ones_like(spread), spread))
        return self

    def forward(self, values: Tensor) -> Tensor:
        return ((values - self.mean) / self.std).clamp(-self.clip, self.clip)
