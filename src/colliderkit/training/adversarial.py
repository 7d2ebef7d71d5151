"""Training of GANs: a generator and its discriminator, with a step for each in turns."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.losses.rows import own_loss
from colliderkit.seeds import derive
from colliderkit.training.batches import Batch, Dataset
from colliderkit.training.fit import fit, run
from colliderkit.training.minimax import MinimaxModule
from colliderkit.training.settings import Epoch, Training

__all__ = [
    "Adversarial",
    "Distance",
    "GanSchedule",
    "Generative",
    "distance_of_marginals",
    "fit_adversarial",
    "fit_generator",
]

# (data (N, F), samples (N, F), conditions (N, C)) -> how far they differ.
Distance = Callable[[Tensor, Tensor, Tensor], float]


class Generative(Protocol):
    """A model of p(x | c) that says whether a discriminator trains it, `generators.generator`."""

    adversarial: ClassVar[bool]

    def __call__(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss row by row, (B, 1)."""
        ...


class Adversarial(Protocol):
    """A GAN: an nn.Module with two networks and the losses of both, row by row.

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
class GanSchedule:
    """Schedule of a GAN: how generator and discriminator take turns, and what lets them settle.

    The two would go around each other, and amplify rounding. Optimistic steps and averaged weights
    let them settle: see `minimax`.

    Args:
        discriminator_steps: of the discriminator, a batch each, for one of the generator.
        discriminator_rate: its learning rate over that of the generator (`Training`).
        betas: how long Adam remembers gradients and their squares, for both; without momentum
            optimistic steps settle.
        optimistic: take optimistic steps (1711.00141), else those of plain Adam.
        average: decay of the exponential moving average of the generator's weights, at each of its
            steps (1806.04498); 0 for the weights themselves.
    """

    discriminator_steps: int = 1
    discriminator_rate: float = 1.0
    betas: tuple[float, float] = (0.0, 0.9)
    optimistic: bool = True
    average: float = 0.99

    def __post_init__(self) -> None:
        if self.discriminator_steps < 1:
            raise InputError(
                f"discriminator_steps is {self.discriminator_steps}; it must be at least 1."
            )
        if not self.discriminator_rate > 0:
            raise InputError(
                f"discriminator_rate is {self.discriminator_rate}; it must be positive."
            )
        if not 0 <= self.average < 1:
            raise InputError(f"average is {self.average}; it must be at least 0 and below 1.")


class AdversarialModule(MinimaxModule):
    """Lightning module of a GAN: steps of both networks, and the distance that judges an epoch."""

    def __init__(
        self,
        model: nn.Module,
        distance: Distance,
        settings: Training,
        schedule: GanSchedule,
        seed: int,
    ) -> None:
        super().__init__(model, own_loss, settings, seed, decay=schedule.average)
        self.distance = distance
        self.schedule = schedule
        self._compared: list[tuple[Tensor, Tensor, Tensor]] = []

    @property
    def gan(self) -> Adversarial:
        """The model, by the interface that is used here."""
        return cast("Adversarial", self.model)

    def learned_on_average(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Return the generator's parameters."""
        return self.gan.network.named_parameters(prefix="model.network")

    def training_step(self, batch: Batch, index: int) -> Tensor:
        ours, theirs = cast("list[Any]", self.optimizers())
        assert batch.context is not None
        values, context = batch.values, batch.context
        given = batch.target, batch.weight
        self.descend(
            theirs, lambda: self.objective(self.gan.discriminator_loss(values, context), *given)
        )
        if index % self.schedule.discriminator_steps == 0:
            loss = self.descend(
                ours, lambda: self.objective(self.gan(values, batch.mask, context), *given)
            )
            self.average()
            self._sum += loss * len(batch)
            self._count += len(batch)
        for schedule in cast("list[Any]", self.lr_schedulers()):
            schedule.step()
        return self._sum

    def on_validation_epoch_start(self) -> None:
        # The same noise for every epoch, so that they can be compared.
        seed = derive(self.seed, "validation", self.global_rank)
        self._random = torch.Generator().manual_seed(seed)
        self._compared = []

    def validation_step(self, batch: Batch, index: int) -> None:
        shape = len(batch), self.gan.noise_size
        noise = torch.randn(shape, generator=self._random).to(self.device)
        assert batch.context is not None
        samples = self.gan.decode(noise, batch.context)
        parts = batch.values, samples, batch.context
        self._compared.append(tuple(part.float().cpu() for part in parts))  # type: ignore[arg-type]

    def on_validation_epoch_end(self) -> None:
        data, samples, context = (torch.cat(parts) for parts in zip(*self._compared, strict=True))
        self._compared = []
        self.log("validation_loss", float(self.distance(data, samples, context)), sync_dist=True)

    def configure_optimizers(self) -> Any:
        rate, schedule = self.learning_rate, self.schedule
        pairs = (
            (self.gan.network, rate),
            (self.gan.discriminator, rate * schedule.discriminator_rate),
        )
        return tuple(
            self.optimiser(network.parameters(), lr, schedule.betas, optimistic=schedule.optimistic)
            for network, lr in pairs
        )


def fit_adversarial(
    model: Adversarial,
    distance: Distance,
    train: Dataset,
    validation: Dataset,
    settings: Training,
    *,
    schedule: GanSchedule | None = None,
    folder: Path | None = None,
    seed: int = 0,
    resume: bool = False,
    title: str = "training",
    progress: bool = True,
) -> list[Epoch]:
    """Train both networks of a GAN in turns, leave it with the weights of the best epoch.

    No loss of two networks against each other says which epoch is best. `distance` does: of the
    validation events' data from samples of the same conditions, which stands in the history as
    their loss (FastCaloGAN's is chi^2 of the total energy, 2109.02551). The training loss is the
    generator's. Checkpoints, `resume`, interruption and errors are those of `fit`.
    """
    if not isinstance(model, nn.Module):
        raise TypeError("model must be an nn.Module")
    if train.context is None or validation.context is None:
        raise InputError("adversarial training needs the conditions of the events as context.")
    module = AdversarialModule(model, distance, settings, schedule or GanSchedule(), seed)
    return run(
        module, train, validation, folder=folder, resume=resume, title=title, progress=progress
    )


def fit_generator(
    model: Generative,
    train: Dataset,
    validation: Dataset,
    settings: Training,
    *,
    schedule: GanSchedule | None = None,
    distance: Distance | None = None,
    folder: Path | None = None,
    seed: int = 0,
    resume: bool = False,
    title: str = "training",
    progress: bool = True,
) -> list[Epoch]:
    """Train any generator as it says that it is trained: by its own loss, or against an adversary.

    `schedule` and `distance` (`distance_of_marginals` if not given) are for those that are
    `adversarial`, and of no account for others. The rest is as of `fit` and `fit_adversarial`.
    """
    options: dict[str, Any] = {
        "folder": folder,
        "seed": seed,
        "resume": resume,
        "title": title,
        "progress": progress,
    }
    if model.adversarial:
        return fit_adversarial(
            cast("Adversarial", model),
            distance or distance_of_marginals,
            train,
            validation,
            settings,
            schedule=schedule,
            **options,
        )
    return fit(cast("nn.Module", model), own_loss, train, validation, settings, **options)


def distance_of_marginals(data: Tensor, samples: Tensor, context: Tensor) -> float:
    """Return the Wasserstein-1 distance of data and samples (N, F), the mean over features."""
    return float((data.sort(0).values - samples.sort(0).values).abs().mean())
