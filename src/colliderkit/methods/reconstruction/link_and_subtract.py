"""Link-and-subtract: particle flow without learning, by links and the expected E/p."""

import itertools
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from colliderkit.errors import InputError
from colliderkit.events.particle_flow import NEUTRAL, PHOTON, FlowEvents, FlowParticles, event_of
from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.reconstruction.particle_flow import (
    Deposit,
    ParticleFlow,
    chosen_by_patches,
    coordinates,
    gathered,
    nearest_track,
    of_tracks,
)

__all__ = ["LinkAndSubtract"]

TRIED = 500  # events, at most, by which the settings are chosen


class LinkAndSubtract(ParticleFlow):
    """Link clusters to tracks, subtract what these should leave, and call the rest neutral.

    As the experiments' particle flow does (1706.04965, 1703.10485), in its simplest form: an
    electromagnetic cluster is linked to the nearest track within `near`, a hadronic one to all
    within `wide`; what hangs together is a block. Electromagnetic clusters without a link are
    photons, hadronic ones neutral hadrons. Of a block the sum of its clusters less the mean E/p of
    its tracks is neutral, where it exceeds `significance` spreads: a photon of at most its
    electromagnetic energy, and the rest a neutral hadron. Tracks are kept as they are.

    Args:
        near: dR of an electromagnetic link.
        wide: dR of a hadronic link.
        significance: spreads of the expected sum.
        threshold: GeV of a neutral particle.
        tune: let `fit` choose near, wide and significance among `GRID`, by the narrowest response
            of sums in patches of eta and phi.

    After `fit`: `deposit_`, what hadrons leave, and `chosen_`, the settings that are used.
    """

    name: ClassVar[str] = "link-and-subtract"

    deposit_: Deposit
    chosen_: dict[str, float]

    GRID: ClassVar[dict[str, tuple[float, ...]]] = {
        "near": (0.02, 0.035, 0.05, 0.075),
        "wide": (0.08, 0.12, 0.18),
        "significance": (0.0, 0.5, 1.0, 2.0),
    }

    def __init__(
        self,
        *,
        near: float = 0.035,
        wide: float = 0.12,
        significance: float = 1.0,
        threshold: float = 0.3,
        tune: bool = False,
    ) -> None:
        self.near = near
        self.wide = wide
        self.significance = significance
        self.threshold = threshold
        self.tune = tune

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
        """Take what hadrons leave from events with truth, choose settings, and return self.

        Raises `InputError` for weights, and as `FlowEvents.check` and `Deposit.of` do.
        """
        self._begin(seed=seed, folder=folder, resume=resume, events=events)
        if weight is not None:
            raise InputError("means of hadrons are taken, each once; leave weight out.")
        self.deposit_ = Deposit.of(events.check())
        self.chosen_ = {name: float(getattr(self, name)) for name in self.GRID}
        if self.tune:
            some = events.at(slice(0, TRIED))
            settings = [
                dict(zip(self.GRID, each, strict=True))
                for each in itertools.product(*self.GRID.values())
            ]
            true = some.truth[0]
            self.chosen_, _ = chosen_by_patches(
                settings, lambda each: self._particles(some, each), true
            )
        return self

    def predict(self, events: FlowEvents) -> FlowParticles:
        """Return tracks, photons and neutral hadrons."""
        return self._particles(events, self.chosen_)

    def _particles(self, events: FlowEvents, settings: dict[str, float]) -> FlowParticles:
        tracks, clusters = events.tracks, events.clusters
        count, size = len(tracks.pt), len(clusters.energy)
        owner = event_of(clusters.offsets)
        hadronic = clusters.hadronic == 1
        linked = _links(events, owner, settings)
        node = coo_array(
            (np.ones(len(linked[0])), (linked[0], linked[1] + count)),
            shape=(count + size, count + size),
        )
        blocks, block = connected_components(node, directed=False)
        of_track, of_cluster = block[:count], block[count:]
        tracked = np.zeros(blocks, dtype=bool)
        tracked[of_track] = True
        # A block that has no track is one cluster by itself.
        free = ~tracked[of_cluster]
        energy = np.where(hadronic, clusters.energy / self.deposit_.neutral, clusters.energy)
        kept = free & (energy > self.threshold)
        parts: list[dict[str, Any]] = [of_tracks(events)]
        parts.append(
            _columns(owner[kept], energy[kept], clusters.eta[kept], clusters.phi[kept],
                     np.where(hadronic[kept], NEUTRAL, PHOTON))
        )  # fmt: skip
        mean, spread = self.deposit_.expected(tracks.pt * np.cosh(tracks.eta))
        rest = np.bincount(of_cluster, clusters.energy, blocks) - np.bincount(
            of_track, mean, blocks
        )
        sigma = np.sqrt(np.bincount(of_track, spread**2, blocks))
        excess = np.where(tracked & (rest > settings["significance"] * sigma), rest, 0.0)
        light = np.bincount(of_cluster, clusters.energy * ~hadronic, blocks)
        photon = np.minimum(excess, light)
        neutral = (excess - photon) / self.deposit_.neutral
        for energies, section, kind in ((photon, ~hadronic, PHOTON), (neutral, hadronic, NEUTRAL)):
            found = np.flatnonzero(energies > self.threshold)
            eta, phi, event = _middle(clusters, owner, of_cluster, section, blocks)
            parts.append(
                _columns(event[found], energies[found], eta[found], phi[found],
                         np.full(len(found), kind))
            )  # fmt: skip
        return gathered(parts, len(events))


def _links(events: FlowEvents, owner: Ints, settings: dict[str, float]) -> tuple[Ints, Ints]:
    """Return tracks and clusters that are linked, (K,) and (K,)."""
    tracks, clusters = events.tracks, events.clusters
    light = np.flatnonzero(clusters.hadronic == 0)
    track, away = nearest_track(events, clusters.eta[light], clusters.phi[light], owner[light])
    near = away < settings["near"]
    heavy = np.flatnonzero(clusters.hadronic == 1)
    if len(heavy) == 0 or len(tracks.pt) == 0:
        return track[near], light[near]
    trees = [
        cKDTree(coordinates(*each))
        for each in (
            (tracks.face_eta, tracks.face_phi, events.track_event),
            (clusters.eta[heavy], clusters.phi[heavy], owner[heavy]),
        )
    ]
    pairs = trees[0].sparse_distance_matrix(trees[1], settings["wide"], output_type="ndarray")
    return (
        np.concatenate([track[near], pairs["i"]]),
        np.concatenate([light[near], heavy[pairs["j"]]]),
    )


def _middle(
    clusters: Any, owner: Ints, of_cluster: Ints, section: Any, blocks: int
) -> tuple[Floats, Floats, Ints]:
    """Return eta, phi and event of the clusters of a section in each block, by their energies."""
    weight = clusters.energy * section
    sums = [
        np.bincount(of_cluster, weight * values, blocks)
        for values in (clusters.eta, np.cos(clusters.phi), np.sin(clusters.phi))
    ]
    event = np.zeros(blocks, dtype=np.int64)
    event[of_cluster] = owner
    total = np.maximum(np.bincount(of_cluster, weight, blocks), 1e-30)
    return sums[0] / total, np.arctan2(sums[2], sums[1]), event


def _columns(event: Ints, energy: Floats, eta: Floats, phi: Floats, kind: Ints) -> dict[str, Any]:
    return {"event": event, "pt": energy / np.cosh(eta), "eta": eta, "phi": phi, "kind": kind}
