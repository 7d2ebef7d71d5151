"""The models of the study, and whose a shower might be."""

import math

import numpy as np

from colliderkit.events.calorimeter import Geometry
from colliderkit.methods.simulation.comparison import ShowerTest
from colliderkit.studies.calo_surrogate import MODELS, SCALES, posteriors
from colliderkit.training.settings import Training

GEOMETRY = Geometry.regular("small", 2, 4, (0, 5, 15), 11)


def sample(seed: int, response: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    incident = np.full(1000, 1000.0, np.float32)
    total = random.normal(900 * response, 45, 1000)
    shares = random.dirichlet(np.full(GEOMETRY.voxels, 5.0), 1000)
    return incident, (total[:, None] * shares).astype(np.float32)


def test_every_scale_has_models_that_can_be_made() -> None:
    for scale in SCALES.values():
        for name in scale.models:
            assert not hasattr(MODELS[name](scale), "voxels_")


def test_models_hold_the_generators_of_their_names() -> None:
    held = {name: make(SCALES["smoke"]).generator for name, make in MODELS.items()}
    assert held == {
        "diffusion": "diffusion",
        "flow matching": "flow-matching",
        "CaloFlow": "student-flow",
        "VAE": "vae",
        "WGAN-GP": "wgan-gp",
    }


def test_showers_are_most_likely_of_the_model_that_is_right() -> None:
    classifier = Training(epochs=10, batch_size=100, learning_rate=1e-3, schedule="constant")
    test = ShowerTest(
        GEOMETRY, 0.0, classifier=classifier, width=32, levels=["high-level"], standardised=True
    )
    samples = {"right": sample(1), "low": sample(2, 0.9), "high": sample(3, 1.1)}
    right, low, high = posteriors(test, samples, sample(4))
    assert [r.subject for r in (right, low, high)] == ["right", "low", "high"]
    assert {r.quantity for r in (right, low, high)} == {"log-posterior, high-level"}
    # Two sigma apart on either side: better than chance, and than both others.
    assert right.value > -math.log(3) > max(low.value, high.value)
    assert right.counting is not None
    assert 0 < right.counting < 0.1
    assert posteriors(test, {"right": sample(1)}, sample(4)) == []
