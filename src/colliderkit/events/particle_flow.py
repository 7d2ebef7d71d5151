"""Particle flow: tracks and calorimeter clusters of events, true particles, and what is whose.

An element is a track or a cluster; a particle left a track, a share of some clusters, or both. What
a method makes of the elements are `FlowParticles` again, as the truth is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.angles import turned
from colliderkit.events.calorimeter.hits import offsets_of, ranges
from colliderkit.events.tables import Floats, Ints

__all__ = [
    "CHARGED",
    "ELECTRON",
    "KINDS",
    "MUON",
    "NEUTRAL",
    "PHOTON",
    "Clusters",
    "FlowEvents",
    "FlowParticles",
    "Incidence",
    "Towers",
    "Tracks",
    "event_of",
    "offsets_of",
    "turned",
]

KINDS = ("charged hadron", "photon", "neutral hadron", "electron", "muon")
CHARGED, PHOTON, NEUTRAL, ELECTRON, MUON = range(5)


@dataclass(frozen=True)
class FlowParticles:
    """Particles of E events: those of event i are offsets[i] to offsets[i + 1].

    `pt` (P,) [GeV], `eta`, `phi` (P,) at the collision and `kind` (P,) int64, the place among
    `KINDS`. Four-momenta are taken as massless.
    """

    offsets: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    kind: Ints

    @classmethod
    def of(cls, event: ArrayLike, events: int, **columns: ArrayLike) -> Self:
        """Return particles of an `event` (P,) each, sorted by event and falling pT."""
        number = np.asarray(event, dtype=np.int64)
        arrays = {name: np.asarray(values) for name, values in columns.items()}
        order = np.lexsort((-arrays["pt"], number))
        counts = np.bincount(number, minlength=events)
        return cls(offsets_of(counts), **{name: values[order] for name, values in arrays.items()})

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Ints:
        """The number of particles of each event, (E,)."""
        return np.diff(self.offsets)

    @property
    def event(self) -> Ints:
        """The event of each particle, (P,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def energy(self) -> Floats:
        """The energy of each, (P,) [GeV]."""
        return np.asarray(self.pt * np.cosh(self.eta))

    @property
    def mass(self) -> Floats:
        """The mass of each, 0, (P,) [GeV]."""
        return np.zeros(len(self.pt))

    def at(self, events: Any) -> Self:
        """Return some events: by a mask (E,), numbers (n,) or a slice."""
        found: Self = _events(self, events)
        return found

    def where(self, keep: Any) -> Self:
        """Return the particles of a mask (P,)."""
        counts = np.bincount(self.event[keep], minlength=len(self))
        columns = {k: v[keep] for k, v in vars(self).items() if k != "offsets"}
        return replace(self, offsets=offsets_of(counts), **columns)


@dataclass(frozen=True)
class Tracks:
    """Tracks of E events: momentum at the collision, and where they enter the calorimeter.

    `pt` [GeV], `eta`, `phi`, `error` (the relative one of pT), `face_eta`, `face_phi`, all (T,);
    `kind` (T,) int64, a charged one of `KINDS` as muon chambers and shower shapes are not asked:
    `MUON` where chambers have seen it, and `CHARGED` else.
    """

    offsets: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    error: Floats
    face_eta: Floats
    face_phi: Floats
    kind: Ints


@dataclass(frozen=True)
class Clusters:
    """Clusters of cells: `energy` (C,) [GeV] as calibrated to showers, `eta`, `phi` (C,).

    `hadronic` (C,) int64, 1 of the hadronic section and 0 of the electromagnetic one; `layers`
    (C, 3), the shares of the three layers of its section; `width` (C,), the root mean square of
    its cells in (eta, phi), and `cells` (C,) int64, their number.
    """

    offsets: Ints
    energy: Floats
    eta: Floats
    phi: Floats
    hadronic: Ints
    layers: Floats
    width: Floats
    cells: Ints


@dataclass(frozen=True)
class Towers:
    """Sums of cells in a grid of eta and phi: `electromagnetic`, `hadronic` (W,) [GeV]."""

    offsets: Ints
    eta: Floats
    phi: Floats
    electromagnetic: Floats
    hadronic: Floats


@dataclass(frozen=True)
class Incidence:
    """Which particle made what: truth of elements, by places in all events.

    `track` (T,) int64, the particle of each track, -1 of none; a particle left `energy` (S,) [GeV]
    in a cluster: `cluster`, `particle` (S,) int64, rising in the cluster.
    """

    track: Ints
    cluster: Ints
    particle: Ints
    energy: Floats


@dataclass(frozen=True)
class FlowEvents:
    """Events for particle flow: tracks, clusters and towers, and the truth where it is known.

    All have the same E events; `particles` and `incidence` are None without truth.
    """

    tracks: Tracks
    clusters: Clusters
    towers: Towers
    particles: FlowParticles | None = None
    incidence: Incidence | None = None

    def __len__(self) -> int:
        return len(self.tracks.offsets) - 1

    @property
    def truth(self) -> tuple[FlowParticles, Incidence]:
        """True particles and incidence; raises `InputError` where they are not known."""
        if self.particles is None or self.incidence is None:
            raise InputError(
                "the events have no true particles, which this needs; give particle_pt and the"
                " columns beside it, of a simulation."
            )
        return self.particles, self.incidence

    @property
    def track_event(self) -> Ints:
        """The event of each track, (T,)."""
        return event_of(self.tracks.offsets)

    @property
    def cluster_event(self) -> Ints:
        """The event of each cluster, (C,)."""
        return event_of(self.clusters.offsets)

    def at(self, events: Any) -> Self:
        """Return some events: by a mask (E,), numbers (n,) or a slice."""
        chosen = np.arange(len(self))[events]
        parts = {name: _events(getattr(self, name), chosen) for name in PARTS}
        if self.particles is None or self.incidence is None:
            return type(self)(**parts)
        particles = self.particles
        moved = parts["particles"] = _events(particles, chosen)
        tracks, _ = ranges(self.tracks.offsets, chosen)
        begins = np.searchsorted(self.incidence.cluster, self.clusters.offsets)
        share, starts = ranges(begins, chosen)
        of = np.repeat(np.arange(len(chosen)), np.diff(starts))
        shift = moved.offsets[:-1] - particles.offsets[chosen]
        gone = parts["clusters"].offsets[:-1] - self.clusters.offsets[chosen]
        owner = self.incidence.track[tracks]
        back = np.repeat(shift, np.diff(parts["tracks"].offsets))
        incidence = Incidence(
            np.where(owner >= 0, owner + back, -1),
            self.incidence.cluster[share] + gone[of],
            self.incidence.particle[share] + shift[of],
            self.incidence.energy[share],
        )
        return type(self)(**parts, incidence=incidence)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the events of all parts, one after another."""
        made: dict[str, Any] = {name: _joined([getattr(p, name) for p in parts]) for name in PARTS}
        if any(part.particles is None for part in parts):
            return cls(**made)
        truths = [part.truth for part in parts]
        made["particles"] = _joined([particles for particles, _ in truths])
        before = np.cumsum([0, *(len(p.pt) for p, _ in truths)])
        clusters = np.cumsum([0, *(len(part.clusters.energy) for part in parts)])
        each = [(i, p, c) for (_, i), p, c in zip(truths, before, clusters, strict=False)]
        made["incidence"] = Incidence(
            np.concatenate([np.where(i.track >= 0, i.track + p, -1) for i, p, _ in each]),
            np.concatenate([i.cluster + c for i, _, c in each]),
            np.concatenate([i.particle + p for i, p, _ in each]),
            np.concatenate([i.energy for i, _, _ in each]),
        )
        return cls(**made)

    def check(self, what: str = "the events") -> Self:
        """Return the events; raise `InputError`, beginning with `what`, for what is wrong.

        That is: no events, numbers that are not finite, momenta and energies that are not
        positive, and an incidence of particles that are not there.
        """
        if len(self) == 0:
            raise InputError(f"{what}: holds no events; check the selection and the file.")
        lists: dict[str, Any] = {name: getattr(self, name) for name in PARTS}
        if self.particles is not None:
            lists["particles"] = self.particles
        for name, table in lists.items():
            for column, values in vars(table).items():
                if column == "offsets":
                    continue
                fine = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
                if column in ("pt", "energy", "error"):
                    fine &= values > 0
                if not fine.all():
                    bad = int(np.argmin(fine))
                    event = int(np.searchsorted(table.offsets, bad, side="right")) - 1
                    raise InputError(
                        f"{what}: {column} of {name} is {np.ravel(values[bad])[0]:g} in event"
                        f" {event} (counted from 0); mend it or drop the event."
                    )
        if self.particles is not None and self.incidence is not None:
            owners = self.incidence.particle, self.incidence.track[self.incidence.track >= 0]
            elements = (
                self.cluster_event[self.incidence.cluster],
                self.track_event[self.incidence.track >= 0],
            )
            for owner, place in zip(owners, elements, strict=True):
                known = (owner >= 0) & (owner < len(self.particles.pt))
                if not known.all() or (self.particles.event[owner] != place).any():
                    raise InputError(
                        f"{what}: the incidence names a particle that its event does not have."
                    )
        return self


PARTS = ("tracks", "clusters", "towers")


def event_of(offsets: Ints) -> Ints:
    """Return the event of each row."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _events(table: Any, events: Any) -> Any:
    chosen = np.arange(len(table.offsets) - 1)[events]
    rows, offsets = ranges(table.offsets, chosen)
    columns = {name: v[rows] for name, v in vars(table).items() if name != "offsets"}
    return replace(table, offsets=offsets, **columns)


def _joined(tables: Sequence[Any]) -> Any:
    names = [name for name in vars(tables[0]) if name != "offsets"]
    counts = np.concatenate([np.diff(table.offsets) for table in tables])
    columns = {name: np.concatenate([getattr(t, name) for t in tables]) for name in names}
    return replace(tables[0], offsets=offsets_of(counts), **columns)
