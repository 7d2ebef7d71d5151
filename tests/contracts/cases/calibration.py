"""Cases of the calibrations: x = z + noise, with a feature that shifts the response."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.calibration import (
    FlowCalibration,
    GaussianAnsatz,
    GeneralisedInversion,
    NumericalInversion,
    Posterior,
    SequentialCalibration,
    TruthRegression,
)
from colliderkit.sources import write
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, TaskCase

__all__ = ["CASES", "TASK_CASES"]

COUNT = 1500
QUICK = Training(epochs=1, batch_size=250, learning_rate=2e-3, devices=1)
NETWORK: dict[str, Any] = {"hidden": (8,), "training": QUICK}


def data(seed: int) -> Data:
    """Draw measured, truth in [2, 4] and one feature."""
    random = np.random.default_rng(seed)
    truth = random.uniform(2, 4, COUNT)
    feature = random.normal(size=COUNT)
    measured = 2 * truth + 0.3 * (feature + random.normal(size=COUNT))
    return (measured, truth, feature[:, None]), {}


def answer(method: Any, args: Arguments) -> NDArray[np.float64]:
    """Return estimates and resolutions of some events, (2, N)."""
    return np.stack(method.predict(args[0][:200], args[2][:200]))


def closure(method: Any, args: Arguments) -> Any:
    """Return the closure on the events of the fit."""
    return method.closure(*args, bins=3)


def case(
    make: Callable[[], Any],
    exact_weight: bool = True,
    weight_tolerance: float = 1e-6,
    **verbs: Any,
) -> Case:
    """Return the case of one calibration.

    Weights are exact: of these data the closed form that each begins with is the answer, and what
    a network learns of them in one epoch is no better, so that it is not kept. The ansatz alone
    begins with the scales of events that it has drawn by their weights. The flow takes weights
    over their mean near each truth, which 50 events know to some per cent.
    """
    return Case(
        make,
        data,
        answer,
        exact_weight=exact_weight,
        weight_tolerance=weight_tolerance,
        verbs={"closure": closure, **verbs},
    )


CASES = {
    "regression-calibration": case(lambda: TruthRegression(**NETWORK)),
    "numerical-inversion": case(lambda: NumericalInversion(bins=20)),
    "sequential-calibration": case(lambda: SequentialCalibration(bins=8, slices=3)),
    "generalised-inversion": case(
        lambda: GeneralisedInversion(bins=20, **NETWORK),
        location=lambda method, args: method.location(args[1], args[2]),
    ),
    "gaussian-ansatz": case(
        lambda: GaussianAnsatz(**NETWORK),
        exact_weight=False,
        covariance=lambda method, args: method.covariance(args[0], args[2]),
        information=lambda method, args: method.information(*args),
    ),
    "flow-calibration": case(
        lambda: FlowCalibration(transforms=1, bins=4, **NETWORK),
        weight_tolerance=0.01,
        likelihood=lambda method, args: method.log_likelihood(args[0], args[2], args[1][:, None]),
    ),
    "posterior-calibration": case(lambda: Posterior(transforms=1, bins=4, **NETWORK)),
}


def write_pairs(folder: Path) -> None:
    """Write what was measured, what it was, and a feature."""
    measured, truth, feature = data(1)[0]
    write(folder / "pairs.root", {"pt": measured, "pt_true": truth, "eta": feature[:, 0]})


TRAINING = ("--training.epochs", "1", "--training.batch_size", "250", "--hidden", "[8]")
TASK_CASES = {
    "calibration": TaskCase(
        write=write_pairs,
        fit=lambda folder: [
            *("--files", folder / "pairs.root", "--measured", "pt", "--truth", "pt_true"),
            *("--features", "eta"),
        ],
        methods={
            "numerical-inversion": ("--bins", "20"),
            "sequential-calibration": ("--bins", "8", "--slices", "3"),
            **dict.fromkeys(
                (
                    "gaussian-ansatz",
                    "generalised-inversion",
                    "flow-calibration",
                    "posterior-calibration",
                    "regression-calibration",
                ),
                TRAINING,
            ),
        },
        apply=lambda folder: [folder / "pairs.root"],
        evaluate=lambda folder: [folder / "pairs.root", "--truth", "pt_true", "--bins", "4"],
    )
}
