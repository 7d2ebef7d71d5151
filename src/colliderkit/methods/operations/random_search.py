"""Random search: settings drawn uniformly within their limits."""

from typing import ClassVar

import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.search import Search, Searching

__all__ = ["RandomSearch"]


class RandomSearch(Search):
    """Measure settings that are drawn uniformly within the limits; the best of them counts."""

    name: ClassVar[str] = "random-search"

    def searching(self, settings: Floats, cost: float, random: np.random.Generator) -> Searching:
        """Yield uniform draws."""
        while True:
            yield random.uniform(-1, 1, len(settings))
