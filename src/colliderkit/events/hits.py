"""Hits of a tracker, the particles that made them, and what a track is: labels of hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints

__all__ = ["Particles", "TrackerHits", "joined", "offsets_of", "rows_of"]

NOISE = 0  # the particle of a hit that none has made
LARGEST = 25e3  # mm: no tracker is larger, and one in micrometres would be


@dataclass(frozen=True)
class Particles:
    """Charged particles of N events, flat: of event n the rows offsets[n] to offsets[n+1].

    - `id` (P,) int64, above 0 and unique in an event: what `TrackerHits.particle` names;
    - `px`, `py`, `pz` (P,) in GeV and `vx`, `vy`, `vz` (P,) in mm, where they are born;
    - `charge` (P,) in e, `primary` (P,): whether from a collision, and not of a decay or of matter;
    - `vertex` (P,) int64, the collision that they are of, or None.
    """

    offsets: Ints
    id: Ints
    px: Floats
    py: Floats
    pz: Floats
    vx: Floats
    vy: Floats
    vz: Floats
    charge: Floats
    primary: NDArray[np.bool_]
    vertex: Ints | None = None

    @property
    def event(self) -> Ints:
        """The event (P,) of each, counted from 0."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def pt(self) -> Floats:
        """Transverse momenta (P,) in GeV."""
        return np.hypot(self.px, self.py)

    @property
    def eta(self) -> Floats:
        """Pseudorapidities (P,); infinite along the beam."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.arcsinh(self.pz / self.pt)

    @property
    def phi(self) -> Floats:
        """Azimuths (P,) in radian."""
        return np.arctan2(self.py, self.px)


@dataclass(frozen=True)
class TrackerHits:
    """Hits of N events in a tracker, flat: of event n the rows offsets[n] to offsets[n+1].

    - `x`, `y`, `z` (H,) float64 in mm, the beam along z;
    - `volume`, `layer`, `module` (H,) int64: where, by the numbers of the geometry;
    - `id` (H,) int64, unique in an event; `number` (N,) int64, what the events are called;
    - `particle` (H,) int64, who made them, 0 for noise, or None where no truth is known;
    - `particles`: those by their ids, or None;
    - `weight` (H,): of the TrackML score, or None.

    A track is a label: ``tracks (H,)`` int64, equal for the hits of one track of an event, 0 for
    hits of none.
    """

    offsets: Ints
    x: Floats
    y: Floats
    z: Floats
    volume: Ints
    layer: Ints
    module: Ints
    id: Ints
    number: Ints
    particle: Ints | None = None
    particles: Particles | None = None
    weight: Floats | None = None

    @classmethod
    def checked(
        cls,
        event: ArrayLike,
        x: ArrayLike,
        y: ArrayLike,
        z: ArrayLike,
        *,
        volume: ArrayLike | None = None,
        layer: ArrayLike | None = None,
        module: ArrayLike | None = None,
        id: ArrayLike | None = None,
        particle: ArrayLike | None = None,
        particles: Mapping[str, ArrayLike] | None = None,
        weight: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
        what: str = "the hits",
    ) -> Self:
        """Return hits (H,) of events by their number `event` (H,), in any order.

        `numbers` are those of all events, in order, where some have no hits. `particles` has
        columns (P,) named as the attributes of `Particles`, with `event`; `charge` is 1, `primary`
        true and what is born of the origin where they are not given.

        Raises `InputError` for positions that are not finite, radii as of other units (no hit
        beyond 10 cm: cm in place of mm; some beyond 25 m: micrometres), an id that is there
        twice, and a hit of a particle that is not among the particles.
        """
        of = np.asarray(event, dtype=np.int64)
        names = np.unique(of) if numbers is None else np.asarray(numbers, dtype=np.int64)
        position = {"x": x, "y": y, "z": z}
        columns: dict[str, NDArray[Any]] = {
            name: np.asarray(values, dtype=np.float64) for name, values in position.items()
        }
        count = len(of)
        labels = {"volume": volume, "layer": layer, "module": module, "id": id}
        for name, values in labels.items():
            if values is None and name == "id":
                columns[name] = np.arange(count)
            else:
                columns[name] = np.zeros(count) if values is None else np.asarray(values)
        if particle is not None:
            columns["particle"] = np.asarray(particle)
        if weight is not None:
            columns["weight"] = np.asarray(weight, dtype=np.float64)
        for name, values in columns.items():
            if values.shape != (count,):
                raise InputError(f"{what}: {name} has shape {values.shape} for {count} hits.")
        which = np.searchsorted(names, of)
        if (np.diff(which) < 0).any():
            order = np.argsort(which, kind="stable")
            columns = {name: values[order] for name, values in columns.items()}
            which = which[order]
        for name in position:
            if (bad := ~np.isfinite(columns[name])).any():
                row = int(np.argmax(bad))
                raise InputError(
                    f"{what}: {name} is {columns[name][row]} in hit {columns['id'][row]} of event"
                    f" {names[which[row]]}, and is to be finite; mend it or leave the hit out."
                )
        check_units(columns["x"], columns["y"], columns["z"], what)
        for name in (*labels, "particle"):
            if name in columns:
                columns[name] = columns[name].astype(np.int64)
        offsets = offsets_of(which, len(names))
        pairs = np.lexsort((columns["id"], which))
        twice = (np.diff(which[pairs]) == 0) & (np.diff(columns["id"][pairs]) == 0)
        if twice.any():
            row = pairs[int(np.argmax(twice))]
            raise InputError(
                f"{what}: hit {columns['id'][row]} of event {names[which[row]]} is there twice;"
                " keep one, or give each event its own number."
            )
        made = None if particles is None else _particles(particles, names, what)
        hits = cls(offsets, number=names, particles=made, **columns)
        if made is not None and hits.particle is not None:
            lost = (hits.particle != NOISE) & (hits.particle_rows() < 0)
            if lost.any():
                row = int(np.argmax(lost))
                raise InputError(
                    f"{what}: hit {hits.id[row]} of event {names[which[row]]} is of particle"
                    f" {hits.particle[row]}, which is not among the event's particles"
                    f" ({int(lost.sum())} such hits); give all particles, or 0 for noise."
                )
        return hits

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def event(self) -> Ints:
        """The event (H,) of each hit, counted from 0."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def r(self) -> Floats:
        """Distances (H,) from the beam in mm."""
        return np.hypot(self.x, self.y)

    @property
    def surface(self) -> Ints:
        """One number (H,) for volume and layer: hits of one layer have the same."""
        surface: Ints = self.volume * 65_536 + self.layer
        return surface

    def at(self, rows: Any) -> Self:
        """Return some of the events: a mask (N,), numbers (n,) or a slice."""
        chosen = np.arange(len(self))[rows]
        offsets, where = rows_of(self.offsets, chosen)
        part = {
            f.name: getattr(self, f.name)[where]
            for f in fields(self)
            if f.name not in ("offsets", "number", "particles")
            and getattr(self, f.name) is not None
        }
        made = self.particles
        if made is not None:
            begins, which = rows_of(made.offsets, chosen)
            rest = {
                f.name: getattr(made, f.name)[which]
                for f in fields(made)
                if f.name != "offsets" and getattr(made, f.name) is not None
            }
            made = replace(made, offsets=begins, **rest)
        return replace(self, offsets=offsets, number=self.number[chosen], particles=made, **part)

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Return the hits where `keep` (H,) is true; all events and particles stay."""
        part = {
            f.name: getattr(self, f.name)[keep]
            for f in fields(self)
            if f.name not in ("offsets", "number", "particles")
            and getattr(self, f.name) is not None
        }
        return replace(self, offsets=offsets_of(self.event[keep], len(self)), **part)

    def overlaid(self, count: int) -> Self:
        """Return events made of `count` each, one upon another; what is left over is dropped.

        Particles and hits are numbered anew: id times `count`, plus the place of their event.
        """
        whole = len(self) // count
        used = self.at(slice(0, whole * count))
        ends = slice(None, None, count)
        part: dict[str, Any] = {"id": used.id * count + used.event % count}
        if used.particle is not None:
            own = used.particle * count + used.event % count
            part["particle"] = np.where(used.particle == NOISE, NOISE, own)
        made = used.particles
        if made is not None:
            again = made.id * count + made.event % count
            made = replace(made, id=again, offsets=made.offsets[ends])
        offsets, number = used.offsets[ends], used.number[ends][:whole]
        return replace(used, offsets=offsets, number=number, particles=made, **part)

    def particle_rows(self) -> Ints:
        """Return the row (H,) of each hit's particle in `particles`, -1 for noise and unknown."""
        assert self.particle is not None
        assert self.particles is not None
        made = self.particles
        if not len(made.id):
            return np.full(len(self.x), -1)
        # Two keys at once: the rank of the id among all, and the event.
        ids = np.unique(made.id)
        key = made.event * len(ids) + np.searchsorted(ids, made.id)
        order = np.argsort(key, kind="stable")
        rank = np.minimum(np.searchsorted(ids, self.particle), len(ids) - 1)
        wanted = self.event * len(ids) + rank
        place = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
        found = (key[order][place] == wanted) & (ids[rank] == self.particle)
        return np.where(found, order[place], -1)

    def truth(self, verb: str) -> Ints:
        """Return `particle` (H,); raise `InputError` where it is not known, and `verb` needs it."""
        if self.particle is None:
            raise InputError(
                f"the hits do not say which particle has made them, and {verb} needs it; give files"
                " with truth, or apply, which needs none."
            )
        return self.particle


