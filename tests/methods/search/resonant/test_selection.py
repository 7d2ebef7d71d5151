"""The choice that two halves of the data make, held against the one that labels would make."""

import numpy as np
import pytest
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.methods.search.resonant.bounds import Supervised
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.selection import select_search
from colliderkit.metrics.significance import max_improvement
from colliderkit.sources.toys.resonance import Resonance

COMMON = {"efficiency": 0.03, "folds": 3, "members": 1}
CANDIDATES = {
    "trees": CwolaHunting(options={"rounds": 25, "leaves": 7}, **COMMON),
    "one small tree": CwolaHunting(options={"rounds": 1, "leaves": 2}, **COMMON),
}
TOY = Resonance(distance=(1.5, 1.5, 1.0, 1.0))


@pytest.mark.statistical
def test_halves_choose_as_labels_would(seed):
    kept = []
    for k in range(3):
        events = TOY.events(8000, 150, [seed, k, 13])
        data = events.features, events.mass
        chosen = select_search(CANDIDATES, *data, seed=k)
        inside = (events.mass >= 3300) & (events.mass < 3700)
        gain = {
            name: max_improvement(
                clone(one).fit(*data, seed=k).score_[inside], events.label[inside]
            ).value
            for name, one in CANDIDATES.items()
        }
        kept.append(gain[chosen.best] / max(gain.values()))
    assert np.median(kept) > 0.9


@pytest.mark.statistical
def test_without_a_signal_halves_agree_by_chance(seed):
    events = TOY.events(8000, 0, [seed, 14])
    (found,) = select_search(
        {"trees": CANDIDATES["trees"]}, events.features, events.mass
    ).agreement.values()
    # Not 0 exactly: both halves may follow the same fluctuation of a feature's tail.
    assert abs(found.value) < 0.35


def test_candidates_that_are_none():
    events = TOY.events(500, 20, 1)
    for candidates in ({}, {"bound": Supervised()}):
        with pytest.raises(InputError, match="none that needs labels"):
            select_search(candidates, events.features, events.mass)
