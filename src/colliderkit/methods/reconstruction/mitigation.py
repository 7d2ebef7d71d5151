"""Base of pileup mitigation: events in, a weight for each particle out."""

import itertools
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.pileup import Grid, Particles
from colliderkit.events.tables import Floats
from colliderkit.methods.method import Method

__all__ = ["AT_ONCE", "Classical", "Mitigation", "cell_error"]

AT_ONCE = 200_000  # particles that are worked on together
JUDGED = Grid(0.8, 4.0)  # cells about as large as a jet


class Mitigation(Method):
    """Remove pileup: give each particle a weight, by which its momentum is multiplied.

    A particle that is known to be of the leading vertex has weight 1, one of another vertex 0
    (charged-hadron subtraction); what is of no known vertex is up to the method, between 0 and 1.
    Events are as `colliderkit.events.pileup` describes them.
    """

    def weights(self, events: ak.Array) -> ak.Array:
        """Return the weight of each particle, ``N * var * float64``; raise `InputError`."""
        self.seed_  # noqa: B018  says that nothing is fitted, before anything is read
        particles = Particles.of(events)
        found = [self._weights(part) for part in _pieces(particles)]
        return particles.jagged(np.concatenate(found))

    @abstractmethod
    def _weights(self, particles: Particles) -> Floats:
        """Return the weights (P,) of some events."""


class Classical(Mitigation):
    """Mitigation by a formula with a few parameters, as given or tuned on events with truth.

    A subclass lists in `_candidates` the values that are tried where `tune` is set; the one with
    the least `cell_error` is taken. One with a `time_window` [ps] drops particles of no known
    vertex that are farther from the time of the hard collision.

    After `fit`: `settings_`, the parameters that are used, and `tried_`, what was tried with its
    error, one after another.
    """

    tuned: ClassVar[tuple[str, ...]] = ()  # the parameters that `_candidates` gives values of

    tune: bool
    settings_: dict[str, float]
    tried_: list[dict[str, float]]

    def fit(
        self,
        events: ak.Array,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Take the parameters as given, or tune them on events with truth; return self.

        Raises `InputError` as `Particles.of` does, for weights, and where there is no truth to
        tune by.
        """
        self._begin(seed=seed, folder=folder, resume=resume, events=events)
        if weight is not None:
            raise InputError(
                "a formula has nothing that weights of events could change; leave weight out."
            )
        particles = Particles.of(events)
        given = {name: float(getattr(self, name)) for name in self.tuned}
        self.settings_, self.tried_ = given, []
        if not getattr(self, "tune", False):
            return self
        particles.needed_truth()
        candidates = [{**given, **candidate} for candidate in self._candidates()]
        squares = np.zeros(len(candidates))
        for part in _pieces(particles):
            prepared = self._prepared(part)
            for i, self.settings_ in enumerate(candidates):
                weight = self._in_time(part, self._finished(part, prepared))
                squares[i] += cell_error(part, weight).sum()
        errors = np.sqrt(squares / len(particles))
        self.tried_ = [
            {**candidate, "error": float(error)}
            for candidate, error in zip(candidates, errors, strict=True)
        ]
        self.settings_ = candidates[int(np.argmin(errors))]
        return self

    def _weights(self, particles: Particles) -> Floats:
        return self._in_time(particles, self._finished(particles, self._prepared(particles)))

    def _in_time(self, particles: Particles, weight: Floats) -> Floats:
        """Return the weights (P,), 0 of no known vertex outside the window; a NaN is inside."""
        window = getattr(self, "time_window", None)
        if window is None:
            return weight
        if particles.time is None:
            raise InputError(
                "time_window is a cut on the times of particles, and the events have no column"
                " 'time'; leave it out, or give events with times."
            )
        late = ~particles.known & (np.abs(particles.delay) > window)
        return np.where(late, 0.0, weight)

    def _prepared(self, particles: Particles) -> Floats:
        """Return numbers (P,) that no tuned parameter changes, computed once for all of them."""
        return particles.pt

    @abstractmethod
    def _finished(self, particles: Particles, prepared: Floats) -> Floats:
        """Return the weights (P,) from these numbers, with `settings_`."""

    def _candidates(self) -> Sequence[Mapping[str, float]]:
        return ()


def cell_error(particles: Particles, weight: Floats) -> Floats:
    """Return the mean square of sum_i (w_i - truth_i) pT_i over cells of .8 x .8, (N,) [GeV^2].

    It needs no jets, and falls where those of the weighted particles come nearer to the true ones
    and the missing momentum with them.
    """
    away = (weight - particles.needed_truth()) * particles.pt
    mean: Floats = (JUDGED.sums(particles, away) ** 2).mean(1)
    return mean


def _pieces(particles: Particles) -> Iterator[Particles]:
    """Yield events in pieces of some particles each."""
    piece = np.cumsum(particles.counts) // AT_ONCE
    edges = [*np.unique(piece, return_index=True)[1].tolist(), len(particles)]
    for first, last in itertools.pairwise(edges):
        yield particles.at(first, last)
