"""Two detectors in, refined jets out: what was learned on some jets holds for others."""

from pathlib import Path

import numpy as np
import pytest

from colliderkit.methods.method import load
from colliderkit.methods.simulation.refinement import Refinement
from colliderkit.sources.datasets.refinement_jets import QUANTITIES, make_jet_pairs
from colliderkit.training.settings import Training

pytestmark = [pytest.mark.generate, pytest.mark.slow]


def test_jets_of_a_fast_detector_are_refined(tmp_path: Path) -> None:
    sample = make_jet_pairs(1200, seed=3)
    assert sample.fast.shape == sample.full.shape == (len(sample), len(QUANTITIES))
    # Each event once, and its two jets are one jet: their masses go together.
    assert len(np.unique(sample.event)) == len(sample) > 1000
    assert np.corrcoef(sample.fast[:, 1], sample.full[:, 1])[0, 1] > 0.8
    train, test = sample.at(slice(800)), sample.at(slice(800, None))
    training = Training(epochs=15, batch_size=160, learning_rate=5e-3, devices=1)
    method = Refinement(hidden=(32,), training=training)
    method.fit(train.fast, train.full, train.truth, event=train.event, seed=1)
    again = load(method.save(tmp_path / "refinement"))
    moved = again.transform(test.fast, test.truth)
    assert np.array_equal(moved, method.transform(test.fast, test.truth))
    batch = len(test) // 2
    before, after = (
        [loss.mean() for loss in again.losses(x, test.full, test.truth, batch=batch)]
        for x in (test.fast, moved)
    )
    # Without a field and with coarse towers there are other jets: the refined ones are nearer.
    assert after[1] < 0.3 * before[1]
    assert after[0] < before[0]
