"""Primary vertices from a kernel density of tracks by a convolutional network (PV finder)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import awkward as ak
import numpy as np
import torch
from numba import njit
from numpy.typing import ArrayLike
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints, as_weight, event_numbers, validation_mask
from colliderkit.events.vertices import Tracks, Vertices, true_vertices
from colliderkit.methods.reconstruction.vertexing import VertexFinding
from colliderkit.metrics.vertices import match_vertices
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.networks.vertex_density import VertexDensity
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["DensityVertices", "candidate_table", "kernel_density"]

FLOOR = 1e-3  # expected vertices of a bin, below which it is as good as empty
MISSED = 5.0  # what too little counts for, over too much
AT_ONCE = 64  # events
LENGTH, FAR = 1e4, 20.0  # mm: more than an event's; farther is no neighbour
FEWEST = 100  # peaks of either kind to grow trees
TREES: dict[str, Any] = {
    "max_iter": 150,
    "max_leaf_nodes": 15,
    "learning_rate": 0.1,
    "early_stopping": False,
}


class DensityVertices(VertexFinding):
    """Find primary vertices by a network on the density of tracks along the beams (1906.08306).

    The density of a bin is the sum over tracks of the Gaussian of z0 and its error; that of the
    squares stands beside it. The network's answer is the expected number of vertices in each bin,
    trained on true ones, each a Gaussian of integral 1 and the width of its resolution, by

        mean over bins of a ln^2((p + eps) / (t + eps)),

    with a = 5 where p is below the true t, and 1 else: a vertex that is missed costs more than one
    that is made up. Peaks, from one minimum to the next, are the vertices. Their strength is the
    probability of boosted trees that a true vertex lies there, from the shape of the peak and how
    the tracks lie around it (`candidate_table`): two vertices that are found as one between them
    have the largest integral of all, and tracks that scatter too much. With too few peaks of either
    kind to grow trees, the strength is the integral.

    Args:
        bins: along the beams.
        reach: half of the length [mm] that they cover.
        channels: of the network's hidden layers.
        kernels: sizes of its filters in bins, odd.
        false: wrong vertices an event that the threshold leaves.
        validation: the share of events that chooses the epoch and the threshold.
        training: epochs, batch size, learning rate and the like.
    """

    name: ClassVar[str] = "density-vertices"
    resumable: ClassVar[bool] = True

    network_: VertexDensity
    trees_: dict[str, BoostedTrees]
    shapes_: dict[str, dict[str, int]]
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        bins: int = 4000,
        reach: float = 240.0,
        channels: int = 12,
        kernels: Sequence[int] = (25, 15, 15, 9, 5),
        false: float = 0.03,
        validation: float = 0.2,
        training: Training = Training(epochs=20, batch_size=8, learning_rate=3e-3),
    ) -> None:
        self.bins = bins
        self.reach = reach
        self.channels = channels
        self.kernels = kernels
        self.false = false
        self.validation = validation
        self.training = training

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
        """Train on N events with tracks and true vertices; return self.

        `weight` (N,) must not be negative. Checkpoints go to `folder`, from which `resume` goes on.
        Raises `InputError` as `Tracks.of` and `true_vertices` do.
        """
        self._begin(seed=seed, folder=folder, resume=resume, events=events, weight=weight)
        if any(size % 2 == 0 for size in self.kernels):
            raise InputError(f"kernels are {list(self.kernels)}; give odd numbers of bins.")
        tracks = Tracks.of(events)
        true = true_vertices(events, tracks)
        weights = as_weight(
            weight, len(tracks), "the events", negative="a loss has no minimum then"
        )
        given = ak.to_numpy(events["event"]) if "event" in events.fields else None
        held = validation_mask(
            event_numbers(given, len(tracks), "the events"), self.validation, seed
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self.network_ = self._network()
        data = Dataset(
            self._densities(tracks),
            torch.from_numpy(self._target(true)),
            torch.from_numpy((weights / weights.mean()).astype(np.float32)),
        )
        history = fit(
            self.network_,
            _ratio_loss,
            *data.split(held),
            self.training,
            folder=None if folder is None else Path(folder),
            seed=seed,
            resume=resume,
            title=self.name,
            progress=progress,
        )
        self.history_ = {"network": history}
        self._grow(events[~held], weights[~held], seed)
        self._set_threshold(events[held])
        return self

    @torch.no_grad()
    def density(self, tracks: Tracks) -> Floats:
        """Return the expected number of vertices in each bin, (N, bins)."""
        self.network_.eval()
        parts = []
        for first in range(0, len(tracks), AT_ONCE):
            piece = tracks.at(first, min(first + AT_ONCE, len(tracks)))
            parts.append(self.network_(self._densities(piece)).double().numpy())
        return np.concatenate(parts)

    def candidates(self, tracks: Tracks) -> Vertices:
        """Return the peaks of the expected density, with the probability that each is a vertex."""
        found = self._peaks(tracks)
        if not self.trees_:
            return found
        table = torch.from_numpy(candidate_table(found, tracks))
        with torch.inference_mode():
            logits = self.trees_["true"](table)[:, 1].double()
        return replace(found, strength=torch.sigmoid(logits).numpy())

    def _peaks(self, tracks: Tracks) -> Vertices:
        return peaks(self.density(tracks), self.reach)

    def _grow(self, events: ak.Array, weight: Floats, seed: int) -> None:
        """Learn from the network's peaks which are true vertices."""
        tracks = Tracks.of(events)
        found = self._peaks(tracks)
        true = ~match_vertices(true_vertices(events, tracks), found).false
        self.trees_ = {}
        if min(true.sum(), (~true).sum()) >= FEWEST:
            self.trees_["true"] = BoostedTrees.fit(
                candidate_table(found, tracks), true.astype(np.int64), weight[found.event],
                derive(seed, "trees"), **TREES,
            )  # fmt: skip
        self.shapes_ = {name: trees.options for name, trees in self.trees_.items()}

    def _densities(self, tracks: Tracks) -> Tensor:
        return torch.from_numpy(kernel_density(tracks, self.bins, self.reach))

    def _target(self, true: Vertices) -> np.ndarray:
        width = 2 * self.reach / self.bins
        # No narrower than a bin, so that none is lost between two.
        as_tracks = Tracks(
            true.z, np.maximum(true.error, 0.7 * width), np.zeros(len(true.z), int), true.counts
        )
        target = kernel_density(as_tracks, self.bins, self.reach, log=False)[:, : self.bins]
        scaled: np.ndarray = target * np.float32(width)
        return scaled

    def _network(self) -> VertexDensity:
        return VertexDensity(channels=int(self.channels), kernels=tuple(self.kernels))

    def _rebuild(self) -> None:
        self.network_ = self._network()
        self.trees_ = {name: BoostedTrees(**shape) for name, shape in self.shapes_.items()}


