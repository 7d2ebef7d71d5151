"""Small cases of measurements: with nuisance parameters, of parameters, and their intervals."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.inference.estimates import Estimate, EstimateCalibration
from colliderkit.methods.inference.inferno import InferenceAware
from colliderkit.methods.inference.neyman import NeymanConstruction
from colliderkit.methods.inference.nuisance_ratio import UncertaintyAware
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.inference.parameter_fit import ParameterFit
from colliderkit.methods.ratio import Ratio
from colliderkit.sources import write
from colliderkit.sources.toys.normal import NormalRatio
from colliderkit.training.settings import Training
from contracts.cases.case import Case, TaskCase

Floats = NDArray[np.float64]
TINY = Training(epochs=2, batch_size=100)
NUISANCES = (
    Nuisance("shift", "shift", column=0, width=0.3),
    Nuisance("yield", "yield", nominal=100.0, width=10.0),
)
TOY = NormalRatio()


def labelled(seed: int, count: int = 200) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Events of N(0, 1) and N(2, 1), in turns."""
    random = np.random.default_rng(seed)
    label = np.arange(2 * count) % 2
    return (random.normal(2 * label[:, None], 1, (2 * count, 2)), label), {}


@cache
def ratio() -> Ratio:
    """N(mean, 1) over N(0, 1), learned."""
    mean = np.random.default_rng(0).uniform(-1, 1, (4000, 1))
    theta = np.concatenate([mean, np.ones((4000, 1))], 1)
    learned = Ratio(
        columns=["x"],
        parameters=["mean"],
        hidden=(16,),
        training=Training(epochs=10, batch_size=250, learning_rate=1e-2),
    )
    return learned.fit(TOY.sample(theta, 4000, 1), TOY.sample((0, 1), 4000, 2), theta=mean)


DATA, MEANS = TOY.sample((0.2, 1.0), 300, 9), np.linspace(-0.8, 0.8, 9)


def estimates(seed: int, count: int = 12) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """theta_hat = .1 + 1.2 theta, with a claimed error of .1 and one of .3."""
    random = np.random.default_rng(seed)
    truth = random.uniform(-1, 1, (count, 2))
    theta = 0.1 + 1.2 * truth + random.normal(0, 0.3, truth.shape)
    covariance = np.diag([0.01, 0.01])
    return ([Estimate(("a", "b"), row, covariance) for row in theta], truth), {}


def corrected(method: EstimateCalibration, args: Any) -> Floats:
    found = method.correct(args[0][0])
    return np.concatenate([found.theta, found.covariance.ravel()])


def estimate_of_nan(args: Any) -> Any:
    first = Estimate(("a", "b"), np.array([np.nan, 0.0]), args[0][0].covariance)
    return [first, *args[0][1:]], args[1]


