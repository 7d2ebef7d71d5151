"""Several taggers on the same jets."""

import numpy as np

from colliderkit.methods.tagging.comparison import Entry, Plan, compare
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.training.settings import Training
from samples import make_jets

QUICK = Training(epochs=2, batch_size=64, learning_rate=1e-2, devices=1)
ENTRIES = (
    Entry("line", {"network": "linear", "observables": ("mass", "width")}),
    Entry("trees", {"network": "boosted-trees", "observables": ("mass",)}),
    Entry("not asked for", {"network": "pfn"}),
)


def test_each_entry_of_the_plan_is_trained_with_each_seed():
    train, test = make_jets(240), make_jets(90, 1)
    calls = []

    def fit(name: str, tagger: Tagger, jets, seed: int) -> Tagger:
        calls.append((name, tagger.training, tagger.classes))
        return tagger.fit(jets, seed=seed, progress=False)

    plan = Plan(120, 45, 2, ("line", "trees"), {"line": QUICK})
    compared = compare(ENTRIES, plan, train, test, classes=["a", "b"], seeds=[0, 1], fit=fit)
    assert [name for name, *_ in calls] == [
        "line, seed 0",
        "line, seed 1",
        "trees, seed 0",
        "trees, seed 1",
    ]
    assert calls[0][1:] == (QUICK, ("a", "b"))
    assert calls[2][1] == Tagger().training
    line, trees = compared
    assert line.probabilities.shape == trees.probabilities.shape == (2, 90, 2)
    np.testing.assert_array_equal(line.probabilities[1], line.taggers[1].predict_proba(test))
    assert line.parameters == 6
    assert line.throughput > 0
    assert line.seconds > 0
