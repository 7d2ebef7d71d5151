"""Linear classifier: one weight an input, as on energy-flow polynomials (1712.07124)."""

from typing import ClassVar

from torch import Tensor, nn

__all__ = ["Linear"]


class Linear(nn.Module):
    """Map a table (B, inputs) to x W^T + b, (B, outputs); starts at zero, so the fit is convex."""

    representation: ClassVar[str] = "table"

    def __init__(self, inputs: int, outputs: int = 2) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(x)
        return logits
