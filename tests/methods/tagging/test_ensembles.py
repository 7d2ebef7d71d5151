from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.methods.tagging.ensembles import CrossFit, Ensemble
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.seeds import derive
from colliderkit.training.settings import Training
from samples import make_jets

TAGGER = Tagger(
    "linear",
    observables=["mass", "width"],
    training=Training(epochs=2, batch_size=64, learning_rate=1e-2, devices=1),
)


def test_mean_and_median_of_the_members() -> None:
    jets = make_jets(300)
    ensemble = Ensemble(TAGGER, members=3).fit(jets, seed=4, progress=False)
    each = ensemble.member_probabilities(jets)
    assert each.shape == (3, 300, 2)
    alone = clone(TAGGER).fit(jets, seed=derive(4, "member", 1), progress=False)
    np.testing.assert_array_equal(each[1], alone.predict_proba(jets))
    np.testing.assert_allclose(ensemble.predict_proba(jets), each.mean(0))
    ensemble.combine = "median"
    middle = np.sort(each, axis=0)[1]
    expected = middle / middle.sum(1, keepdims=True)
    np.testing.assert_allclose(ensemble.predict_proba(jets), expected)


def test_each_event_is_scored_by_the_member_that_has_not_seen_it() -> None:
    jets = make_jets(300)
    folds = CrossFit(TAGGER, folds=3).fit(jets, seed=4, progress=False)
    fold = folds.fold(jets, 4)
    for k in range(3):
        alone = clone(TAGGER).fit(jets[fold != k], seed=derive(4, "fold", k), progress=False)
        np.testing.assert_array_equal(
            folds.predict_proba(jets)[fold == k], alone.predict_proba(jets[fold == k])
        )


@pytest.mark.parametrize("make", [Ensemble, CrossFit])
def test_save_and_load(make: type, tmp_path: Path) -> None:
    jets = make_jets(200)
    size = {"members": 2} if make is Ensemble else {"folds": 2}
    several = make(TAGGER, **size).fit(jets, progress=False)
    several.save(tmp_path / "several")
    again = load(tmp_path / "several")
    assert isinstance(again, make)
    np.testing.assert_array_equal(again.predict_proba(jets), several.predict_proba(jets))
    kind = "member" if make is Ensemble else "fold"
    assert list(again.history_) == [f"{kind} 0", f"{kind} 1"]
    assert again.history_ == several.history_


@pytest.mark.parametrize("make", [Ensemble, CrossFit])
def test_weights_and_chunks_reach_the_members(make: type) -> None:
    jets = make_jets(200)
    size = {"members": 2} if make is Ensemble else {"folds": 2}
    weight = np.random.default_rng(0).uniform(0.5, 2, 200)
    fits = [
        make(TAGGER, **size).fit(*given, progress=False, **options)
        for given, options in (
            ((jets,), {"weight": weight}),
            (([jets[:90], jets[90:]],), {"weight": weight}),
            ((ak.with_field(jets, weight, "weight"),), {}),
        )
    ]
    first, *others = (each.predict_proba(jets) for each in fits)
    for other in others:
        np.testing.assert_array_equal(first, other)
    assert not np.array_equal(
        first, make(TAGGER, **size).fit(jets, progress=False).predict_proba(jets)
    )


def test_too_few_are_refused() -> None:
    with pytest.raises(InputError, match="folds is 1"):
        CrossFit(TAGGER, folds=1).fit(make_jets(10))
    with pytest.raises(InputError, match="members is 0"):
        Ensemble(TAGGER, members=0).fit(make_jets(10))
