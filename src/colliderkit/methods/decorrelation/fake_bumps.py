"""Fake bumps of a cut on a score: bump hunts in background alone, behind the cut."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.search.bump_hunt import BumpHunt
from colliderkit.metrics.roc import auc
from colliderkit.metrics.sculpting import CONVENTIONS, Sculpting, sculpting
from colliderkit.metrics.value import Value

__all__ = ["FakeBumps", "Judged"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """Rejection, sculpting and fake bumps of one score on test jets.

    - `area`: of the ROC curve, with weights;
    - `cuts`: rejection and sculpting at a signal efficiency of 50%, by the name of the convention;
    - `p_values` (E,): global ones, of the searches behind that cut;
    - `passed`: which of the background passes, (B,).
    """

    area: Value
    cuts: Mapping[str, Sculpting]
    p_values: Floats
    passed: Mask

    @property
    def rejection(self) -> Value:
        """R50, with weights."""
        return self.cuts["disco"].rejection


@dataclass(frozen=True)
class FakeBumps:
    """Search the background behind a cut for a bump, in pseudo-experiments.

    What passes is fitted by what was there before the cut, times an efficiency whose logarithm is
    constant, linear or quadratic in m: without the template, smooth functions follow a peak that is
    all there is.

    Args:
        experiments: pseudo-experiments of a score, each a `share` of the background, drawn without
            replacement.
        toys: smooth spectra from which a global p-value is counted.
        share: of the background in one experiment.
        searched: from, to [GeV] and bins of the spectrum.
    """

    experiments: int
    toys: int
    share: float = 1 / 3
    searched: tuple[float, float, int] = (50.0, 250.0, 40)

    def hunt(self, mass: Floats) -> BumpHunt:
        """Return the search behind a cut, from the background's masses (B,) before it."""
        low, high, bins = self.searched
        edges = np.linspace(low, high, bins + 1)
        template = np.histogram(mass, edges)[0]
        return BumpHunt(
            edges=edges.tolist(), orders=(0, 2), template=template.tolist(), toys=self.toys
        )

    def spectra(self, mass: Floats, passed: Mask, seed: int) -> Ints:
        """Return the spectra, (E, bins), of what passes (B,) among shares of the background."""
        random = np.random.default_rng([seed, len(mass)])
        size = round(self.share * len(mass))
        samples = (random.permutation(len(mass))[:size] for _ in range(self.experiments))
        low, high, bins = self.searched
        return np.array([np.histogram(mass[i][passed[i]], bins, (low, high))[0] for i in samples])

    def judge(
        self, score: Floats, label: Ints, mass: Floats, weight: Floats, *, seed: int
    ) -> Judged:
        """Return area, rejection, sculpting and searches of a score (N,) on test jets.

        `label` (N,) is 1 for signal, `mass` (N,) in GeV.
        """
        cuts = {
            name: sculpting(
                score, label, mass, weight if convention.weighted else None, convention=convention
            )
            for name, convention in CONVENTIONS.items()
        }
        background = label == 0
        passed = score[background] >= cuts["mode"].threshold
        spectra = self.spectra(mass[background], passed, seed)
        p_values = self.hunt(mass[background]).global_p(spectra, seed=seed)
        return Judged(auc(score, label, weight), cuts, p_values, passed)
