"""Adversarial training of a model: an adversary in its loss, in turns or by gradient reversal."""

from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.losses.constraints import Constrained
from colliderkit.training.batches import Batch, Dataset
from colliderkit.training.fit import run
from colliderkit.training.minimax import MinimaxModule
from colliderkit.training.settings import Epoch, Objective, Training

__all__ = ["AdversaryNetwork", "fit_alternating"]

# Momentum would carry the two past each other: with it optimistic steps do not settle even in
# min_x max_y x y. A short memory of the squares follows gradients that fall as they do.
BETAS, DECAY = (0.0, 0.9), 0.98


class AdversaryNetwork(Protocol):
    """An nn.Module with a loss of its own on the model's outputs."""

    def own_loss(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return what the adversary lowers, ()."""
        ...


class AlternatingModule(MinimaxModule):
    """Lightning module of a model and its adversary, with an optimiser each."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        adversary: AdversaryNetwork,
        settings: Training,
        seed: int,
        steps: int,
    ) -> None:
        super().__init__(model, objective, settings, seed, decay=DECAY)
        self.adversary = adversary
        self.steps = steps

    def training_step(self, batch: Batch, index: int) -> Tensor:
        ours, theirs = cast("list[Any]", self.optimizers())
        turn = self.steps == 0 or index % self.steps == 0
        with torch.set_grad_enabled(turn):
            outputs = self.model(*batch.inputs)
        given = batch.target, batch.weight
        primary = torch.zeros((), device=outputs.device)

        def loss() -> Tensor:
            nonlocal primary
            if not isinstance(self.objective, Constrained):
                primary = self.objective(outputs, *given)
                return primary
            primary, values = self.objective.parts(outputs, *given)
            return self.objective.total(primary, values)

        if self.steps == 0:  # at once: the model's step is against the adversary of before
            self.descend(ours, loss)
        self.descend(theirs, lambda: self.adversary.own_loss(outputs.detach(), *given))
        if self.steps and turn:
            self.descend(ours, loss)
        if turn:
            self.average()
            self._sum += primary.detach() * len(batch)
            self._count += len(batch)
        for schedule in cast("list[Any]", self.lr_schedulers()):
            schedule.step()
        return self._sum

    def best(self) -> int:
        # An objective is as low as the adversary is behind: it is lowest before the adversary has
        # learned anything. At the end of the schedule both have settled.
        return len(self.history) - 1

    def configure_optimizers(self) -> Any:
        theirs = list(cast("nn.Module", self.adversary).parameters())
        taken = {id(p) for p in theirs}
        ours = [p for p in self.parameters() if id(p) not in taken]
        return tuple(
            self.optimiser(each, self.learning_rate, BETAS, optimistic=True)
            for each in (ours, theirs)
        )


def fit_alternating(
    model: nn.Module,
    objective: Objective,
    adversary: AdversaryNetwork,
    train: Dataset,
    validation: Dataset,
    settings: Training,
    *,
    steps: int,
    folder: Path | None = None,
    seed: int = 0,
    resume: bool = False,
    title: str = "training",
    progress: bool = True,
) -> list[Epoch]:
    """Train `model` against an `adversary` that stands in its objective, to the last epoch.

    The adversary takes a step on each batch, the model one on every `steps`-th (1611.01046); with
    0 steps both take one on each batch from where they are (gradient reversal, 1505.07818). Steps
    are optimistic, and what is left are averaged weights (`minimax`), those of the last epoch: no
    validation loss says which is best, as it is lowest where the adversary has learned least.
    Checkpoints, `resume`, interruption and errors are those of `fit`. Raises `InputError` for a
    negative number of steps, and for `patience`.
    """
    if steps < 0:
        raise InputError(f"{steps} steps of the adversary for one of the model; give 0 or more.")
    if settings.patience is not None:
        raise InputError(
            f"patience is {settings.patience}; leave it out with an adversary, whose validation"
            " loss does not say which epoch is best."
        )
    module = AlternatingModule(model, objective, adversary, settings, seed, steps)
    return run(
        module, train, validation, folder=folder, resume=resume, title=title, progress=progress
    )
