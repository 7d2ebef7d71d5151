"""PUPPI: pileup per particle, a weight from what surrounds it of the leading vertex."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from colliderkit.events.pileup import TRACKER, Particles, medians, pairs
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.mitigation import Classical

__all__ = ["Puppi"]

LEAST = 0.01  # a smaller weight is none


class Puppi(Classical):
    """Weigh particles of no known vertex by how they stand out of the pileup (1407.6013).

    Of each particle

        alpha_i = ln sum_{j: least < dR_ij < radius} (pT_j / dR_ij)^2,

    over the charged particles of the leading vertex where the tracker sees, and over all particles
    beyond. Its distribution for pileup is that of the charged particles of other vertices (beyond
    the tracker of all): the median m, and s, the root mean square of the lower half about it. Then

        w_i = F_chi2(((alpha_i - m) / s)^2, 1) = erf((alpha_i - m) / (s sqrt 2)),

    and 0 for alpha_i below m or without a neighbour. A weight below 0.01 is none, and so is one for
    which w_i pT_i < offset + slope n, with n the vertices of the event; beyond the tracker both are
    `forward` times as large. Where there is no pileup to compare with, all is kept.

    Args:
        radius: within which neighbours count.
        least: nearer ones do not.
        offset: least weighted pT [GeV] without pileup.
        slope: what it rises by with each vertex [GeV].
        forward: both beyond the tracker, over those within.
        time_window: ps from the time of the hard collision (`Particles.delay`) beyond which a
            particle of no known vertex has no weight; None asks for no times.
        tune: choose `offset`, `slope` and `forward` on events with truth.
    """

    name: ClassVar[str] = "puppi"
    tuned: ClassVar[tuple[str, ...]] = ("offset", "slope", "forward")

    def __init__(
        self,
        *,
        radius: float = 0.4,
        least: float = 0.02,
        offset: float = 0.2,
        slope: float = 0.015,
        forward: float = 1.0,
        time_window: float | None = None,
        tune: bool = False,
    ) -> None:
        self.radius = radius
        self.least = least
        self.offset = offset
        self.slope = slope
        self.forward = forward
        self.time_window = time_window
        self.tune = tune

    def alpha(self, particles: Particles) -> Floats:
        """Return alpha (P,), -inf of a particle without a neighbour."""
        central = np.abs(particles.eta) < TRACKER
        every = np.ones(len(central), dtype=np.bool_)
        total = np.zeros(len(central))
        for targets, sources in ((central, particles.leading), (~central, every)):
            offsets, index, distance2 = pairs(particles, self.radius, targets, sources)
            owner = np.repeat(np.flatnonzero(targets), np.diff(offsets))
            far = distance2 > self.least**2
            terms = particles.pt[index[far]] ** 2 / distance2[far]
            total += np.bincount(owner[far], terms, minlength=len(total))
        with np.errstate(divide="ignore"):
            alpha: Floats = np.log(total)
        return alpha

    def _finished(self, particles: Particles, prepared: Floats) -> Floats:
        weight = prepared.copy()
        central = np.abs(particles.eta) < TRACKER
        least = self.settings_["offset"] + self.settings_["slope"] * particles.vertices
        needed = least[particles.event] * np.where(central, 1.0, self.settings_["forward"])
        weight[(weight < LEAST) | (weight * particles.pt < needed)] = 0.0
        return np.where(particles.known, particles.leading, weight).astype(np.float64)

    def _prepared(self, particles: Particles) -> Floats:
        """Return the weights (P,) before the cuts, of all particles."""
        alpha, count = self.alpha(particles), len(particles)
        central = np.abs(particles.eta) < TRACKER
        group = 2 * particles.event + ~central
        reference = np.where(central, particles.vertex > 0, ~particles.known)
        middle, spread = _lower_half(alpha, group, reference & np.isfinite(alpha), 2 * count)
        distance = (alpha - middle[group]) / np.maximum(spread[group], 1e-6)
        weight: Floats = erf(np.maximum(distance, 0) / np.sqrt(2))
        weight[np.isnan(middle)[group]] = 1.0
        weight[~np.isfinite(alpha) & ~np.isnan(middle)[group]] = 0.0
        return weight

    def _candidates(self) -> Sequence[Mapping[str, float]]:
        return [
            {"offset": offset, "slope": slope, "forward": forward}
            for offset in (0.0, 0.2, 0.5)
            for slope in (0.0, 0.005, 0.01, 0.015, 0.02, 0.03)
            for forward in (1.0, 2.0, 4.0)
        ]


def _lower_half(
    alpha: Floats, group: NDArray[np.int64], where: NDArray[np.bool_], count: int
) -> tuple[Floats, Floats]:
    """Return the median of alpha in each group, NaN of fewer than two, and the RMS below it."""
    middle, size = medians(alpha[where], group[where], count)
    middle[size < 2] = np.nan
    below = where & (alpha <= middle[group])
    squares = np.bincount(group[below], (alpha[below] - middle[group[below]]) ** 2, minlength=count)
    number = np.bincount(group[below], minlength=count)
    return middle, np.sqrt(squares / np.maximum(number, 1))
