"""An objective and its opponent in turns: the loop of `fit` with steps for an adversary between."""

from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.losses.constraints import Constrained
from colliderkit.training.batches import Batch, Dataset
from colliderkit.training.fit import Module, run
from colliderkit.training.settings import Epoch, Objective, Training

__all__ = ["Opponent", "fit_alternating"]


class Opponent(Protocol):
    """An nn.Module with a loss of its own on the model's outputs."""

    def own_loss(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return what the opponent lowers, ()."""
        ...


class Turns(Module):
    """Tell Lightning both steps and both optimisers."""

    ddp = "ddp_find_unused_parameters_true"  # each step leaves the other's alone

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        opponent: Opponent,
        settings: Training,
        seed: int,
        steps: int,
    ) -> None:
        super().__init__(model, objective, settings, seed)
        self.automatic_optimization = False
        self.opponent = opponent
        self.steps = steps

    def training_step(self, batch: Batch, index: int) -> Tensor:
        ours, theirs = cast("list[Any]", self.optimizers())
        turn = index % self.steps == 0
        with torch.set_grad_enabled(turn):
            outputs = self.model(*batch.inputs)
        given = batch.target, batch.weight
        self._lower(theirs, self.opponent.own_loss(outputs.detach(), *given))
        if turn:
            if isinstance(self.objective, Constrained):
                loss, values = self.objective.parts(outputs, *given)
                self._lower(ours, self.objective.total(loss, values))
            else:
                loss = self.objective(outputs, *given)
                self._lower(ours, loss)
            self._sum += loss.detach() * len(batch)
            self._count += len(batch)
        for schedule in cast("list[Any]", self.lr_schedulers()):
            schedule.step()
        return self._sum

    def _lower(self, optimiser: Any, loss: Tensor) -> None:
        optimiser.zero_grad()
        self.manual_backward(loss)
        optimiser.step()

    def configure_optimizers(self) -> Any:
        theirs = list(cast("nn.Module", self.opponent).parameters())
        taken = {id(p) for p in theirs}
        ours = [p for p in self.parameters() if id(p) not in taken]
        return tuple(self.optimiser(each, self.learning_rate) for each in (ours, theirs))


def fit_alternating(
    model: nn.Module,
    objective: Objective,
    opponent: Opponent,
    train: Dataset,
    validation: Dataset,
    settings: Training,
    *,
    steps: int,
    folder: Path,
    seed: int = 0,
    resume: bool = False,
    title: str = "training",
    progress: bool = True,
) -> list[Epoch]:
    """Train `model` by an objective that an `opponent` stands in, leave it at its best epoch.

    The opponent takes a step on each batch, the model one on every `steps`-th (1611.01046). What
    is best, checkpoints, `resume`, interruption and errors are those of `fit`. Raises
    `InputError` for fewer than one step.
    """
    if steps < 1:
        raise InputError(f"{steps} steps of the adversary for one of the model; give at least 1.")
    module = Turns(model, objective, opponent, settings, seed, steps)
    return run(
        module, train, validation, folder=folder, resume=resume, title=title, progress=progress
    )
