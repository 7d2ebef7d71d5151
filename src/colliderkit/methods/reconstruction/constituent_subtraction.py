"""Constituent subtraction: take the density of the pileup off the particles that are nearest."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from colliderkit.events.pileup import Grid, Particles, pairs
from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.reconstruction.mitigation import Classical

__all__ = ["ConstituentSubtraction"]


class ConstituentSubtraction(Classical):
    """Subtract ghosts of pT = rho A from particles of no known vertex, of whole events (1403.3108).

    A ghost stands in the middle of each cell of a fine grid and has pT_g = rho A_g, rho the median
    density of what is of no known vertex. Pairs of a particle i and a ghost k nearer than `radius`
    are gone through by rising

        D_ik = pT_i^alpha dR_ik,

    and of each pair the smaller pT is taken off both. What is left of a particle over what it had
    is its weight. Masses are scaled with it, and ghosts have none.

    Args:
        radius: the farthest that a ghost acts.
        alpha: 0 goes by distance alone; with 1 soft particles lose first.
        spacing: between ghosts.
        reach: |eta| that ghosts go to.
        grid: side of the cells of which rho is the median.
        tune: choose `radius` and `alpha` on events with truth.
    """

    name: ClassVar[str] = "constituent-subtraction"
    tuned: ClassVar[tuple[str, ...]] = ("radius", "alpha")

    def __init__(
        self,
        *,
        radius: float = 0.25,
        alpha: float = 1.0,
        spacing: float = 0.1,
        reach: float = 4.0,
        grid: float = 0.55,
        tune: bool = False,
    ) -> None:
        self.radius = radius
        self.alpha = alpha
        self.spacing = spacing
        self.reach = reach
        self.grid = grid
        self.tune = tune

    def _finished(self, particles: Particles, prepared: Floats) -> Floats:
        unknown = ~particles.known
        rho = Grid(self.grid, self.reach).density(particles, unknown.astype(np.float64))
        ghosts = Grid(self.spacing, self.reach)
        both = _with_ghosts(particles, ghosts)
        place, ghost = _places(particles, ghosts)
        real, added = (np.zeros(len(both.pt), dtype=np.bool_) for _ in range(2))
        real[place[unknown]], added[ghost] = True, True
        offsets, index, distance2 = pairs(both, self.settings_["radius"], real, added)
        owner = np.repeat(np.flatnonzero(real), np.diff(offsets))
        measure = both.pt[owner] ** self.settings_["alpha"] * np.sqrt(distance2)
        order = np.argsort(measure, kind="stable")
        left = both.pt.copy()
        left[ghost] = np.repeat(rho * ghosts.area, ghosts.cells)
        _subtract(owner[order], index[order].astype(np.int64), left)
        weight = particles.leading.astype(np.float64)
        pt = particles.pt[unknown]
        weight[unknown] = left[place[unknown]] / np.maximum(pt, 1e-300)
        return weight

    def _candidates(self) -> Sequence[Mapping[str, float]]:
        return [
            {"radius": radius, "alpha": alpha}
            for radius in (0.15, 0.25, 0.4, 0.6)
            for alpha in (0.0, 1.0, 2.0)
        ]


def _places(particles: Particles, ghosts: Grid) -> tuple[Ints, Ints]:
    """Return where particles (P,) and ghosts (N cells,) stand, those of an event together."""
    before = ghosts.cells * particles.event
    events = np.arange(len(particles))
    first = np.cumsum(particles.counts) + ghosts.cells * events
    ghost = (first[:, None] + np.arange(ghosts.cells)).reshape(-1)
    return np.arange(len(particles.pt)) + before, ghost


def _with_ghosts(particles: Particles, ghosts: Grid) -> Particles:
    """Return particles with ghosts behind those of each event, of pT 0."""
    place, ghost = _places(particles, ghosts)
    eta, phi = ghosts.centres()
    count = len(particles)

    def joined(values: NDArray[np.float64], added: NDArray[np.float64]) -> Floats:
        whole = np.empty(len(place) + len(ghost))
        whole[place], whole[ghost] = values, np.tile(added, count)
        return whole

    none = np.zeros(ghosts.cells)
    return Particles(
        joined(particles.pt, none),
        joined(particles.eta, eta),
        joined(particles.phi, phi),
        joined(particles.mass, none),
        joined(particles.vertex.astype(np.float64), none - 1).astype(np.int64),
        None,
        particles.counts + ghosts.cells,
        particles.vertices,
    )


@njit(cache=True)
def _subtract(one: Ints, other: Ints, left: Floats) -> None:
    """Take the smaller of both off each pair, one pair after another."""
    for k in range(len(one)):
        i, j = one[k], other[k]
        taken = min(left[i], left[j])
        left[i] -= taken
        left[j] -= taken
