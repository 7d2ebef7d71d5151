"""Multi-layer perceptron (MLP) on a table of observables."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.networks.dense import dense
from colliderkit.networks.fixed_point import WIDE, FixedPointDense, Quantiser
from colliderkit.networks.pointwise import row_norm

__all__ = ["MLP"]


class MLP(nn.Module):
    """Map a table (B, inputs) to (B, outputs) by hidden layers with ReLU.

    The default widths are those of the N-subjettiness tagger (1807.04769), which the landscape of
    top taggers (1902.09914) quotes with 57k parameters for 6-body and 58k for 8-body inputs.
    `dropout` follows each hidden layer; `batch_norm` precedes each ReLU, whose slope below zero
    is `leak`. With `bits` it is trained for fixed point: weights and hidden activations have as
    many bits, inputs, biases and outputs 16 (`networks.fixed_point`). Raises `InputError` for bits
    together with batch_norm, which has no place in it.
    """

    representation: ClassVar[str] = "table"

    def __init__(
        self,
        inputs: int,
        outputs: int = 2,
        *,
        hidden: Sequence[int] = (200, 200, 50, 50),
        dropout: float = 0.0,
        batch_norm: bool = False,
        leak: float = 0.0,
        bits: int | None = None,
    ) -> None:
        super().__init__()
        if bits is not None and batch_norm:
            raise InputError("bits and batch_norm do not go together; leave out batch_norm.")
        layers: list[nn.Module] = []

        def layer(before: int, after: int) -> nn.Module:
            if bits is None:
                return dense(before, after)
            first = not layers
            return FixedPointDense(
                before, after, bits, input_bits=WIDE if first else None, signed=first or leak > 0
            )

        for before, after in pairwise((inputs, *hidden)):
            layers.append(layer(before, after))
            if batch_norm:
                layers.append(nn.BatchNorm1d(after))
            layers.append(nn.LeakyReLU(leak, True) if leak else nn.ReLU(inplace=True))
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
        layers.append(layer((inputs, *hidden)[-1], outputs))
        self.layers = nn.Sequential(*layers, *([] if bits is None else [Quantiser(WIDE)]))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = row_norm(x, layer) if isinstance(layer, nn.BatchNorm1d) else layer(x)
        return x
