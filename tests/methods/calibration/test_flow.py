"""The search for the maximum of a likelihood, on one that is written down."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from colliderkit.methods.calibration import Calibrated, FlowCalibration


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
