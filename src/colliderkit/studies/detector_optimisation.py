"""A detector optimised by gradients through a surrogate of its showers, beside a scan of Geant4."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.methods.simulation.detector_optimisation import (
    DetectorOptimisation,
    finite_difference,
    resolution_of,
)
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.metrics.value import Value, number
from colliderkit.report.detector import resolution_over, ways_down
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4.calorimeters import sandwich
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.toys.longitudinal import LongitudinalToy
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
ENERGY, LAYERS = 1_000.0, 12  # MeV, and the layers that there is money for
SUMMARY = """
A simulation that can be differentiated could design a detector by itself. Here a flow learns the
showers of a sampling calorimeter at several thicknesses of its absorber, with a given number of
active layers; the gradient of the energy resolution goes through the flow down to the best
thickness. A toy with a known answer is done first. Then the gradient is compared with differences
of Geant4, and the optimum with a scan.
"""
STAND_IN = """
The lecture shows differentiable simulation as an idea, without a figure. The calorimeter is
12 layers of lead and 4 mm of scintillator, hit by electrons of 1 GeV; the physics is {physics}.
Thin absorbers let the end of the shower out, thick ones see few of its particles.
"""
MEASURES = """
The resolution is the standard deviation of the visible energy over its mean. Errors of surrogates
are the spread over members, each trained on a bootstrap of the showers; errors of Geant4 are those
of counting. The scan has showers that no training saw; its optimum is that of a parabola in the
logarithm of the thickness through the points around the lowest, with its error by a bootstrap.
"""
EXACT, SURROGATE, GEANT4 = "toy, exact", "toy, surrogate", "Geant4"
OURS = "surrogate of Geant4"
BEST, START, SLOPE, MEAN = (
    "best absorber",
    "resolution at the start",
    "slope at",
    "slope of mean at",
)
FOUND = "resolution at the optimum"
AIMS = (
    Aim("In a toy the gradient is that of the closed form", f"{SLOPE} *", SURROGATE, "equal",
        against=EXACT, tolerance=0.1),
    Aim("In a toy the optimum is found to 0.1 radiation lengths", BEST, SURROGATE, "equal",
        against=EXACT, tolerance=0.1),
    Aim("The gradient of the resolution is that of Geant4's differences", f"{SLOPE} *", OURS,
        "equal", against=GEANT4, tolerance=0.01),
    Aim("The gradient of the mean energy is that of Geant4's differences", f"{MEAN} *", OURS,
        "equal", against=GEANT4, tolerance=5e-4),
    Aim("The optimum is that of a scan, to 1 mm", BEST, OURS, "equal", against=GEANT4,
        tolerance=1.0),
    Aim("It is better than where the descent began", FOUND, GEANT4, "below", against=GEANT4,
        over=START),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Showers of the toy; thicknesses [mm], and showers of each to train on and of the scan."""

    toy: int
    thicknesses: tuple[float, ...]
    train: int
    scan: int
    members: int
    training: Training


MANY = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0)
settings = partial(Training, batch_size=1024, learning_rate=1e-2, schedule="cosine")
SCALES = {
    "smoke": Scale(800, (3.0, 6.0, 10.0), 60, 60, 2, settings(epochs=2)),
    "laptop": Scale(10_000, MANY, 1_500, 3_000, 4, settings(epochs=40)),
    "night": Scale(40_000, MANY, 10_000, 30_000, 8, settings(epochs=60)),
    "paper": Scale(200_000, MANY, 50_000, 200_000, 10, settings(epochs=100)),
}


def detector_optimisation(run: Run[Scale]) -> None:
    """Optimise the absorber of a toy, and of a calorimeter in Geant4."""
    run.report.add_stand_in(STAND_IN.format(physics=physics_name()))
    run.report.add_definitions(MEASURES)
    run.report.add_heading("A known answer")
    of_toy(run)
    run.report.add_heading("Geant4")
    of_geant4(run)


