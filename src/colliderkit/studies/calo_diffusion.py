"""Diffusion of calorimeter showers: how many steps, and what a model of the layers is worth.

After CaloDiffusion (2308.03876) and its LayerDiffusion.
"""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.files import refuse_existing
from colliderkit.generators.diffusion import SAMPLERS, Diffusion
from colliderkit.methods.simulation.comparison import Comparison, Sample, ShowerTest
from colliderkit.methods.simulation.surrogate import LAYERS, VOXELS, ShowerSurrogate
from colliderkit.metrics.showers import RESPONSE
from colliderkit.metrics.value import Value
from colliderkit.report.calorimeter import histograms
from colliderkit.report.diffusion import quality_by_calls
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4 import gflash
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.simulation import Beam
from colliderkit.training.settings import Training

__all__ = ["run"]

SUMMARY = """
Photons or electrons of Geant4 in a sampling calorimeter, and two diffusion models of them: one of
whole showers given the incident energy, as CaloDiffusion (arXiv:2308.03876), and one of the shares
of the voxels in their layers, given the layers' energies, which a small flow generates (as
LayerDiffusion generates them by diffusion). Each is trained once; the samplers differ in how they
go from noise to showers, and in how many calls of the network that takes.
"""

REMARKS = """
Published values are those of data set 2 of the CaloChallenge (100,000 showers of 6,480 voxels, a
U-Net, 400 steps): our calorimeter, network and number of showers are others unless the scale is
paper, so that they are a guide for the eye. Classifiers are trained on {train} showers of each
class and judged on {test}; more showers would tell more apart. "Geant4, twice" compares two
halves of the test sample. Samples have the incident energies of the test showers, which no
training has seen.
"""

SOURCE = "LayerDiffusion, data set 2, N = 400"
PUBLISHED = {
    True: {"AUC low-level": 0.54, "AUC high-level": 0.58, "separation of E_tot/E_inc": 0.0017},
    False: {"AUC low-level": 0.56, "AUC high-level": 0.56, "separation of E_tot/E_inc": 0.011},
}
Steps = tuple[str, int]  # a sampler and its steps
THRESHOLD = 0.05  # MeV
SHOWN = ("AUC low-level", "AUC high-level", "FPD", "KPD", "separation of E_tot/E_inc")
FLOOR = "Geant4, twice"