def offsets_of(event: Ints, count: int) -> Ints:
    """Return where the rows of `count` events begin, and the last end; `event` (H,) rises."""
    return np.concatenate([[0], np.cumsum(np.bincount(event, minlength=count))]).astype(np.int64)


def rows_of(offsets: Ints, events: Ints) -> tuple[Ints, Ints]:
    """Return offsets of some events, and the rows (h,) that they have."""
    sizes = np.diff(offsets)[events]
    begins = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return begins, np.repeat(offsets[events] - begins[:-1], sizes) + np.arange(begins[-1])


def joined(parts: Sequence[TrackerHits]) -> TrackerHits:
    """Return the events of several samples, one after another, numbered as they are."""
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("x", "y", "z", "volume", "layer", "module", "id", "number")
    }
    for name in ("particle", "weight"):
        if all(getattr(part, name) is not None for part in parts):
            columns[name] = np.concatenate([getattr(part, name) for part in parts])
    made = [part.particles for part in parts]
    known = [m for m in made if m is not None]
    if len(known) == len(parts):
        names = [
            f
            for f in ("id", "px", "py", "pz", "vx", "vy", "vz", "charge", "primary", "vertex")
            if _has(known, f)
        ]
        own: dict[str, Any] = {n: np.concatenate([getattr(m, n) for m in known]) for n in names}
        columns["particles"] = Particles(offsets=_offsets(known), **own)
    return TrackerHits(offsets=_offsets(parts), **columns)


