"""Whole events as towers of the (eta, phi) plane, and the objects in them: jets, W bosons, tops."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.angles import turned
from colliderkit.events.calorimeter.hits import offsets_of, ranges
from colliderkit.events.tables import Floats, Ints

__all__ = ["CHANNELS", "KINDS", "EventObjects", "EventTowers"]

KINDS = ("jet", "W", "top")
CHANNELS = ("em", "had", "track")


@dataclass(frozen=True)
class _OfEvents:
    """Rows of N events, flat: those of event i are offsets[i] to offsets[i + 1]."""

    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def event(self) -> Ints:
        """The event of each row."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def at(self, events: Any) -> Self:
        """Return some events: by a mask (N,), numbers (n,) or a slice."""
        rows, offsets = ranges(self.offsets, np.arange(len(self))[events])
        return type(self)(offsets, *(getattr(self, f.name)[rows] for f in fields(self)[1:]))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the events of several samples, one after another."""
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        names = [f.name for f in fields(cls)[1:]]
        rest = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
        return cls(offsets_of(sizes), *rest)


@dataclass(frozen=True)
class EventTowers(_OfEvents):
    """Towers (T,) of N events, flat: those of event i are offsets[i] to offsets[i + 1].

    `eta`, `phi` [rad], and transverse energies [GeV], 0 or more: `em` and `had` of the calorimeter,
    `track` the sum of pT of tracks. A particle is a tower at its own place.
    """

    eta: Floats
    phi: Floats
    em: Floats
    had: Floats
    track: Floats

    def check(self, what: str = "the towers") -> Self:
        """Return these; raise `InputError` for other lengths, NaN, and a negative energy."""
        _check(self, what, self.offsets)
        for name in CHANNELS:
            low = getattr(self, name) < 0
            if low.any():
                event = int(self.event[int(np.argmax(low))])
                raise InputError(
                    f"{what}: {name} is negative in event {event} (counted from 0); leave such"
                    " towers out."
                )
        return self


@dataclass(frozen=True)
class EventObjects(_OfEvents):
    """Objects (J,) of N events, flat: true ones, or those that were found.

    - `offsets` (N + 1,): the objects of event i are offsets[i] to offsets[i + 1];
    - `pt`, `mass` [GeV], `eta`, `phi` [rad] (J,); `kind` (J,) int64, a place among `KINDS`;
    - `score` (J, 3): of each kind, between 0 and 1; of a true object 1 of its own.
    """

    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    kind: Ints
    score: Floats

    @classmethod
    def true(
        cls, offsets: Ints, pt: Floats, eta: Floats, phi: Floats, mass: Floats, kind: Ints
    ) -> Self:
        """Return true objects, whose scores are those of their kinds."""
        return cls(offsets, pt, eta, phi, mass, kind, np.eye(len(KINDS))[kind])

    @classmethod
    def none(cls, events: int) -> Self:
        """Return events without objects."""
        ends, empty = np.zeros(events + 1, dtype=np.int64), np.zeros(0)
        return cls.true(ends, empty, empty, empty, empty, empty.astype(np.int64))

    def where(self, keep: Any) -> Self:
        """Return the objects of a mask (J,), in the same events."""
        counts = np.bincount(self.event[keep], minlength=len(self))
        return type(self)(
            offsets_of(counts), *(getattr(self, f.name)[keep] for f in fields(self)[1:])
        )

    def rotated(self, angle: float) -> Self:
        """Return objects turned about the beams."""
        return replace(self, phi=turned(self.phi + angle))

    def check(self, what: str = "the objects") -> Self:
        """Return these; raise `InputError` for other lengths, NaN, no pT, or an unknown kind."""
        _check(self, what, self.offsets)
        if len(self.pt) and not (self.pt.min() > 0 and self.mass.min() >= 0):
            raise InputError(f"{what}: an object has no pT, or a negative mass; drop it.")
        if len(self.kind) and not (self.kind.min() >= 0 and self.kind.max() < len(KINDS)):
            raise InputError(
                f"{what}: a kind is not 0 to {len(KINDS) - 1} ({', '.join(KINDS)}); mend it."
            )
        return self


def _check(values: Any, what: str, offsets: Ints) -> None:
    for field in fields(values)[1:]:
        column = getattr(values, field.name)
        if len(column) != offsets[-1]:
            raise InputError(f"{what}: {field.name} has {len(column)} rows for {offsets[-1]}.")
        fine = np.isfinite(column) if column.ndim == 1 else np.isfinite(column).all(1)
        if not fine.all():
            bad = int(np.argmin(fine))
            event = int(np.searchsorted(offsets, bad, "right")) - 1
            raise InputError(
                f"{what}: {field.name} is {column[bad]} in event {event} (counted from 0); mend it"
                " or drop the event."
            )
