"""Neutral energy beside a track: the share of each calorimeter cell, by a network on images."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.coarse import cells_of, layers_of
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, Ints, as_table, validation_mask
from colliderkit.losses.energy_share import energy_share
from colliderkit.methods.method import Method
from colliderkit.networks.neutral_share import COLUMNS, NeutralShare
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["NEUTRAL", "NeutralEnergy", "checked_tracks", "neutral_energy", "neutral_shares"]

# PDG codes of what leaves no track: gamma, pi0, K0L, K0S, n, nbar.
NEUTRAL = (22, 111, 130, 310, 2112, -2112)
PIECE = 128  # events that the network sees at a time


class NeutralEnergy(Method):
    """Predict the share of neutral energy of each cell, f, of events with one track each.

    The network sees images of the layers, the track where it enters and its momentum, and is
    trained by sum E (f_hat - f)^2 / sum E (2003.08863). The neutral energy of an event is then
    sum f_hat E. The place of the track is where it enters the calorimeter, extrapolated or
    generated; a place that is found by true deposits would tell the answer.

    Args:
        kind: "dilated" convolutions, a "unet", or a "graph" of the hits (GravNet).
        depths: of the layers, mm, rising; those of the hits of `fit` if not given.
        widths: of the cells of each layer, mm, multiples of the smallest; if not given the least
            steps between the hits of `fit`.
        size: pixels of a side of the window around the track; a pixel is the smallest cell.
        channels: of the network.
        validation: the share of the events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `network_`, `depths_` and `widths_` (L,), and `history_` of "network".
    """

    name: ClassVar[str] = "neutral-energy"
    resumable: ClassVar[bool] = True

    depths_: list[float]
    widths_: list[float]
    network_: NeutralShare
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        depths: Sequence[float] | None = None,
        widths: Sequence[float] | None = None,
        kind: Literal["dilated", "unet", "graph"] = "dilated",
        size: int = 32,
        channels: int = 24,
        validation: float = 0.1,
        training: Training = Training(epochs=20, batch_size=16, learning_rate=2e-3),
    ) -> None:
        self.depths = depths
        self.widths = widths
        self.kind = kind
        self.size = size
        self.channels = channels
        self.validation = validation
        self.training = training

    def fit(
        self,
        hits: CalorimeterHits,
        track: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on events with truth, and return self.

        `track` (E, 3) has x, y [mm] where it enters and the momentum [GeV]. Checkpoints go to
        `folder`, from which `resume` goes on. Raises `InputError` for hits without truth, not of
        the layers, or outside of whole pixels, for tracks that are none, and for weights.
        """
        self._begin(seed=seed, folder=folder, resume=resume, hits=hits, track=track)
        if weight is not None:
            raise InputError(
                "errors are weighted by energy, and events count once each; draw them by their"
                " weight."
            )
        hits, tracks = hits.check(), checked_tracks(track, hits)
        if self.kind not in ("dilated", "unet", "graph"):
            raise InputError(f"kind is '{self.kind}'; choose dilated, unet or graph.")
        if self.kind == "unet" and self.size % 4:
            raise InputError(
                f"size is {self.size}, and a unet halves it twice; take a multiple of 4."
            )
        if not hits.known:
            raise InputError("the hits have no true particles to learn from; give a simulation.")
        depths, widths = self.depths, self.widths
        if depths is None or widths is None:
            seen = cells_of(hits)
            depths = list(seen[0]) if depths is None else depths
            widths = list(seen[1]) if widths is None else widths
        self.depths_ = [float(depth) for depth in depths]
        self.widths_ = [float(width) for width in widths]
        if len(self.depths_) != len(self.widths_):
            raise InputError(
                f"{len(self.depths_)} depths and {len(self.widths_)} widths; give one of each"
                " layer."
            )
        held = validation_mask(np.arange(len(hits)), self.validation, derive(seed, "validation"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        known = np.stack([neutral_shares(hits)], axis=1)
        inputs = self._inputs(hits, tracks, known)
        data = Dataset(inputs, torch.zeros(len(hits)), torch.ones(len(hits)))
        train, validation = data.split(held)
        self.history_ = {
            "network": fit(
                _WithTruth(self.network_),
                energy_share,
                train,
                validation,
                self.training,
                folder=None if folder is None else Path(folder),
                seed=seed,
                resume=resume,
                title=f"neutral energy ({self.kind})",
                progress=progress,
            )
        }
        return self

    def predict(self, hits: CalorimeterHits, track: ArrayLike) -> Floats:
        """Return the neutral share of each hit, (H,), between 0 and 1."""
        network = self.network_
        inputs = self._inputs(hits, checked_tracks(track, hits))
        found = np.zeros(len(hits.energy))
        network.eval()
        with torch.inference_mode():
            for events in torch.arange(len(hits)).split(PIECE):
                values, mask = inputs.padded(events)
                if mask.any():
                    low, high = hits.offsets[int(events[0])], hits.offsets[int(events[-1]) + 1]
                    logits = network(values, mask)[mask][:, 0]
                    found[low:high] = torch.sigmoid(logits).double().numpy()
        return found

    def _inputs(self, hits: CalorimeterHits, tracks: Floats, known: Floats | None = None) -> Ragged:
        """Return what the network sees of each hit, by `COLUMNS`, and behind it what is known."""
        layer = layers_of(hits.position[:, 2], self.depths_)
        widths = np.asarray(self.widths_, dtype=np.float64)
        pixel = widths.min()
        begin = (hits.position[:, :2] - widths[layer][:, None] / 2) / pixel
        first = np.round(begin)
        if (np.abs(begin - first) > 0.01).any():
            bad = int(np.argmax((np.abs(begin - first) > 0.01).any(1)))
            raise InputError(
                f"a hit at x, y = {hits.position[bad, :2].tolist()} mm is no cell of"
                f" {widths[layer[bad]]:g} mm on pixels of {pixel:g} mm; give the widths of its"
                " calorimeter."
            )
        return window_inputs(
            hits, tracks, layer, first, pixel=pixel, step=widths.max(), size=self.size, known=known
        )

    def _rebuild(self) -> None:
        pixel = min(self.widths_)
        self.network_ = NeutralShare(
            widths=[round(width / pixel) for width in self.widths_],
            kind=self.kind,
            size=self.size,
            channels=self.channels,
        )


class _WithTruth(nn.Module):
    """The network as it is trained: its logits, and what is known of each hit behind them."""

    def __init__(self, network: NeutralShare) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        logit = self.network(values[..., : len(COLUMNS)], mask)[..., 0]
        parts = [logit, values[..., 3], values[..., len(COLUMNS)], mask.to(logit.dtype)]
        return torch.stack(parts, dim=2)


def window_inputs(
    hits: CalorimeterHits,
    tracks: Floats,
    layer: Ints,
    first: Floats,
    *,
    pixel: float,
    step: float,
    size: int,
    known: Floats | None = None,
) -> Ragged:
    """Return hits in a window around the track of their event, by `COLUMNS`, and what is known.

    `first` (H, 2) is the first pixel of each cell, counted from 0 mm, and `size` that of the window
    in pixels. It begins at a whole `step` [mm], so that cells are not cut differently. `known`
    (H, K) follows behind.
    """
    event = hits.event
    place = np.floor(tracks[:, :2] / pixel)
    pixels = round(float(step / pixel))
    corner = np.round((place - size / 2) / pixels) * pixels
    columns = [
        *(first - corner[event]).T,
        layer.astype(np.float64),
        hits.energy,
        *(place - corner)[event].T,
        tracks[event, 2],
        *(known.T if known is not None else ()),
    ]
    names = (*COLUMNS, *(f"known {i}" for i in range(len(columns) - len(COLUMNS))))
    values = np.stack(columns, axis=1).astype(np.float32)
    starts = torch.from_numpy(hits.offsets[:-1].copy())
    return Ragged(torch.from_numpy(values), starts, torch.from_numpy(hits.counts), names)


def checked_tracks(track: ArrayLike, hits: CalorimeterHits) -> Floats:
    """Return one track (E, 3) of each event.

    Raises `InputError` for another shape, a NaN, a momentum that is not positive, and a track that
    enters farther beside all hits than these are wide.
    """
    tracks = as_table(track, "the tracks", ("x", "y", "momentum"))
    if len(tracks) != len(hits):
        raise InputError(f"{len(tracks)} tracks for {len(hits)} events; give one of each.")
    if not (tracks[:, 2] > 0).all():
        bad = int(np.argmin(tracks[:, 2] > 0))
        raise InputError(
            f"the track of event {bad} (counted from 0) has a momentum of {tracks[bad, 2]:g} GeV;"
            " it must be positive."
        )
    if len(hits.position):
        low, high = hits.position[:, :2].min(0), hits.position[:, :2].max(0)
        room = np.maximum(high - low, 1.0)
        outside = ((tracks[:, :2] < low - room) | (tracks[:, :2] > high + room)).any(1)
        if outside.any():
            bad = int(np.argmax(outside))
            raise InputError(
                f"the track of event {bad} (counted from 0) enters at x, y ="
                f" {tracks[bad, :2].tolist()} mm, far outside of the hits, which lie between"
                f" {low.tolist()} and {high.tolist()} mm; give its place where it enters, in mm."
            )
    return tracks


def neutral_shares(hits: CalorimeterHits) -> Floats:
    """Return the true neutral share of each hit, E_n / (E_n + E_c), (H,); 0 of noise."""
    neutral = np.isin(hits.pdg, NEUTRAL)[hits.share_particle]
    count = len(hits.energy)
    total = np.bincount(hits.share_hit, hits.share_energy, count)
    part = np.bincount(hits.share_hit, hits.share_energy * neutral, count)
    return np.divide(part, total, out=np.zeros(count), where=total > 0)


def neutral_energy(hits: CalorimeterHits, share: ArrayLike) -> Floats:
    """Return sum f E of each event, (E,) [GeV], of shares f (H,)."""
    neutral = hits.energy * np.asarray(share)
    return np.bincount(hits.event, neutral, len(hits)).astype(np.float64)
