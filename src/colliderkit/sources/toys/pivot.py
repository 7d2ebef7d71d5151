"""Toy of a pivot (1611.01046): a background that a nuisance parameter moves, exactly known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import norm

__all__ = ["PivotToy"]

Floats = NDArray[np.float64]
GRID = np.linspace(-6.0, 8.0, 281)


@dataclass(frozen=True)
class PivotToy:
    """Describe two numbers: the signal N(0, S), the background N((1, 1 + z), 1), z ~ N(0, 1).

    S has ones on the diagonal and -1/2 beside it. As published, but for the names of the classes:
    what a nuisance z moves is here the background. A score whose distribution on the background
    does not depend on z is one whose distribution at each x2 does not depend on x2, since normal
    densities of all means are complete. The best such score follows (`pivot`).
    """

    def sample(
        self, background: int, signal: int, seed: int | list[int], z: float | None = None
    ) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Draw events (N, 2), labels (N,), 1 for signal, and the z of each (N,), or one `z`."""
        random = np.random.default_rng(seed)
        label = np.repeat([0, 1], [background, signal])
        x = random.normal(size=(len(label), 2))
        moved = random.normal(size=len(label)) if z is None else np.full(len(label), z)
        in_signal = label == 1
        x[in_signal, 1] = -0.5 * x[in_signal, 0] + 0.75**0.5 * x[in_signal, 1]
        x[~in_signal] += np.column_stack([np.ones(background), 1 + moved[~in_signal]])
        return x, label, moved

    def log_ratio(self, x: ArrayLike, z: float = 0.0) -> Floats:
        """Return ln p_s / p_b of events (N, 2) at a known z, (N,)."""
        one, two = np.asarray(x, dtype=np.float64).T
        quadratic = (one**2 + one * two + two**2) / 1.5
        away = (one - 1) ** 2 + (two - 1 - z) ** 2
        return np.asarray(0.5 * away - quadratic - 0.5 * np.log(0.75))

    def pivot(self, x: ArrayLike) -> Floats:
        """Return the best score that z leaves alone on the background, (N,), uniform on it.

        At each x2 the ratio of p_s(x1 | x2) = N(-x2 / 2, 3/4) to p_b(x1) = N(1, 1) falls with the
        distance d of x1 from c = -3 - 2 x2: the score is the background's share beyond d.
        """
        one, two = np.asarray(x, dtype=np.float64).T
        centre = -3 - 2 * two
        d = np.abs(one - centre)
        return np.asarray(1 - norm.cdf(centre + d - 1) + norm.cdf(centre - d - 1))

    def significance(self, signal: float, background: float) -> tuple[float, float]:
        """Return the expected significance of the unbinned likelihood, z profiled and z known.

        sqrt(2 ln L(signal) / L(0)) of the expectation itself (Asimov) at z = 0, z constrained by
        N(0, 1); integrals over a grid.
        """
        x = np.stack(np.meshgrid(GRID, GRID, indexing="ij"), -1).reshape(-1, 2)
        cell = (GRID[1] - GRID[0]) ** 2

        def b(z: float) -> Floats:
            return np.asarray(background * cell * norm.pdf(x[:, 0] - 1) * norm.pdf(x[:, 1] - 1 - z))

        expected = b(0.0) * (1 + signal / background * np.exp(self.log_ratio(x)))

        def minus(z: float) -> float:
            at = np.maximum(b(z), 1e-300)
            return float((at - expected * np.log(at)).sum() + z * z / 2)

        best = float((expected - expected * np.log(np.maximum(expected, 1e-300))).sum())
        profiled = minimize_scalar(minus, bounds=(-3, 3), method="bounded").fun
        return float(np.sqrt(2 * (profiled - best))), float(np.sqrt(2 * (minus(0.0) - best)))
