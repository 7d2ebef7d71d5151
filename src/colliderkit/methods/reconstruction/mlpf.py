"""Machine-learned particle flow: a graph of tracks and clusters, one particle an element (MLPF)."""

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
    turned,
)
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, Ints, validation_mask
from colliderkit.losses.particle_flow import OUTPUTS, TRUTH, element_loss
from colliderkit.methods.reconstruction.particle_flow import ParticleFlow, patch_width
from colliderkit.networks.element_graph import COLUMNS, ElementGraph
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["MLPF", "element_targets", "elements"]

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # of the probability of a particle
SPREAD = 0.02  # of eta and phi, in units of which directions are learned
AT_ONCE = 16  # events
TRIED = 1000  # events, at most, by which thresholds are chosen


class MLPF(ParticleFlow):
    """Tell of each track and each cluster whether it stands for a particle, its kind and momentum.

    A graph network (`networks.element_graph`) sees the elements of an event and says of each,
    as machine-learned particle flow does (2101.08578, 2309.06782), whether a particle is to be put
    in its place, which kind that is, and pT, eta and phi, pT as a ratio to the element's. A charged
    particle is put at its track; one without a track at the cluster that holds most of it, several
    of one cluster together, their momenta summed and the kind that of the hardest. Charged ones
    among these are called neutral hadrons (electrons photons), as no one could tell.

    From which probability on there is a particle is chosen by the narrowest response of patches in
    the events held out, where momenta of neutrals of each kind are scaled to be right in the mean.

    Args:
        width: of the layers of the network.
        blocks: exchanges between neighbours.
        neighbours: of each element.
        validation: the share of the events that chooses the epoch and the thresholds.
        training: epochs, batch size, learning rate and the like; a batch is of whole events.

    After `fit`: `network_`, `threshold_`, `scale_` of momenta by kind (5,), and `history_` of
    "network".
    """

    name: ClassVar[str] = "mlpf"
    resumable: ClassVar[bool] = True

    network_: ElementGraph
    threshold_: float
    scale_: list[float]
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        width: int = 48,
        blocks: int = 2,
        neighbours: int = 12,
        validation: float = 0.1,
        training: Training = Training(epochs=30, batch_size=16, learning_rate=3e-3, pool=8),
    ) -> None:
        self.width = width
        self.blocks = blocks
        self.neighbours = neighbours
        self.validation = validation
        self.training = training

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
        known = element_targets(events.check())
        inputs, order = elements(events)
        if len(order) == 0:
            raise InputError("the events hold neither tracks nor clusters to learn from.")
        held = validation_mask(np.arange(len(events)), self.validation, derive(seed, "validation"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        values = torch.cat([inputs.values, torch.from_numpy(known[order].astype(np.float32))], 1)
        names = (*COLUMNS, *(str(i) for i in range(TRUTH - 1)))
        whole = Ragged(values, inputs.starts, inputs.lengths, names)
        data = Dataset(whole, torch.zeros(len(events)), torch.ones(len(events)))
        self.history_ = {
            "network": fit(
                _WithTruth(self.network_),
                element_loss,
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
        """Return what the network says of tracks, then clusters, (T + C, 9); see `element_loss`."""
        self.network_.eval()
        inputs, order = elements(events)
        said = np.zeros((len(order), OUTPUTS))
        start = 0
        for number in torch.arange(len(events)).split(AT_ONCE):
            values, mask = inputs.padded(number)
            part = self.network_(values, mask)[mask].double().numpy()
            said[start : start + len(part)] = part
            start += len(part)
        back = np.empty_like(said)
        back[order] = said
        return back

    def _particles(
        self, events: FlowEvents, outputs: Floats, threshold: float, scale: bool = True
    ) -> FlowParticles:
        tracks, clusters = events.tracks, events.clusters
        count = len(tracks.pt)
        there = 1 / (1 + np.exp(-outputs[:, 0])) > threshold
        charged = np.arange(len(outputs)) < count
        # A track is of a charged particle, and a cluster of a neutral one.
        kinds = np.array([CHARGED, ELECTRON, MUON]), np.array([PHOTON, NEUTRAL])
        logits = outputs[:, 1:6]
        kind = np.where(
            charged,
            kinds[0][logits[:, kinds[0]].argmax(1)],
            kinds[1][logits[:, kinds[1]].argmax(1)],
        )
        pt = np.concatenate([tracks.pt, clusters.energy / np.cosh(clusters.eta)])
        pt = pt * np.exp(np.clip(outputs[:, 6], -5, 5))
        if scale:
            pt = pt * np.asarray(self.scale_)[kind]
        eta = np.concatenate([tracks.eta, clusters.eta]) + SPREAD * outputs[:, 7]
        phi = np.concatenate([tracks.phi, clusters.phi]) + SPREAD * outputs[:, 8]
        event = np.concatenate([events.track_event, events.cluster_event])
        columns = {"pt": pt, "eta": eta, "phi": turned(phi), "kind": kind}
        return FlowParticles.of(
            event[there], len(events), **{name: v[there] for name, v in columns.items()}
        )

    def _choose(self, events: FlowEvents) -> None:
        """Choose threshold and scales by events that were held out."""
        outputs = self.outputs(events)
        true = events.truth[0]
        best = np.inf
        for threshold in THRESHOLDS:
            found = self._particles(events, outputs, threshold, scale=False)
            scale = _scales(events, found)
            scaled = FlowParticles(
                found.offsets, found.pt * scale[found.kind], found.eta, found.phi, found.kind
            )
            width = patch_width(true, scaled)
            if width < best or threshold == THRESHOLDS[0]:
                best, self.threshold_, self.scale_ = width, threshold, scale.tolist()

    def _rebuild(self) -> None:
        self.network_ = ElementGraph(
            outputs=OUTPUTS,
            width=int(self.width),
            blocks=int(self.blocks),
            neighbours=int(self.neighbours),
        )


class _WithTruth(nn.Module):
    """The network as it is trained: its outputs, and what is known of each element behind them."""

    def __init__(self, network: ElementGraph) -> None:
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
    count, size = len(tracks.pt), len(clusters.energy)
    zero, one = np.zeros(count), np.ones(size)
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
    starts = offsets_of(lengths)[:-1]
    return (
        Ragged(
            torch.from_numpy(columns[order]),
            torch.from_numpy(starts),
            torch.from_numpy(lengths.astype(np.int64)),
            COLUMNS,
        ),
        order,
    )


def element_targets(events: FlowEvents) -> Floats:
    """Return what is true of tracks, then clusters, (T + C, 6), as `element_loss` takes it."""
    particles, incidence = events.truth
    tracks, clusters = events.tracks, events.clusters
    count, size = len(tracks.pt), len(clusters.energy)
    known = np.zeros((count + size, TRUTH - 1))
    known[:, 5] = np.concatenate([tracks.pt, clusters.energy / np.cosh(clusters.eta)])
    mine = np.flatnonzero(incidence.track >= 0)
    own = incidence.track[mine]
    known[mine, :5] = np.stack(
        [
            np.ones(len(own)),
            particles.kind[own],
            np.log(particles.pt[own] / tracks.pt[mine]),
            (particles.eta[own] - tracks.eta[mine]) / SPREAD,
            turned(particles.phi[own] - tracks.phi[mine]) / SPREAD,
        ],
        axis=1,
    )
    home = homes(events)
    free = np.flatnonzero(home >= 0)
    # The hardest last, so that its kind stays.
    free = free[np.argsort(particles.pt[free], kind="stable")]
    place = home[free]
    pt, eta, phi = particles.pt[free], particles.eta[free], particles.phi[free]
    px, py, pz = (
        np.bincount(place, pt * x, size) for x in (np.cos(phi), np.sin(phi), np.sinh(eta))
    )
    kind = np.zeros(size, dtype=np.int64)
    neutral = np.isin(particles.kind, (PHOTON, ELECTRON))
    kind[place] = np.where(neutral[free], PHOTON, NEUTRAL)
    filled = np.flatnonzero(np.bincount(place, minlength=size))
    total = np.maximum(np.hypot(px, py)[filled], 1e-6)
    own_pt = clusters.energy[filled] / np.cosh(clusters.eta[filled])
    known[count + filled, :5] = np.stack(
        [
            np.ones(len(filled)),
            kind[filled],
            np.clip(np.log(total / own_pt), -4, 4),
            np.clip((np.arcsinh(pz[filled] / total) - clusters.eta[filled]) / SPREAD, -5, 5),
            np.clip(turned(np.arctan2(py, px)[filled] - clusters.phi[filled]) / SPREAD, -5, 5),
        ],
        axis=1,
    )
    return known


def homes(events: FlowEvents) -> Ints:
    """Return the cluster that holds most of each particle without a track, (P,), -1 of none."""
    particles, incidence = events.truth
    home = np.full(len(particles.pt), -1)
    order = np.argsort(incidence.energy, kind="stable")
    home[incidence.particle[order]] = incidence.cluster[order]  # the largest share is last
    home[incidence.track[incidence.track >= 0]] = -1
    return home


def _scales(events: FlowEvents, found: FlowParticles) -> Floats:
    """Return by kind what makes sums of neutral momenta right in the mean; 1 of charged kinds."""
    particles, incidence = events.truth
    tracked = np.zeros(len(particles.pt), dtype=bool)
    tracked[incidence.track[incidence.track >= 0]] = True
    seen = np.zeros(len(particles.pt), dtype=bool)
    seen[incidence.particle] = True
    asked = seen & ~tracked
    scale = np.ones(5)
    for kind, others in ((PHOTON, (PHOTON, ELECTRON)), (NEUTRAL, (NEUTRAL, CHARGED, MUON))):
        true = particles.pt[asked & np.isin(particles.kind, others)].sum()
        said = found.pt[found.kind == kind].sum()
        scale[kind] = np.clip(true / said, 0.5, 2.0) if said > 0 and true > 0 else 1.0
    return scale
