"""SoftKiller: drop soft particles below a pT that leaves half of the event's patches empty."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from colliderkit.events.pileup import Grid, Particles
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.mitigation import Classical

__all__ = ["SoftKiller"]


class SoftKiller(Classical):
    """Drop particles of no known vertex below a cut on pT, of each event its own (1407.0408).

    The event is divided in patches of side a in eta and phi. The cut is the median over patches of
    the pT of the hardest particle in each, 0 where there is none:

        pT_cut = median_i [ max_{j in patch i} pT_j ],

    the least one for which half of the patches are empty, so that the median density rho is 0. What
    is of a known vertex was decided before, by that (CHS).

    Args:
        grid: side of a patch; the published one for jets of R = 0.4 is 0.4.
        reach: |eta| that the patches go to.
        tune: choose `grid` on events with truth, in place of taking it as given.
    """

    name: ClassVar[str] = "soft-killer"
    tuned: ClassVar[tuple[str, ...]] = ("grid",)

    def __init__(self, *, grid: float = 0.4, reach: float = 4.0, tune: bool = False) -> None:
        self.grid = grid
        self.reach = reach
        self.tune = tune

    def cuts(self, particles: Particles) -> Floats:
        """Return the cut of each event, (N,) [GeV]."""
        grid = Grid(self.settings_["grid"], self.reach)
        unknown = np.where(particles.known, 0.0, particles.pt)
        cut: Floats = np.median(grid.largest(particles, unknown), axis=1)
        return cut

    def _finished(self, particles: Particles, prepared: Floats) -> Floats:
        passed = particles.pt > self.cuts(particles)[particles.event]
        return np.where(particles.known, particles.leading, passed).astype(np.float64)

    def _candidates(self) -> Sequence[Mapping[str, float]]:
        return [{"grid": size} for size in (0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8)]
