"""Recurrent policy: what is seen now, and a memory of what was, to a change of settings."""

import torch
from torch import Tensor, nn

__all__ = ["RecurrentPolicy"]


class RecurrentPolicy(nn.Module):
    """Map observations (B, inputs) and a memory (B, hidden) to actions (B, outputs) in [-1, 1].

        x = silu(W o + b),  h' = GRU(x, h),  a = tanh(V [silu(U [x, h'])]).

    The memory is what makes an optimiser of a policy: offsets that no single reading shows are
    inferred from several. V begins at 0, so that an untrained policy changes nothing.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int = 64) -> None:
        super().__init__()
        self.hidden = hidden
        self.enter = nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU())
        self.memory = nn.GRUCell(hidden, hidden)
        self.leave = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.SiLU(), nn.Linear(hidden, outputs)
        )
        nn.init.zeros_(self.leave[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.leave[-1].bias)  # type: ignore[arg-type]

    def forward(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the actions (B, outputs) and the new memory (B, hidden)."""
        x = self.enter(observation)
        memory = self.memory(x, memory)
        return torch.tanh(self.leave(torch.cat([x, memory], 1))), memory

    def empty(self, count: int) -> Tensor:
        """Return the memory (count, hidden) of those that have seen nothing."""
        return torch.zeros(count, self.hidden)
