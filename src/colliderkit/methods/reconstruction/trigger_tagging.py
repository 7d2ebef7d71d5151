"""Trigger on b quarks, boosted tops and Ws by raw hits and towers, beside a seed jet's pT."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, as_weight, validation_mask
from colliderkit.events.trigger_seeds import CLASSES, TriggerSeeds, triplets
from colliderkit.losses.classification import cross_entropy
from colliderkit.methods.method import Method
from colliderkit.networks.trigger_seed import COLUMNS, TRIPLET, TriggerSeedNet
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["ITEMS", "TriggerTagging", "elements", "threshold_at"]

ITEMS = CLASSES[1:]  # what is triggered on
PIECE = 1024  # seeds that the network sees at a time
BINS = 8  # of the leading pT, in which the weights of the stream are looked at
LEAST = 1e-12  # of a probability


class TriggerTagging(Method):
    """Tag seeds by a network on their towers and raw hits, and keep events at fixed rates.

    The network (`networks.trigger_seed`) sees the towers around a seed and triplets of pixel hits
    (`events.trigger_seeds`), as coordinates: no track is fitted, and no perigee parameter is
    known. An event's score for an item, "b", "boosted" or "W", is the largest of its seeds
    of

        ln p(item) - ln p(light) - s ln(pT / GeV),

    where s is the slope of ln(weight) of the stream's events in ln(pT): what was generated harder
    than it comes is undone. Thresholds are set by events of the stream which were not trained on,
    so that an item keeps its share of their weight; those on the pT of the leading seed, at the
    same shares, are what it is compared with.

    Args:
        shares: of the stream that "b", "boosted" (top quarks) and "W" keep.
        width: of the layers of the network.
        validation: the share of the events that chooses the epoch.
        held_out: the share of the events that sets the thresholds.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `network_`, `slope_`, `thresholds_` and `seed_thresholds_` [GeV] (3,), and
    `history_` of "network".
    """

    name: ClassVar[str] = "trigger-tagging"
    resumable: ClassVar[bool] = True

    network_: TriggerSeedNet
    slope_: float
    thresholds_: Floats
    seed_thresholds_: Floats
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        shares: Sequence[float] = (1e-2, 1e-4, 1e-3),
        width: int = 32,
        validation: float = 0.1,
        held_out: float = 0.3,
        training: Training = Training(epochs=20, batch_size=64, learning_rate=3e-3),
    ) -> None:
        self.shares = shares
        self.width = width
        self.validation = validation
        self.held_out = held_out
        self.training = training

    def fit(
        self,
        seeds: TriggerSeeds,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on seeds of known class, set thresholds by the stream, and return self.

        Events of a weight above 0 are of the stream, those of 0 simulated signals; `weight` (N,)
        multiplies them. Checkpoints go to `folder`, from which `resume` goes on. Raises
        `InputError` for seeds that are damaged, for a class without any, and where the stream is
        empty.
        """
        self._begin(seed=seed, folder=folder, resume=resume, seeds=seeds, weight=weight)
        seeds = seeds.check()
        if len(list(self.shares)) != len(ITEMS):
            raise InputError(
                f"shares are {list(self.shares)}; give one of each of {', '.join(ITEMS)}."
            )
        given = as_weight(weight, len(seeds), "the events", negative="a rate counts events")
        stream = seeds.weight * given
        counts = np.bincount(seeds.label[seeds.label >= 0], minlength=len(CLASSES))
        if (counts == 0).any():
            missing = CLASSES[int(np.argmin(counts))]
            raise InputError(
                f"no seed is {missing}; give events with seeds of {', '.join(CLASSES)}."
            )
        numbers = np.arange(len(seeds))
        held = validation_mask(numbers, self.held_out, derive(seed, "threshold"))
        if not stream[held].sum() > 0:
            raise InputError(
                "no event of the stream is left to set thresholds; give events of a weight above 0,"
                " or raise held_out."
            )
        inputs = elements(seeds)
        event, label = seeds.event, seeds.label
        used = np.flatnonzero((label >= 0) & ~held[event] & (given[event] > 0))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        self._set_whitening(inputs)
        balance = (
            given[event[used]]
            / np.bincount(label[used], given[event[used]], len(CLASSES)).clip(min=1e-30)[
                label[used]
            ]
        )
        data = Dataset(
            inputs.at(torch.from_numpy(used)),
            torch.from_numpy(label[used]),
            torch.from_numpy((balance / balance.mean()).astype(np.float32)),
        )
        choosing = validation_mask(numbers, self.validation, derive(seed, "validation"))
        history = fit(
            self.network_,
            cross_entropy,
            *data.split(choosing[event[used]]),
            self.training,
            folder=None if folder is None else Path(folder),
            seed=seed,
            resume=resume,
            title="trigger tagging",
            progress=progress,
        )
        self.history_ = {"network": history}
        self.slope_ = slope_of(seeds.leading, stream)
        return self._set_thresholds(seeds.at(held), stream[held])

    def probability(self, seeds: TriggerSeeds) -> Floats:
        """Return the probability of each class for each seed, (S, 4), of equally many of each."""
        network, inputs = self.network_, elements(seeds)
        network.eval()
        found = [np.zeros((0, len(CLASSES)))]
        with torch.inference_mode():
            for piece in torch.arange(len(inputs)).split(PIECE):
                logits = network(*inputs.padded(piece))
                found.append(logits.softmax(1).double().numpy())
        return np.concatenate(found)

    def scores(self, seeds: TriggerSeeds) -> Floats:
        """Return the scores of events for each of `ITEMS`, (N, 3); -inf without a seed."""
        log = np.log(np.maximum(self.probability(seeds), LEAST))
        falling = self.slope_ * np.log(seeds.pt)
        each = [seeds.most(log[:, i] - log[:, 0] - falling) for i in range(1, len(CLASSES))]
        return np.stack(each, axis=1)

    def keeps(self, seeds: TriggerSeeds) -> NDArray[np.bool_]:
        """Return which events each of `ITEMS` keeps, (N, 3)."""
        return np.asarray(self.scores(seeds) > self.thresholds_)

    def seed_keeps(self, seeds: TriggerSeeds) -> NDArray[np.bool_]:
        """Return which events a cut on the leading seed keeps at the same shares, (N, 3)."""
        return np.asarray(seeds.leading[:, None] > self.seed_thresholds_)

    def _set_thresholds(self, seeds: TriggerSeeds, weight: Floats) -> Self:
        scores = self.scores(seeds)
        self.thresholds_ = np.array(
            [threshold_at(scores[:, i], weight, share) for i, share in enumerate(self.shares)]
        )
        self.seed_thresholds_ = np.array(
            [threshold_at(seeds.leading, weight, share) for share in self.shares]
        )
        return self

    def _set_whitening(self, inputs: Ragged) -> None:
        """Set mean and whitening of the triplets."""
        rows = inputs.values[inputs.values[:, 0] > 0][:, list(TRIPLET)].double()
        if len(rows) < 2 * len(TRIPLET):
            return
        mean, covariance = rows.mean(0), torch.cov(rows.T)
        values, vectors = torch.linalg.eigh(covariance)
        scale = vectors / values.clamp(min=1e-10).sqrt()
        with torch.no_grad():
            self.network_.mean.copy_(mean)
            self.network_.whiten.copy_(scale)

    def _rebuild(self) -> None:
        self.network_ = TriggerSeedNet(outputs=len(CLASSES), width=self.width)