def _has(parts: Sequence[Any], name: str) -> bool:
    return all(getattr(part, name) is not None for part in parts)


def _offsets(parts: Sequence[Any]) -> Ints:
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def check_units(x: Floats, y: Floats, z: Floats, what: str) -> None:
    """Raise `InputError` where hits lie as those of no tracker in mm do."""
    if len(x) < 3:
        return
    largest = float(max(np.hypot(x, y).max(), np.abs(z).max()))
    if largest > LARGEST:
        raise InputError(
            f"{what}: a hit is {largest / 1e3:.4g} m from the centre, if it is in mm; give"
            " positions in mm (are they in micrometres?)."
        )
    innermost, outermost = float(np.hypot(x, y).min()), float(np.hypot(x, y).max())
    # Beam pipes are of 20 mm and more: in cm the first layer would lie inside of one.
    if innermost < 10 and outermost < 130:
        raise InputError(
            f"{what}: hits lie from {innermost:.3g} to {outermost:.3g} mm from the beam, where"
            " no tracker has them; give positions in mm (are they in cm or m?)."
        )


def _particles(columns: Mapping[str, ArrayLike], names: Ints, what: str) -> Particles:
    """Return particles in the order of their events."""
    given = {name: np.asarray(values) for name, values in columns.items()}
    of = given["event"].astype(np.int64)
    which = np.minimum(np.searchsorted(names, of), len(names) - 1)
    known = names[which] == of if len(names) else np.zeros(len(of), dtype=bool)
    count = len(of)
    given.setdefault("charge", np.ones(count))
    given.setdefault("primary", np.ones(count, dtype=bool))
    for name in ("vx", "vy", "vz"):
        given.setdefault(name, np.zeros(count))
    order = np.flatnonzero(known)[np.argsort(which[known], kind="stable")]
    which = which[order]
    made: dict[str, Any] = {"offsets": offsets_of(which, len(names))}
    for field in fields(Particles):
        if field.name == "offsets" or field.name not in given:
            continue
        values = given[field.name][order]
        if field.name in ("id", "vertex"):
            made[field.name] = values.astype(np.int64)
        elif field.name == "primary":
            made[field.name] = values.astype(bool)
        else:
            made[field.name] = values.astype(np.float64)
            if (bad := ~np.isfinite(made[field.name])).any():
                row = int(np.argmax(bad))
                raise InputError(
                    f"{what}: {field.name} is {values[row]} for particle"
                    f" {given['id'][order][row]} of event {names[which[row]]}; mend it."
                )
    pairs = np.lexsort((made["id"], which))
    twice = (np.diff(which[pairs]) == 0) & (np.diff(made["id"][pairs]) == 0)
    if twice.any():
        row = pairs[int(np.argmax(twice))]
        raise InputError(
            f"{what}: particle {made['id'][row]} of event {names[which[row]]} is there twice;"
            " keep one."
        )
    return Particles(**made)
