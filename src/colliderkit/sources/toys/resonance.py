"""A resonance on a falling spectrum with features of known density, for searches without a model.

The mass of the background falls as e^(-m / fall) within `range`, that of the signal is
N(peak, width). At mass m the features x (F,) are normal with unit variance:

    background  N(shift t, 1),  t = (m - peak) / 1000,       signal  N(distance + shift t, 1),

`shift` the same in each feature. The best score is the ratio

    ln p_S(x) / p_B(x | m) = d . (x - shift t) - d . d / 2,

and a cut on it that keeps a share e_B of the background keeps Phi(Phi^-1(e_B) + |d|) of the signal.
The events are a stand-in for dijets: masses in GeV, features without a unit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

__all__ = ["Resonance", "ResonanceEvents"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ResonanceEvents:
    """N events: `features` (N, F), `mass` (N,) [GeV], and `label` (N,), 1 where it is signal."""

    features: Floats
    mass: Floats
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.mass)


@dataclass(frozen=True)
class Resonance:
    """Describe masses and features of background and signal; see above.

    Args:
        distance: of the signal from the background in each feature, (F,), in standard deviations.
        peak, width: mean and standard deviation of the signal's mass [GeV].
        fall: over which the spectrum of the background falls by e [GeV].
        range: of the background's mass [GeV].
        shift: of all features with the mass, in standard deviations a TeV.
    """

    distance: tuple[float, ...] = (2.0, 2.0, 1.0, 1.0)
    peak: float = 3500.0
    width: float = 60.0
    fall: float = 600.0
    range: tuple[float, float] = (2500.0, 5000.0)
    shift: float = 0.0

    def events(self, background: int, signal: int, seed: int | list[int]) -> ResonanceEvents:
        """Draw events of both kinds, in random order."""
        random = np.random.default_rng(seed)
        low, high = self.range
        chance = random.random(background) * -np.expm1((low - high) / self.fall)
        mass = np.append(
            low - self.fall * np.log1p(-chance), random.normal(self.peak, self.width, signal)
        )
        label = np.append(np.zeros(background, np.int64), np.ones(signal, np.int64))
        x = random.normal(size=(len(mass), len(self.distance))) + self._moved(mass)
        x += label[:, None] * np.asarray(self.distance)
        order = random.permutation(len(mass))
        return ResonanceEvents(x[order], mass[order], label[order])

    def simulation(
        self, count: int, seed: int | list[int], *, error: float = 0.3
    ) -> ResonanceEvents:
        """Draw background whose features are wrong by `error` standard deviations, each."""
        drawn = self.events(count, 0, seed)
        return ResonanceEvents(drawn.features + error, drawn.mass, drawn.label)

    def log_ratio(self, features: ArrayLike, mass: ArrayLike) -> Floats:
        """Return ln p_S(x) / p_B(x | m) of features (N, F) at masses (N,), (N,)."""
        distance = np.asarray(self.distance)
        x = np.asarray(features, dtype=np.float64) - self._moved(np.asarray(mass, np.float64))
        return np.asarray(x @ distance - distance @ distance / 2)

    def efficiency(self, background: ArrayLike) -> Floats:
        """Return the signal's efficiency of the best cut at that of the background, (...)."""
        length = float(np.linalg.norm(self.distance))
        return np.asarray(ndtr(ndtri(np.asarray(background, dtype=np.float64)) + length))

    def background(self, region: tuple[float, float]) -> float:
        """Return the share of the background with a mass in a region [GeV]."""
        low, high = self.range
        ends = np.clip(region, low, high)
        survival = np.exp((low - ends) / self.fall)
        return float((survival[0] - survival[1]) / -np.expm1((low - high) / self.fall))

    def signal(self, region: tuple[float, float]) -> float:
        """Return the share of the signal with a mass in a region [GeV]."""
        low, high = (ndtr((end - self.peak) / self.width) for end in region)
        return float(high - low)

    def _moved(self, mass: Floats) -> Floats:
        return self.shift * (mass[:, None] - self.peak) / 1000
