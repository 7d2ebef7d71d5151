"""Minimax training of two networks: the step of each, and averaged weights (EMA).

Trained in turns such networks go around where they should settle, and amplify rounding: the same
seed ends elsewhere on another processor. Two things let them settle, and both kinds of adversary
have them: optimistic steps (`optimistic`), which lead inwards, and an exponential moving average
of the weights (1806.04498), which is in the middle of what is left of the circle.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from colliderkit.training.fit import Module

__all__ = ["MinimaxModule"]


class MinimaxModule(Module):
    """Lightning module of two networks with an optimiser each, whose weights are averaged.

    With a decay d the average moves by 1 - d at each step of those it is of, by 9 / (10 + k) at
    the k-th of the first ones. Validation sees the average, and it is what a training leaves;
    training goes on with the weights themselves.
    """

    ddp = "ddp_find_unused_parameters_true"  # each step leaves the other's alone

    def __init__(self, *given: Any, decay: float) -> None:
        super().__init__(*given)
        self.automatic_optimization = False
        self.decay = decay
        self.averaged: dict[str, Tensor] = {}
        self.updates = 0
        self._weights: dict[str, Tensor] = {}

    def learned_on_average(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Return the parameters that are averaged, with their names in this module."""
        return self.named_parameters()

    def descend(self, optimiser: Any, loss: Callable[[], Tensor]) -> Tensor:
        """Lower `loss` by one step of `optimiser`, the other's parameters fixed; return it."""
        self.toggle_optimizer(optimiser)
        value = loss()
        self.manual_backward(value)
        optimiser.step()
        optimiser.zero_grad()
        self.untoggle_optimizer(optimiser)
        return value.detach()

    @torch.no_grad()
    def average(self) -> None:
        """Move the average towards the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, parameter in self.learned_on_average():
            before = self.averaged.get(name)
            if before is None:  # its weight is 0 in what a first update leaves
                self.averaged[name] = parameter.detach().clone()
            else:
                before = self.averaged[name] = before.to(parameter.device)
                before.lerp_(parameter, 1 - decay)

    def leaves(self) -> Mapping[str, Tensor]:
        return self.averaged

    def on_validation_start(self) -> None:
        self._weights = self._exchanged(self.averaged)

    def on_validation_end(self) -> None:
        self._exchanged(self._weights)
        self._weights = {}

    @torch.no_grad()
    def _exchanged(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Set parameters to `values`; return what they were."""
        before = {}
        for name, parameter in self.learned_on_average():
            if name in values:
                before[name] = parameter.detach().clone()
                parameter.copy_(values[name])
        return before

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["updates"] = self.updates

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.averaged = dict(checkpoint["leaves"])
        self.updates = checkpoint["updates"]
