"""Objects in a calorimeter: events of one or two particles with their cells, a track, and a mass.

What is reconstructed from raw data: which particles an event is, their energy, the mass of two, and
which part of each cell is neutral.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.library import PDG
from colliderkit.events.tables import Floats, Ints

__all__ = ["CalorimeterObjects", "kinds_of"]

NAMES = {code: name for name, code in PDG.items()}


@dataclass(frozen=True)
class CalorimeterObjects:
    """E events: cells that were read out, with their truth, and the track that points to them.

    - `hits` of the events;
    - `track` (E, 3): x and y [mm] where it enters the calorimeter and its momentum [GeV], which is
      0 where there is no track: its place then says nothing;
    - `mass` (E,) [GeV] of the particles together, NaN where it is not known, or there is one alone.
    """

    hits: CalorimeterHits
    track: Floats
    mass: Floats

    @classmethod
    def checked(
        cls,
        hits: CalorimeterHits,
        track: ArrayLike,
        mass: ArrayLike | None = None,
    ) -> Self:
        """Return checked objects, without masses where none are given.

        Raises `InputError` as `CalorimeterHits.checked` does, for tracks and masses that are not
        one an event or not finite, for momenta and masses below 0, and for a track that enters
        farther beside all hits than these are wide.
        """
        hits = hits.check()
        count = len(hits)
        tracks = np.asarray(track, dtype=np.float64)
        if tracks.shape != (count, 3):
            raise InputError(
                f"tracks of the shape {tracks.shape} for {count} events; give x, y and momentum of"
                " each, the momentum 0 where there is no track."
            )
        masses = np.full(count, np.nan) if mass is None else np.asarray(mass, dtype=np.float64)
        if masses.shape != (count,):
            raise InputError(f"{len(masses)} masses for {count} events; give one each, or NaN.")
        for what, fine in (
            ("a track that is not finite", np.isfinite(tracks).all(1)),
            ("a track with a momentum below 0", tracks[:, 2] >= 0),
            ("a mass that is not positive", np.isnan(masses) | (masses > 0) & (masses < np.inf)),
        ):
            if not fine.all():
                bad = int(np.argmin(fine))
                raise InputError(
                    f"event {bad} (counted from 0) has {what}: {tracks[bad].tolist()} [mm, mm,"
                    f" GeV] and {masses[bad]:g} GeV; mend it or drop the event."
                )
        seen = tracks[:, 2] > 0
        if len(hits.position) and seen.any():
            low, high = hits.position[:, :2].min(0), hits.position[:, :2].max(0)
            room = np.maximum(high - low, 1.0)
            off = ((tracks[:, :2] < low - room) | (tracks[:, :2] > high + room)).any(1) & seen
            if off.any():
                bad = int(np.argmax(off))
                raise InputError(
                    f"the track of event {bad} (counted from 0) enters at x, y ="
                    f" {tracks[bad, :2].tolist()} mm, far outside of the hits, which lie between"
                    f" {low.tolist()} and {high.tolist()} mm; give the place where it enters, in"
                    " mm."
                )
        return cls(hits, tracks, masses)

    def __len__(self) -> int:
        return len(self.hits)

    def at(self, events: Any) -> Self:
        """Return some events: by a mask (E,), numbers (n,) or a slice."""
        return replace(
            self, hits=self.hits.at(events), track=self.track[events], mass=self.mass[events]
        )

    @property
    def energy(self) -> Floats:
        """The energy of all true particles of each event, (E,) [GeV]."""
        total = np.bincount(self.hits.particle_event, self.hits.particle_energy, len(self))
        return np.asarray(total, dtype=np.float64)

    @property
    def seen(self) -> Floats:
        """The sum of the cells of each event, (E,) [GeV]."""
        return np.asarray(np.bincount(self.hits.event, self.hits.energy, len(self)), np.float64)


def kinds_of(hits: CalorimeterHits) -> tuple[tuple[str, ...], Ints]:
    """Return the kinds of events, by the names of their particles, and that of each event (E,).

    A photon and a pi+ are "gamma pi+": names in their order. Kinds are sorted.
    """
    codes, name = np.unique(hits.pdg, return_inverse=True)
    names = np.array([NAMES.get(code, f"pdg{code}") for code in codes.tolist()], dtype=object)
    rank = np.argsort(np.argsort(names.astype(str), kind="stable"), kind="stable")
    names = np.sort(names.astype(str))
    counts = np.diff(hits.particle_offsets)
    table = np.full((len(hits), int(counts.max(initial=0))), -1)
    event = hits.particle_event
    order = np.lexsort((rank[name], event)) if len(name) else np.zeros(0, dtype=np.int64)
    column = np.arange(len(order)) - hits.particle_offsets[event]
    table[event, column] = rank[name][order]
    rows, kind = np.unique(table, axis=0, return_inverse=True)
    labels = [" ".join(names[row[row >= 0]]) or "nothing" for row in rows]
    sort = np.argsort(labels, kind="stable")
    back = np.empty(len(sort), dtype=np.int64)
    back[sort] = np.arange(len(sort))
    return tuple(labels[i] for i in sort), back[kind.reshape(-1)]
