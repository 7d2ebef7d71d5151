"""Secondary vertices of a jet's tracks by a network on pairs: set to graph."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from colliderkit.events.ragged import Ragged
from colliderkit.events.secondary_vertices import COLUMNS, JetTracks, average_links
from colliderkit.events.tables import Floats, Ints, as_weight, event_numbers, validation_mask
from colliderkit.losses.set_to_graph import set_to_graph
from colliderkit.methods.reconstruction.secondary_vertexing import TrackPartition, with_truth
from colliderkit.metrics.vertices import adjusted_rand, mean_over_jets
from colliderkit.networks.track_pairs import TrackPairs
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["SecondaryVertices"]

THRESHOLDS = tuple(round(0.2 + 0.05 * i, 2) for i in range(11))
PADDED = 150_000  # pairs with padding that the network sees at a time
SCALED = 1000  # jets that set the scales of the inputs


class SecondaryVertices(TrackPartition):
    """Part the tracks of a jet by a network that scores their pairs: set to graph (2008.02831).

    A transformer over the tracks, whose attention and scores know what vertex each pair makes
    (`networks.track_pairs.TrackPairs`), gives the probability that two tracks are of one vertex.
    It is trained by the cross-entropy of pairs and one less the F1 of each jet, of jets that are
    mirrored at random: physics has no left and right. Then parts are joined as long as the mean
    score of their pairs is above a threshold (`average_links`). It is the smallest, so that a
    vertex more has to be earned, whose mean adjusted Rand index in the jets held out is within one
    standard error of the largest.

    Args:
        width: of the layers.
        blocks: of attention.
        heads: of attention.
        validation: the share of jets that chooses the epoch and the threshold.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `network_`, `threshold_`, and `history_` of "network".
    """

    name: ClassVar[str] = "secondary-vertices"
    resumable: ClassVar[bool] = True

    network_: TrackPairs
    threshold_: float
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        width: int = 48,
        blocks: int = 2,
        heads: int = 4,
        validation: float = 0.15,
        training: Training = Training(epochs=15, batch_size=128, learning_rate=2e-3),
    ) -> None:
        self.width = width
        self.blocks = blocks
        self.heads = heads
        self.validation = validation
        self.training = training

    def fit(
        self,
        jets: ak.Array,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on N jets whose tracks know their vertices; return self.

        `weight` (N,) must not be negative. Checkpoints go to `folder`, from which `resume` goes on.
        Raises `InputError` for jets without truth, and as `JetTracks.of` does.
        """
        self._begin(seed=seed, folder=folder, resume=resume, jets=jets, weight=weight)
        tracks = with_truth(jets)
        weights = as_weight(weight, len(tracks), "the jets", negative="a loss has no minimum then")
        given = ak.to_numpy(jets["event"]) if "event" in jets.fields else None
        held = validation_mask(event_numbers(given, len(tracks), "the jets"), self.validation, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        some = np.flatnonzero(~held & (tracks.counts > 1))[:SCALED]
        if len(some):
            self.network_.standardise(*ragged(tracks).padded(torch.from_numpy(some)))
        data = Dataset(
            ragged(tracks, truth=True),
            torch.zeros(len(tracks)),
            torch.from_numpy((weights / weights.mean()).astype(np.float32)),
        )
        history = fit(
            _WithTruth(self.network_),
            set_to_graph,
            *data.split(held),
            self.training,
            folder=None if folder is None else Path(folder),
            seed=seed,
            resume=resume,
            title=self.name,
            progress=progress,
        )
        self.history_ = {"network": history}
        self._choose(tracks.at(held))
        return self

    def parts(self, tracks: JetTracks) -> Ints:
        """Return the vertex of each track, (P,), numbered from 0 in each jet."""
        return self._parts(tracks, self.threshold_)

    @torch.no_grad()
    def scores(self, tracks: JetTracks) -> Floats:
        """Return the probability that two tracks are of one vertex, (N, L, L), 0 where padded."""
        length = int(tracks.counts.max(initial=1))
        found = np.zeros((len(tracks), length, length))
        inputs = ragged(tracks)
        self.network_.eval()
        for some in _batches(tracks.counts):
            values, mask = inputs.padded(torch.from_numpy(some))
            both = mask[:, :, None] & mask[:, None]
            score = torch.sigmoid(self.network_(values, mask)) * both
            size = values.shape[1]
            found[some, :size, :size] = score.double().numpy()
        return found

    def _parts(self, tracks: JetTracks, threshold: float) -> Ints:
        # In pieces: pairs of all jets at once would be the square of the longest for each.
        found = [np.zeros(0, dtype=np.int64)]
        for first in range(0, len(tracks), 2000):
            piece = tracks.at(np.arange(first, min(first + 2000, len(tracks))))
            found.append(average_links(self.scores(piece), piece.counts, threshold))
        return np.concatenate(found)

    def _choose(self, tracks: JetTracks) -> None:
        """Choose the threshold by jets that were held out."""
        several = tracks.at(tracks.counts > 1)
        scores = self.scores(several)
        found = [
            mean_over_jets(
                adjusted_rand(
                    several.vertex, average_links(scores, several.counts, cut), several.counts
                )
            )
            for cut in THRESHOLDS
        ]
        best = max(found, key=lambda each: each.value) if len(several) > 1 else found[0]
        enough = [not each.value < best.value - best.error for each in found]
        self.threshold_ = THRESHOLDS[enough.index(True)]

    def _rebuild(self) -> None:
        self.network_ = TrackPairs(width=self.width, blocks=self.blocks, heads=self.heads)


class _WithTruth(nn.Module):
    """The network as it is trained: its logits, and behind them the truth of each track."""

    def __init__(self, network: TrackPairs) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        tracks = values[..., :-1]
        if self.training:
            flips = 1 - 2 * torch.randint(2, (len(tracks), 2), device=tracks.device)
            tracks = mirrored(tracks, flips.to(tracks.dtype))
        logits = self.network(tracks, mask)
        return torch.cat([logits, values[..., -1:], mask[..., None].to(logits.dtype)], dim=2)


def mirrored(tracks: Tensor, flips: Tensor) -> Tensor:
    """Return tracks (B, L, 9) with signs `flips` (B, 2): across the jet, and along the beams."""
    signs = torch.ones(len(tracks), len(COLUMNS), dtype=tracks.dtype, device=tracks.device)
    for i, names in enumerate((("phi", "d0"), ("eta", "jet_eta", "z0"))):
        signs[:, [COLUMNS.index(name) for name in names]] = flips[:, i : i + 1]
    return tracks * signs[:, None]


def ragged(tracks: JetTracks, *, truth: bool = False) -> Ragged:
    """Return the columns of the tracks, and with `truth` their vertices behind them."""
    values: Floats = tracks.values
    names: tuple[str, ...] = COLUMNS
    if truth:
        values, names = np.column_stack([values, tracks.vertex]), (*COLUMNS, "vertex")
    return Ragged(
        torch.from_numpy(values.astype(np.float32)),
        torch.from_numpy(np.cumsum(tracks.counts) - tracks.counts),
        torch.from_numpy(tracks.counts),
        names,
    )


def _batches(counts: NDArray[np.int64]) -> Iterator[Ints]:
    """Yield jets of similar length together, so many that their padded pairs are few."""
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    start = 0
    while start < len(order):
        size = max(1, PADDED // int(counts[order[start]]) ** 2)
        yield order[start : start + size]
        start += size
