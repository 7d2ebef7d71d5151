"""Geant4 in, a faster Geant4 out: surrogates of calorimeter showers beside the Geant4 floor.

After the CaloChallenge (2410.21611): showers of photons in 368 voxels, its figures of merit, and
the time that a shower takes, with Geant4 timed in the same run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.events.calorimeter.showers import Showers
from colliderkit.methods.simulation.comparison import ShowerComparison
from colliderkit.methods.simulation.posterior import log_posterior
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.showers import add_showers, results_of
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.serve.showers import shower_times
from colliderkit.sources.files.showers import read_showers, write_showers
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.simulation import Beam
from colliderkit.sources.geant4.timing import seconds_a_shower as geant4_seconds
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

CALORIMETER = calorimeter("photons-368")
PHOTONS = Beam("gamma")
THRESHOLD = 0.05  # MeV in the active slabs, a quarter of an MeV deposited in all
TRAINING_SEED, REFERENCE_SEED = 1, 2
FLOOR = "Geant4 again"
SOURCE = "arXiv:2410.21611"
# AUC of the low-level and high-level classifiers on data set 1, photons.
PUBLISHED = {
    "CaloDiffusion": (0.635, 0.536),
    "CaloINN": (0.626, 0.638),
    "CaloFlow student": (0.761, 0.667),
    "BoloGAN": (0.927, 0.966),
}

SUMMARY = f"""
Photons in a sampling calorimeter with the 368 voxels of the CaloChallenge's data set 1, simulated
by Geant4. Models learn a training sample and are compared with other showers that no training has
seen; "{FLOOR}" is the training sample itself against them, what a perfect model would give.
"""
STAND_IN = """
The calorimeter is lead and liquid argon in five layers instead of ATLAS's, and energies fall as
E^-2 instead of fifteen fixed ones. The physics is {physics}. The published areas under the curve
are of other showers and more of them: they say where the field stands, and not what should come
out here. Classifiers have {width} instead of 2048 numbers a layer and are trained on {classifier:g}
showers of each class; an area under the curve grows with both.
"""
POSTERIOR = """
The mean of ln P(model | shower) over the Geant4 showers, by one classifier that tells the samples
of the {models} models (of the first seed) apart (2410.21611): higher is better, by chance it is
{chance:.2f}. The errors are those of counting.
"""


LOW, HIGH = "AUC low-level", "AUC high-level"
AIMS = (
    Aim("A low-level classifier finds no difference between two samples of Geant4", LOW, FLOOR,
        "equal", 0.5, tolerance=0.05),
    *(
        Aim(f"It finds none between {name} and Geant4", LOW, name, "equal", 0.5, tolerance=0.05)
        for name in ("diffusion", "flow matching", "CaloFlow", "VAE", "WGAN-GP")
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How many showers, which models, and how long they and the classifiers are trained.

    `timed` showers of Geant4 are shot for its time; of 0 no time is measured.
    """

    training: int
    reference: int
    energies: tuple[float, float]
    models: tuple[str, ...]
    epochs: int
    layer_epochs: int
    width: int
    classifier: Training
    repetitions: int
    timed: int
    transforms: int = 4
    steps: int = 4
    depth: int = 4
    seeds: int = 1

    @property
    def energy(self) -> float:
        """The energy that times are measured at [MeV], the middle of ln E of the training."""
        return float(np.sqrt(self.energies[0] * self.energies[1]))


SCALES = {
    "smoke": Scale(
        160, 160, (100.0, 300.0), ("diffusion",), 1, 2, 32, Training(epochs=2), 1, 0, 1, 2, 1,
    ),
    "laptop": Scale(
        34_000, 34_000, (500.0, 64_000.0), ("diffusion", "VAE", "WGAN-GP"), 60, 20, 512,
        Training(epochs=30, batch_size=1000, learning_rate=2e-4, schedule="constant", patience=6),
        1, 20,
    ),
    "paper": Scale(
        100_000, 100_000, (256.0, 1_024_000.0),
        ("diffusion", "flow matching", "CaloFlow", "VAE", "WGAN-GP"), 300, 40, 2048,
        Training(epochs=50, batch_size=1000, learning_rate=2e-4, schedule="constant"), 3, 20,
    ),
}  # fmt: skip


