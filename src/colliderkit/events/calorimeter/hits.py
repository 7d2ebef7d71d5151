"""Calorimeter hits: the cells of events that were read out, with the share of each true particle.

A cell may hold energy of several particles. Its truth is what each of them left there, in GeV of
the cell's reading: fractions, of which a label (the largest) is only a part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints

__all__ = ["CalorimeterHits", "Clusters", "ranges"]


@dataclass(frozen=True)
class CalorimeterHits:
    """Cells that were read out in E events, and what true particles left in them.

    - `offsets` (E + 1,) int64: the hits of event i are offsets[i] to offsets[i + 1];
    - `position` (H, 3) float64, x, y and z [mm]; `energy` (H,) float64 [GeV], positive;
    - `particle_offsets` (E + 1,), alike of the P true particles, all 0 where there is no truth;
    - `particle_energy` (P,) [GeV], the energy with which each comes, and `pdg` (P,) int64;
    - `share_hit`, `share_particle` (S,) int64 and `share_energy` (S,) [GeV], positive: what a
      particle left in a hit, by their places in all events; rising in the hit;
    - `time` (H,) float64 [ps], when the hit was made less the flight of light to its depth, NaN of
      one that was not timed; None where none was.
    """

    offsets: Ints
    position: Floats
    energy: Floats
    particle_offsets: Ints
    particle_energy: Floats
    pdg: Ints
    share_hit: Ints
    share_particle: Ints
    share_energy: Floats
    time: Floats | None = None

    @classmethod
    def checked(
        cls,
        offsets: ArrayLike,
        position: ArrayLike,
        energy: ArrayLike,
        *,
        particle_offsets: ArrayLike | None = None,
        particle_energy: ArrayLike | None = None,
        pdg: ArrayLike | None = None,
        share_hit: ArrayLike | None = None,
        share_particle: ArrayLike | None = None,
        share_energy: ArrayLike | None = None,
        time: ArrayLike | None = None,
        what: str = "the hits",
    ) -> Self:
        """Return checked hits, without truth where none is given.

        Raises `InputError`, one sentence that begins with `what`, for offsets that do not rise to
        the number of hits, a position or time that is not finite (a time may be NaN), an energy
        that is not positive, and shares of hits or particles that are not of the same event.
        """
        ends = _offsets(offsets, what)
        places = np.asarray(position, dtype=np.float64).reshape(-1, 3)
        cells = np.asarray(energy, dtype=np.float64)
        if not len(places) == len(cells) == ends[-1]:
            raise InputError(
                f"{what}: has {len(places)} positions and {len(cells)} energies for {ends[-1]}"
                " hits; give one of each."
            )
        fine = np.isfinite(places).all(1)
        if not fine.all():
            raise InputError(
                f"{what}: {_where(int(np.argmin(fine)), ends)} has a position that is"
                f" {places[np.argmin(fine)].tolist()}; mend it or drop the hit."
            )
        fine = (cells > 0) & np.isfinite(cells)
        if not fine.all():
            raise InputError(
                f"{what}: {_where(int(np.argmin(fine)), ends)} has an energy of"
                f" {cells[np.argmin(fine)]:g} GeV; it must be positive, leave out cells without."
            )
        times = None if time is None else np.asarray(time, dtype=np.float64)
        if times is not None and (times.shape != cells.shape or np.isinf(times).any()):
            raise InputError(
                f"{what}: times are not one finite number of ps, or NaN, for each of {len(cells)}"
                " hits; mend them or leave them out."
            )
        none = np.zeros(0, dtype=np.int64)
        if particle_offsets is None:
            empty = np.zeros(0)
            truth = np.zeros_like(ends), empty, none, none, none, empty
            return cls(ends, places, cells, *truth, times)
        particles = _offsets(particle_offsets, f"{what}: the particles")
        if len(particles) != len(ends):
            raise InputError(
                f"{what}: has {len(particles) - 1} events of particles and {len(ends) - 1} of hits."
            )
        own = np.asarray(particle_energy if particle_energy is not None else [], np.float64)
        codes = none if pdg is None else np.asarray(pdg, dtype=np.int64)
        codes = codes if pdg is not None else np.zeros(len(own), dtype=np.int64)
        if not len(own) == len(codes) == particles[-1]:
            raise InputError(
                f"{what}: has {len(own)} energies and {len(codes)} kinds of {particles[-1]}"
                " particles; give one of each."
            )
        hit, particle = (
            none if given is None else np.asarray(given, dtype=np.int64)
            for given in (share_hit, share_particle)
        )
        left = np.asarray(share_energy if share_energy is not None else [], dtype=np.float64)
        if not len(hit) == len(particle) == len(left):
            raise InputError(f"{what}: its shares have different lengths; give three columns.")
        for numbers, count, kind in ((hit, len(cells), "hit"), (particle, len(own), "particle")):
            if len(numbers) and not (numbers.min() >= 0 and numbers.max() < count):
                raise InputError(f"{what}: a share is of a {kind} that does not exist.")
        if not (np.isfinite(left) & (left > 0)).all():
            raise InputError(f"{what}: a share of energy is not positive; leave it out.")
        apart = _event_of(ends)[hit] != _event_of(particles)[particle]
        if apart.any():
            raise InputError(
                f"{what}: {_where(int(hit[np.argmax(apart)]), ends)} has a share of a particle of"
                " another event."
            )
        order = np.argsort(hit, kind="stable")
        return cls(
            ends, places, cells, particles, own, codes, hit[order], particle[order], left[order],
            times,
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the events of all parts, one after another; times where all have them."""
        hits = np.cumsum([0, *(len(part.energy) for part in parts)])
        particles = np.cumsum([0, *(len(part.pdg) for part in parts)])
        times = [part.time for part in parts if part.time is not None]
        both = list(zip(parts, hits, particles, strict=False))
        return cls(
            np.concatenate([np.zeros(1, np.int64), *(p.offsets[1:] + h for p, h, _ in both)]),
            np.concatenate([p.position for p in parts]),
            np.concatenate([p.energy for p in parts]),
            np.concatenate(
                [np.zeros(1, np.int64), *(p.particle_offsets[1:] + q for p, _, q in both)]
            ),
            np.concatenate([p.particle_energy for p in parts]),
            np.concatenate([p.pdg for p in parts]),
            np.concatenate([p.share_hit + h for p, h, _ in both]),
            np.concatenate([p.share_particle + q for p, _, q in both]),
            np.concatenate([p.share_energy for p in parts]),
            None if len(times) < len(parts) else np.concatenate(times),
        )

    def check(self, what: str = "the hits") -> Self:
        """Return the hits as `checked` does; raise `InputError` for what is wrong."""
        return self.checked(**vars(self), what=what)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def known(self) -> bool:
        """Whether there is truth."""
        return len(self.pdg) > 0

    @property
    def counts(self) -> Ints:
        """The number of hits of each event, (E,)."""
        return np.diff(self.offsets)

    @property
    def event(self) -> Ints:
        """The event of each hit, (H,)."""
        return _event_of(self.offsets)

    @property
    def particle_event(self) -> Ints:
        """The event of each particle, (P,)."""
        return _event_of(self.particle_offsets)

    @property
    def deposit(self) -> Floats:
        """What each particle left in the hits of its event, (P,) [GeV]."""
        left = np.bincount(self.share_particle, self.share_energy, len(self.pdg))
        return np.asarray(left, dtype=np.float64)

    def at(self, events: Any) -> Self:
        """Return some events: by a mask (E,), numbers (n,) or a slice."""
        chosen = np.arange(len(self))[events]
        hit, offsets = ranges(self.offsets, chosen)
        particle, particle_offsets = ranges(self.particle_offsets, chosen)
        starts = np.searchsorted(self.share_hit, self.offsets)  # shares rise in the hit
        share, _ = ranges(starts, chosen)
        # Where a hit or a particle has gone, in the order in which the events were chosen.
        which = np.repeat(np.arange(len(chosen)), np.diff(starts)[chosen])
        moved = offsets[:-1][which] - self.offsets[chosen][which]
        brought = particle_offsets[:-1][which] - self.particle_offsets[chosen][which]
        return replace(
            self,
            offsets=offsets,
            position=self.position[hit],
            energy=self.energy[hit],
            particle_offsets=particle_offsets,
            particle_energy=self.particle_energy[particle],
            pdg=self.pdg[particle],
            share_hit=self.share_hit[share] + moved,
            share_particle=self.share_particle[share] + brought,
            share_energy=self.share_energy[share],
            time=None if self.time is None else self.time[hit],
        )

    def majority(self, least: float = 0.0) -> Ints:
        """Return the particle that left the most in each hit, by its place in its event, (H,).

        -1 where none did, or it is one of less than `least` [GeV] in all hits.
        """
        label = np.full(len(self.energy), -1)
        kept = self.deposit[self.share_particle] >= least
        hit, particle, left = (
            column[kept] for column in (self.share_hit, self.share_particle, self.share_energy)
        )
        order = np.lexsort((left, hit))  # of each hit the largest comes last, and stays
        label[hit[order]] = particle[order]
        seen = label >= 0
        label[seen] -= self.particle_offsets[self.event[seen]]
        return label


