"""Conditional generators: what they draw follows what they were fitted to."""

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.methods.simulation.generator import (
    PARTS,
    ConditionalGenerator,
    chi2_of_response,
    chi2_of_sum,
)
from colliderkit.training.settings import Training

ONCE = Training(epochs=1, batch_size=100, devices=1)
FLOW = {"transforms": 1, "bins": 4, "hidden": [16]}


def line(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw x ~ N(c, 0.5) with c ~ N(0, 1)."""
    random = np.random.default_rng(seed)
    c = random.normal(size=(count, 1))
    return c + 0.5 * random.normal(size=(count, 1)), c


def test_samples_follow_their_conditions() -> None:
    training = Training(epochs=20, batch_size=200, learning_rate=1e-2, devices=1)
    method = ConditionalGenerator(options={"transforms": 2, "hidden": [32]}, training=training)
    method.fit(*line(3000, 1), seed=1, progress=False)
    for c in (-1.0, 0.5):
        x = method.sample(np.full((3000, 1), c), seed=2)
        assert x.shape == (3000, 1)
        assert x.mean() == pytest.approx(c, abs=0.1)
        assert x.std() == pytest.approx(0.5, abs=0.1)


def test_a_weight_moves_what_is_drawn() -> None:
    random = np.random.default_rng(1)
    x = np.concatenate([random.normal(-2, 0.5, 1500), random.normal(2, 0.5, 1500)])
    weight = np.where(x > 0, 3.0, 1.0)
    training = Training(epochs=12, batch_size=200, learning_rate=1e-2, devices=1)
    method = ConditionalGenerator(options=FLOW, training=training)
    method.fit(x, weight=weight, seed=1, progress=False)
    assert (method.sample(4000, seed=1) > 0).mean() == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("generator", ["gan", "wgan-gp", "vae"])
def test_any_generator_does(generator: str) -> None:
    method = ConditionalGenerator(generator=generator, options={"width": 8}, training=ONCE)
    method.fit(*line(200, 1), progress=False)
    assert np.isfinite(method.sample(np.zeros((5, 1)))).all()
    assert sum(epoch.best for epoch in method.history_["generator"]) == 1


def test_parts_of_calogan_make_a_generator() -> None:
    assert sorted(PARTS) == ["calogan-discriminator", "calogan-generator"]
    random = np.random.default_rng(0)
    incident = random.uniform(500, 1000, 80)
    showers = incident[:, None] * random.dirichlet(np.ones(504), 80)
    method = ConditionalGenerator(
        generator="gan",
        options={"noise": 8, "regression": 0.05, "unit": 10.0},
        network="calogan-generator",
        network_options={"noise": 8, "channels": 2},
        discriminator="calogan-discriminator",
        discriminator_options={"channels": [3, 2, 2, 2]},
        distance="response",
        training=ONCE,
    )
    method.fit(showers, incident, progress=False)
    drawn = method.sample(incident[:5])
    assert drawn.shape == (5, 504)
    assert (drawn >= 0).all()


def test_an_epoch_is_judged_by_the_response() -> None:
    random = torch.Generator().manual_seed(0)
    incident = torch.rand(4000, 1, generator=random) * 9 + 1
    shares = torch.rand(2, 4000, 3, generator=random)
    data, alike = (incident * share for share in shares)
    # The same responses at other energies are no difference, a scale is one.
    assert chi2_of_response(data, alike, incident) == pytest.approx(1, abs=4 * (2 / 29) ** 0.5)
    assert chi2_of_response(data, 1.1 * alike, incident) > 3
    other = incident.flip(0)
    assert chi2_of_response(other * shares[0], other * shares[0], other) == 0
    # In a sum, what is below zero is none.
    assert chi2_of_sum(data, torch.cat([data, -data], 1), incident) == 0
    assert chi2_of_sum(shares[0], shares[1], incident) == pytest.approx(1, abs=4 * (2 / 29) ** 0.5)


def test_conditions_are_those_of_the_fit() -> None:
    x, c = line(200, 1)
    with_conditions = ConditionalGenerator(options=FLOW, training=ONCE).fit(x, c, progress=False)
    without = ConditionalGenerator(options=FLOW, training=ONCE).fit(x, progress=False)
    assert without.sample(7).shape == (7, 1)
    with pytest.raises(InputError, match="condition is 7, and 1 conditions were fitted"):
        with_conditions.sample(7)
    with pytest.raises(InputError, match="has 2 columns, and 1 conditions were fitted"):
        with_conditions.sample(np.zeros((3, 2)))
    with pytest.raises(InputError, match="give the number of rows to draw"):
        without.sample(c)
    with pytest.raises(InputError, match="condition is 0; give 1 row or more"):
        without.sample(0)


def test_what_does_not_fit_is_named() -> None:
    x, c = line(200, 1)
    with pytest.raises(InputError, match="condition has 199 events and x 200"):
        ConditionalGenerator(training=ONCE).fit(x, c[:-1])
    with pytest.raises(InputError, match="no distance of samples is called 'energy'"):
        ConditionalGenerator(distance="energy").fit(x, c)
    with pytest.raises(InputError, match="no network of a GAN is called 'unet'"):
        ConditionalGenerator(generator="gan", network="unet").fit(x, c)
    with pytest.raises(InputError, match="samples are drawn from a density"):
        ConditionalGenerator(training=ONCE).fit(x, c, weight=np.where(c[:, 0] > 0, 1.0, -0.1))
