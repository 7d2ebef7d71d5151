"""Diffusion of calorimeter showers: how many steps, and what a model of the layers is worth.

After CaloDiffusion (2308.03876) and its LayerDiffusion.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.generators.diffusion import SAMPLERS, Diffusion
from colliderkit.methods.simulation.comparison import ShowerComparison
from colliderkit.methods.simulation.surrogate import LAYERS, VOXELS, ShowerSurrogate
from colliderkit.metrics.showers import RESPONSE
from colliderkit.metrics.value import Value
from colliderkit.report.calorimeter import histograms
from colliderkit.report.diffusion import quality_by_calls
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4 import gflash
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.simulation import Beam
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Photons or electrons of Geant4 in a sampling calorimeter, and two diffusion models of them: one of
whole showers given the incident energy, as CaloDiffusion (arXiv:2308.03876), and one of the shares
of the voxels in their layers, given the layers' energies, which a small flow generates (as
LayerDiffusion generates them by diffusion). Each is trained once; the samplers differ in how they
go from noise to showers, and in how many calls of the network that takes.
"""
DEFINITIONS = """
Classifiers are trained on {train:g} showers of each class and judged on {test:g}; more showers
would tell more apart. "Geant4 again" compares two halves of the test sample. Samples have the
incident energies of the test showers, which no training has seen.
"""
STAND_IN = """
LayerDiffusion's published values are those of data set 2 of the CaloChallenge: 100,000 showers of
6,480 voxels, a U-Net, 400 steps. Below the paper scale our calorimeter, network and number of
showers are others. The physics is {physics}.
"""
THEIRS: dict[str, Any] = {"source": "LayerDiffusion, N = 400", "difference": "data set 2, 100k"}
PUBLISHED = {
    True: {"AUC low-level": 0.54, "AUC high-level": 0.58, "separation of E_tot/E_inc": 0.0017},
    False: {"AUC low-level": 0.56, "AUC high-level": 0.56, "separation of E_tot/E_inc": 0.011},
}
Steps = tuple[str, int]  # a sampler and its steps
THRESHOLD = 0.05  # MeV
SPENT = "CPU time a shower"
FEWER, BARE = "fewer steps over many", "without layers over with"
AIMS = (
    Aim("Few steps of a solver cost less than a tenth of the quality of many", "*", FEWER, "below",
        1.1),
    Aim("Without the model of the layers the energy is more than five times worse", "*", BARE,
        "above", 5.0),
    Aim("A low-level classifier finds no difference to Geant4, with the model of the layers",
        "AUC low-level", "with layers, *", "equal", 0.5, tolerance=0.05),
)  # fmt: skip
DISTANCES = ("unbiased FPD", "unbiased KPD")
SHOWN = ("AUC low-level", "AUC high-level", *DISTANCES, "separation of E_tot/E_inc")
FLOOR = "Geant4 again"


@dataclass(frozen=True)
class Scale:
    """Calorimeter, number of showers, network, epochs, and samplers.

    `energies` are those of the `particle` [MeV], dN/dE ~ E^-2. `samplers` are (name, steps), the
    first is what the others are compared with; those without the layer model are `bare`.
    """

    calorimeter: str
    particle: str
    energies: tuple[float, float]
    train: int
    test: int
    network: str
    options: dict[str, Any]
    epochs: int
    samplers: tuple[Steps, ...]
    bare: tuple[Steps, ...]
    classifier: int
    width: int = 512


MANY = ("ddpm", 200)
FEW = ("midpoint", 8)
SOLVERS = (MANY, ("ddim", 8), ("dpm-solver++", 8), ("dpm-solver++", 16), ("midpoint", 4), FEW)
SMALL = {"width": 64, "depth": 3}
SCALES = {
    "smoke": Scale(
        "smoke", "e-", (1000.0, 5000.0), 600, 400, "rings", {"width": 8, "depth": 1, "heads": 2},
        2, (("ddpm", 12), FEW), (FEW,), 2,
    ),
    "laptop": Scale(
        "photons-368", "gamma", (500.0, 64_000.0), 34_000, 5_000, "ring-mixer", SMALL, 12, SOLVERS,
        (FEW,), 20,
    ),
    "paper": Scale(
        "electrons-6480", "e-", (1000.0, 1e6), 100_000, 60_000, "u-net", {}, 200,
        (("ddpm", 400), *SOLVERS), (("ddpm", 400), FEW), 50, 2048,
    ),
}  # fmt: skip


