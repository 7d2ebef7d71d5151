"""The search for the maximum of a likelihood, on one that is written down."""

from types import SimpleNamespace

import numpy as np
import pytest

from colliderkit.methods.calibration import Calibrated, FlowCalibration


def test_of_several_maxima_the_highest_gives_the_resolution() -> None:
    """Three peaks, one width of the measured number apart: that over it does not fall."""
    method = FlowCalibration()
    method.responses_ = [  # type: ignore[assignment]
        SimpleNamespace(calibrated=lambda x: Calibrated(x.copy(), np.ones(len(x))))
    ]

    def log_likelihood(measured, features, truth):
        away = (truth[:, :, None] - measured[:, None, None] - np.array([-1.0, 0.0, 1.0])) / 0.1
        return np.logaddexp.reduce(-0.5 * away**2 + np.array([0.0, 1e-3, 0.0]), axis=2)

    method.log_likelihood = log_likelihood  # type: ignore[method-assign]
    found = method._predict(np.array([2.0, 5.0]), np.zeros((2, 0)))
    assert found.estimate == pytest.approx([2, 5], abs=1e-3)
    assert found.resolution == pytest.approx([0.1, 0.1], rel=0.01)
