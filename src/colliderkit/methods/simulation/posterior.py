"""Log-posterior of models: whose a Geant4 shower might be (2410.21611)."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.files import release
from colliderkit.methods.simulation.classifiers import PUBLISHED, ShowerClassifier, splits
from colliderkit.methods.simulation.samples import DescribedShowers, refuse_shared
from colliderkit.metrics.value import Value
from colliderkit.training.settings import Training

__all__ = ["log_posterior"]


def log_posterior(
    models: Mapping[str, Showers],
    reference: Showers,
    geometry: Geometry,
    *,
    threshold: float = 0.0,
    level: str = "low-level",
    classifier: Training = PUBLISHED,
    width: int = 512,
    standardised: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Value]:
    """Return the mean of ln P(model | shower) over the showers of the reference, by model.

    One classifier tells the models' samples apart, and says of each Geant4 shower whose it might
    be: higher is better, by chance it is -ln of the number of models. Further arguments are those
    of `ShowerClassifier`.
    """
    if len(models) < 2:
        raise InputError("a log-posterior compares models; give two at least.")
    design = ShowerClassifier(level, geometry, threshold, classifier, width, standardised)
    *samples, last = (
        DescribedShowers.checked(sample, name, geometry, threshold)
        for name, sample in [*models.items(), ("reference", reference)]
    )
    for one, two in combinations([*samples, last], 2):
        refuse_shared(one, two)
    network, _ = design.fit(samples, splits(samples, seed), seed=seed, progress=progress)
    logarithm = design.logarithms(network, design.data([last], [np.arange(len(last))])).double()
    release(last.showers.voxels)
    mean, error = logarithm.mean(0), logarithm.std(0) / len(last) ** 0.5
    return {name: Value(float(m), float(e)) for name, m, e in zip(models, mean, error, strict=True)}
