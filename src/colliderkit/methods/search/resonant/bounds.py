"""Bounds of searches, for which labels are known: supervised, and with an ideal template."""

from typing import Any, ClassVar

import numpy as np

from colliderkit.errors import InputError
from colliderkit.methods.search.resonant.classifiers import Judge, TwoSamples
from colliderkit.methods.search.resonant.search import Candidates, ResonantSearch
from colliderkit.seeds import derive

__all__ = ["Idealised", "Supervised"]


class Supervised(ResonantSearch):
    """Classify signal against background in the window, by their labels: what cannot be surpassed.

    The arguments are those of `ResonantSearch`; `fit` needs `label`. It learns from the signal
    that the data have: with labelled simulation in place of the data it is a tagger.
    """

    name: ClassVar[str] = "supervised-bound"
    needs: ClassVar[tuple[str, ...]] = ("label",)

    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        inside = data.inside(self.signal_region)
        signal, background = (inside.at(inside.label == kind) for kind in (1, 0))
        if not len(signal) or not len(background):
            raise InputError(
                "the signal region of a fold has no signal or no background by its labels; give"
                " more labelled events or another signal_region."
            )
        samples = TwoSamples.of(
            signal.features, background.features, (signal.weight, background.weight)
        )
        return self._classified(samples, seed)


class Idealised(ResonantSearch):
    """Classify the events of the window against background of the same density: a perfect template.

    It is what a search can reach whose template has no error. The template is simulated background
    of the very process, where `simulation` is given; else the background of a random half of the
    events, by its labels, and the data are the other half: half as many as a search has.

    The arguments are those of `ResonantSearch`; `fit` needs `label`.
    """

    name: ClassVar[str] = "idealised-bound"
    needs: ClassVar[tuple[str, ...]] = ("label",)
    takes: ClassVar[tuple[str, ...]] = ("simulation",)

    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        inside = data.inside(self.signal_region)
        if simulation is not None:
            template = simulation.inside(self.signal_region)
        else:
            chosen = np.random.default_rng(derive(seed, "half")).random(len(inside)) < 0.5
            template = inside.at(chosen & (inside.label == 0))
            inside = inside.at(~chosen)
        if not len(template) or not len(inside):
            raise InputError(
                "the signal region has no events for a template of the background; give more."
            )
        samples = TwoSamples.of(
            inside.features, template.features, (inside.weight, template.weight)
        )
        return self._classified(samples, seed)