def _common(
    scale: Scale, *, batch_size: int = 256, learning_rate: float = 2e-3, precision: Any = "32-true"
) -> dict[str, Any]:
    """Return what all models share."""
    layers = Training(
        epochs=scale.layer_epochs, batch_size=512, learning_rate=2e-3, schedule="cosine"
    )
    rates: dict[str, Any] = {"batch_size": batch_size, "learning_rate": learning_rate}
    voxels = Training(epochs=scale.epochs, schedule="one-cycle", precision=precision, **rates)
    return {
        "threshold": THRESHOLD,
        "validation": 0.05,
        "layers": layers,
        "layer_options": {"transforms": scale.transforms, "bins": 12, "hidden": [64, 64]},
        "voxels": voxels,
    }


def _denoising(generator: str, scale: Scale) -> ShowerSurrogate:
    """Return a surrogate by a network that removes noise."""
    # bfloat16 takes half the time of float32 on a processor that knows it; there small batches
    # cost no more.
    return ShowerSurrogate(
        generator=generator,
        network="ring-mixer",
        network_options={"width": 64, "depth": scale.depth},
        options={"steps": scale.steps},
        **_common(scale, batch_size=128, learning_rate=4e-3, precision="bf16-mixed"),
    )


def _direct(generator: str, options: dict[str, Any], scale: Scale) -> ShowerSurrogate:
    """Return a surrogate by a generator with networks of its own."""
    return ShowerSurrogate(generator=generator, network=None, options=options, **_common(scale))


MODELS: dict[str, Callable[[Scale], ShowerSurrogate]] = {
    "diffusion": partial(_denoising, "diffusion"),
    "flow matching": partial(_denoising, "flow-matching"),
    # Both flows of CaloFlow, with the published sizes of data set 1; samples are the student's.
    "CaloFlow": partial(
        _direct, "student-flow", {"transforms": 8, "bins": 8, "hidden": [378, 378]}
    ),
    "VAE": partial(_direct, "vae", {"latent": 32, "width": 512, "layers": 3}),
    "WGAN-GP": partial(_direct, "wgan-gp", {"noise": 64, "width": 512, "layers": 3}),
}


def calo_surrogate(run: Run[Scale]) -> None:
    """Shoot showers, fit surrogates, and compare what they draw with Geant4."""
    scale, report, geometry = run.scale, run.report, CALORIMETER.geometry
    shot = {"training": (scale.training, TRAINING_SEED), "test": (scale.reference, REFERENCE_SEED)}
    training, reference = (
        read_showers(run.file(f"{name}.hdf5", partial(_shoot, run, *request)), geometry)
        for name, request in shot.items()
    )

    def compared(name: str, sample: Showers, seen: Showers | None = None) -> ShowerComparison:
        comparison = ShowerComparison(
            threshold=THRESHOLD,
            classifier=scale.classifier,
            width=scale.width,
            repetitions=scale.repetitions,
        )
        return run.fitted(
            f"comparison, {name}", comparison, reference, sample, geometry, training=seen
        )

    comparisons = {FLOOR: [compared(FLOOR, training)]}
    seconds: dict[str, Any] = {}
    if scale.timed:
        shooting = partial(geant4_seconds, CALORIMETER, scale.energy, scale.timed, beam=PHOTONS)
        seconds["Geant4"] = run.value("time, Geant4", shooting)
    samples: dict[str, Showers] = {}
    for name in scale.models:
        comparisons[name] = []
        for seed in run.seeds:
            each = f"{name}, seed {seed}"
            surrogate = run.fitted(each, MODELS[name](scale), training, geometry, seed=seed)
            draw = partial(_draw, surrogate, reference)
            sample = read_showers(run.file(f"{each}.hdf5", draw), geometry)
            comparisons[name].append(compared(each, sample, training))
            samples.setdefault(name, sample)
        if scale.timed:
            clock = partial(_seconds, surrogate, run.out / "data" / f"{name}.onnx", scale.energy)
            seconds[name] = run.value(f"time, {name}", clock)
    results = [r for name, each in comparisons.items() for r in results_of(name, each)]
    firsts = {name: each[0] for name, each in comparisons.items()}
    add_showers(report, results, firsts, reference=physics_name(), floor=FLOOR)
    shown = {"physics": physics_name(), "width": scale.width, "classifier": 0.6 * scale.reference}
    low, high = (energy / 1e3 for energy in scale.energies)
    report.facts += [f"{low:g} to {high:g} GeV", f"physics: {physics_name()}"]
    report.add_stand_in(STAND_IN.format(**shown))
    report.add_table(
        ["published model †", LOW, HIGH],
        [[name, *values] for name, values in PUBLISHED.items()],
        f"† Published in {SOURCE} for other showers, data set 1: a scale, no target.",
    )
    if len(samples) > 1:
        report.add_heading("Whose a shower might be")
        rows = run.value("log-posterior", partial(_posteriors, samples, reference, scale))
        caption = POSTERIOR.format(models=len(samples), chance=-np.log(len(samples)))
        report.add_results([Result(**row) for row in rows], caption)
    if seconds:
        _add_times(report, seconds, scale.energy)


