"""Azimuths in numpy; `events.fourvectors.delta_phi` has them in torch."""

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.events.tables import Floats

__all__ = ["turned"]


def turned(phi: ArrayLike) -> Floats:
    """Return angles between -pi and pi, of any shape."""
    return np.asarray(np.remainder(np.asarray(phi) + np.pi, 2 * np.pi) - np.pi)
