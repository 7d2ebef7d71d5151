"""Raw data end to end: class, energy, mass and neutral share from cells and a track, by one trunk.

The base of what answers these questions, and the network; `shape_trees.py` is the floor.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.coarse import cells_of, layers_of
from colliderkit.events.calorimeter.objects import CalorimeterObjects, kinds_of
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, as_weight, validation_mask
from colliderkit.losses.cell_heads import CellHeadsLoss
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.neutral_energy import neutral_shares
from colliderkit.networks.cell_heads import COLUMNS, HEADS, CellHeads
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["Head", "RawData", "RawMethod", "Reconstructed", "Truth", "cells"]

Head = Literal["class", "energy", "mass", "share"]
PIECE = 256  # events that the network sees at a time
LEAST_SUM = 1e-3  # GeV, of the cells of an event
LEAST_WIDTH = 1e-3  # of a target that all events have alike


@dataclass(frozen=True)
class Reconstructed:
    """What is found of E events with H cells; None of what was not asked for.

    - `probability` (E, K) of the kinds; `energy` and `energy_error` (E,) [GeV];
    - `mass` (E,) [GeV], of an event as if it were a pair;
    - `share` (H,), the neutral share of each cell, and `neutral` (E,) [GeV], the neutral energy.
    """

    probability: Floats | None = None
    energy: Floats | None = None
    energy_error: Floats | None = None
    mass: Floats | None = None
    share: Floats | None = None
    neutral: Floats | None = None


@dataclass(frozen=True)
class Truth:
    """What is to be found: class (E,) int64, ln(E / sum) and ln(mass), and shares of cells (H,)."""

    kind: NDArray[np.int64]
    energy: Floats
    mass: Floats
    share: Floats


class RawMethod(Method):
    """Base: what the heads are, and the truth that they learn from.

    After `fit`: `kinds_`, names of the classes; `depths_` (L,) [mm] of the layers.
    """

    kinds_: list[str]
    depths_: list[float]

    heads: Sequence[Head]
    depths: Sequence[float] | None

    @abstractmethod
    def predict(self, events: CalorimeterObjects) -> Reconstructed:
        """Return what is found of events."""

    def true(self, events: CalorimeterObjects) -> Truth:
        """Return the truth of events; raise `InputError` for a kind that the fit has not seen."""
        names, kind = kinds_of(events.hits)
        for name in names:
            if name not in self.kinds_:
                raise InputError(
                    f"there are events of '{name}', and the fit has seen {', '.join(self.kinds_)};"
                    " leave them out, or fit with some."
                )
        place = np.array([self.kinds_.index(name) for name in names])
        seen = np.maximum(events.seen, LEAST_SUM)
        with np.errstate(divide="ignore"):
            energy, mass = np.log(events.energy / seen), np.log(events.mass)
        return Truth(place[kind], energy, mass, neutral_shares(events.hits))

    def _prepared(self, events: CalorimeterObjects) -> Truth:
        """Check events and heads, set kinds and depths, and return the truth."""
        unknown = [head for head in self.heads if head not in HEADS]
        if unknown or not self.heads or len(set(self.heads)) < len(self.heads):
            raise InputError(
                f"heads are {', '.join(self.heads) or 'none'}; choose each once from"
                f" {', '.join(HEADS)}."
            )
        if not events.hits.known:
            raise InputError(
                "the hits have no true particles to learn from; give events of a simulation."
            )
        if np.isnan(events.hits.particle_energy).any() and "energy" in self.heads:
            raise InputError(
                "the energies of the true particles are not known; give particle_energy, or leave"
                " 'energy' out of heads."
            )
        if "mass" in self.heads and np.isnan(events.mass).all():
            raise InputError(
                "no event has a mass to learn from; give the masses of pairs, or leave 'mass' out"
                " of heads."
            )
        self.kinds_ = list(kinds_of(events.hits)[0])
        if "class" in self.heads and len(self.kinds_) < 2:
            raise InputError(
                f"all events are {self.kinds_[0]}; give several kinds, or leave 'class' out of"
                " heads."
            )
        depths = cells_of(events.hits)[0] if self.depths is None else self.depths
        self.depths_ = [float(depth) for depth in depths]
        layers_of(events.hits.position[:, 2], self.depths_)
        return self.true(events)


class RawData(RawMethod):
    """Find class, energy, mass and neutral share of events by one network on their cells and track.

    The network (`networks.cell_heads`) has a trunk, deep sets on the cells, and a head for each
    question: which particles there are; their energy with its error; the mass of two of them; the
    neutral share of each cell. All are trained together, with the sum of their losses
    (`losses.cell_heads`). With one head alone it is that head's own network, beside which the
    common one is judged.

    Args:
        heads: some of "class", "energy", "mass" and "share".
        depths: of the layers, mm, rising; those of the cells of `fit` if not given.
        width: of the layers of the network.
        rounds: of the trunk, after each of which cells know the means of their event.
        validation: the share of the events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `network_`, `target_` (2, 2), mean and spread of ln(E / sum) and ln(mass), and
    `history_` of "network".
    """

    name: ClassVar[str] = "raw-data"
    resumable: ClassVar[bool] = True

    network_: CellHeads
    target_: Floats
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        heads: Sequence[Head] = ("class", "energy", "mass", "share"),
        depths: Sequence[float] | None = None,
        width: int = 64,
        rounds: int = 2,
        validation: float = 0.1,
        training: Training = Training(epochs=20, batch_size=32, learning_rate=3e-3),
    ) -> None:
        self.heads = heads
        self.depths = depths
        self.width = width
        self.rounds = rounds
        self.validation = validation
        self.training = training

    def fit(
        self,
        events: CalorimeterObjects,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on events with truth, and return self.

        `weight` (E,) must not be negative. Checkpoints go to `folder`, from which `resume` goes on.
        Raises `InputError` as `CalorimeterObjects.checked` does, for events without the truth that
        a head needs, and for heads that are none.
        """
        self._begin(seed=seed, folder=folder, resume=resume, events=events, weight=weight)
        events = CalorimeterObjects.checked(events.hits, events.track, events.mass)
        truth = self._prepared(events)
        weights = as_weight(
            weight, len(events), "the events", negative="a loss has no minimum then"
        )
        both = np.stack([truth.energy, truth.mass], axis=1)
        known = np.isfinite(both)
        self.target_ = np.array(
            [[c[k].mean() if k.any() else 0.0, max(c[k].std() if k.any() else 1.0, LEAST_WIDTH)]
             for c, k in zip(both.T, known.T, strict=True)]
        )  # fmt: skip
        target = np.where(known, (both - self.target_[:, 0]) / self.target_[:, 1], np.nan)
        held = validation_mask(np.arange(len(events)), self.validation, derive(seed, "validation"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        data = Dataset(
            cells(events, truth.share),
            torch.from_numpy(np.concatenate([truth.kind[:, None], target], 1).astype(np.float32)),
            torch.from_numpy((weights / weights.mean()).astype(np.float32)),
        )
        objective = CellHeadsLoss(
            self.network_.heads,
            len(self.kinds_),
            pairs=1 / max(float(known[:, 1].mean()), 1e-2),
        )
        history = fit(
            _WithTruth(self.network_),
            objective,
            *data.split(held),
            self.training,
            folder=None if folder is None else Path(folder),
            seed=seed,
            resume=resume,
            title=f"raw data ({', '.join(self.network_.heads)})",
            progress=progress,
        )
        self.history_ = {"network": history}
        return self

    def predict(self, events: CalorimeterObjects) -> Reconstructed:
        """Return what the heads find of events; an event without cells has what is usual."""
        layers_of(events.hits.position[:, 2], self.depths_)
        network, inputs, hits = self.network_, cells(events), events.hits
        share, parts = np.zeros(len(hits.energy)), []
        network.eval()
        with torch.inference_mode():
            for piece in torch.arange(len(events)).split(PIECE):
                values, mask = inputs.padded(piece)
                logit, out = network(values, mask)
                low, high = hits.offsets[int(piece[0])], hits.offsets[int(piece[-1]) + 1]
                share[low:high] = torch.sigmoid(logit[mask]).double().numpy()
                parts.append(self.read(out, values, mask))
        found = {
            name: np.concatenate([part[name].double().numpy() for part in parts])
            for name in (parts[0] if parts else ())
        }
        if "share" not in network.heads:
            return Reconstructed(**found)
        neutral = np.bincount(hits.event, hits.energy * share, len(hits))
        return Reconstructed(**found, share=share, neutral=np.asarray(neutral, dtype=np.float64))

    def read(self, out: Tensor, values: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return what the outputs (B, M) of the network mean, by the names of `Reconstructed`."""
        found, at = {}, 0
        total = (values[..., 3] * mask).sum(1).clamp(min=LEAST_SUM)
        if "class" in self.network_.heads:
            at = len(self.kinds_)
            found["probability"] = out[:, :at].softmax(1)
        for i, head in enumerate(("energy", "mass")):
            if head not in self.network_.heads:
                continue
            mean, spread = (float(number) for number in self.target_[i])
            value = (out[:, at] * spread + mean).exp()
            if head == "energy":
                found["energy"] = total * value
                found["energy_error"] = total * value * spread * out[:, at + 1].clamp(-5, 3).exp()
            else:
                found["mass"] = value
            at += 2
        return found

    def _rebuild(self) -> None:
        self.network_ = CellHeads(
            depths=self.depths_,
            heads=self.heads,
            classes=len(self.kinds_),
            width=self.width,
            rounds=self.rounds,
        )


class _WithTruth(nn.Module):
    """The network as it is trained: what it says and what is known, in each cell."""

    def __init__(self, network: CellHeads) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        share, events = self.network(values[..., : len(COLUMNS)], mask)
        of_cell = [share, values[..., 3], values[..., len(COLUMNS)], mask.to(share.dtype)]
        wide = events[:, None].expand(-1, values.shape[1], -1)
        return torch.cat([torch.stack(of_cell, dim=2), wide], dim=2)


def cells(events: CalorimeterObjects, share: Floats | None = None) -> Ragged:
    """Return the cells of events by `COLUMNS`, and behind them their true `share` (H,) if given."""
    hits = events.hits
    columns = [hits.position, hits.energy[:, None], events.track[hits.event]]
    columns += [] if share is None else [share[:, None]]
    values = torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float32))
    names = (*COLUMNS, *(() if share is None else ("known share",)))
    starts = torch.from_numpy(hits.offsets[:-1].copy())
    return Ragged(values, starts, torch.from_numpy(hits.counts), names)
