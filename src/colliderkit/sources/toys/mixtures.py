"""Mixed samples of two Gaussian classes, whose likelihood ratio is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

__all__ = ["GaussianClasses"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianClasses:
    """Two classes of unit normal features in `dimensions`, their means `distance` apart.

    Signal and background lie at +- distance / 2 along the diagonal (1, ..., 1): every feature
    helps a little, and the likelihood ratio is a function of their sum.
    """

    dimensions: int = 1
    distance: float = 2.0

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(f"x{i}" for i in range(self.dimensions))

    def sample(
        self, counts: Sequence[int], fractions: Sequence[float], seed: int | Sequence[int]
    ) -> ak.Array:
        """Draw mixed samples as one array of events.

        `label` is the number of the sample, with counts[a] events of which a share fractions[a] is
        signal on average; `truth` is the class, 1 for signal; `event` numbers the rows.
        """
        random = np.random.default_rng(seed)
        label = np.repeat(np.arange(len(counts)), counts)
        truth = (random.random(len(label)) < np.repeat(fractions, counts)).astype(np.int64)
        shift = (truth - 0.5) * self.distance / np.sqrt(self.dimensions)
        x = random.normal(size=(len(label), self.dimensions)) + shift[:, None]
        columns = dict(zip(self.columns, x.T, strict=True))
        return ak.zip({**columns, "label": label, "truth": truth, "event": np.arange(len(label))})

    def log_ratio(self, events: ak.Array) -> Floats:
        """Return ln p(x | signal) / p(x | background), (N,)."""
        total = sum(np.asarray(events[name]) for name in self.columns)
        return np.asarray(self.distance / np.sqrt(self.dimensions) * total)

    def background_efficiency(self, signal_efficiency: ArrayLike) -> Floats:
        """Return the least background efficiency of any cut at these signal efficiencies."""
        return np.asarray(ndtr(ndtri(np.asarray(signal_efficiency)) - self.distance))

    @property
    def auc(self) -> float:
        """The largest AUC of any classifier."""
        return float(ndtr(self.distance / np.sqrt(2)))
