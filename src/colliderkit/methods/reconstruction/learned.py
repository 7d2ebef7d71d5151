"""Base of learned pileup mitigation: a network on the particles of events, trained on truth."""

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.pileup import Particles
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, as_weight, event_numbers, validation_mask
from colliderkit.methods.reconstruction.mitigation import Mitigation
from colliderkit.networks.radius_graph import COLUMNS, DELAY
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["Learned"]

AT_ONCE = 4  # events


class Learned(Mitigation):
    """Train a network on events; a subclass gives the network, its loss and the weights.

    After `fit`: `network_`, `usual_`, the mean number of vertices, `timed_`, whether it learned
    from times, and `history_` of "network".
    """

    resumable: ClassVar[bool] = True
    times: ClassVar[bool] = False  # whether times are looked at, where the events have them

    network_: nn.Module
    usual_: float
    timed_: bool
    history_: dict[str, list[Epoch]]

    validation: float
    training: Training

    def fit(
        self,
        events: ak.Array,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on N events, a share of them to choose the epoch, and return self.

        `weight` (N,) must not be negative; events may have a column ``event`` of their numbers.
        Checkpoints go to `folder`, from which `resume` goes on. Raises `InputError` as
        `Particles.of` does, and where the truth is needed and not there.
        """
        self._begin(seed=seed, folder=folder, resume=resume, events=events, weight=weight)
        particles = Particles.of(events)
        self._check(particles)
        weights = as_weight(
            weight, len(particles), "the events", negative="a loss has no minimum then"
        )
        given = ak.to_numpy(events["event"]) if "event" in events.fields else None
        numbers = event_numbers(given, len(particles), "the events")
        held = validation_mask(numbers, self.validation, seed)
        self.usual_ = float(np.average(particles.vertices, weights=weights))
        self.timed_ = self.times and particles.time is not None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        data = Dataset(
            ragged(particles, self.timed),
            torch.zeros(len(particles)),
            torch.from_numpy((weights / weights.mean()).astype(np.float32)),
        )
        history = fit(
            self.network_,
            self._objective,
            *data.split(held),
            self.training,
            folder=None if folder is None else Path(folder),
            seed=seed,
            resume=resume,
            title=self.name,
            progress=progress,
        )
        self.history_ = {"network": history}
        return self

    @property
    def timed(self) -> bool:
        """Whether the network looks at times; one that was saved before there were any does not."""
        return bool(getattr(self, "timed_", False))

    def _check(self, particles: Particles) -> None:
        """Raise `InputError` for events that there is nothing to learn from."""
        if particles.known.all():
            raise InputError(
                "all particles are of known vertices; what is learned is what to do with others."
            )
        particles.needed_truth()

    @staticmethod
    @abstractmethod
    def _objective(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the loss of a batch, ()."""

    @abstractmethod
    def _shares(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return the share of the hard collision in each particle of events, (P,)."""

    @torch.no_grad()
    def _weights(self, particles: Particles) -> Floats:
        self.network_.eval()
        if self.timed and particles.time is None:
            raise InputError(
                f"{self.name} was fitted with times of particles, and the events have no column"
                " 'time'; give events with times, or fit on events without."
            )
        data, found = ragged(particles, self.timed), []
        # Few events at a time: of many the pairs of neighbours would not fit.
        for number in torch.arange(len(particles)).split(AT_ONCE):
            values, mask = data.padded(number)
            found.append(self._shares(values, mask).double().numpy())
        share: Floats = np.concatenate(found)
        return np.where(particles.known, particles.leading, share).astype(np.float64)


def ragged(particles: Particles, timed: bool = False) -> Ragged:
    """Return particles as the networks take them, in the columns of `radius_graph.COLUMNS`.

    Behind them, if `timed`, the `DELAY` of each.
    """
    names = (*COLUMNS, DELAY) if timed else COLUMNS
    truth = np.zeros(len(particles.pt)) if particles.truth is None else particles.truth
    columns = {
        "pt": particles.pt,
        "eta": particles.eta,
        "phi": particles.phi,
        "vertex": particles.vertex,
        "truth": truth,
        "vertices": particles.vertices[particles.event],
        DELAY: particles.delay,
    }
    values = np.stack([columns[name] for name in names], axis=1).astype(np.float32)
    lengths = torch.from_numpy(particles.counts)
    return Ragged(torch.from_numpy(values), torch.cumsum(lengths, 0) - lengths, lengths, names)