def kernel_density(tracks: Tracks, bins: int, reach: float, *, log: bool = True) -> np.ndarray:
    """Return the density of tracks in bins of z, and that of its squares, (N, 2 bins) float32.

    sum_i N(z; z_i, sigma_i) [1/mm], at the middle of each of `bins` from -reach to reach [mm];
    with `log` of both ln(1 + density).
    """
    density = np.zeros((len(tracks), 2, bins))
    _fill(tracks.z, tracks.error, tracks.event, 2 * reach / bins, reach, density)
    found = np.log1p(density) if log else density
    return found.reshape(len(tracks), 2 * bins).astype(np.float32)


@njit(cache=True)
def _fill(
    z: Floats, error: Floats, event: Ints, width: float, reach: float, density: Floats
) -> None:
    bins = density.shape[2]
    for i in range(len(z)):
        far = 5 * error[i]
        low = max(int((z[i] - far + reach) / width), 0)
        high = min(int((z[i] + far + reach) / width) + 1, bins)
        for k in range(low, high):
            pull = (-reach + (k + 0.5) * width - z[i]) / error[i]
            value = np.exp(-0.5 * pull * pull) / (error[i] * 2.5066282746310002)
            density[event[i], 0, k] += value
            density[event[i], 1, k] += value * value


def peaks(density: Floats, reach: float) -> Vertices:
    """Return the peaks of densities (N, bins): mean places [mm], and integrals as strengths.

    A peak goes from one minimum to the next, over bins above the floor; its error is the root of
    the mean square from its place, a bin at least.
    """
    count, bins = density.shape
    width = 2 * reach / bins
    inside = density > FLOOR
    before = np.pad(density, ((0, 0), (1, 0)))[:, :-1]
    after = np.pad(density, ((0, 0), (0, 1)))[:, 1:]
    valley = (density < before) & (density <= after)
    begins = inside & (valley | ~np.pad(inside, ((0, 0), (1, 0)))[:, :-1])
    label = np.cumsum(begins.reshape(-1)) - 1
    chosen = inside.reshape(-1)
    size = int(begins.sum())
    flat = density.reshape(-1)
    place = np.tile(-reach + (np.arange(bins) + 0.5) * width, count)
    strength: Floats = np.bincount(label[chosen], flat[chosen], minlength=size).astype(np.float64)
    norm = np.maximum(strength, 1e-300)
    mean = np.bincount(label[chosen], (flat * place)[chosen], minlength=size) / norm
    away = place[chosen] - mean[label[chosen]]
    square = np.bincount(label[chosen], flat[chosen] * away**2, minlength=size) / norm
    return Vertices(mean, strength, np.maximum(np.sqrt(square), width), begins.sum(1))