def optimiser(scale: Scale) -> DetectorOptimisation:
    """Return what is fitted: a flow of one spline."""
    options = {"transforms": 1, "hidden": [32, 32]}
    surrogate = ConditionalGenerator(options=options, training=scale.training)
    return DetectorOptimisation(surrogate, members=scale.members)


def of_toy(run: Run[Scale]) -> None:
    """Compare gradients and the optimum of a toy with their closed forms."""
    scale, toy = run.scale, LongitudinalToy()
    thick = np.random.default_rng(1).uniform(0.6, 2.4, scale.toy)
    with run.step("toy"):
        fitted = optimiser(scale).fit(
            toy.sample(thick, seed=2)[:, None], thick[:, None], seed=1, progress=False
        )
        ways = fitted.descend([0.8])
    best = mean_of([way.best[0] for way in ways])
    rows = [
        Result(SURROGATE, BEST, best.value, best.error, unit="X0"),
        Result(EXACT, BEST, toy.best(), 0.0, unit="X0"),
    ]
    for at in (0.9, 1.5, 2.1):
        (slope,) = fitted.gradient([at])
        quantity = f"{SLOPE} {at:g} X0"
        rows.append(Result(SURROGATE, quantity, slope.value, slope.error))
        rows.append(Result(EXACT, quantity, float(toy.slope(at)), 0.0))
    run.report.add_results(
        rows,
        "Best thickness in radiation lengths, and the derivative of the relative resolution by it.",
    )
    points = np.linspace(0.65, 2.35, 15)
    run.report.add_figure(
        resolution_over(
            (points, [fitted.value([t]) for t in points]),
            {},
            best,
            "Absorber of a layer [$X_0$]",
            (points, toy.resolution(points)),
        ),
        f"Resolution by surrogates of {number(scale.toy)} showers of the toy, and exactly.",
    )
    run.report.add_figure(
        ways_down(
            [way.parameters[:, 0] for way in ways],
            "Absorber of a layer [$X_0$]",
            ("closed form", Value(toy.best(), 0.0)),
        ),
        "Each surrogate's way down its gradient; the line is the closed form.",
    )


