"""The search for the maximum of a likelihood, on one that is written down."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from colliderkit.methods.calibration import Calibrated, FlowCalibration
from colliderkit.methods.calibration.flow import _levelled
from colliderkit.training.settings import Training


def test_peaks_between_the_points_do_not_take_the_resolution() -> None:
    """A peak of width .3, and narrow ones just where its fall over one width is looked for."""
    method = FlowCalibration()
    # The search begins .2 off, with steps of half a width: it does not see the narrow ones.
    method.responses_ = [  # type: ignore[list-item]
        SimpleNamespace(calibrated=lambda x: Calibrated(x + 0.2, np.ones(len(x))))
    ]

    def log_likelihood(
        measured: NDArray[np.float64], features: NDArray[np.float64], truth: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        away = truth - measured[:, None]
        narrow = 1 - 0.5 * ((np.abs(away) - 1) / 0.02) ** 2
        return np.asarray(np.logaddexp(-0.5 * (away / 0.3) ** 2, narrow))

    method.log_likelihood = log_likelihood  # type: ignore[method-assign]
    found = method._predict(np.array([[2.0], [5.0]]))
    assert found.estimate == pytest.approx([2, 5], abs=1e-3)
    assert found.resolution == pytest.approx([0.3, 0.3], rel=0.01)


def test_a_spectrum_that_is_a_weight_leaves_the_estimate_where_it_was() -> None:
    """Of a skewed response: the same under a flat spectrum and one that falls by a factor 150."""
    random = np.random.default_rng(1)
    truth = random.uniform(0, 1, 6_000)
    seen = truth - random.exponential(0.07, 6_000) + random.normal(0, 0.03, 6_000)
    points = np.linspace(0.3, 0.8, 11)
    found = []
    for weight in (None, np.exp(-5 * truth)):
        training = Training(epochs=6, batch_size=512, learning_rate=3e-3, schedule="cosine")
        method = FlowCalibration(hidden=(16,), training=training)
        method.fit(seen, truth, weight=weight, seed=0, progress=False)
        assert method.learned_
        found.append(method.predict(points).estimate)
    # Of the resolution, 0.076; it was up to half of that where a weight thinned the events.
    np.testing.assert_allclose(found[1], found[0], atol=0.1 * 0.076)


def test_weights_are_levelled_along_the_truth_alone() -> None:
    random = np.random.default_rng(2)
    truth = random.exponential(1, 20_000)
    of_truth = _levelled(np.exp(-2 * truth), truth)
    # The mean of 200 neighbours; at the ends they are far apart.
    inner = (truth > 0.05) & (truth < 2)
    np.testing.assert_allclose(of_truth[inner], 1, rtol=0.02)
    own = random.uniform(0.5, 1.5, len(truth))
    np.testing.assert_allclose(
        np.median(_levelled(own * np.exp(-truth), truth) / own), 1, rtol=0.01
    )
    few = np.arange(1.0, 60.0)
    np.testing.assert_array_equal(_levelled(few, few), few)
