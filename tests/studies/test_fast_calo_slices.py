"""What the study of slices trains."""

from pathlib import Path

import pytest

from colliderkit.errors import InputError
from colliderkit.sources.datasets.eta_showers import make_eta_showers
from colliderkit.studies import reproduce
from colliderkit.studies.fast_calo_slices import SCALES, log_energy, network, sampled

SMOKE = SCALES["smoke"]


def test_showers_have_no_negative_energies() -> None:
    data = make_eta_showers(150, (0.0, 0.4), (1000.0, 8000.0), seed=1)
    method = network(SMOKE)
    method.fit(data.voxels / data.incident[:, None], log_energy(data.incident), seed=1)
    drawn = sampled(method, data.incident)
    assert drawn.shape == data.voxels.shape
    assert (drawn >= 0).all()
    assert sum(epoch.best for epoch in method.history_["generator"]) == 1


def test_one_training_a_slice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seeds is no option of the study fast-calo-slices"):
        reproduce("fast-calo-slices", scale="smoke", out=tmp_path, seeds=2)
