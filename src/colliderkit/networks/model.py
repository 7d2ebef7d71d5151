"""Model: a representation and a network in one module, from raw columns to outputs."""

from typing import Any

from torch import Tensor, nn

__all__ = ["Model"]


class Model(nn.Module):
    """Compose ``network(*representation(...))``.

    The representation holds every shift and scale, so that saving or exporting the model keeps
    the preprocessing. Input is what the representation takes:

    - raw constituents: `values` (B, N, C) and `mask` (B, N), True where real;
    - a table: `values` (B, C), no mask.

    Output is (B, outputs): logits, and regressed quantities after them where there are any.
    """

    def __init__(self, representation: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.representation = representation
        self.network = network

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        inputs: Any
        if mask is None:
            inputs = self.representation(values)
        else:
            inputs = self.representation(values, mask)
        if not isinstance(inputs, tuple):
            inputs = (inputs,)
        output: Tensor = self.network(*inputs)
        return output
