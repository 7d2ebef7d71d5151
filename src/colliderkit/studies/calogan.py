"""CaloGAN: a generative adversarial network for three layers of cells (1712.10321)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from colliderkit.events.calorimeter.showers import Showers
from colliderkit.generators.gan import GAN
from colliderkit.methods.simulation.comparison import ShowerComparison
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.metrics.value import Value, number
from colliderkit.report.conditioning import energy_lines
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.showers import add_showers, results_of
from colliderkit.report.training import training
from colliderkit.report.verdict import Aim
from colliderkit.serve.latency import cpu_seconds
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.simulation import Beam
from colliderkit.sources.geant4.timing import seconds_a_shower
from colliderkit.studies.run import Run, Study
from colliderkit.training.adversarial import GanSchedule
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Positrons in three layers of 3 x 96, 12 x 12 and 12 x 6 cells of lead and liquid argon, by Geant4
and by CaloGAN (arXiv:1712.10321): a generator with locally connected layers and attention between
the images of the layers, and a discriminator that sees a batch's variety, the share of empty cells
and the energies. How like the showers are, whether the energy that is asked for is the energy that
is given, and what a shower costs beside Geant4, in one run.
"""

STAND_IN = """
The published showers hold the energy in lead and argon, ours that in the argon alone, divided by
the sampling fraction {fraction:.4g} (the mean of E_tot/E_inc of the training showers). There are
{showers} showers of {low:g} to {high:g} GeV where the paper has 100,000 of 1 to 100, and a
generator of {parameters} parameters where the published widths make 29.7 million. The physics is
{physics}.
"""

DEFINITIONS = """
Energies below {threshold:g} MeV count as zero in all figures. The epoch is the one whose chi^2 of
E_tot/E_inc against the validation showers is lowest (as in FastCaloGAN, arXiv:2109.02551); the test
showers had no part in that. "Geant4 again" is Geant4 against Geant4: the two halves of the test
showers.
"""

MODEL, REFERENCE, FLOOR = "CaloGAN", "Geant4", "Geant4 again"
MEAN, WIDTH = "mean of E_tot/E_inc", "width of E_tot/E_inc"
AIMS = (
    Aim("A high-level classifier finds no difference between two samples of Geant4",
        "AUC high-level", FLOOR, "equal", 0.5, tolerance=0.05),
    Aim("It finds none between CaloGAN and Geant4", "AUC high-level", MODEL, "equal", 0.5,
        tolerance=0.05),
    Aim("CaloGAN gives the energy that is asked for, on average", MEAN, MODEL, "equal",
        against=REFERENCE, tolerance=0.02),
    Aim("CaloGAN has the width of the response", WIDTH, MODEL, "equal", against=REFERENCE,
        tolerance=0.02),
)  # fmt: skip
CALORIMETER = calorimeter("calogan")
POSITRONS = Beam("e+")
THRESHOLD = 0.1  # MeV, after division by the sampling fraction
GEV = 1e3  # MeV
SOURCE = "arXiv:1712.10321"
# Milliseconds a shower of 1 to 100 GeV on one CPU core (table 4).
PUBLISHED = {"Geant4": 1772.0, "batch 1": 13.1, "batch 1024": 2.03}


@dataclass(frozen=True)
class Scale:
    """Showers of which energies [GeV], widths of the networks, how long, and what is timed."""

    train: int
    test: int
    low: float
    high: float
    noise: int
    channels: int
    discriminator: tuple[int, int, int, int]
    training: Training
    schedule: GanSchedule
    classifier: Training
    timed: int
    batches: tuple[int, ...]


PAPER = GanSchedule(discriminator_rate=0.1, betas=(0.5, 0.999), optimistic=False, average=0)
SCALES = {
    "smoke": Scale(
        240, 160, 0.5, 1.0, 16, 4, (4, 3, 2, 2),
        Training(epochs=2, batch_size=64, learning_rate=1e-3, schedule="constant"),
        GanSchedule(), Training(epochs=2, batch_size=50), 5, (1, 100),
    ),
    "laptop": Scale(
        6_000, 2_000, 1.0, 10.0, 128, 16, (16, 8, 8, 8),
        Training(epochs=40, batch_size=128, learning_rate=1e-3, schedule="flat-then-decay"),
        GanSchedule(discriminator_rate=0.1), Training(epochs=30, batch_size=200), 20,
        (1, 100, 1024),
    ),
    "paper": Scale(
        100_000, 40_000, 1.0, 100.0, 1024, 36, (64, 16, 8, 8),
        Training(epochs=50, batch_size=256, learning_rate=2e-4, schedule="constant"),
        PAPER, Training(epochs=50, batch_size=1000), 40, (1, 100, 1024),
    ),
}  # fmt: skip


