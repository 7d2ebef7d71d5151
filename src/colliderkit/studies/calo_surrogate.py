"""Geant4 in, a faster Geant4 out: surrogates of calorimeter showers beside the Geant4 floor.

After the CaloChallenge (2410.21611): showers of photons in 368 voxels, its figures of merit, and
the time that a shower takes, with Geant4 timed in the same run.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import refuse_existing
from colliderkit.methods.method import load
from colliderkit.methods.simulation.comparison import Comparison, ShowerTest
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.showers import Drawn, add_showers, example
from colliderkit.serve.latency import cpu_seconds
from colliderkit.serve.showers import export_surrogate
from colliderkit.serve.translation import session
from colliderkit.sources.files.showers import read_showers, write_showers
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.simulation import Beam
from colliderkit.sources.geant4.timing import seconds_a_shower as geant4_seconds
from colliderkit.training.settings import Training

__all__ = ["MODELS", "Seconds", "posteriors", "run", "seconds_a_shower"]

CALORIMETER = "photons-368"
THRESHOLD = 0.05  # MeV in the active slabs, a quarter of an MeV deposited in all
TIMED = 50e3  # MeV
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

SUMMARY = """
Photons from {low:g} to {high:g} GeV in a sampling calorimeter with the 368 voxels of the
CaloChallenge's data set 1, simulated by Geant4 with data-free electromagnetic physics. Models learn
{training} showers and are compared with {reference} others that no training has seen; "{floor}" is
the training sample itself against them, what a perfect model would give.
"""

REMARKS = """
A stand-in for data set 1: lead and liquid argon in five layers instead of ATLAS's calorimeter,
energies that fall as E^-2 instead of fifteen fixed ones, and Geant4's data-free electromagnetic
physics (no Rayleigh scattering or fluorescence, the relativistic bremsstrahlung model throughout).
The published areas under the curve are of other showers and more of them: they say where the field
stands, not what should come out here. Classifiers are of {width} instead of 2048 numbers a layer
and trained on {classifier} showers of each class; an area under the curve grows with both.
"""

POSTERIOR = """
The mean of ln P(model | shower) over the Geant4 showers, by one classifier that tells the samples
of the {models} models (of the first seed) apart (2410.21611): higher is better, by chance it is
{chance:.2f}. The errors are those of counting.
"""

Sample = tuple[NDArray[Any], NDArray[Any]]  # incident energies (N,) and showers (N, V), MeV


@dataclass(frozen=True)
class Scale:
    """Say how many showers, which models, and how long they and the classifiers are trained."""

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


SCALES = {
    "smoke": Scale(
        300, 300, (500.0, 2000.0), ("diffusion",), 1, 2, 32, Training(epochs=2), 1, 1, 1, 2
    ),
    "laptop": Scale(
        34_000,
        34_000,
        (500.0, 64_000.0),
        ("diffusion", "VAE", "WGAN-GP"),
        60,
        20,
        512,
        Training(epochs=30, batch_size=1000, learning_rate=2e-4, schedule="constant", patience=6),
        1,
        20,
    ),
    "paper": Scale(
        100_000,
        100_000,
        (256.0, 1_024_000.0),
        ("diffusion", "flow matching", "CaloFlow", "VAE", "WGAN-GP"),
        300,
        40,
        2048,
        Training(epochs=50, batch_size=1000, learning_rate=2e-4, schedule="constant"),
        3,
        20,
    ),
}


def _common(
    scale: Scale, *, batch_size: int = 256, learning_rate: float = 2e-3, precision: Any = "32-true"
) -> dict[str, Any]:
    """Return what all models share."""
    layers = Training(
        epochs=scale.layer_epochs, batch_size=512, learning_rate=2e-3, schedule="cosine"
    )
    voxels = Training(
        epochs=scale.epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule="one-cycle",
        precision=precision,
    )
    return {
        "threshold": THRESHOLD,
        "validation": 0.05,
        "layers": layers,
        "layer_options": {"transforms": scale.transforms, "bins": 12, "hidden": (64, 64)},
        "voxels": voxels,
    }


def _denoising(generator: str, scale: Scale) -> ShowerSurrogate:
    """Return a surrogate by a network that removes noise."""
    # bfloat16 takes half the time of float32 on a processor that knows it; there small batches
    # cost no more.
    training = _common(scale, batch_size=128, learning_rate=4e-3, precision="bf16-mixed")
    return ShowerSurrogate(
        generator=generator,
        network="ring-mixer",
        network_options={"width": 64, "depth": 4},
        options={"steps": scale.steps},
        **training,
    )


MODELS: dict[str, Callable[[Scale], ShowerSurrogate]] = {
    "diffusion": partial(_denoising, "diffusion"),
    "flow matching": partial(_denoising, "flow-matching"),
    # Both flows of CaloFlow, with the published sizes of data set 1; samples are the student's.
    "CaloFlow": lambda scale: ShowerSurrogate(
        generator="student-flow",
        network=None,
        options={"transforms": 8, "bins": 8, "hidden": (378, 378)},
        **_common(scale),
    ),
    "VAE": lambda scale: ShowerSurrogate(
        generator="vae",
        network=None,
        options={"latent": 32, "width": 512, "layers": 3},
        **_common(scale),
    ),
    "WGAN-GP": lambda scale: ShowerSurrogate(
        generator="wgan-gp",
        network=None,
        options={"noise": 64, "width": 512, "layers": 3},
        **_common(scale),
    ),
}


@dataclass(frozen=True)
class Seconds:
    """Hold the seconds of one shower of 50 GeV on one core, by what made it.

    `batches` by how many showers are made at once, `onnx` the same by onnxruntime.
    """

    batches: Mapping[int, float]
    onnx: Mapping[int, float] = field(default_factory=dict)


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    workers: int = 2,
    dask: str | None = None,
    force: bool = False,
    **_: Any,
) -> Path:
    """Run the study into `out` and return the path of its report; `seeds` are those of models."""
    refuse_existing(out / "report.html", force)
    chosen = SCALES[scale]
    repetitions = 1 if seeds is None else seeds
    if repetitions < 1:
        raise InputError(f"--seeds is {seeds}; it must be at least 1.")
    timing: dict[str, float] = {}
    geometry = calorimeter(CALORIMETER).geometry
    files = {}
    for name, count, seed in (
        ("training", chosen.training, TRAINING_SEED),
        ("reference", chosen.reference, REFERENCE_SEED),
    ):
        files[name] = out / f"{name}-{count}.hdf5"
        if not files[name].exists():
            begin = time.perf_counter()
            generate_showers(
                CALORIMETER,
                count,
                files[name],
                energies=chosen.energies,
                index=2.0,
                beam=Beam("gamma"),
                seed=seed,
                workers=workers,
                dask=dask,
            )
            timing[f"Geant4, {name}"] = time.perf_counter() - begin
    training, reference = (read_showers(file, geometry) for file in files.values())
    test = ShowerTest(
        geometry,
        THRESHOLD,
        classifier=chosen.classifier,
        width=chosen.width,
        repetitions=chosen.repetitions,
    )
    begin = time.perf_counter()
    compared: dict[str, list[Comparison]] = {FLOOR: [test.compare(reference, training)]}
    timing[f"compare, {FLOOR}"] = time.perf_counter() - begin
    seconds = {
        "Geant4": Seconds(
            {1: geant4_seconds(calorimeter(CALORIMETER), TIMED, chosen.timed, beam=Beam("gamma"))}
        )
    }
    middle = float(np.exp(np.log(reference[0]).mean()))
    examples = {"Geant4": example(*reference, middle), FLOOR: example(*training, middle)}
    samples: dict[str, Sample] = {}
    for name in chosen.models:
        compared[name] = []
        for seed in range(1, repetitions + 1):
            begin = time.perf_counter()
            surrogate = _fitted(name, chosen, training, seed, out)
            timing[f"fit, {name}, seed {seed}"] = time.perf_counter() - begin
            begin = time.perf_counter()
            made = _sampled(surrogate, reference[0], out / f"{_file(name)}-{seed}.hdf5")
            timing[f"sample, {name}, seed {seed}"] = time.perf_counter() - begin
            begin = time.perf_counter()
            compared[name].append(test.compare(reference, made, training=training))
            timing[f"compare, {name}, seed {seed}"] = time.perf_counter() - begin
            samples.setdefault(name, made)
        examples[name] = example(*made, middle)
        seconds[name] = seconds_a_shower(surrogate, out / f"{_file(name)}.onnx")
    begin = time.perf_counter()
    whose = posteriors(test, samples, reference)
    timing["log-posterior"] = time.perf_counter() - begin
    report = Report(
        "Surrogates of a calorimeter",
        SUMMARY.format(
            low=chosen.energies[0] / 1e3,
            high=chosen.energies[1] / 1e3,
            training=chosen.training,
            reference=chosen.reference,
            floor=FLOOR,
        ),
        command=f"colliderkit study calo-surrogate --scale {scale} --seeds {repetitions}",
        configuration=f"threshold: {THRESHOLD}\nepochs: {chosen.epochs}\n",
        seeds=list(range(1, repetitions + 1)),
        timing=timing,
    )
    results = [
        Result.over_seeds(name, figure, [each.figures[figure] for each in found])
        for name, found in compared.items()
        for figure in found[0].figures
    ]
    first = compared[FLOOR][0]
    drawn = Drawn(
        geometry,
        THRESHOLD,
        first.edges,
        {"Geant4": first.spectra[0], **{n: c[0].spectra[1] for n, c in compared.items()}},
        examples,
        FLOOR,
    )
    add_showers(report, results, drawn)
    report.add_text(REMARKS.format(width=chosen.width, classifier=int(0.6 * chosen.reference)))
    _add_published(report)
    if whose:
        report.add_heading("Whose a shower might be")
        report.add_results(
            whose, POSTERIOR.format(models=len(samples), chance=-np.log(len(samples)))
        )
    _add_times(report, seconds)
    return report.write(out, force=force)


def _file(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-")


def _fitted(
    name: str,
    scale: Scale,
    training: Sample,
    seed: int,
    out: Path,
) -> ShowerSurrogate:
    """Return the fitted model of one seed, from `out` where it is there already."""
    folder = out / "models" / f"{_file(name)}-{seed}"
    if folder.exists():
        kept: ShowerSurrogate = load(folder)
        return kept
    work = folder.with_name(folder.name + ".training")
    surrogate = MODELS[name](scale).fit(
        *training, calorimeter(CALORIMETER).geometry, seed=seed, folder=work, resume=True
    )
    surrogate.save(folder)
    return surrogate


def _sampled(surrogate: ShowerSurrogate, incident: NDArray[Any], path: Path) -> Sample:
    """Draw a shower for each incident energy, or read those that are there."""
    if not path.exists():
        # The range of the training sample ends a little inside that of the request.
        write_showers(path, incident, surrogate.sample(incident, seed=1, outside=True))
    return read_showers(path, surrogate.geometry_)


def posteriors(test: ShowerTest, samples: Mapping[str, Sample], reference: Sample) -> list[Result]:
    """Return the mean log-posterior of each model, by the test's levels; none for one model."""
    if len(samples) < 2:
        return []
    return [
        Result(name, f"log-posterior, {level}", value.value, value.error, counting=value.error)
        for level in test.levels
        for name, value in test.log_posterior(samples, reference, level=level).items()
    ]


