"""Data sets and mini-batches of padded jets, cut from contiguous tensors without collating."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.events.ragged import Ragged
from colliderkit.seeds import derive

__all__ = ["Batch", "Batches", "Dataset"]

RELEASE = 64  # batches


@dataclass
class Batch:
    """Mini-batch of B events: inputs, mask, target, weight and context.

    - `values`: (B, N, C) raw constituents, zero where padded, or a (B, C) table; float32;
    - `mask`: (B, N), True where real; None for a table;
    - `target`: (B,) int64 class index or (B, T) float32;
    - `weight`: (B,) float32;
    - `context`: (B, K) float32, numbers of the event's sample that a `Parametric` takes, or None.
    """

    values: Tensor
    mask: Tensor | None
    target: Tensor
    weight: Tensor
    context: Tensor | None = None

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """What a model is called with."""
        given = (self.values, self.mask)
        return given if self.context is None else (*given, self.context)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Return the batch on `device`."""
        return Batch(
            self.values.to(device, non_blocking=non_blocking),
            None if self.mask is None else self.mask.to(device, non_blocking=non_blocking),
            self.target.to(device, non_blocking=non_blocking),
            self.weight.to(device, non_blocking=non_blocking),
            None if self.context is None else self.context.to(device, non_blocking=non_blocking),
        )

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Dataset:
    """Data set of N events: `inputs` ragged or a table (N, C), `target` (N, ...) and `weight` (N,).

    `context` (N, K) are numbers of the event's sample, None for a model that takes none.
    """

    inputs: Ragged | Tensor
    target: Tensor
    weight: Tensor
    context: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def batch(self, events: Tensor, longest: int | None = None) -> Batch:
        """Gather `events` (B,) int64 into a batch padded to its own longest jet."""
        mask: Tensor | None = None
        if isinstance(self.inputs, Ragged):
            values, mask = self.inputs.padded(events, longest)
        else:
            values = self.inputs[events]
        context = None if self.context is None else self.context[events]
        return Batch(values, mask, self.target[events], self.weight[events], context)

    def at(self, events: Tensor) -> "Dataset":
        """Return the events (n,) as a data set; ragged values are shared, not copied."""
        inputs = self.inputs
        chosen = inputs.at(events) if isinstance(inputs, Ragged) else inputs[events]
        context = None if self.context is None else self.context[events]
        return Dataset(chosen, self.target[events], self.weight[events], context)

    def split(self, validation: Tensor | NDArray[np.bool_]) -> tuple["Dataset", "Dataset"]:
        """Return the events to train on, and those where `validation` (N,) is True."""
        mask = torch.as_tensor(validation)
        return self.at(torch.nonzero(~mask)[:, 0]), self.at(torch.nonzero(mask)[:, 0])


class Batches:
    """Iterate over a data set in batches: random draws, or ragged jets of similar length together.

    Each epoch shuffles all events by (`seed`, `epoch`), cuts them into pools of `pool` batches,
    sorts each pool by length, cuts it into batches and shuffles these. ``pool=1`` does not sort:
    batches are then plain random draws, as batch normalisation and few events need them. With
    ``shuffle=False`` events keep their order.
    `rank` of `world` processes takes every `world`-th batch; all ranks take the same number.
    """

    def __init__(
        self,
        data: Dataset,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        pool: int = 1,
        longest: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.data = data
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.pool = pool
        self.longest = longest
        self.rank = rank
        self.world = world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which the shuffle depends on."""
        self.epoch = epoch

    def __len__(self) -> int:
        batches = -(-len(self.data) // self.batch_size)
        # With several ranks the last, incomplete round is dropped: all must take equal steps.
        return batches if self.world == 1 else batches // self.world

    def order(self) -> list[Tensor]:
        """Return the event numbers of each batch of this epoch, of all ranks."""
        n, size = len(self.data), self.batch_size
        if not self.shuffle:
            return list(torch.arange(n).split(size))
        random = torch.Generator().manual_seed(derive(self.seed, "shuffle", self.epoch))
        events = torch.randperm(n, generator=random)
        inputs = self.data.inputs
        if self.pool == 1 or not isinstance(inputs, Ragged):
            return list(events.split(size))
        batches: list[Tensor] = []
        for pool in events.split(self.pool * size):
            batches += pool[inputs.lengths[pool].argsort(stable=True)].split(size)
        return [batches[i] for i in torch.randperm(len(batches), generator=random).tolist()]

    def __iter__(self) -> Iterator[Batch]:
        order = self.order()
        for i in range(len(self)):
            yield self.data.batch(order[i * self.world + self.rank], self.longest)
            # Without this the whole of a mapped file would end up resident in an epoch.
            if i % RELEASE == RELEASE - 1 and isinstance(self.data.inputs, Ragged):
                self.data.inputs.release()