def of_geant4(run: Run[Scale]) -> None:
    """Compare gradients with differences of Geant4, and the optimum with a scan."""
    scale = run.scale
    sums = [showers(run, thick) for thick in scale.thicknesses]
    grid = np.array(scale.thicknesses)
    train = np.concatenate([rows[: scale.train] for rows in sums])
    scan = [rows[scale.train :].sum(1) for rows in sums]
    with run.step("surrogates"):
        fitted = optimiser(scale).fit(
            train, np.repeat(grid, scale.train)[:, None], seed=2, progress=False
        )
        start = float(grid[1])
        ways = fitted.descend([start])
    best = mean_of([way.best[0] for way in ways])
    seen = [resolution_of(each) for each in scan]
    truth = lowest(grid, seen)
    at_best = interpolated(grid, seen, best.value)
    rows = [
        Result(OURS, BEST, best.value, best.error, unit="mm"),
        Result(GEANT4, BEST, truth.value, truth.error, unit="mm"),
        Result(GEANT4, START, seen[1].value, seen[1].error, counting=seen[1].error),
        Result(GEANT4, FOUND, at_best.value, at_best.error, counting=at_best.error),
    ]
    places = sorted({1, len(grid) // 2, len(grid) - 2})
    for i in places:
        low, high = grid[i - 1], grid[i + 1]
        differences = finite_difference(scan[i - 1], scan[i + 1], (high - low) / 2)
        gradients = fitted.gradient, fitted.mean_gradient
        for name, theirs, gradient in zip((SLOPE, MEAN), differences, gradients, strict=True):
            # A difference is the mean of the gradient between its ends.
            mine = between(gradient, low, high)
            label = f"{name} {low:g} to {high:g} mm"
            rows.append(Result(OURS, label, mine.value, mine.error))
            rows.append(Result(GEANT4, label, theirs.value, theirs.error, counting=theirs.error))
    run.report.add_results(
        rows,
        f"Best thickness; resolution; and derivatives by the thickness [1/mm], of the resolution"
        f" and of the mean visible energy over that of the beam. {number(scale.train)} showers of"
        f" each thickness were trained on, and {number(scale.scan)} others are the scan.",
    )
    points = np.linspace(grid[0], grid[-1], 15)
    run.report.add_figure(
        resolution_over(
            (points, [fitted.value([t]) for t in points]),
            {GEANT4: (grid, seen)},
            best,
            "Absorber of a layer [mm]",
        ),
        "Resolution by surrogates, and of showers of Geant4 that they have not seen.",
    )
    run.report.add_figure(
        ways_down(
            [way.parameters[:, 0] for way in ways], "Absorber of a layer [mm]", ("scan", truth)
        ),
        "Each surrogate's way down its gradient; the band is the optimum of the scan.",
    )


def showers(run: Run[Scale], thick: float) -> Floats:
    """Return visible energies of the front and back half of the layers, over the beam's, (N, 2)."""
    scale = run.scale

    def make(path: Path) -> None:
        generate_showers(
            sandwich(thick, LAYERS),
            scale.train + scale.scan,
            path,
            energies=(ENERGY, ENERGY),
            seed=round(100 * thick),
            shard=scale.train + scale.scan,
            progress=False,
        )

    voxels = read_showers(run.file(f"lead-{thick:g}.hdf5", make)).voxels.astype(np.float64)
    halves = voxels.reshape(len(voxels), 2, LAYERS // 2).sum(2)
    return halves / ENERGY


def mean_of(values: Sequence[float] | Floats) -> Value:
    """Return the mean of the members ± their spread."""
    return Value(float(np.mean(values)), float(np.std(values, ddof=1)))


def between(gradient: Callable[[ArrayLike], list[Value]], low: float, high: float) -> Value:
    """Return the mean of a gradient from `low` to `high`, by three points of Gauss's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(3)
    found = [gradient([float(t)])[0] for t in (high + low) / 2 + (high - low) / 2 * nodes]
    # The members are wrong alike at all three: errors are added.
    parts = [(w / 2 * v.value, w / 2 * v.error) for w, v in zip(weights, found, strict=True)]
    return Value(sum(v for v, _ in parts), sum(e for _, e in parts))


def lowest(grid: Floats, seen: Sequence[Value], replicas: int = 500) -> Value:
    """Return where a parabola in ln t through the points around the lowest is least."""
    values, errors = (np.array([getattr(v, name) for v in seen]) for name in ("value", "error"))
    random = np.random.default_rng(3)
    draws = np.concatenate([values[None], random.normal(values, errors, (replicas, len(values)))])
    middle = int(np.clip(values.argmin(), 1, len(grid) - 2))
    part = slice(max(middle - 2, 0), middle + 3)
    x = np.log(grid[part])
    found = []
    for draw in draws:
        curve, slope, _ = np.polyfit(x, draw[part], 2, w=1 / errors[part])
        # A line has no lowest point but its end.
        turn = -slope / (2 * curve) if curve > 0 else x[draw[part].argmin()]
        found.append(np.exp(np.clip(turn, x[0], x[-1])))
    return Value(float(found[0]), float(np.std(found[1:], ddof=1)))


def interpolated(grid: Floats, seen: Sequence[Value], at: float) -> Value:
    """Return the resolution of the scan at a thickness, on a line between its neighbours."""
    value, error = (np.interp(at, grid, [getattr(v, n) for v in seen]) for n in ("value", "error"))
    return Value(float(value), float(error))


STUDY = Study(
    *("detector-optimisation", "A detector by its gradient", SUMMARY, SCALES),
    detector_optimisation,
    aims=AIMS,
    events="{toy} showers of a toy, {train} to train on and {scan} to scan of each thickness",
    stand_in="differentiable simulation, of which the lecture shows no figure",
)
