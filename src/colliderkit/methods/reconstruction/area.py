"""Area subtraction of pileup from jets: pT - rho A, with rho the median density of the event."""

from colliderkit.events.jets import Jets
from colliderkit.events.pileup import Grid, Particles
from colliderkit.events.tables import Floats

__all__ = ["density", "subtracted"]


def density(
    particles: Particles, weight: Floats, *, grid: float = 0.55, reach: float = 2.0
) -> Floats:
    """Return rho [GeV] of each event (N,), of particles of weights (P,) that are still there.

    rho = median over cells of pT / A (0707.1378; the cells of FastJet's
    `GridMedianBackgroundEstimator`): hard jets fill few cells, so that they do not move it.
    """
    return Grid(grid, reach).density(particles, weight)


def subtracted(jets: Jets, rho: Floats) -> Jets:
    """Return jets whose four-momenta are scaled by 1 - rho A / pT, and by 0 where that is below.

    `rho` (N,) [GeV] of each event. The area of a jet is pi R^2, which is that of anti-kT's to a
    few per cent. The mass is scaled alike, which leaves the pileup's own part of it: area
    subtraction is of pT.
    """
    area = 3.141592653589793 * jets.radius**2
    scale = (1 - rho[jets.event] * area / jets.pt).clip(0)
    return jets.scaled(scale)
