"""Charged-hadron subtraction (CHS): drop the charged particles of other vertices, keep the rest."""

from typing import ClassVar

import numpy as np

from colliderkit.events.pileup import Particles
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.mitigation import Classical

__all__ = ["ChargedHadronSubtraction"]


class ChargedHadronSubtraction(Classical):
    """Drop what is known to be of another vertex than the leading one, and keep all else.

    w = 0 for a known vertex k > 0, w = 1 for all other particles. Jets of what is left are too
    hard by the neutral pileup under them; `methods.reconstruction.area` subtracts its density.

    Args:
        time_window: ps from the time of the hard collision (`Particles.delay`) beyond which a
            particle of no known vertex is dropped too; None keeps all.
    """

    name: ClassVar[str] = "charged-hadron-subtraction"

    def __init__(self, *, time_window: float | None = None) -> None:
        self.time_window = time_window

    def _finished(self, particles: Particles, prepared: Floats) -> Floats:
        return np.where(particles.vertex > 0, 0.0, 1.0)