def calogan(run: Run[Scale]) -> None:
    """Shoot positrons, train CaloGAN on them, and compare and time what it makes."""
    scale, report, geometry = run.scale, run.report, CALORIMETER.geometry
    showers = read_showers(run.file("showers.hdf5", partial(_shoot, run)), geometry)
    seen = slice(scale.train)
    fraction = float((showers.voxels[seen].sum(1) / showers.incident[seen]).mean())
    showers = replace(showers, voxels=showers.voxels / np.float32(fraction))
    half = scale.train + scale.test // 2
    train, reference, floor = (
        showers.at(rows) for rows in (seen, slice(scale.train, half), slice(half, None))
    )
    method = run.fitted(MODEL, network(scale), train.voxels, train.incident, seed=1)
    sample = Showers.checked(
        reference.incident, method.sample(reference.incident, seed=1), MODEL, geometry=geometry
    )
    comparison = ShowerComparison(
        threshold=THRESHOLD, classifier=scale.classifier, width=128, levels=("high-level",)
    )
    # Each in its own half, so that no shower stands on both sides.
    comparisons = {
        name: run.fitted(f"comparison, {name}", comparison, reference, other, geometry)
        for name, other in ((MODEL, sample), (FLOOR, floor))
    }
    middle = (scale.low + scale.high) / 2 * GEV
    results = [r for name, each in comparisons.items() for r in results_of(name, [each])]
    report.facts.append(f"physics: {physics_name()}")
    _add_conditioning(report, method, reference)
    add_showers(report, results, comparisons, reference=physics_name(), floor=FLOOR)
    _add_times(report, run.value("times", partial(_times, method, middle, scale)), middle)
    report.add_heading("Training")
    report.add_figure(
        training({MODEL: method.history_["generator"]}),
        "The generator's loss and, as validation loss, the chi^2 per degree of freedom of"
        " E_tot/E_inc by which the epoch was chosen: 1 is perfect.",
    )
    report.add_definitions(DEFINITIONS.format(threshold=THRESHOLD))
    report.add_stand_in(
        STAND_IN.format(
            showers=number(scale.train),
            fraction=fraction,
            low=scale.low,
            high=scale.high,
            parameters=number(sum(p.numel() for p in gan(method).network.parameters())),
            physics=physics_name(),
        )
    )


def _shoot(run: Run[Scale], path: Path) -> None:
    scale = run.scale
    generate_showers(
        CALORIMETER, scale.train + scale.test, path, energies=(scale.low * GEV, scale.high * GEV),
        index=0.0, beam=POSITRONS, seed=1, workers=run.workers, dask=run.dask,
    )  # fmt: skip


def network(scale: Scale) -> ConditionalGenerator:
    """Return CaloGAN, which learns cells (N, 504) [MeV] given the incident energy [MeV]."""
    return ConditionalGenerator(
        generator="gan",
        # GeV in the paper, where the largest energy is 100: its constants fit other ranges so.
        options={"noise": scale.noise, "regression": 0.05, "unit": scale.high * GEV / 100},
        network="calogan-generator",
        network_options={"noise": scale.noise, "channels": scale.channels},
        discriminator="calogan-discriminator",
        discriminator_options={"channels": scale.discriminator},
        distance="response",
        schedule=scale.schedule,
        validation=0.15,
        training=scale.training,
    )


def gan(method: ConditionalGenerator) -> GAN:
    """Return the fitted networks."""
    assert isinstance(method.generator_, GAN)
    return method.generator_


def _times(method: ConditionalGenerator, energy: float, scale: Scale) -> dict[str, float]:
    """Return the CPU milliseconds of a shower of `energy` [MeV] on one core, by what makes it."""
    geant4 = seconds_a_shower(CALORIMETER, energy, scale.timed, beam=POSITRONS)
    milliseconds = {REFERENCE: 1e3 * geant4}
    for batch in scale.batches:
        noise = torch.randn(batch, gan(method).noise_size)
        make = partial(gan(method).decode, noise, torch.full((batch, 1), energy))
        milliseconds[f"batch {batch}"] = 1e3 * cpu_seconds(make) / batch
    return milliseconds


def _add_times(report: Report, milliseconds: Mapping[str, float], energy: float) -> None:
    report.add_heading("Time of a shower")
    rows = []
    for name, value in milliseconds.items():
        subject = name if name == REFERENCE else f"{MODEL}, {name}"
        published = PUBLISHED.get(name)
        theirs: dict[str, Any] = {}
        if published is not None:
            theirs = {"published": published, "source": SOURCE, "difference": "1 to 100 GeV, 2017"}
        rows.append(Result(subject, "CPU time of a shower", value, unit="ms", **theirs))
        if name != REFERENCE:
            if published is not None:
                theirs["published"] = float(f"{PUBLISHED[REFERENCE] / published:.3g}")
            faster = float(f"{milliseconds[REFERENCE] / value:.3g}")
            rows.append(Result(subject, "speed-up over Geant4", faster, **theirs))
    report.add_results(
        rows,
        f"CPU time on one core, for positrons of {energy / GEV:.3g} GeV, medians of five; Geant4"
        " without its set-up.",
        best={"CPU time of a shower": "lower", "speed-up over Geant4": "higher"},
    )


def _add_conditioning(report: Report, method: ConditionalGenerator, reference: Showers) -> None:
    report.add_heading("Conditioning on the energy")
    incident = reference.incident
    energies = np.linspace(incident.min(), incident.max(), 9)
    noise = torch.randn(30, gan(method).noise_size, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        # The same noise at each energy: what changes comes from the energy alone.
        totals = [gan(method).decode(noise, torch.full((30, 1), e)).sum(1) for e in energies]
    report.add_figure(
        energy_lines(energies, torch.stack(totals).numpy(), reference, name=MODEL),
        "Visible energy, over the sampling fraction, against the incident energy: single noises"
        " carried through all energies (lines), and the mean and standard deviation of Geant4. The"
        " lines should follow the points.",
    )
    results = []
    for name, voxels in ((REFERENCE, reference.voxels), (MODEL, method.sample(incident, seed=2))):
        response = voxels.sum(1, dtype=np.float64) / incident
        mean = Value(float(response.mean()), float(response.std()) / len(response) ** 0.5)
        width = Value(float(response.std()), mean.error / 2**0.5)
        results.append(Result(name, MEAN, mean.value, mean.error))
        results.append(Result(name, WIDTH, width.value, width.error))
    report.add_results(results, "Over all test energies; errors are those of counting.")


STUDY = Study(
    *("calogan", "CaloGAN", SUMMARY, SCALES, calogan, ("workers", "dask")),
    aims=AIMS,
    events="{train} showers to train on, {test} to test with, {low} to {high} GeV",
    stand_in="100,000 showers of 1 to 100 GeV",
)
