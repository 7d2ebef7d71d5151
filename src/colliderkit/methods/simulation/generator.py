"""Conditional generator: draw rows of a table from p(x | c), learned from events."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Table, as_table, validation_mask
from colliderkit.generators import GENERATORS
from colliderkit.generators.generator import Generator
from colliderkit.methods.method import Method
from colliderkit.metrics.two_sample import histogram_chi2
from colliderkit.names import Registry
from colliderkit.seeds import derive
from colliderkit.training.adversarial import GanSchedule, fit_generator
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["DISTANCES", "PARTS", "ConditionalGenerator", "chi2_of_response", "chi2_of_sum"]

PARTS = Registry(
    "network of a GAN",
    {
        "calogan-discriminator": "colliderkit.networks.calogan:CaloDiscriminator",
        "calogan-generator": "colliderkit.networks.calogan:CaloGenerator",
    },
)
DISTANCES = Registry(
    "distance of samples",
    {
        "marginals": "colliderkit.training.adversarial:distance_of_marginals",
        "response": "colliderkit.methods.simulation.generator:chi2_of_response",
        "sum": "colliderkit.methods.simulation.generator:chi2_of_sum",
    },
)


SCHEDULE = GanSchedule()


class ConditionalGenerator(Method):
    """Learn a density p(x | c) of rows x (F,) given conditions c (C,), and draw from it.

    Any generator of the package does: flows, flow matching, diffusion, VAE, GAN (`generators`).
    Without conditions it is the density p(x). For showers with the energy of each layer exact see
    `surrogate.ShowerSurrogate`.

    Args:
        generator: a name of `generators.GENERATORS`.
        options: keyword arguments of the generator.
        network: of a GAN's generator, one of `PARTS` by name; a perceptron if not given.
        network_options: keyword arguments of the network.
        discriminator: of the GAN's adversary, one of `PARTS`, likewise.
        discriminator_options: keyword arguments of the discriminator.
        distance: what chooses the epoch of a GAN, of validation events from samples of the same
            conditions: "marginals" (Wasserstein-1 distance, the mean over the columns), or chi^2
            of the "sum" of all x (those below zero count as zero) or of their "response", the sum
            over the first condition (FastCaloGAN, 2109.02551). Others have a loss.
        schedule: of a GAN's two networks.
        validation: the share of the events, by a hash of their number, that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: the `generator_` of the `features_` columns and `conditions_` conditions, and
    `history_` of "generator".
    """

    name: ClassVar[str] = "conditional-generator"
    resumable: ClassVar[bool] = True

    features_: int
    conditions_: int
    generator_: Generator
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        generator: str = "flow",
        options: Mapping[str, Any] | None = None,
        network: str | None = None,
        network_options: Mapping[str, Any] | None = None,
        discriminator: str | None = None,
        discriminator_options: Mapping[str, Any] | None = None,
        distance: str = "marginals",
        schedule: GanSchedule = SCHEDULE,
        validation: float = 0.2,
        training: Training = Training(epochs=50, batch_size=256, learning_rate=2e-3),
    ) -> None:
        self.generator = generator
        self.options = options
        self.network = network
        self.network_options = network_options
        self.discriminator = discriminator
        self.discriminator_options = discriminator_options
        self.distance = distance
        self.schedule = schedule
        self.validation = validation
        self.training = training

    def fit(
        self,
        x: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from rows `x` (N, F) with their conditions (N, C), and return self.

        `event` (N,) int64 parts training from validation, all rows of an event together. `weight`
        (N,) multiplies the losses; the scales of x and c and the distance that chooses the epoch
        of a GAN are taken without it. Checkpoints go to `folder`, from which `resume` goes on.
        Raises `InputError` for tables that do not belong together, values that are not finite and
        weights below 0.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            x=x,
            condition=condition,
            event=event,
            weight=weight,
        )
        distance = DISTANCES.load(self.distance)
        rows = Table.checked(
            x, "x", weight=weight, event=event, negative="samples are drawn from a density"
        )
        conditions = None if condition is None else as_table(condition, "condition")
        if conditions is not None and len(conditions) != len(rows):
            raise InputError(
                f"condition has {len(conditions)} events and x {len(rows)}; give one row of each"
                " for every event."
            )
        validation = validation_mask(rows.event, self.validation, seed)
        self.features_ = rows.values.shape[1]
        self.conditions_ = 0 if conditions is None else conditions.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "networks"))
            self._rebuild()
        values = torch.from_numpy(rows.values)
        context = _context(len(rows) if conditions is None else conditions)
        self.generator_.fit_scaling(values, context)
        unit = torch.from_numpy((rows.weight / rows.weight.mean()).astype(np.float32))
        data = Dataset(values, torch.zeros(len(values)), unit, context)
        history = fit_generator(
            self.generator_,
            *data.split(validation),
            self.training,
            schedule=self.schedule,
            distance=distance,
            folder=None if folder is None else Path(folder),
            seed=seed,
            resume=resume,
            title=self.generator,
            progress=progress,
        )
        self.history_ = {"generator": history}
        return self

    def sample(self, condition: ArrayLike | int, *, seed: int = 0) -> Floats:
        """Draw a row for each of the conditions (N, C), or N rows where there are none, (N, F).

        Raises `InputError` for other conditions than those of `fit`.
        """
        conditions = self.conditions_
        if isinstance(condition, int):
            if conditions:
                raise InputError(
                    f"condition is {condition}, and {conditions} conditions were fitted; give"
                    " (events, conditions)."
                )
            if condition < 1:
                raise InputError(f"condition is {condition}; give 1 row or more.")
            context = _context(condition)
        else:
            table = as_table(condition, "condition")
            if table.shape[1] != conditions:
                give = "as many" if conditions else "the number of rows to draw"
                raise InputError(
                    f"condition has {table.shape[1]} columns, and {conditions} conditions were"
                    f" fitted; give {give}."
                )
            context = _context(table)
        rows: Floats = self.generator_.sample(context, seed=seed).double().numpy()
        return rows

    def _rebuild(self) -> None:
        options = dict(self.options or {})
        if self.network is not None:
            options["network"] = PARTS.build(self.network, **(self.network_options or {}))
        if self.discriminator is not None:
            options["discriminator"] = PARTS.build(
                self.discriminator, **(self.discriminator_options or {})
            )
        self.generator_ = GENERATORS.build(
            self.generator, features=self.features_, context=max(self.conditions_, 1), **options
        )


def chi2_of_response(data: Tensor, samples: Tensor, context: Tensor) -> float:
    """Return chi^2 over its degrees of freedom of sum(x) / c, of data and samples (N, F) each.

    For showers E_tot / E_inc, with the incident energy as first condition.
    """
    response = (rows.double().sum(1) / context[:, 0].double() for rows in (data, samples))
    return histogram_chi2(*response)


def chi2_of_sum(data: Tensor, samples: Tensor, context: Tensor) -> float:
    """Return chi^2 over its degrees of freedom of sum(max(x, 0)), of data and samples (N, F)."""
    return histogram_chi2(*(rows.double().clamp(min=0).sum(1) for rows in (data, samples)))


def _context(condition: Floats | int) -> Tensor:
    """Return conditions (N, C) as generators take them; a column of zeros where there are none."""
    if isinstance(condition, int):
        return torch.zeros(condition, 1)
    return torch.from_numpy(condition)
