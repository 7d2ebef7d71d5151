"""What the study of slices takes its figures from."""

from pathlib import Path

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.studies import reproduce
from colliderkit.studies.fast_calo_slices import GEOMETRY, SCALES, generated, shot, trained

SMOKE = SCALES["smoke"]


def test_showers_of_a_slice_grow_deeper_with_eta() -> None:
    low, high = (shot(SMOKE, 200, eta, eta + 0.01, seed=1) for eta in (0.0, 1.5))
    # At eta = 1.5 a layer is cosh(1.5) = 2.35 times as deep: less gets to the last two.
    late = GEOMETRY.layer >= 3
    assert high.energy[:, late].sum() < 0.5 * low.energy[:, late].sum()
    assert ((low.eta > 0) & (low.eta < 0.01)).all()
    assert low.incident.min() >= 1000 * SMOKE.low
    assert low.incident.max() <= 1000 * SMOKE.high
    np.testing.assert_allclose(low.layers.sum(1), low.response)
    again = shot(SMOKE, 200, 0.0, 0.01, seed=1)
    assert np.array_equal(low.energy, again.energy)
    assert not np.array_equal(low.energy, shot(SMOKE, 200, 0.0, 0.01, seed=2).energy)


def test_showers_have_no_negative_energies(tmp_path: Path) -> None:
    data = shot(SMOKE, 150, 0.0, 0.4, seed=1)
    model, history = trained(SMOKE, data, tmp_path, "slice")
    made = generated(model, data.incident, seed=1)
    assert made.shape == data.energy.shape
    assert (made >= 0).all()
    assert sum(epoch.best for epoch in history) == 1


def test_one_training_a_slice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seeds is no option of the study fast-calo-slices"):
        reproduce("fast-calo-slices", scale="smoke", out=tmp_path, seeds=2)
