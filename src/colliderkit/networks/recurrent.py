"""Recurrent networks (LSTM, GRU) that read particles or tracks one after another."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from colliderkit.networks.mlp import MLP

__all__ = ["GRU", "LSTM"]


class _Recurrent(nn.Module):
    """Read the real particles in order; classify the state after the last one."""

    representation: ClassVar[str] = "sequence"
    cell: ClassVar[type[nn.LSTM] | type[nn.GRU]]

    def __init__(
        self, inputs: int, outputs: int = 2, *, hidden: int = 100, layers: int = 1, dense: int = 50
    ) -> None:
        super().__init__()
        self.reader = self.cell(inputs, hidden, num_layers=layers, batch_first=True)
        self.head = MLP(hidden, outputs, hidden=(dense,))

    def forward(self, features: Tensor, vectors: Tensor, mask: Tensor) -> Tensor:
        lengths = mask.sum(1)
        # A jet without particles reads one slot of zeros, and its state is then set to zero.
        steps = lengths.clamp(min=1)
        if torch.compiler.is_compiling():
            # Packing does not export: read the padding too, pick the state before it.
            states = self.reader(features)[0]
            last = (steps - 1)[:, None, None].expand(-1, 1, states.shape[-1])
            state = states.gather(1, last)[:, 0]
        else:
            packed = pack_padded_sequence(
                features, steps.cpu(), batch_first=True, enforce_sorted=False
            )
            final: Any = self.reader(packed)[1]
            state = (final[0] if isinstance(final, tuple) else final)[-1]
        logits: Tensor = self.head(state * (lengths > 0)[:, None])
        return logits


class LSTM(_Recurrent):
    """Classify a sequence with a long short-term memory, as RNNIP does tracks (2017, ATLAS).

    ``forward(features (B, N, inputs), vectors, mask (B, N)) -> (B, outputs)``; real particles
    stand first, in the order of the representation. `hidden` is the size of the state, `layers`
    are stacked, `dense` is the width between the last state and the outputs. Padding is packed
    away: neither computed nor seen.
    """

    cell = nn.LSTM


class GRU(_Recurrent):
    """Classify a sequence with gated recurrent units (1406.1078); arguments as `LSTM`."""

    cell = nn.GRU