def calo_diffusion(run: Run[Scale]) -> None:
    """Fit both models, and compare what each sampler draws with Geant4."""
    scale = run.scale
    geometry, train, test, again = showers(run)

    def compared(name: str, sample: Showers) -> ShowerComparison:
        classifier = Training(
            epochs=scale.classifier, batch_size=1000, learning_rate=2e-4, schedule="constant"
        )
        comparison = ShowerComparison(
            threshold=THRESHOLD, classifier=classifier, width=scale.width, standardised=True
        )
        return run.fitted(f"comparison, {name}", comparison, test, sample, geometry)

    comparisons = {FLOOR: compared(FLOOR, again)}
    results = _results(FLOOR, comparisons[FLOOR])
    for layers, solvers in ((True, scale.samplers), (False, scale.bare)):
        name = "with layers" if layers else "without layers"
        model = run.fitted(name, surrogate(scale, layers), train, geometry, seed=1)
        for solver in solvers:
            subject = _subject(layers, solver)
            drawn = run.arrays(subject, partial(_draw, model, solver, test))
            comparison = compared(subject, Showers.checked(test.incident, drawn["voxels"]))
            comparisons[subject] = comparison
            results += _results(subject, comparison, layers if solver[1] >= 100 else None)
            results.append(Result(subject, "calls of the network", calls(solver), 0.0))
            spent = float(f"{1e3 * float(drawn['seconds']):.3g}")
            results.append(Result(subject, SPENT, spent, unit="ms"))
    _fill(run.report, scale, comparisons, results)


def showers(run: Run[Scale]) -> tuple[Geometry, Showers, Showers, Showers]:
    """Return the geometry, and showers to train on, to test with, and another test sample."""
    scale = run.scale
    if scale.calorimeter == "smoke":
        geometry = Geometry.regular("smoke", 3, 4, (0, 5, 15, 40), 11)
        energy = np.geomspace(*scale.energies, scale.train + 2 * scale.test)
        energy = np.random.default_rng(1).permutation(energy)
        medium, depths = gflash.TUNGSTEN_SILICON, (0, 25, 45, 76)
        every = Showers.checked(
            energy, gflash.showers(energy, geometry, medium, seed=1, depths=depths)
        )
    else:
        geometry = calorimeter(scale.calorimeter).geometry
        samples = []
        for name, seed, count in (("train", 1, scale.train), ("test", 2, 2 * scale.test)):
            path = run.file(f"{name}.hdf5", partial(_shoot, run, count, seed))
            samples.append(read_showers(path, geometry))
        every = Showers.joined(samples)
    ends = np.cumsum([0, scale.train, scale.test, scale.test])
    train, test, again = (every.at(slice(a, b)) for a, b in pairwise(ends))
    return geometry, train, test, again


def _shoot(run: Run[Scale], count: int, seed: int, path: Path) -> None:
    scale = run.scale
    generate_showers(
        scale.calorimeter, count, path, energies=scale.energies, index=2.0, seed=seed,
        beam=Beam(scale.particle), workers=run.workers, dask=run.dask,
    )  # fmt: skip


def surrogate(scale: Scale, layers: bool) -> ShowerSurrogate:
    """Return a diffusion surrogate, not fitted, with or without the model of the layers."""
    return ShowerSurrogate(
        threshold=THRESHOLD,
        generator="diffusion",
        network=scale.network,
        network_options=scale.options,
        layer_generator="flow" if layers else None,
        layers=replace(LAYERS, epochs=min(2 * scale.epochs, LAYERS.passes(scale.train))),
        voxels=replace(VOXELS, epochs=scale.epochs, batch_size=128, learning_rate=2e-3),
    )


def _draw(model: ShowerSurrogate, solver: Steps, test: Showers) -> dict[str, NDArray[Any]]:
    """Draw showers at the energies of the test, and take the CPU time of one [s]."""
    assert isinstance(model.voxels_, Diffusion)
    model.voxels_.sample_by(*solver)
    begin = time.process_time()
    # The energies of the test may reach a little beyond those of the training.
    voxels = model.sample(test.incident, seed=3, outside=True)
    return {"voxels": voxels, "seconds": np.array((time.process_time() - begin) / len(voxels))}


