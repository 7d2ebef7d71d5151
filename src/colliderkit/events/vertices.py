"""Tracks along the beams and the vertices that they come from, of events with many collisions.

Events are as `colliderkit.events.pileup` describes them; of their particles those with a measured
``z0`` and ``z0_error`` [mm] above 0 are tracks. ``vertex_z`` [mm] are the places of all collisions,
where they are known, and ``vertex`` of a particle is a place in that list.
"""

from dataclasses import dataclass
from typing import Any, Self

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints

__all__ = ["Tracks", "Vertices", "true_vertices"]

LEAST = 0.5  # pT [GeV] of tracks that are used
TRACKS = 3  # of a true vertex that can be found


@dataclass(frozen=True)
class Tracks:
    """The tracks of N events, flat: P of them, one event after another.

    - `z` (P,), where a track passes the beams [mm], and its `error` (P,) [mm], above 0;
    - `vertex` (P,) int64, the true collision of each, -1 where it is not known; `counts` (N,).
    """

    z: Floats
    error: Floats
    vertex: Ints
    counts: Ints

    @classmethod
    def of(cls, events: ak.Array, what: str = "the events") -> Self:
        """Return the tracks of events with pT > 0.5 GeV; raise `InputError` for what is wrong.

        That is: no events, columns that are missing, numbers that are not finite.
        """
        if len(events) == 0:
            raise InputError(f"{what}: holds no events; check the selection and the file.")
        particles: Any = events["particles"] if "particles" in events.fields else None
        for name in ("z0", "z0_error", "pt"):
            if particles is None or name not in particles.fields:
                raise InputError(
                    f"{what}: particles have no column '{name}'; tracks need z0 and z0_error [mm]"
                    " and pt [GeV]."
                )
        used = (particles["z0_error"] > 0) & (particles["pt"] > LEAST)
        bad = ~(np.isfinite(particles["z0"]) & np.isfinite(particles["z0_error"]))
        if ak.any(bad, axis=None):
            event = int(ak.argmax(ak.any(bad, axis=1)))
            raise InputError(
                f"{what}: z0 or z0_error of a track is NaN or infinite in event {event} (counted"
                " from 0); mend it or drop the event."
            )
        tracks = particles[used]
        flat = {
            name: np.asarray(ak.to_numpy(ak.flatten(tracks[name])))
            for name in ("z0", "z0_error", *(x for x in ("vertex",) if x in tracks.fields))
        }
        z = flat["z0"].astype(np.float64)
        vertex = flat.get("vertex", np.full(len(z), -1)).astype(np.int64)
        counts = np.asarray(ak.to_numpy(ak.num(tracks)), dtype=np.int64)
        return cls(z, flat["z0_error"].astype(np.float64), vertex, counts)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def event(self) -> Ints:
        """The event of each track, (P,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def at(self, first: int, last: int) -> Self:
        """Return the events from `first` up to `last`."""
        edges = np.concatenate([[0], np.cumsum(self.counts)])
        part = slice(int(edges[first]), int(edges[last]))
        return type(self)(
            self.z[part], self.error[part], self.vertex[part], self.counts[first:last]
        )


@dataclass(frozen=True)
class Vertices:
    """Vertices of N events, flat and by rising z in each: V of them.

    - `z` (V,) [mm]; `strength` (V,), how sure one is of it: of true ones the number of tracks;
    - `error` (V,) [mm], what its tracks leave open of a true one; `counts` (N,).
    """

    z: Floats
    strength: Floats
    error: Floats
    counts: Ints

    @property
    def event(self) -> Ints:
        """The event of each vertex, (V,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Return the vertices of a mask (V,)."""
        counts = np.bincount(self.event[keep], minlength=len(self.counts))
        return type(self)(self.z[keep], self.strength[keep], self.error[keep], counts)


def true_vertices(events: ak.Array, tracks: Tracks) -> Vertices:
    """Return the collisions of `events` with three tracks or more, and how well these know z.

    Their error is (sum 1 / sigma_i^2)^(-1/2) of their tracks. Raises `InputError` where the events
    have no column ``vertex_z`` or a track is of a vertex that is not in it.
    """
    if "vertex_z" not in events.fields:
        raise InputError(
            "the events have no column 'vertex_z', the places [mm] of all true vertices."
        )
    number = np.asarray(ak.to_numpy(ak.num(events["vertex_z"])), dtype=np.int64)
    place = np.asarray(ak.to_numpy(ak.flatten(events["vertex_z"])), dtype=np.float64)
    first = np.cumsum(number) - number
    known = tracks.vertex >= 0
    event = tracks.event[known]
    beyond = tracks.vertex[known] >= number[event]
    if beyond.any():
        raise InputError(
            f"a track is of vertex {int(tracks.vertex[known][np.argmax(beyond)])} in event"
            f" {int(event[np.argmax(beyond)])} (counted from 0), and 'vertex_z' has fewer there."
        )
    key = first[event] + tracks.vertex[known]
    count = np.bincount(key, minlength=len(place))
    precision = np.bincount(key, tracks.error[known] ** -2.0, minlength=len(place))
    of = np.repeat(np.arange(len(number)), number)
    order = np.lexsort((place, of))
    found = Vertices(
        place[order],
        count[order].astype(np.float64),
        np.maximum(precision[order], 1e-12) ** -0.5,
        number,
    )
    return found.where(found.strength >= TRACKS)
