"""Standardisation by mean and standard deviation, fitted once and saved with the model."""

import torch
from torch import Tensor, nn

__all__ = ["Standardise"]


class Standardise(nn.Module):
    """Standardise the last axis: (x - mean) / std, float32, clipped to +-`clip`.

    `mean` and `std` are buffers (C,) float64: they are saved with the weights and exported to ONNX.
    The difference is taken in the type of x, and float32 begins after it: a table that comes here
    as float64 keeps its digits, however far its values are from zero.
    """

    mean: Tensor
    std: Tensor
    after: Tensor

    def __init__(self, size: int, clip: float = 10.0) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("std", torch.ones(size, dtype=torch.float64))
        # Of the type of the networks that follow: the module's own floats, whatever is done to it.
        self.register_buffer("after", torch.ones(()), persistent=False)

    def fit(self, values: Tensor) -> "Standardise":
        """Compute mean and standard deviation of (P, C) rows; a constant column keeps std 1.

        Constant is what varies by no more than its type rounds, whatever the size of its values.
        """
        rows = values.double()
        spread = rows.std(0, correction=0)
        # 1e-6 of float32.
        constant = spread <= 8 * torch.finfo(values.dtype).eps * rows.abs().mean(0)
        self.mean.copy_(rows.mean(0))
        self.std.copy_(torch.where(constant, torch.ones_like(spread), spread))
        return self

    def forward(self, values: Tensor) -> Tensor:
        return self.unclipped(values).clamp(-self.clip, self.clip)

    def unclipped(self, values: Tensor) -> Tensor:
        """Return (x - mean) / std of rows (..., C), float32, without a limit."""
        mean, std = self.mean.to(values.dtype), self.std.to(values.dtype)
        scaled: Tensor = (values - mean) / std
        return scaled.to(self.after.dtype)

    def restored(self, scaled: Tensor) -> Tensor:
        """Return x of standardised rows (..., C), float64."""
        return scaled.double() * self.std + self.mean
