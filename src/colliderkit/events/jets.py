"""Jets of events: flat four-momenta of all of them, event after event."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from colliderkit.events.tables import Floats, Ints

__all__ = ["Jets"]


@dataclass(frozen=True)
class Jets:
    """The jets of N events, flat: `pt`, `eta`, `phi`, `mass` (J,) [GeV, rad] and `counts` (N,).

    `radius` is that of the algorithm.
    """

    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    counts: Ints
    radius: float

    @property
    def event(self) -> Ints:
        """The event of each jet, (J,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def scaled(self, scale: Floats) -> Self:
        """Return jets whose four-momenta are multiplied by `scale` (J,); those of 0 go."""
        jets = replace(self, pt=self.pt * scale, mass=self.mass * scale)
        return jets.where(scale > 0)

    def where(self, keep: Any) -> Self:
        """Return the jets of a mask (J,)."""
        counts = np.bincount(self.event[keep], minlength=len(self.counts))
        four = (self.pt[keep], self.eta[keep], self.phi[keep], self.mass[keep])
        return type(self)(*four, counts, self.radius)