@dataclass(frozen=True)
class Clusters:
    """Clusters of the hits of E events.

    - `label` (H,) int64: the cluster of each hit, from 0 on in each event, -1 of none;
    - `offsets` (E + 1,) int64: the clusters of event i are offsets[i] to offsets[i + 1];
    - `energy` (C,) [GeV], corrected where the method does so, and `collected` (C,) [GeV], the sum
      of the hits; `position` (C, 3) [mm], their mean by energy.
    """

    label: Ints
    offsets: Ints
    energy: Floats
    collected: Floats
    position: Floats

    @classmethod
    def of(cls, hits: CalorimeterHits, label: ArrayLike, factor: ArrayLike | None = None) -> Self:
        """Return the clusters that labels (H,) make of hits; `factor` (C,) corrects energies."""
        labels = np.asarray(label, dtype=np.int64)
        if labels.shape != hits.energy.shape:
            raise InputError(f"{labels.shape} labels for {len(hits.energy)} hits; give one each.")
        counts = np.zeros(len(hits), dtype=np.int64)
        np.maximum.at(counts, hits.event, labels + 1)
        offsets = offsets_of(counts)
        inside = labels >= 0
        cluster = offsets[hits.event[inside]] + labels[inside]
        energy = hits.energy[inside]
        collected = np.asarray(np.bincount(cluster, energy, offsets[-1]), dtype=np.float64)
        position = np.stack(
            [
                np.bincount(cluster, energy * hits.position[inside, axis], offsets[-1])
                for axis in range(3)
            ],
            axis=1,
        ) / np.maximum(collected, 1e-30)[:, None]  # fmt: skip
        corrected = collected if factor is None else collected * np.asarray(factor, np.float64)
        return cls(labels, offsets, corrected, collected, position)

    def cluster(self, hits: CalorimeterHits) -> Ints:
        """Return the cluster of each hit by its place in all events, -1 of none, (H,)."""
        return np.where(self.label >= 0, self.offsets[hits.event] + self.label, -1)


