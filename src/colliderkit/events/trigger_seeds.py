"""Seeds of a trigger: windows of calorimeter towers, and the towers and raw pixel hits around them.

No track is fitted and no cluster made: a seed has towers, as a first trigger level reads them, and
hits of the pixel barrel, as polar coordinates about its axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numba import njit

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import offsets_of, ranges
from colliderkit.events.tables import Floats, Ints

__all__ = ["CLASSES", "LAYERS", "TriggerSeeds", "triplets"]

CLASSES = ("light", "b", "boosted", "W")
LAYERS = 4  # of the pixel barrel
TURN = (
    0.035  # radian between the first two hits of a triplet: 0.7 GeV in 2 T, and a decay in flight
)
BEND = 0.02  # radian that the third may be off the line of the first two
ALONG = 0.6  # mm that it may be off along the beam, at no slope
BEAM = 180.0  # mm, from where on the beam a triplet may come
MOST = 100  # triplets of a seed


@dataclass(frozen=True)
class TriggerSeeds:
    """Seeds (S,) of N events, flat, by falling pT in each event.

    - `offsets` (N + 1,): the seeds of event i are offsets[i] to offsets[i + 1];
    - `pt` [GeV], `eta`, `phi` (S,) of the window; `label` (S,) int64, a place among `CLASSES`, -1
      where it is not known;
    - `weight` (N,): of events of a rate, `true_pt` (N,) [GeV] of the leading heavy quark within the
      acceptance, NaN where there is none;
    - towers of seed s, `tower_offsets` (S + 1,) [s] to [s + 1]: `deta`, `dphi` from the axis, and
      `em`, `had` [GeV], transverse;
    - hits alike, `hit_offsets` (S + 1,): `layer` int64 from 0, `dphi` in azimuth from the axis, `r`
      and `z` [mm].
    """

    offsets: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    label: Ints
    weight: Floats
    true_pt: Floats
    tower_offsets: Ints
    tower_deta: Floats
    tower_dphi: Floats
    tower_em: Floats
    tower_had: Floats
    hit_offsets: Ints
    hit_layer: Ints
    hit_r: Floats
    hit_dphi: Floats
    hit_z: Floats

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def event(self) -> Ints:
        """The event of each seed, (S,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def leading(self) -> Floats:
        """The pT of the first seed of each event, (N,) [GeV]; 0 without one."""
        return self.most(self.pt, 0.0)

    def most(self, values: Floats, nothing: float = -np.inf) -> Floats:
        """Return the largest of values (S,) in each event, (N,)."""
        found = np.full(len(self), nothing)
        np.maximum.at(found, self.event, values)
        return found

    def at(self, events: Any) -> Self:
        """Return some events: by a mask (N,), numbers (n,) or a slice."""
        chosen = np.arange(len(self))[events]
        seeds, offsets = ranges(self.offsets, chosen)
        towers, tower_offsets = ranges(self.tower_offsets, seeds)
        hits, hit_offsets = ranges(self.hit_offsets, seeds)
        rows = {"tower": towers, "hit": hits}
        new: dict[str, Any] = {}
        for field in fields(self):
            name = field.name
            kind = name.split("_")[0]
            if name in ("weight", "true_pt"):
                new[name] = getattr(self, name)[chosen]
            elif not name.endswith("offsets"):
                new[name] = getattr(self, name)[rows.get(kind, seeds)]
        return replace(
            self, offsets=offsets, tower_offsets=tower_offsets, hit_offsets=hit_offsets, **new
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the events of several samples, one after another."""
        new: dict[str, Any] = {}
        for field in fields(cls):
            columns = [getattr(part, field.name) for part in parts]
            if field.name.endswith("offsets"):
                sizes = np.concatenate([np.diff(column) for column in columns])
                new[field.name] = offsets_of(sizes)
            else:
                new[field.name] = np.concatenate(columns)
        return cls(**new)

    def check(self, what: str = "the seeds") -> Self:
        """Return these; raise `InputError` for columns of other lengths, and NaN or infinity."""
        own = np.arange(len(self.pt) + 1)
        for ends, names in (
            (self.tower_offsets, ("tower_deta", "tower_dphi", "tower_em", "tower_had")),
            (self.hit_offsets, ("hit_layer", "hit_r", "hit_dphi", "hit_z")),
            (own, ("pt", "eta", "phi", "label")),
        ):
            for name in names:
                column = getattr(self, name)
                if len(column) != ends[-1]:
                    raise InputError(f"{what}: {name} has {len(column)} rows for {ends[-1]}.")
                if not np.isfinite(column).all():
                    bad = int(np.argmin(np.isfinite(column)))
                    seed = int(np.searchsorted(ends, bad, "right")) - 1
                    event = int(np.searchsorted(self.offsets, seed, "right")) - 1
                    raise InputError(
                        f"{what}: {name} is {column[bad]} in event {event} (counted from 0); mend"
                        " it or drop the event."
                    )
        if len(self.hit_layer) and not (
            self.hit_layer.min() >= 0 and self.hit_layer.max() < LAYERS and self.hit_r.min() > 0
        ):
            raise InputError(
                f"{what}: a hit has a layer that is not 0 to {LAYERS - 1}, or a radius that is not"
                " positive."
            )
        if not (self.pt > 0).all():
            raise InputError(f"{what}: a seed has no transverse momentum; drop it.")
        return self


def triplets(seeds: TriggerSeeds) -> tuple[Ints, Floats]:
    """Return triplets of hits of the three inner layers that may be of one particle.

    Offsets (S + 1,) of the seeds, and (T, 6): the azimuths of the three hits from the axis of the
    seed [rad], and z / r of each. They are raw coordinates; windows alone say which go together: in
    azimuth those of 0.7 GeV and of decays in flight, along the beam a straight line. Of a seed 100
    are kept at most.
    """
    counts = np.diff(seeds.hit_offsets)
    out = np.empty((len(counts) * MOST, 6))
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    made = _triplets(
        seeds.hit_offsets, seeds.hit_layer, seeds.hit_r, seeds.hit_dphi, seeds.hit_z, offsets, out
    )
    return offsets, out[:made].copy()


@njit(cache=True)
def _triplets(
    ends: Ints, layer: Ints, r: Floats, phi: Floats, z: Floats, offsets: Ints, out: Floats
) -> int:
    made = 0
    for seed in range(len(ends) - 1):
        first = made
        low, high = ends[seed], ends[seed + 1]
        for a in range(low, high):
            if layer[a] != 0:
                continue
            for b in range(low, high):
                if layer[b] != 1 or abs(phi[b] - phi[a]) > TURN:
                    continue
                slope = (z[b] - z[a]) / (r[b] - r[a])
                if abs(z[a] - slope * r[a]) > BEAM:
                    continue
                for c in range(low, high):
                    if layer[c] != 2 or made - first >= MOST:
                        continue
                    # The azimuth of a helix from the beam is linear in the radius.
                    step = (phi[b] - phi[a]) / (r[b] - r[a]) * (r[c] - r[b])
                    off = z[c] - z[b] - slope * (r[c] - r[b])
                    room = ALONG * (1 + abs(slope))
                    if abs(phi[c] - phi[b] - step) > BEND or abs(off) > room:
                        continue
                    for k, hit in enumerate((a, b, c)):
                        out[made, k] = phi[hit]
                        out[made, 3 + k] = z[hit] / r[hit]
                    made += 1
        offsets[seed + 1] = made
    return made
