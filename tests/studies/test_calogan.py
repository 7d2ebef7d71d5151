"""What the study of CaloGAN takes its figures from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.networks.calogan import LAYERS
from colliderkit.studies import reproduce
from colliderkit.studies.calogan import SCALES, generated, response_chi2, trained


def test_an_epoch_is_judged_by_the_response() -> None:
    random = torch.Generator().manual_seed(0)
    incident = torch.rand(4000, 1, generator=random) * 9 + 1
    shares = torch.rand(2, 4000, 3, generator=random)
    data, alike = (incident * share for share in shares)
    # The same responses at other energies are no difference, a scale is one.
    assert response_chi2(data, alike, incident) == pytest.approx(1, abs=4 * (2 / 29) ** 0.5)
    assert response_chi2(data, 1.1 * alike, incident) > 3
    other = incident.flip(0)
    assert response_chi2(other * shares[0], other * shares[0], other) == 0


def test_the_constants_are_those_of_a_hundred_gev(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    cells = sum(a * b for a, b in LAYERS)
    incident = random.uniform(500, 1000, 80)
    voxels = (incident[:, None] * random.dirichlet(np.ones(cells), 80)).astype(np.float32)
    showers = Showers.checked(incident, voxels)
    model, history = trained(SCALES["smoke"], showers, tmp_path)
    # The largest energy, 1 GeV, is 100 of the networks' units.
    assert float(model.conditions(torch.tensor([[1000.0]]))) == pytest.approx(100)
    assert sum(epoch.best for epoch in history) == 1
    made = generated(model, incident[:5], seed=1)
    assert made.shape == (5, cells)
    assert (made >= 0).all()
    assert np.array_equal(made, generated(model, incident[:5], seed=1))


def test_one_training_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seeds is no option of the study calogan"):
        reproduce("calogan", scale="smoke", out=tmp_path, seeds=3)
