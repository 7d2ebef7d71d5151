"""Optimistic AdamW: extrapolated gradients, with which minimax games converge (1711.00141)."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["OptimisticAdamW"]


class OptimisticAdamW(torch.optim.AdamW):
    """Step along 2 g_t - g_(t-1) in place of g_t.

    Where one network descends what another climbs, plain gradients go around the solution: in
    min_x max_y x y each step leads further away. The extrapolated gradient is, to first order,
    that of the next place (extragradient, at the price of one gradient a step), and the two go
    inwards. The first step is plain; what is remembered is part of the state, so that a training
    that is resumed goes on as one that was never stopped.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step; a `closure` computes the gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        learned = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        gradients: list[Tensor] = [p.grad.clone() for p in learned]
        for parameter in learned:
            if "gradient" in self.state[parameter]:
                parameter.grad.mul_(2).sub_(self.state[parameter]["gradient"])
        super().step()
        # Afterwards: AdamW begins a state of its own where there is none.
        for parameter, gradient in zip(learned, gradients, strict=True):
            self.state[parameter]["gradient"] = gradient
        return loss