def counting(seed: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Counts of a signal on three events of background."""

    def simulate(signal: float, count: int, random: np.random.Generator) -> Floats:
        return random.poisson(signal + 3, count) + 0.01 * seed

    return (np.linspace(0, 12, 25), simulate, log_likelihood), {}


def log_likelihood(counts: Floats, scan: Floats) -> Floats:
    return np.asarray(counts)[:, None] * np.log(scan + 3) - scan - 3


def intervals(method: NeymanConstruction, args: Any) -> Floats:
    found = method.intervals(log_likelihood(np.array([1.0, 5.0]), method.scan_))
    return np.concatenate([found.low, found.high, method.critical_])


def count_of_nan(args: Any) -> Any:
    return args[0], args[1], lambda counts, scan: log_likelihood(counts * np.nan, scan)


CASES = {
    "inference-aware": Case(
        make=lambda: InferenceAware(NUISANCES, bins=3, options={"hidden": [8]}, training=TINY),
        data=labelled,
        answer=lambda method, args: method.transform(args[0], soft=True),
    ),
    "uncertainty-aware": Case(
        make=lambda: UncertaintyAware(NUISANCES, options={"hidden": [8]}, training=TINY),
        data=labelled,
        answer=lambda method, args: method.log_ratio(args[0][:50], [0.1, 100.0]),
        verbs={"predict_proba": lambda method, args: method.predict_proba(args[0][:5])},
    ),
    "parameter-fit": Case(
        make=ParameterFit,
        data=lambda seed: ((TOY.sample((0, 1), 500, seed), ratio()), {}),
        answer=lambda method, args: method.scan(DATA, MEANS),
        exact_weight=True,
        verbs={"estimate": lambda method, args: method.estimate(DATA)},
    ),
    "estimate-calibration": Case(
        make=EstimateCalibration,
        data=estimates,
        answer=corrected,
        exact_weight=True,
        nan=estimate_of_nan,
        repeat=lambda args, kwargs, rows: (([args[0][i] for i in rows], args[1][rows]), kwargs),
    ),
    "neyman-construction": Case(
        make=lambda: NeymanConstruction(experiments=200),
        data=counting,
        answer=intervals,
        nan=count_of_nan,
        refuses_weight="pseudo-experiments are drawn",
    ),
}


def write_labelled(folder: Path) -> None:
    for part, seed in (("train", 1), ("test", 2)):
        (x, label), _ = labelled(seed, 400)
        for kind, name, total in ((1, "signal", 50.0), (0, "background", 1000.0)):
            a, b = x[label == kind].T
            weight = np.full(len(a), total / len(a))
            write(folder / f"{name}-{part}.parquet", {"a": a, "b": b, "w": weight})


def both(folder: Path, part: str) -> list[str]:
    return [
        *("--signal", str(folder / f"signal-{part}.parquet")),
        *("--background", str(folder / f"background-{part}.parquet"), "--weight", "w"),
    ]


def write_ratio(folder: Path) -> None:
    ratio().save(folder / "ratio")
    for name, true in (("reference", 0.0), ("data", 0.2)):
        write(folder / f"{name}.parquet", {"x": TOY.sample((true, 1), 500, 3)[:, 0]})


def write_fit(folder: Path) -> None:
    write_ratio(folder)
    reference = TOY.sample((0, 1), 500, 3)
    ParameterFit().fit(reference, Ratio.load(folder / "ratio")).save(folder / "fit")


def write_experiments(folder: Path) -> None:
    (experiments, truth), _ = estimates(1)
    theta = np.stack([estimate.theta for estimate in experiments]).T
    error = np.full(len(truth), 0.1)
    columns = {"a": theta[0], "b": theta[1], "da": error, "db": error}
    write(folder / "estimates.parquet", columns | {"a0": truth[:, 0], "b0": truth[:, 1]})


TASK_CASES = {
    "inference": TaskCase(
        write=write_labelled,
        fit=lambda folder: [
            *both(folder, "train"),
            *("--columns", "a,b", "--training.epochs", "2", "--training.batch_size", "200"),
            *("--nuisances", "[{name: n, transform: shift, column: a, width: 0.3}]"),
        ],
        methods={"inference-aware": ["--bins", "3"]},
        apply=lambda folder: [folder / "signal-test.parquet"],
        evaluate=lambda folder: both(folder, "test"),
        export=lambda folder: both(folder, "test"),
        exported="workspace.json",
    ),
    "parameters": TaskCase(
        write=write_ratio,
        fit=lambda folder: [
            *("--ratio", folder / "ratio", "--reference", folder / "reference.parquet")
        ],
        evaluate=lambda folder: ["--data", folder / "data.parquet", "--replicas", "50"],
    ),
    "neyman-construction": TaskCase(
        write=write_fit,
        fit=lambda folder: [
            *("--fit", folder / "fit", "--events", "100", "--experiments", "100"),
            *("--points", "9"),
        ],
        evaluate=lambda folder: ["--fit", folder / "fit", "--data", folder / "data.parquet"],
    ),
    "estimate-calibration": TaskCase(
        write=write_experiments,
        fit=lambda folder: [
            *("--experiments", folder / "estimates.parquet", "--estimates", "a,b"),
            *("--errors", "da,db", "--truth", "a0,b0"),
        ],
        apply=lambda folder: [folder / "estimates.parquet", "--errors", "da,db"],
    ),
}
