"""Superresolution: energies and neutral shares on finer cells than a calorimeter reads out."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.coarse import cells_of, coarser, layers_of
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.overlay import Digitiser
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, Ints, validation_mask
from colliderkit.losses.energy_share import split_energy
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.neutral_energy import (
    checked_tracks,
    neutral_shares,
    window_inputs,
)
from colliderkit.networks.neutral_share import COLUMNS, NeutralShare
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["Superresolution"]

PIECE = 64  # events that the network sees at a time


class Superresolution(Method):
    """Predict from coarse cells and a track what finer cells would hold, and how much is neutral.

    Each coarse cell is cut into fine ones, among which a softmax divides its energy, and each of
    these has a neutral share (2003.08863). The training makes the coarse cells of fine ones by
    summing them and reading the sum out, and minimises -sum E t ln s / sum E, t the true part of a
    fine cell and s the predicted one, plus the energy-weighted square error of its neutral share.

    Args:
        coarse: widths of the cells that are read out, mm, of each layer.
        depths: of the layers, mm, rising; those of the hits of `fit` if not given.
        fine: widths of the fine cells, mm, which `coarse` are multiples of; if not given the least
            steps between the hits of `fit`.
        kind: "dilated" convolutions or a "unet".
        size: pixels of a side of the window around the track; a pixel is the smallest fine cell.
        channels: of the network.
        noise: of a coarse cell, MeV.
        threshold: of a coarse cell, MeV.
        validation: the share of the events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `network_`, `depths_` and `fine_` (L,), and `history_` of "network".
    """

    name: ClassVar[str] = "superresolution"
    resumable: ClassVar[bool] = True

    depths_: list[float]
    fine_: list[float]
    network_: NeutralShare
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        coarse: Sequence[float],
        *,
        depths: Sequence[float] | None = None,
        fine: Sequence[float] | None = None,
        kind: Literal["dilated", "unet"] = "dilated",
        size: int = 32,
        channels: int = 24,
        noise: float = 8.0,
        threshold: float = 20.0,
        validation: float = 0.1,
        training: Training = Training(epochs=20, batch_size=16, learning_rate=2e-3),
    ) -> None:
        self.coarse = coarse
        self.depths = depths
        self.fine = fine
        self.kind = kind
        self.size = size
        self.channels = channels
        self.noise = noise
        self.threshold = threshold
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
        """Train on fine hits with truth, and tracks (E, 3) as of `NeutralEnergy`; return self.

        Raises `InputError` for weights, hits without truth, coarse cells that are no multiples of
        the fine ones, and as `NeutralEnergy` does.
        """
        self._begin(seed=seed, folder=folder, resume=resume, hits=hits, track=track)
        if weight is not None:
            raise InputError("errors are weighted by energy, and events count once each.")
        hits, tracks = hits.check(), checked_tracks(track, hits)
        if not hits.known:
            raise InputError("the hits have no true particles to learn from; give a simulation.")
        depths, fine = self.depths, self.fine
        if depths is None or fine is None:
            seen = cells_of(hits)
            depths = list(seen[0]) if depths is None else depths
            fine = list(seen[1]) if fine is None else fine
        self.depths_, self.fine_ = [float(z) for z in depths], [float(w) for w in fine]
        if not len(self.depths_) == len(self.fine_) == len(self.coarse):
            raise InputError(
                f"{len(self.depths_)} depths, {len(self.fine_)} fine and {len(self.coarse)} coarse"
                " widths; give one of each layer."
            )
        if any(abs(c / f - round(c / f)) > 1e-6 for c, f in zip(self.coarse, self.fine_,
                                                                strict=True)):  # fmt: skip
            raise InputError(f"coarse widths {self.coarse} are no multiples of {self.fine_} mm.")
        read = self.read_out(hits, seed=derive(seed, "noise"))
        held = validation_mask(np.arange(len(hits)), self.validation, derive(seed, "validation"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        cells, parent = self.cut(read)
        truth, share = self.truth(hits, cells)
        known = np.stack([truth, share, parent - read.offsets[cells.event]], axis=1)
        inputs = self._inputs(cells, tracks, known)
        data = Dataset(inputs, torch.zeros(len(hits)), torch.ones(len(hits)))
        train, validation = data.split(held)
        self.history_ = {
            "network": fit(
                _WithTruth(self.network_),
                split_energy,
                train,
                validation,
                self.training,
                folder=None if folder is None else Path(folder),
                seed=seed,
                resume=resume,
                title="superresolution",
                progress=progress,
            )
        }
        return self

    def predict(self, hits: CalorimeterHits, track: ArrayLike) -> tuple[CalorimeterHits, Floats]:
        """Return the fine cells of coarse hits with their energies, and neutral shares (H,).

        Energies of the cells of one coarse hit sum to its own.
        """
        network = self.network_
        cells, parent = self.cut(hits)
        inputs = self._inputs(cells, checked_tracks(track, hits))
        found = np.zeros((len(cells.energy), 2))
        network.eval()
        with torch.inference_mode():
            for events in torch.arange(len(cells)).split(PIECE):
                values, mask = inputs.padded(events)
                if mask.any():
                    low, high = cells.offsets[int(events[0])], cells.offsets[int(events[-1]) + 1]
                    found[low:high] = network(values, mask)[mask].double().numpy()
        weight = np.exp(np.clip(found[:, 1], -10, 10))
        part = weight / np.maximum(np.bincount(parent, weight, len(hits.energy)), 1e-30)[parent]
        energy = hits.energy[parent] * part
        share = 1 / (1 + np.exp(-found[:, 0]))
        return CalorimeterHits.checked(cells.offsets, cells.position, energy), share

    def read_out(self, hits: CalorimeterHits, *, seed: int = 0) -> CalorimeterHits:
        """Return what the coarse cells read of fine hits, with their truth."""
        readout = Digitiser(self.noise, self.threshold)
        return coarser(hits, self.depths_, self.coarse, readout=readout, seed=seed)

    def truth(self, hits: CalorimeterHits, cells: CalorimeterHits) -> tuple[Floats, Floats]:
        """Return the true energy and neutral share of fine cells (H,), 0 where nothing is.

        `hits` are the fine hits of the same events, with their truth.
        """
        keys = [self._key(each) for each in (hits, cells)]
        order = np.argsort(keys[0])
        if not len(order):
            return np.zeros(len(cells.energy)), np.zeros(len(cells.energy))
        at = np.minimum(np.searchsorted(keys[0], keys[1], sorter=order), len(order) - 1)
        hit = order[at]
        there = keys[0][hit] == keys[1]
        energy = np.where(there, hits.energy[hit], 0.0)
        return energy, np.where(there, neutral_shares(hits)[hit], 0.0)

    def cut(self, hits: CalorimeterHits) -> tuple[CalorimeterHits, Ints]:
        """Return the fine cells of coarse ones, with equal energies, and the hit of each."""
        layer = layers_of(hits.position[:, 2], self.depths_)
        wide = np.asarray(self.coarse, dtype=np.float64)[layer]
        small = np.asarray(self.fine_, dtype=np.float64)[layer]
        side = np.round(wide / small).astype(np.int64)
        parent = np.repeat(np.arange(len(layer)), side**2)
        ends = np.cumsum(side**2)
        place = np.arange(len(parent)) - np.repeat(ends - side**2, side**2)
        row, column = place // side[parent], place % side[parent]
        corner = hits.position[parent, :2] - wide[parent][:, None] / 2
        step = np.stack([column + 0.5, row + 0.5], axis=1) * small[parent][:, None]
        position = np.concatenate([corner + step, hits.position[parent, 2:]], axis=1)
        offsets = np.concatenate([np.zeros(1, np.int64), ends])[hits.offsets]
        energy = hits.energy[parent] / side[parent] ** 2
        return CalorimeterHits.checked(offsets, position, energy), parent

    def _key(self, hits: CalorimeterHits) -> Ints:
        """Return a number of each cell, the same in all of its hits, by event, layer and place."""
        layer = layers_of(hits.position[:, 2], self.depths_)
        width = np.asarray(self.fine_, dtype=np.float64)[layer]
        column, row = (np.floor(hits.position[:, axis] / width).astype(np.int64) for axis in (0, 1))
        key: Ints = ((hits.event * len(self.depths_) + layer) * (1 << 16) + row + (1 << 15)) * (
            1 << 16
        ) + column
        return key

    def _inputs(
        self, cells: CalorimeterHits, tracks: Floats, known: Floats | None = None
    ) -> Ragged:
        """Return what the network sees of each fine cell, by `COLUMNS`, and what is known of it."""
        layer = layers_of(cells.position[:, 2], self.depths_)
        widths = np.asarray(self.fine_, dtype=np.float64)
        pixel = widths.min()
        first = np.round((cells.position[:, :2] - widths[layer][:, None] / 2) / pixel)
        step = max(self.coarse)
        return window_inputs(
            cells, tracks, layer, first, pixel=pixel, step=step, size=self.size, known=known
        )

    def _rebuild(self) -> None:
        pixel = min(self.fine_)
        self.network_ = NeutralShare(
            widths=[round(width / pixel) for width in self.fine_],
            kind=self.kind,
            size=self.size,
            channels=self.channels,
            outputs=2,
        )


class _WithTruth(nn.Module):
    """The network as it is trained: its two answers, and what is known of each cell behind them."""

    def __init__(self, network: NeutralShare) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        inputs = len(COLUMNS)
        answers = self.network(values[..., :inputs], mask)
        known = values[..., inputs : inputs + 3]
        return torch.cat([answers, known, mask[..., None].to(known.dtype)], dim=2)
