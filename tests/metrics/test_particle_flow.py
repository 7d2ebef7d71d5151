"""Residuals of the neutral energy: exact values and their errors."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.metrics.particle_flow import direction_error, residual_bins, residuals


def test_residuals_are_relative_with_their_tail() -> None:
    truth = np.full(1001, 2.0)
    found = residuals(truth * (1 + np.linspace(-0.5, 0.7, 1001)), truth)
    assert found.median.value == pytest.approx(0.1)
    # Half of the central 68.27% of a flat distribution of width 1.2.
    assert found.width.value == pytest.approx(0.6827 * 1.2 / 2, rel=1e-3)
    assert (found.tail.value, found.tail.error) == (0, 1 / 1003)
    wild = residuals([1.0, 1.0, 1.0, 3.5], [1.0] * 4)
    assert wild.tail.value == 0.25
    with pytest.raises(InputError, match=r"truth of event 1 \(counted from 0\) is 0, not positive"):
        residuals([1.0] * 3, [1.0, 0.0, 1.0])
    with pytest.raises(InputError, match="three or more"):
        residuals([1.0], [1.0])


@pytest.mark.statistical
def test_bins_have_their_own_widths(seed: int) -> None:
    random = np.random.default_rng(seed)
    along = np.repeat([0.5, 1.5], 4000)
    r = random.normal(0.02, np.where(along < 1, 0.1, 0.3))
    found = residual_bins(5 * (1 + r), np.full(8000, 5.0), along, [0, 1, 2])
    assert np.all(np.abs(found.spread - [0.1, 0.3]) < 5 * found.spread_error)
    assert np.all(np.abs(found.value - 0.02) < 5 * found.error)


def test_the_direction_is_of_the_means_by_energy() -> None:
    hits = CalorimeterHits.checked([0, 2, 3], [[0, 0, 0], [10, 0, 0], [5, 5, 0]], [1.0, 3.0, 1.0])
    off = direction_error(hits, [1.0, 1.0, 0.0], [1.0, 0.0, 1.0])
    assert off[0] == pytest.approx(7.5)
    assert np.isnan(off[1])
