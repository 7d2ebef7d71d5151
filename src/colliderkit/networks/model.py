"""Model: a representation and a network in one module, from raw columns to outputs."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Model"]


class Model(nn.Module):
    """Compose ``network(*representation(...))``.

    The representation holds every shift and scale, so that saving or exporting the model keeps
    the preprocessing. Input is what the representation takes:

    - raw constituents: `values` (B, N, C) and `mask` (B, N), True where real;
    - a table: `values` (B, C), no mask.

    Of each jet the leading `longest` constituents are seen, all if it is None: what a training has
    left out is left out of every answer, and of an exported file.

    Output is (B, outputs): logits, and regressed quantities after them where there are any.
    """

    def __init__(
        self, representation: nn.Module, network: nn.Module, longest: int | None = None
    ) -> None:
        super().__init__()
        self.representation = representation
        self.network = network
        self.longest = longest

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        inputs: Any
        if mask is None:
            inputs = self.representation(values)
        else:
            if self.longest is not None:
                # Hidden and not cut off: an exported file takes jets of any length.
                mask = mask & (torch.arange(mask.shape[1], device=mask.device) < self.longest)
                values = values.masked_fill(~mask[..., None], 0.0)
            inputs = self.representation(values, mask)
        if not isinstance(inputs, tuple):
            inputs = (inputs,)
        output: Tensor = self.network(*inputs)
        return output
