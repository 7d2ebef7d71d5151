"""What the study of CaloGAN trains."""

from pathlib import Path

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.networks.calogan import LAYERS
from colliderkit.studies import reproduce
from colliderkit.studies.calogan import SCALES, gan, network


def test_the_constants_are_those_of_a_hundred_gev(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    cells = sum(a * b for a, b in LAYERS)
    incident = random.uniform(500, 1000, 80).astype(np.float32)
    showers = (incident[:, None] * random.dirichlet(np.ones(cells), 80)).astype(np.float32)
    method = network(SCALES["smoke"]).fit(showers, incident, seed=1, folder=tmp_path)
    # The largest energy, 1 GeV, is 100 of the networks' units.
    assert float(gan(method).conditions(torch.tensor([[1000.0]]))) == pytest.approx(100)
    assert sum(epoch.best for epoch in method.history_["generator"]) == 1
    drawn = method.sample(incident[:5], seed=1)
    assert drawn.shape == (5, cells)
    assert (drawn >= 0).all()
    assert np.array_equal(drawn, method.sample(incident[:5], seed=1))


def test_one_training_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seeds is no option of the study calogan"):
        reproduce("calogan", scale="smoke", out=tmp_path, seeds=3)