def candidate_table(found: Vertices, tracks: Tracks) -> np.ndarray:
    """Return of each of V peaks (strength: its integral, error: its width) what tells if it is one.

    (V, 11) float32. The integral and the width [mm] of the peak; the distance [mm] to the one
    before and the one after in its event, 20 at most, and their integrals, 0 farther away; and of
    the tracks that are nearer to it than to another peak and within 5 errors and 1 mm: how many,
    the error that they leave [mm], and with weights 1 / sigma^2 their mean less the peak over that
    error, chi2 per track and the fourth moment of pulls over the square of the second, 3 of a
    Gaussian and 1 of two points.
    """
    count = len(found.z)
    if not count:
        return np.zeros((0, 11), dtype=np.float32)
    key, place = found.event * LENGTH + found.z, tracks.event * LENGTH + tracks.z
    gap = np.diff(key, prepend=-np.inf, append=np.inf).clip(max=FAR)
    before, after = gap[:-1], gap[1:]
    beside = np.pad(found.strength, 1)
    nearest = np.searchsorted((key[1:] + key[:-1]) / 2, place)
    away = place - key[nearest]
    pull = away / tracks.error
    mine = (np.abs(pull) < 5) & (np.abs(away) < 1.0)
    nearest, away, precision = nearest[mine], away[mine], tracks.error[mine] ** -2.0

    def total(values: Floats) -> Floats:
        return np.bincount(nearest, values, minlength=count).astype(np.float64)

    number = total(np.ones_like(away))
    some = np.maximum(number, 1)
    error = np.maximum(total(precision), 1e-4) ** -0.5
    mean = total(precision * away) * error**2
    pull = (away - mean[nearest]) * np.sqrt(precision)
    second, fourth = total(pull**2) / some, total(pull**4) / some
    columns = (
        *(found.strength, found.error, before, after),
        *(np.where(before < FAR, beside[:-2], 0.0), np.where(after < FAR, beside[2:], 0.0)),
        *(number, error, mean / error, second, fourth / np.maximum(second**2, 1e-6)),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def _ratio_loss(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    distance = torch.log((outputs + FLOOR) / (target + FLOOR))
    each = torch.where(distance < 0, MISSED, 1.0) * distance.square()
    return (weight * each.mean(1)).mean()