def calls(solver: Steps) -> int:
    """Return the calls of the network that one sample takes."""
    return SAMPLERS[solver[0]].calls(solver[1])


def _subject(layers: bool, solver: Steps) -> str:
    return f"{'with' if layers else 'without'} layers, {solver[0]} {solver[1]}"


def _results(
    subject: str, comparison: ShowerComparison, layers: bool | None = None
) -> list[Result]:
    published = {} if layers is None else PUBLISHED[layers]
    values = comparison.quantities_
    return [
        Result(
            subject, name, values[name].value, values[name].error, counting=values[name].error,
            published=published.get(name), **(THEIRS if name in published else {}),
        )
        for name in SHOWN
    ]  # fmt: skip


def _ratio(name: str, quantity: str, above: Value, below: Value) -> Result:
    ratio = above.value / below.value
    relative = math.hypot(above.error / above.value, below.error / below.value)
    return Result(name, quantity, ratio, abs(ratio) * relative)


def _fill(
    report: Report,
    scale: Scale,
    comparisons: Mapping[str, ShowerComparison],
    results: Sequence[Result],
) -> None:
    report.add_heading("Steps, and the layers")
    for key in ("AUC low-level", "AUC high-level", "unbiased FPD"):
        points: dict[str, list[tuple[int, Value]]] = {}
        for layers, some in ((True, scale.samplers), (False, scale.bare)):
            for solver in sorted(some, key=calls):
                title = f"{solver[0]}" + ("" if layers else ", no layers")
                value = comparisons[_subject(layers, solver)].quantities_[key]
                points.setdefault(title, []).append((calls(solver), value))
        report.add_figure(
            quality_by_calls(points, comparisons[FLOOR].quantities_[key], key),
            f"{key} against the calls of the network: low and to the left is better.",
        )
    report.add_results(
        results,
        "A sampler and its steps; ± counting, one training. Times are of one core.",
        best={key: 0.5 if key.startswith("AUC") else "lower" for key in (*SHOWN, SPENT)},
        order="AUC low-level",
        aside=(FLOOR,),
    )
    report.add_definitions(DEFINITIONS.format(train=0.6 * scale.test, test=0.2 * scale.test))
    report.add_stand_in(STAND_IN.format(physics=physics_name()))
    few = comparisons[_subject(True, FEW)].quantities_
    many = comparisons[_subject(True, scale.samplers[0])].quantities_
    bare = comparisons[_subject(False, FEW)].quantities_
    separation = "separation of " + RESPONSE
    ratios = [_ratio(FEWER, key, few[key], many[key]) for key in SHOWN if "KPD" not in key]
    ratios.append(_ratio(BARE, separation, bare[separation], few[separation]))
    report.results += ratios
    judged = [(ratio, AIMS[ratio.subject == BARE].judge([ratio])) for ratio in ratios]
    report.add_table(
        ["", "quantity", "ratio", "aim", ""],
        [[r.subject, r.quantity, r.estimate, c.asked, c.line.mark] for r, c in judged],
        f"{FEW[0]} in {FEW[1]} steps over {scale.samplers[0][0]} in {scale.samplers[0][1]}, and the"
        " energy without the model of the layers: ✓ holds, ✗ does not, ? is not decided.",
    )
    report.add_heading("The energy")
    first = comparisons[FLOOR]
    drawn = {
        physics_name(): first.histograms_[0],
        FLOOR: first.histograms_[1],
        "with layers": comparisons[_subject(True, FEW)].histograms_[1],
        "without": comparisons[_subject(False, FEW)].histograms_[1],
    }
    names = [RESPONSE, *(name for name in first.edges_ if name.startswith("E layer"))]
    report.add_figure(
        histograms(drawn, first.edges_, names[:3], floor=FLOOR),
        f"Visible over incident energy, and energies of layers, by {FEW[0]} in {FEW[1]} steps.",
        wide=True,
    )


TITLE = "Diffusion of calorimeter showers"
STUDY = Study(
    *("calo-diffusion", TITLE, SUMMARY, SCALES, calo_diffusion, ("workers", "dask")),
    aims=AIMS,
    rankings=(Ranking("AUC low-level", "lower", aside=(FLOOR,)),),
    events="{train} showers to train on, {test} to test with",
    stand_in="data set 2 of the CaloChallenge",
)