def _shoot(run: Run[Scale], count: int, seed: int, path: Path) -> None:
    generate_showers(
        CALORIMETER, count, path, energies=run.scale.energies, index=2.0, beam=PHOTONS, seed=seed,
        workers=run.workers, dask=run.dask,
    )  # fmt: skip


def _draw(surrogate: ShowerSurrogate, reference: Showers, path: Path) -> None:
    # The range of the training sample ends a little inside that of the request.
    incident = reference.incident
    write_showers(path, incident, surrogate.sample(incident, seed=1, outside=True))


def _seconds(surrogate: ShowerSurrogate, path: Path, energy: float) -> list[dict[str, float]]:
    return [asdict(each) for each in shower_times(surrogate, path, energy)]


def _posteriors(
    samples: Mapping[str, Showers], reference: Showers, scale: Scale
) -> list[dict[str, Any]]:
    """Return the log-posterior of each model by each level, as fields of `Result`."""
    geometry, rows = CALORIMETER.geometry, []
    options: dict[str, Any] = {
        "threshold": THRESHOLD,
        "classifier": scale.classifier,
        "width": scale.width,
    }
    for level in ("low-level", "high-level"):
        models = log_posterior(samples, reference, geometry, level=level, **options)
        rows += [Result.over_seeds(n, f"log-posterior, {level}", [v]) for n, v in models.items()]
    return [asdict(row) for row in rows]


def _add_times(report: Report, seconds: Mapping[str, Any], energy: float) -> None:
    report.add_heading("Time")
    geant4: float = seconds["Geant4"]
    rows: list[Sequence[Any]] = [["Geant4", 1, f"{1e3 * geant4:.0f}", "", 1]]
    report.results.append(Result("Geant4", "ms a shower, batch 1", 1e3 * geant4, unit="ms"))
    for name, times in seconds.items():
        for each in times if name != "Geant4" else ():
            batch, by_torch, by_onnx = int(each["batch"]), each["torch"], each["onnx"]
            fewer = f"{geant4 / min(by_torch, by_onnx):.0f}"
            rows.append([name, batch, f"{1e3 * by_torch:.3g}", f"{1e3 * by_onnx:.3g}", fewer])
            quantity = f"ms a shower, batch {batch}"
            report.results.append(Result(name, quantity, 1e3 * by_torch, unit="ms"))
    report.add_table(
        ["", "showers at once", "torch [ms]", "onnxruntime [ms]", "speed-up over Geant4"],
        rows,
        f"CPU time of one shower of {energy / 1e3:.3g} GeV on one core. Voxels are filled; placing"
        " hits in a detector takes its own time on top.",
    )


TITLE, TAKES = "Surrogates of a calorimeter", ("seeds", "workers", "dask")
STUDY = Study(
    *("calo-surrogate", TITLE, SUMMARY, SCALES, calo_surrogate, TAKES),
    aims=AIMS,
    rankings=(Ranking(LOW, "lower", aside=(FLOOR,)),),
    events="{training} showers to train on, {reference} to test with",
    stand_in="data set 1 of the CaloChallenge",
)
