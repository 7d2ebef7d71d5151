"""Parameters of Pythia from e+e- dijets: DCTR's ratio, its fits and data sets (1907.08209).

The ratio p(x | theta) / p(x | nominal) is learned once, from particles or from a few observables;
fits of one parameter, the others nominal, or of all three follow from it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.inference.estimates import Estimate, EstimateCalibration
from colliderkit.methods.inference.experiments import Experiments
from colliderkit.methods.inference.parameter_fit import Fitted, ParameterFit
from colliderkit.methods.ratio import Ratio
from colliderkit.sources.datasets import dijets
from colliderkit.sources.datasets.dijets import FEATURES, NOMINAL, OBSERVED, RANGES
from colliderkit.training.settings import Training

__all__ = [
    "COPIES",
    "SEEDS",
    "Fits",
    "Size",
    "data_of",
    "fit_arguments",
    "fit_of",
    "measured",
    "names_of",
    "particle_ratio",
    "table_coverage",
    "table_ratio",
    "training_data",
]

Floats = NDArray[np.float64]
# A nominal jet stands beside this many values of theta, so that none of them is its own.
COPIES = 2
SEEDS = {"validation": 5, "blinded": 6}


@dataclass(frozen=True)
class Size:
    """Jets of the scan to train on and the network, with the published widths if not given.

    There are half as many of the nominal point, which serve for every theta.
    """

    jets: int
    epochs: int
    batch: int = 1000
    phi: tuple[int, ...] = (100, 100, 128)
    f: tuple[int, ...] = (100, 100, 100)


def particle_ratio(size: Size) -> Ratio:
    """Return the network that is trained: a particle-flow network with theta beside its sum."""
    return Ratio(
        network="pfn",
        options={"phi": size.phi, "f": size.f},
        features=FEATURES,
        hidden=(),
        parameters=tuple(RANGES),
        training=_training(size.epochs, size.batch),
    )


def table_ratio(size: Size) -> Ratio:
    """Return the network of the observables `OBSERVED` that is trained."""
    return Ratio(
        network="mlp",
        options={"hidden": (64, 64)},
        hidden=(),
        parameters=tuple(RANGES),
        columns=OBSERVED,
        # Steps on a table are cheap, and fewer leave the ratio flat.
        training=_training(max(10, size.epochs), size.batch),
    )


def training_data(folder: Path, size: Size, workers: int = 1) -> tuple[ak.Array, ak.Array]:
    """Return jets over the ranges and at the nominal point, generated once."""
    return (
        dijets.events_over(folder, "scan", size.jets, 1, scanned=True, workers=workers),
        dijets.events_over(folder, "nominal", size.jets // 2, 2, scanned=False, workers=workers),
    )


def fit_arguments(scan: ak.Array, nominal: ak.Array) -> dict[str, Any]:
    """Return the keywords of `Ratio.fit` for particles, with `COPIES` of each nominal jet."""
    return {
        "numerator": scan,
        "denominator": ak.concatenate([nominal] * COPIES),
        "theta": dijets.theta_of(scan),
        "event": (None, np.tile(np.arange(len(nominal)), COPIES)),
    }


def names_of(which: str) -> list[str]:
    """Return the parameters that a fit finds: one, or those of "all"."""
    return list(RANGES) if which == "all" else [which]


def fit_of(ratio: Ratio, which: str, reference: Any) -> ParameterFit:
    """Return the fit of one parameter, the others nominal, or of "all"."""
    fixed = {name: value for name, value in NOMINAL.items() if name not in names_of(which)}
    return ParameterFit(fixed=fixed).fit(reference, ratio)


def data_of(folder: Path, kind: str, which: str, count: int, jets: int) -> list[ak.Array]:
    """Return `count` data sets of `jets` jets each, their parameters drawn by the seed."""
    return [
        dijets.events_at(folder, f"{kind}-{which}-{i:02d}", jets, SEEDS[kind], theta)
        for i, theta in enumerate(dijets.drawn(names_of(which), count, kind))
    ]


def measured(
    fit: ParameterFit, folder: Path, kind: str, which: str, count: int, jets: int
) -> dict[str, Any]:
    """Fit `count` data sets, with the truth beside them; return `Experiments.plain`, to be kept."""
    theta = dijets.drawn(names_of(which), count, kind)
    columns = [list(RANGES).index(name) for name in names_of(which)]
    data = data_of(folder, kind, which, count, jets)
    return Experiments.fitted(fit, data, theta[:, columns]).plain()


@dataclass(frozen=True)
class Fits:
    """The fits of one parameter or of "all": of blinded data sets, and of the published values."""

    which: str
    validation: Experiments
    blinded: Experiments
    published: Fitted

    @property
    def names(self) -> list[str]:
        """The parameters that are fitted."""
        return names_of(self.which)

    @property
    def calibration(self) -> EstimateCalibration:
        """The straight line of the validation experiments."""
        return EstimateCalibration().fit(self.validation.estimates, self.validation.truth)

    @property
    def corrected(self) -> list[Estimate]:
        """The calibrated estimates of the blinded data sets."""
        calibration = self.calibration
        return [calibration.correct(estimate) for estimate in self.blinded.estimates]


def table_coverage(
    folder: Path,
    size: Size,
    reference: int,
    counts: tuple[int, int],
    jets: int,
    parts: int = 5,
) -> tuple[Experiments, list[Estimate]]:
    """Return fits of alphaS on a few observables of the same jets, and the calibrated ones.

    `counts` are the validation and the blinded data sets, each cut into `parts` experiments that
    share no jet.
    """
    scan, nominal = training_data(folder, size)
    ratio = table_ratio(size).fit(
        dijets.table(scan), dijets.table(nominal), theta=dijets.theta_of(scan), progress=False
    )
    events = dijets.events_over(folder, "reference", reference, 4, scanned=False)
    fit = fit_of(ratio, "alphaS", dijets.table(events))
    experiments = []
    for kind, count in zip(SEEDS, counts, strict=True):
        tables = [dijets.table(data) for data in data_of(folder, kind, "alphaS", count, jets)]
        pieces = [piece for table in tables for piece in np.array_split(table, parts)]
        truth = dijets.drawn(["alphaS"], count, kind)[:, :1].repeat(parts, 0)
        experiments.append(Experiments.fitted(fit, pieces, truth))
    validation, blinded = experiments
    calibration = EstimateCalibration().fit(validation.estimates, validation.truth)
    return blinded, [calibration.correct(estimate) for estimate in blinded.estimates]


def _training(epochs: int, batch: int) -> Training:
    return Training(epochs=epochs, batch_size=batch, learning_rate=2e-3, schedule="cosine")
