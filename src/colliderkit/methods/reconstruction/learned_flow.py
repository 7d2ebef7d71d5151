"""Base of learned particle flow: a network on the elements of events, trained on truth."""

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.particle_flow import (
    CHARGED,
    ELECTRON,
    MUON,
    NEUTRAL,
    PHOTON,
    FlowEvents,
    FlowParticles,
    offsets_of,
)
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, Ints, validation_mask
from colliderkit.methods.reconstruction.particle_flow import ParticleFlow, patch_width
from colliderkit.networks.element_graph import COLUMNS
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Objective, Training

__all__ = ["LearnedFlow", "elements", "kinds_said"]

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # of the probability of a particle
AT_ONCE = 16  # events
TRIED = 1000  # events, at most, by which thresholds are chosen


class LearnedFlow(ParticleFlow):
    """Train a network on events with truth; a subclass gives network, targets and particles.

    From which probability on there is a particle is chosen by the narrowest response of patches in
    the events held out, where momenta of neutrals of each kind are scaled to be right in the mean.
    After `fit`: `network_`, `threshold_`, `scale_` of momenta by kind (5,), and `history_` of
    "network".
    """

    resumable: ClassVar[bool] = True

    network_: nn.Module
    threshold_: float
    scale_: list[float]
    history_: dict[str, list[Epoch]]

    validation: float
    training: Training

    def fit(
        self,
        events: FlowEvents,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on events with truth and return self.

        Checkpoints go to `folder`, from which `resume` goes on. Raises `InputError` for weights, as
        `FlowEvents.check` does, and for events without truth or without any element.
        """
        self._begin(seed=seed, folder=folder, resume=resume, events=events)
        if weight is not None:
            raise InputError("particles are counted, each once; draw events by their weight.")
        known = self._targets(events.check())
        inputs, order = elements(events)
        if len(order) == 0:
            raise InputError("the events hold neither tracks nor clusters to learn from.")
        held = validation_mask(np.arange(len(events)), self.validation, derive(seed, "validation"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        values = torch.cat([inputs.values, torch.from_numpy(known[order].astype(np.float32))], 1)
        names = (*COLUMNS, *(str(i) for i in range(known.shape[1])))
        whole = Ragged(values, inputs.starts, inputs.lengths, names)
        data = Dataset(whole, torch.zeros(len(events)), torch.ones(len(events)))
        self.history_ = {
            "network": fit(
                _WithTruth(self.network_),
                self._objective(),
                *data.split(held),
                self.training,
                folder=None if folder is None else Path(folder),
                seed=seed,
                resume=resume,
                title=self.name,
                progress=progress,
            )
        }
        self._choose(events.at(np.flatnonzero(held)[:TRIED]))
        return self

    def predict(self, events: FlowEvents) -> FlowParticles:
        """Return the particles of events."""
        return self._particles(events, self.outputs(events), self.threshold_)

    @torch.no_grad()
    def outputs(self, events: FlowEvents) -> Floats:
        """Return what the network says of tracks, then clusters, (T + C, outputs)."""
        self.network_.eval()
        inputs, order = elements(events)
        parts = []
        for number in torch.arange(len(events)).split(AT_ONCE):
            values, mask = inputs.padded(number)
            parts.append(self.network_(values, mask)[mask].double().numpy())
        said = np.concatenate(parts)
        back = np.empty_like(said)
        back[order] = said
        return back

    @abstractmethod
    def _targets(self, events: FlowEvents) -> Floats:
        """Return what is true of tracks, then clusters, as the objective takes it."""

    @abstractmethod
    def _objective(self) -> Objective:
        """Return the loss."""

    @abstractmethod
    def _particles(self, events: FlowEvents, outputs: Floats, threshold: float) -> FlowParticles:
        """Return the particles by what the network says, momenta multiplied by `scale_`."""

    def _choose(self, events: FlowEvents) -> None:
        """Choose threshold and scales by events that were held out."""
        outputs = self.outputs(events)
        true = events.truth[0]
        tried: list[tuple[float, float, list[float]]] = []
        for threshold in THRESHOLDS:
            self.scale_ = [1.0] * 5
            self.scale_ = _scales(events, self._particles(events, outputs, threshold))
            width = patch_width(true, self._particles(events, outputs, threshold))
            tried.append((width, threshold, self.scale_))
        _, self.threshold_, self.scale_ = min(tried, key=lambda each: each[0])


class _WithTruth(nn.Module):
    """The network as it is trained: its outputs, and what is known of each element behind them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        size = len(COLUMNS)
        outputs = self.network(values[..., :size], mask)
        return torch.cat([outputs, values[..., size:], mask[..., None].to(outputs.dtype)], dim=2)


def elements(events: FlowEvents) -> tuple[Ragged, Ints]:
    """Return the elements of events by `COLUMNS`, and which track or cluster each is, (T + C,).

    Those of an event are together, its tracks first; clusters are counted on from the tracks.
    """
    tracks, clusters = events.tracks, events.clusters
    zero, one = np.zeros(len(tracks.pt)), np.ones(len(clusters.energy))
    pairs = [
        (tracks.face_eta, clusters.eta),
        (tracks.face_phi, clusters.phi),
        (zero, 1.0 + clusters.hadronic),
        (tracks.pt, clusters.energy / np.cosh(clusters.eta)),
        (tracks.eta, clusters.eta),
        (tracks.phi, clusters.phi),
        (tracks.error, 0 * one),
        ((tracks.kind == MUON).astype(np.float64), 0 * one),
        *((zero, clusters.layers[:, i]) for i in range(3)),
        (zero, clusters.width),
        (zero, clusters.cells.astype(np.float64)),
    ]
    columns = np.stack([np.concatenate(pair) for pair in pairs], axis=1).astype(np.float32)
    event = np.concatenate([events.track_event, events.cluster_event])
    order = np.argsort(event, kind="stable")
    lengths = np.bincount(event, minlength=len(events))
    return (
        Ragged(
            torch.from_numpy(columns[order]),
            torch.from_numpy(offsets_of(lengths)[:-1]),
            torch.from_numpy(lengths.astype(np.int64)),
            COLUMNS,
        ),
        order,
    )


def kinds_said(logits: Floats, tracks: int) -> Ints:
    """Return the kind of each element by logits (T + C, 5): of tracks charged, else neutral."""
    charged, neutral = np.array([CHARGED, ELECTRON, MUON]), np.array([PHOTON, NEUTRAL])
    return np.where(
        np.arange(len(logits)) < tracks,
        charged[logits[:, charged].argmax(1)],
        neutral[logits[:, neutral].argmax(1)],
    )


def _scales(events: FlowEvents, found: FlowParticles) -> list[float]:
    """Return by kind what makes sums of neutral momenta right in the mean; 1 of charged kinds."""
    particles, incidence = events.truth
    tracked = np.zeros(len(particles.pt), dtype=bool)
    tracked[incidence.track[incidence.track >= 0]] = True
    seen = np.zeros(len(particles.pt), dtype=bool)
    seen[incidence.particle] = True
    asked = seen & ~tracked
    scale = [1.0] * 5
    for kind, others in ((PHOTON, (PHOTON, ELECTRON)), (NEUTRAL, (NEUTRAL, CHARGED, MUON))):
        true = particles.pt[asked & np.isin(particles.kind, others)].sum()
        said = found.pt[found.kind == kind].sum()
        if said > 0 and true > 0:
            scale[kind] = float(np.clip(true / said, 0.5, 2.0))
    return scale