# What follows measures time.


def seconds_a_shower(
    surrogate: ShowerSurrogate, path: Path, energy: float = TIMED, repetitions: int = 5
) -> Seconds:
    """Return the CPU seconds of one shower by torch and by the ONNX file at `path`, on one core.

    The file is written if it is not there. Each time is the median over repetitions.
    """
    if not path.exists():
        export_surrogate(surrogate, path)
    running = session(path.read_bytes(), threads=1)
    random = torch.Generator().manual_seed(0)
    times: tuple[dict[int, float], dict[int, float]] = {}, {}
    for batch in (1, 100):
        noise = torch.randn(batch, surrogate.noise_size, generator=random)
        incident = torch.full((batch, 1), energy)
        feed = {"noise": noise.numpy(), "incident": incident.numpy()}
        by_torch = partial(surrogate.decode, noise, incident[:, 0])
        by_onnx = partial(running.run, None, feed)
        for found, make in zip(times, (by_torch, by_onnx), strict=True):
            found[batch] = cpu_seconds(make, repetitions) / batch
    return Seconds(*times)


# What follows writes the report.


def _add_published(report: Report) -> None:
    report.add_table(
        ["published model", "AUC low-level", "AUC high-level"],
        [[name, *values] for name, values in PUBLISHED.items()],
        f"Of {SOURCE}, data set 1 (photons), for orientation.",
    )


def _add_times(report: Report, seconds: Mapping[str, Seconds]) -> None:
    report.add_heading("Time")
    geant4 = seconds["Geant4"].batches[1]
    rows: list[list[Any]] = [["Geant4", 1, f"{1e3 * geant4:.0f}", "", 1]]
    for name, each in seconds.items():
        if name == "Geant4":
            continue
        for batch, value in each.batches.items():
            onnx = each.onnx[batch]
            rows.append(
                [
                    name,
                    batch,
                    f"{1e3 * value:.3g}",
                    f"{1e3 * onnx:.3g}",
                    f"{geant4 / min(value, onnx):.0f}",
                ]
            )
    report.add_table(
        ["", "showers at once", "torch [ms]", "onnxruntime [ms]", "Geant4 over the faster"],
        rows,
        f"CPU time of one shower of {TIMED / 1e3:g} GeV on one core. Voxels are filled; placing"
        " hits in a detector takes its own time on top.",
    )
    results = []
    for name, each in seconds.items():
        for batch, value in each.batches.items():
            results.append(Result(name, f"ms a shower, batch {batch}", 1e3 * value, unit="ms"))
    report.results += results