@dataclass(frozen=True)
class Scale:
    """Say which calorimeter, how many showers, which network, how long, and which samplers.

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
        (("ddpm", 400), *SOLVERS), (("ddpm", 400), FEW), 50,
    ),
}  # fmt: skip


def models(
    chosen: Scale, geometry: Geometry, train: Sample, folder: Path
) -> tuple[ShowerSurrogate, ShowerSurrogate]:
    """Train with and without the layer model; checkpoints in `folder`, where a rerun goes on."""
    fitted = []
    for name, layers in (("with", "flow"), ("without", None)):
        model = ShowerSurrogate(
            threshold=THRESHOLD,
            generator="diffusion",
            network=chosen.network,
            network_options=chosen.options,
            layer_generator=layers,
            layers=replace(LAYERS, epochs=min(2 * chosen.epochs, LAYERS.epochs)),
            voxels=replace(VOXELS, epochs=chosen.epochs, batch_size=128, learning_rate=2e-3),
        )
        fitted.append(model.fit(*train, geometry, seed=1, folder=folder / name, resume=True))
    return fitted[0], fitted[1]


def showers(
    chosen: Scale, folder: Path, workers: int, dask: str | None
) -> tuple[Geometry, Sample, Sample, Sample]:
    """Return the geometry, and showers to train on, to test with, and another test sample."""
    if chosen.calorimeter == "smoke":
        geometry = Geometry.regular("smoke", 3, 4, (0, 5, 15, 40), 11)
        energy = np.geomspace(*chosen.energies, chosen.train + 2 * chosen.test)
        energy = np.random.default_rng(1).permutation(energy)
        drawn = gflash.showers(
            energy, geometry, gflash.TUNGSTEN_SILICON, seed=1, depths=(0, 25, 45, 76)
        )
        ends = np.cumsum([0, chosen.train, chosen.test, chosen.test])
        parts = [
            (energy[a:b].astype(np.float32), drawn[a:b])
            for a, b in zip(ends[:-1], ends[1:], strict=True)
        ]
        return geometry, parts[0], parts[1], parts[2]
    geometry = calorimeter(chosen.calorimeter).geometry
    samples = []
    for name, seed, count in (("train", 1, chosen.train), ("test", 2, 2 * chosen.test)):
        path = folder / f"{chosen.calorimeter}-{name}-{count}.hdf5"
        if not path.exists():
            generate_showers(
                chosen.calorimeter, count, path, energies=chosen.energies, index=2.0,
                beam=Beam(chosen.particle), seed=seed, workers=workers, dask=dask,
            )  # fmt: skip
        samples.append(read_showers(path, geometry))
    train, (incident, found) = samples
    half = chosen.test
    return geometry, train, (incident[:half], found[:half]), (incident[half:], found[half:])


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    workers: int = 2,
    dask: str | None = None,
    force: bool = False,
) -> Path:
    """Run the study into `out` and return the path of its report.

    Showers are kept in `out/data`, trainings in `out/training`, from where a rerun goes on.
    """
    refuse_existing(out / "report.html", force)
    if seeds not in (None, 1):
        raise InputError(f"--seeds is {seeds}; this study trains each model once.")
    chosen = SCALES[scale]
    timing = dict.fromkeys(("showers", "training", "sampling", "figures"), 0.0)
    begin = time.perf_counter()
    (out / "data").mkdir(parents=True, exist_ok=True)
    geometry, train, test, again = showers(chosen, out / "data", workers, dask)
    timing["showers"] = time.perf_counter() - begin
    begin = time.perf_counter()
    with_layers, without = models(chosen, geometry, train, out / "training")
    timing["training"] = time.perf_counter() - begin
    judge = ShowerTest(
        geometry,
        THRESHOLD,
        classifier=Training(
            epochs=chosen.classifier, batch_size=1000, learning_rate=2e-4, schedule="constant"
        ),
        width=512 if scale != "paper" else 2048,
        standardised=True,
    )

    def judged(incident: NDArray[Any], sample: NDArray[Any]) -> Comparison:
        begin = time.perf_counter()
        found = judge.compare(test, (incident, sample), progress=False)
        timing["figures"] += time.perf_counter() - begin
        return found

    compared = {FLOOR: judged(*again)}
    results, spending = _results(FLOOR, compared[FLOOR].figures), list[Result]()
    for layers, model, solvers in (
        (True, with_layers, chosen.samplers),
        (False, without, chosen.bare),
    ):
        assert isinstance(model.voxels_, Diffusion)
        for solver in solvers:
            model.voxels_.sample_by(*solver)
            subject = _subject(layers, solver)
            print(subject, flush=True)
            begin, started = time.process_time(), time.perf_counter()
            # The energies of the test may reach a little beyond those of the training.
            sample = model.sample(test[0], seed=3, outside=True)
            spent = (time.process_time() - begin) / len(sample)
            timing["sampling"] += time.perf_counter() - started
            found = judged(test[0], sample)
            compared[subject] = found
            results += _results(subject, found.figures, layers if solver[1] >= 100 else None)
            spending.append(Result(subject, "CPU time a shower", 1e3 * spent, unit="ms"))
    return _report(chosen, scale, compared, results, spending, timing).write(out, force=force)


def calls(solver: Steps) -> int:
    """Return the calls of the network that one sample takes."""
    name, steps = solver
    return SAMPLERS[name].calls(steps)


def _subject(layers: bool, solver: Steps) -> str:
    return f"{'with' if layers else 'without'} layers, {solver[0]} {solver[1]}"


def _results(subject: str, figures: dict[str, Value], layers: bool | None = None) -> list[Result]:
    published = {} if layers is None else PUBLISHED[layers]
    return [
        Result(
            subject, name, figures[name].value, figures[name].error, counting=figures[name].error,
            published=published.get(name), source=SOURCE if name in published else "",
        )
        for name in SHOWN
    ]  # fmt: skip


def _ratio(name: str, figure: str, above: Value, below: Value) -> Result:
    ratio = above.value / below.value
    relative = math.hypot(above.error / above.value, below.error / below.value)
    return Result(name, figure, ratio, abs(ratio) * relative)


def _report(
    chosen: Scale,
    scale: str,
    compared: dict[str, Comparison],
    results: list[Result],
    spending: list[Result],
    timing: dict[str, float],
) -> Report:
    report = Report(
        "Diffusion of calorimeter showers",
        SUMMARY,
        command=f"colliderkit study calo-diffusion --scale {scale}",
        configuration=f"calorimeter: {chosen.calorimeter}\ntraining showers: {chosen.train}\n"
        f"test showers: {chosen.test}\nepochs: {chosen.epochs}\nnetwork: {chosen.network}\n",
        seeds=[1],
        timing=timing,
    )
    report.add_heading("Steps, and the layers")
    report.add_results(
        results,
        "A sampler and its steps, with and without the model of the layers; errors are those of"
        " counting, for one training.",
    )
    report.add_text(REMARKS.format(train=int(0.6 * chosen.test), test=int(0.2 * chosen.test)))
    few = compared[_subject(True, FEW)].figures
    many = compared[_subject(True, chosen.samplers[0])].figures
    bare = compared[_subject(False, FEW)].figures
    name = f"{FEW[0]} {FEW[1]} over {chosen.samplers[0][0]} {chosen.samplers[0][1]}"
    separation = "separation of " + RESPONSE
    aims = [(_ratio(name, key, few[key], many[key]), "< 1.1") for key in SHOWN if key != "KPD"]
    worse = _ratio("without layers over with", separation, bare[separation], few[separation])
    aims.append((worse, "> 5"))
    report.results += [ratio for ratio, _ in aims]
    report.add_table(
        ["", "figure", "ratio", "aim"],
        [[r.subject, r.quantity, Value(r.value, r.error or math.nan), aim] for r, aim in aims],
        "Few steps over many, and what the model of the layers does for the energy.",
    )
    report.results += spending
    solvers = {_subject(True, s): calls(s) for s in chosen.samplers}
    solvers |= {_subject(False, s): calls(s) for s in chosen.bare}
    report.add_table(
        ["", "calls of the network", "CPU time a shower [ms]"],
        [[r.subject, solvers[r.subject], f"{r.value:.3g}"] for r in spending],
        "On one core, thousands of showers at a time.",
    )
    for key, logarithmic in (("AUC low-level", False), ("AUC high-level", False), ("FPD", True)):
        points: dict[str, list[tuple[int, Value]]] = {}
        for layers, some in ((True, chosen.samplers), (False, chosen.bare)):
            for solver in sorted(some, key=calls):
                title = f"{solver[0]}" + ("" if layers else ", no layers")
                value = compared[_subject(layers, solver)].figures[key]
                points.setdefault(title, []).append((calls(solver), value))
        report.add_figure(
            quality_by_calls(points, compared[FLOOR].figures[key], key, logarithmic=logarithmic),
            f"{key} against the calls of the network.",
        )
    report.add_heading("The energy")
    first = compared[FLOOR]
    drawn = {
        "Geant4": first.spectra[0],
        FLOOR: first.spectra[1],
        "with layers": compared[_subject(True, FEW)].spectra[1],
        "without": compared[_subject(False, FEW)].spectra[1],
    }
    names = [RESPONSE, *(name for name in first.edges if name.startswith("E layer"))]
    report.add_figure(
        histograms(drawn, first.edges, names[:3], floor=FLOOR),
        f"Visible over incident energy, and energies of layers, by {FEW[0]} in {FEW[1]} steps.",
        wide=True,
    )
    return report