def threshold_at(score: Floats, weight: Floats, share: float) -> float:
    """Return the threshold above which events of scores (N,) have a share of the weights (N,)."""
    order = np.argsort(-score, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    last = int(np.searchsorted(reached, share, side="right"))
    return float(score[order[min(last, len(order) - 1)]])


def slope_of(leading: Floats, weight: Floats) -> float:
    """Return the slope of ln(mean weight) of the stream's events in ln(leading pT)."""
    some = (leading > 0) & (weight > 0)
    x, w = np.log(leading[some]), weight[some]
    edges = np.unique(np.quantile(x, np.linspace(0, 1, BINS + 1))) if len(x) else np.zeros(0)
    if len(edges) < 3:
        return 0.0
    of = np.clip(np.searchsorted(edges, x, "right") - 1, 0, len(edges) - 2)
    count = np.bincount(of, minlength=len(edges) - 1)
    means = np.bincount(of, w, len(edges) - 1) / np.maximum(count, 1)
    middle = np.bincount(of, x, len(edges) - 1) / np.maximum(count, 1)
    good = means > 0
    return float(np.polyfit(middle[good], np.log(means[good]), 1)[0])


def elements(seeds: TriggerSeeds) -> Ragged:
    """Return the elements of seeds by `COLUMNS`: the towers, then the triplets of hits."""
    offsets, places = triplets(seeds)
    count, made = np.diff(seeds.tower_offsets), np.diff(offsets)
    lengths = count + made
    starts = np.cumsum(lengths) - lengths
    values = np.zeros((int(lengths.sum()), len(COLUMNS)), dtype=np.float32)
    of_tower, of_triplet = (np.repeat(np.arange(len(lengths)), sizes) for sizes in (count, made))
    tower = np.arange(len(of_tower)) - seeds.tower_offsets[of_tower] + starts[of_tower]
    triplet = np.arange(len(of_triplet)) - offsets[of_triplet]
    triplet += (starts + count)[of_triplet]
    for column, name in ((1, "deta"), (2, "dphi"), (4, "em"), (5, "had")):
        values[tower, column] = getattr(seeds, f"tower_{name}")
    values[triplet, 0] = 1.0
    values[triplet[:, None], np.array(TRIPLET)] = places
    values[:, 3] = 1.0
    values[:, 8:] = np.repeat(np.stack([seeds.pt, seeds.eta], axis=1), lengths, axis=0)
    return Ragged(
        torch.from_numpy(values), torch.from_numpy(starts), torch.from_numpy(lengths), COLUMNS
    )