def offsets_of(counts: ArrayLike) -> Ints:
    """Return where each event begins, (E + 1,), of the numbers (E,) of its rows."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(counts, dtype=np.int64))])


def ranges(offsets: NDArray[np.int64], chosen: NDArray[np.int64]) -> tuple[Ints, Ints]:
    """Return the rows offsets[c] to offsets[c + 1] of each c chosen, and where each c begins.

    >>> ranges(np.array([0, 2, 5, 6]), np.array([2, 0]))
    (array([5, 0, 1]), array([0, 1, 3]))
    """
    lengths = offsets[chosen + 1] - offsets[chosen]
    ends = np.cumsum(lengths)
    begins = np.concatenate([np.zeros(1, np.int64), ends])
    rows = np.arange(begins[-1]) + np.repeat(offsets[chosen] - begins[:-1], lengths)
    return rows, begins


def _offsets(offsets: ArrayLike, what: str) -> Ints:
    ends = np.asarray(offsets, dtype=np.int64)
    if ends.ndim != 1 or len(ends) < 1 or ends[0] != 0 or (np.diff(ends) < 0).any():
        raise InputError(f"{what}: the offsets of its events do not rise from 0.")
    return ends


def _event_of(offsets: Ints) -> Ints:
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _where(hit: int, offsets: Ints) -> str:
    event = int(np.searchsorted(offsets, hit, side="right")) - 1
    return f"hit {hit - offsets[event]} of event {event} (counted from 0)"
