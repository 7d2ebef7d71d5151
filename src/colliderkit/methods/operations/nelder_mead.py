"""Nelder-Mead simplex search of the settings."""

from typing import Any, ClassVar

import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.search import Search, Searching

__all__ = ["NelderMead"]


class NelderMead(Search):
    """Walk a simplex of S + 1 settings downhill: reflect, expand, contract, shrink.

    Coefficients are 1, 2, 1/2 and 1/2 (Nelder and Mead, Comput. J. 7, 308, 1965); points are
    clipped to the limits. It starts from the settings of the table.

    Args:
        machine: "beam-tuning".
        options: of the machine, by name.
        size: of the first simplex, as a share of half the range of each setting.
    """

    name: ClassVar[str] = "nelder-mead"

    def __init__(
        self,
        *,
        machine: str = "beam-tuning",
        options: dict[str, Any] | None = None,
        size: float = 0.3,
    ) -> None:
        super().__init__(machine=machine, options=options)
        self.size = size

    def searching(self, settings: Floats, cost: float, random: np.random.Generator) -> Searching:
        """Yield the points of the simplex, then those that its steps ask for."""
        simplex = [(settings, cost)]
        for i in range(len(settings)):
            point = settings.copy()
            point[i] += self.size if point[i] + self.size <= 1 else -self.size
            simplex.append((yield point))
        while True:
            simplex.sort(key=lambda pair: pair[1])
            best, (_, second), (worst, highest) = simplex[0], simplex[-2], simplex[-1]
            centre = np.mean([point for point, _ in simplex[:-1]], axis=0)
            reflected = yield np.clip(2 * centre - worst, -1, 1)
            if reflected[1] < best[1]:
                expanded = yield np.clip(3 * centre - 2 * worst, -1, 1)
                simplex[-1] = min(reflected, expanded, key=lambda pair: pair[1])
                continue
            if reflected[1] < second:
                simplex[-1] = reflected
                continue
            outer = reflected[0] if reflected[1] < highest else worst
            contracted = yield (centre + outer) / 2
            if contracted[1] < min(highest, reflected[1]):
                simplex[-1] = contracted
                continue
            for i in range(1, len(simplex)):
                simplex[i] = yield (simplex[i][0] + best[0]) / 2
