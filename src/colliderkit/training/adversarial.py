"""Two networks against each other: the optimiser loop of `fit` with a step for each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.losses.classification import weighted_mean
from colliderkit.training.batches import Batch, Dataset
from colliderkit.training.fit import Module, run
from colliderkit.training.settings import Epoch, Training

__all__ = ["Adversarial", "Figure", "Rivalry", "distance_of_marginals", "fit_adversarial"]

# (data (N, F), samples (N, F), conditions (N, C)) -> how far they differ.
Figure = Callable[[Tensor, Tensor, Tensor], float]


class Adversarial(Protocol):
    """What is trained: an nn.Module with two networks and the losses of both, row by row.

    `noise_size` normal numbers and conditions make a sample (`decode`).
    """

    network: nn.Module
    discriminator: nn.Module

    @property
    def noise_size(self) -> int: ...

    def __call__(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss of `network`, (B, 1)."""
        ...

    def discriminator_loss(self, values: Tensor, context: Tensor) -> Tensor:
        """Return the loss of `discriminator`, (B, 1)."""
        ...

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Return samples (B, F)."""
        ...


@dataclass(frozen=True)
class Rivalry:
    """Choose how the two take turns.

    Args:
        discriminator_steps: of the discriminator, a batch each, for one of the generator.
        discriminator_rate: its learning rate over that of the generator (`Training`).
        betas: how long Adam remembers gradients and their squares, for both.
    """

    discriminator_steps: int = 1
    discriminator_rate: float = 1.0
    betas: tuple[float, float] = (0.5, 0.9)

    def __post_init__(self) -> None:
        if self.discriminator_steps < 1:
            raise InputError(
                f"discriminator_steps is {self.discriminator_steps}; it must be at least 1."
            )
        if not self.discriminator_rate > 0:
            raise InputError(
                f"discriminator_rate is {self.discriminator_rate}; it must be positive."
            )


class Duel(Module):
    """Tell Lightning both steps, both optimisers, and what an epoch is judged by."""

    ddp = "ddp_find_unused_parameters_true"  # each step leaves the other's alone

    def __init__(
        self, model: nn.Module, figure: Figure, settings: Training, rivalry: Rivalry, seed: int
    ) -> None:
        super().__init__(model, _rows, settings, seed)
        self.automatic_optimization = False
        self.figure = figure
        self.rivalry = rivalry
        self._compared: list[tuple[Tensor, Tensor, Tensor]] = []

    @property
    def rivals(self) -> Adversarial:
        """The model, by the interface that is used here."""
        return cast("Adversarial", self.model)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        ours, theirs = cast("list[Any]", self.optimizers())
        self._step(theirs, batch, self.rivals.discriminator_loss, batch.values, batch.context)
        if index % self.rivalry.discriminator_steps == 0:
            loss = self._step(ours, batch, self.rivals, *batch.inputs)
            self._sum += loss * len(batch)
            self._count += len(batch)
        for schedule in cast("list[Any]", self.lr_schedulers()):
            schedule.step()
        return self._sum

    def _step(self, optimiser: Any, batch: Batch, losses: Any, *given: Any) -> Tensor:
        """Lower the mean of `losses` of a batch by one step; return it."""
        self.toggle_optimizer(optimiser)
        loss = self.objective(losses(*given), batch.target, batch.weight)
        self.manual_backward(loss)
        optimiser.step()
        optimiser.zero_grad()
        self.untoggle_optimizer(optimiser)
        return loss.detach()

    def on_validation_epoch_start(self) -> None:
        # The same noise for every epoch, so that they can be compared.
        self._random = torch.Generator().manual_seed(self.seed * 1_009 + self.global_rank)
        self._compared = []

    def validation_step(self, batch: Batch, index: int) -> None:
        shape = len(batch), self.rivals.noise_size
        noise = torch.randn(shape, generator=self._random).to(self.device)
        assert batch.context is not None
        samples = self.rivals.decode(noise, batch.context)
        parts = batch.values, samples, batch.context
        self._compared.append(tuple(part.float().cpu() for part in parts))  # type: ignore[arg-type]

    def on_validation_epoch_end(self) -> None:
        data, samples, context = (torch.cat(parts) for parts in zip(*self._compared, strict=True))
        self._compared = []
        self.log("validation_loss", float(self.figure(data, samples, context)), sync_dist=True)

    def configure_optimizers(self) -> Any:
        rate, rivalry = self.learning_rate, self.rivalry
        return (
            self.optimiser(self.rivals.network.parameters(), rate, rivalry.betas),
            self.optimiser(
                self.rivals.discriminator.parameters(),
                rate * rivalry.discriminator_rate,
                rivalry.betas,
            ),
        )


def fit_adversarial(
    model: Adversarial,
    figure: Figure,
    train: Dataset,
    validation: Dataset,
    settings: Training,
    *,
    rivalry: Rivalry | None = None,
    folder: Path,
    seed: int = 0,
    resume: bool = False,
    title: str = "training",
    progress: bool = True,
) -> list[Epoch]:
    """Train both networks of `model` in turns, leave it with the weights of the best epoch.

    No loss of two rivals says which epoch is best. `figure` does: a distance of the validation
    events' data from samples of the same conditions, which stands in the history as their loss
    (FastCaloGAN's is chi^2 of the total energy, 2109.02551). The training loss is the generator's.
    Checkpoints, `resume`, interruption and errors are those of `fit`.
    """
    if not isinstance(model, nn.Module):
        raise TypeError("model must be an nn.Module")
    if train.context is None or validation.context is None:
        raise InputError("adversarial training needs the conditions of the events as context.")
    module = Duel(model, figure, settings, rivalry or Rivalry(), seed)
    return run(
        module, train, validation, folder=folder, resume=resume, title=title, progress=progress
    )


def distance_of_marginals(data: Tensor, samples: Tensor, context: Tensor) -> float:
    """Return the Wasserstein-1 distance of data and samples (N, F), the mean over features."""
    return float((data.sort(0).values - samples.sort(0).values).abs().mean())


def _rows(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of a loss row by row, (B, 1); there is no target."""
    return weighted_mean(outputs[:, 0], weight)
