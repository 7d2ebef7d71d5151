"""CaloGAN: a generative adversarial network for three layers of cells (1712.10321)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor

from colliderkit.events.calorimeter.showers import Showers
from colliderkit.events.tables import Floats, validation_mask
from colliderkit.generators.gan import GAN
from colliderkit.methods.simulation.comparison import ShowerComparison
from colliderkit.metrics.two_sample import histogram_chi2
from colliderkit.metrics.value import Value
from colliderkit.networks.calogan import CaloDiscriminator, CaloGenerator
from colliderkit.report.html import Report
from colliderkit.report.plots import style
from colliderkit.report.results import Result
from colliderkit.report.showers import add_showers, results_of
from colliderkit.report.training import training
from colliderkit.serve.latency import cpu_seconds
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4 import Beam, calorimeter
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.timing import seconds_a_shower
from colliderkit.studies.run import Run, Study
from colliderkit.training.adversarial import GanSchedule, fit_adversarial
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["STUDY"]

SUMMARY = """
Positrons in three layers of 3 x 96, 12 x 12 and 12 x 6 cells of lead and liquid argon, by Geant4
and by CaloGAN (arXiv:1712.10321): a generator with locally connected layers and attention between
the images of the layers, and a discriminator that sees a batch's variety, the share of empty cells
and the energies. How like the showers are, whether the energy that is asked for is the energy that
is given, and what a shower costs beside Geant4, in one run.
"""

REMARKS = """
A stand-in for the published set-up: the published showers hold the energy in lead and argon, ours
that in the argon alone, divided by the sampling fraction, {fraction:.4g} (the mean of E_tot/E_inc
of the training showers); {showers} showers of {low:g} to {high:g} GeV where the paper has 100,000
of 1 to 100; a generator of {parameters} parameters, where the published widths make 29.7 million;
and the physics named {physics}. Energies below {threshold:g} MeV count as zero in all figures.

The epoch is the one whose chi^2 of E_tot/E_inc against the validation showers is lowest (as in
FastCaloGAN, arXiv:2109.02551); the test showers had no part in that. The floor is Geant4 against
Geant4: the two halves of the test showers.
"""

NAME, MODEL, REFERENCE, FLOOR = "calogan", "CaloGAN", "Geant4", "Geant4, second half"
THRESHOLD = 0.1  # MeV, after division by the sampling fraction
GEV = 1e3  # MeV
HELD = 0.15  # of the training showers, for validation
# Milliseconds a shower of 1 to 100 GeV on one CPU core (1712.10321, table 4).
PUBLISHED = {"Geant4": 1772.0, "batch 1": 13.1, "batch 1024": 2.03}


@dataclass(frozen=True)
class Scale:
    """Number of showers and their energies [GeV], widths, trainings, and what is timed."""

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
    """Shoot positrons, train CaloGAN, and compare what it draws with the test showers."""
    scale, report = run.scale, run.report
    geometry = calorimeter(NAME).geometry
    every = read_showers(run.file("showers.hdf5", partial(_shoot, run)), geometry)
    ends = np.cumsum([0, scale.train, scale.test // 2, scale.test - scale.test // 2])
    train = every.at(slice(scale.train))
    fraction = float((train.voxels.sum(1) / train.incident).mean())
    train, reference, again = (
        Showers.checked(part.incident, part.voxels / np.float32(fraction))
        for part in (every.at(slice(*two)) for two in pairwise(ends))
    )
    with run.step("training"):
        model, history = trained(scale, train, run.out / "models" / MODEL)
    sample = Showers.checked(reference.incident, generated(model, reference.incident, seed=1))
    comparison = ShowerComparison(
        threshold=THRESHOLD, classifier=scale.classifier, width=128, levels=("high-level",)
    )
    # Each in its own half, so that no shower stands on both sides.
    comparisons = {
        name: run.fitted(f"comparison, {name}", clone(comparison), reference, other, geometry)
        for name, other in ((MODEL, sample), (FLOOR, again))
    }
    middle = (scale.low + scale.high) / 2 * GEV
    milliseconds = run.value("time", partial(timed, model, middle, scale.timed, scale.batches))
    _add_timing(report, milliseconds, middle)
    _add_conditioning(report, model, reference)
    results = [row for name, each in comparisons.items() for row in results_of(name, [each])]
    add_showers(report, results, comparisons, reference=REFERENCE, floor=FLOOR)
    report.add_heading("Training")
    report.add_figure(
        training({MODEL: history}),
        "The generator's loss, and as validation loss the chi^2 per degree of freedom of"
        " E_tot/E_inc by which the epoch was chosen.",
    )
    report.add_heading("What is a stand-in here")
    report.add_text(
        REMARKS.format(
            showers=scale.train,
            low=scale.low,
            high=scale.high,
            fraction=fraction,
            parameters=sum(p.numel() for p in model.network.parameters()),
            physics=physics_name(),
            threshold=THRESHOLD,
        )
    )


def _shoot(run: Run[Scale], path: Path) -> None:
    scale = run.scale
    generate_showers(
        NAME, scale.train + scale.test, path, energies=(scale.low * GEV, scale.high * GEV),
        index=0.0, beam=Beam("e+"), seed=1, workers=run.workers, dask=run.dask,
    )  # fmt: skip


def trained(scale: Scale, showers: Showers, folder: Path) -> tuple[GAN, list[Epoch]]:
    """Train CaloGAN on showers of 504 cells; checkpoints in `folder`, where it goes on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = GAN(
            showers.voxels.shape[1],
            1,
            noise=scale.noise,
            network=CaloGenerator(noise=scale.noise, channels=scale.channels),
            discriminator=CaloDiscriminator(channels=scale.discriminator),
            regression=0.05,
            # GeV in the paper, where the largest energy is 100: its constants fit other ranges so.
            unit=scale.high * GEV / 100,
        )
    x, c = torch.from_numpy(showers.voxels), torch.from_numpy(showers.incident).float()[:, None]
    model.fit_scaling(x, c)
    data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
    history = fit_adversarial(
        model,
        response_chi2,
        *data.split(validation_mask(showers.event, HELD, 1)),
        scale.training,
        schedule=scale.schedule,
        folder=folder,
        seed=1,
        resume=True,
        title=MODEL,
    )
    return model, history


def response_chi2(data: Tensor, samples: Tensor, context: Tensor) -> float:
    """Return chi^2 of E_tot/E_inc of generated showers (N, V) against the data."""
    response = (rows.double().sum(1) / context[:, 0].double() for rows in (data, samples))
    return histogram_chi2(*response)


def generated(model: GAN, incident: Floats, *, seed: int) -> NDArray[np.float32]:
    """Return a shower (V,) [MeV] for each incident energy (N,) [MeV]."""
    voxels = model.sample(torch.from_numpy(incident).float()[:, None], seed=seed)
    return np.asarray(voxels)


def timed(model: GAN, energy: float, count: int, batches: Sequence[int]) -> dict[str, float]:
    """Return the CPU milliseconds of a shower of `energy` [MeV] on one core, by what makes it."""
    geant4 = seconds_a_shower(calorimeter(NAME), energy, count, beam=Beam("e+"))
    milliseconds = {REFERENCE: 1e3 * geant4}
    for batch in batches:
        noise = torch.randn(batch, model.noise_size)
        make = partial(model.decode, noise, torch.full((batch, 1), energy))
        milliseconds[f"batch {batch}"] = 1e3 * cpu_seconds(make) / batch
    return milliseconds


def _add_timing(report: Report, milliseconds: Mapping[str, float], energy: float) -> None:
    report.add_heading("Time of a shower")
    rows: list[list[str]] = []
    for name, value in milliseconds.items():
        theirs, known = PUBLISHED.get(name), name in PUBLISHED
        subject = name if name == REFERENCE else f"{MODEL}, {name}"
        ratios = f"{milliseconds[REFERENCE] / value:.3g}", ""
        if theirs is not None:
            ratios = ratios[0], f"{PUBLISHED[REFERENCE] / theirs:.3g}"
        ours, other = ("", "") if name == REFERENCE else ratios
        rows.append([subject, f"{value:.3g}", ours, f"{theirs:g}" if known else "", other])
        source = "arXiv:1712.10321" if known else ""
        quantity = "CPU time of a shower"
        report.results.append(
            Result(subject, quantity, value, published=theirs, source=source, unit="ms")
        )
    report.add_table(
        ["", "ms", "Geant4 over it", "published ms", "published ratio"],
        rows,
        f"CPU time on one core, for positrons of {energy / GEV:.3g} GeV; the published times are"
        " those of 1 to 100 GeV on another machine. Medians of five; Geant4 without its set-up.",
    )


def _add_conditioning(report: Report, model: GAN, reference: Showers) -> None:
    incident, showers = reference.incident, reference.voxels
    report.add_heading("Conditioning on the energy")
    energies = np.linspace(incident.min(), incident.max(), 9).astype(np.float32)
    few = torch.randn(200, model.noise_size, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        # The same noise at each energy: what changes comes from the energy alone.
        lines = np.stack(
            [model.decode(few, torch.full((200, 1), float(e))).sum(1).numpy() for e in energies]
        )
    report.add_figure(
        _response(energies, lines, incident, showers),
        "Visible energy, over the sampling fraction, against the incident energy: single noises"
        " carried through all energies (lines), and the mean and standard deviation of Geant4.",
    )
    values = []
    for name, e in ((REFERENCE, showers), (MODEL, generated(model, incident, seed=2))):
        response = e.sum(1) / incident
        n = len(response)
        values += [
            (name, "mean of E_tot/E_inc", Value(response.mean(), response.std() / n**0.5)),
            (name, "width of E_tot/E_inc", Value(response.std(), response.std() / (2 * n) ** 0.5)),
        ]
    results = [Result(name, what, float(v.value), float(v.error)) for name, what, v in values]
    report.add_results(results, "Over all test energies; errors are those of counting.")


@style()
def _response(energies: NDArray[Any], lines: NDArray, incident: Floats, showers: Floats) -> Figure:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot(energies / GEV, lines[:, :30] / GEV, color="#3f90da", alpha=0.35, linewidth=1)
    axes.plot([], [], color="#3f90da", label=f"{MODEL}, one noise each")
    edges = np.linspace(incident.min(), incident.max(), 9)
    place = np.clip(np.digitize(incident, edges) - 1, 0, 7)
    total = showers.sum(1) / GEV
    filled = [k for k in range(8) if (place == k).sum() > 1]
    axes.errorbar(
        [incident[place == k].mean() / GEV for k in filled],
        [total[place == k].mean() for k in filled],
        [(total - incident / GEV)[place == k].std() for k in filled],
        fmt="o",
        color="black",
        label=REFERENCE,
    )
    axes.set_xlabel("Incident energy [GeV]")
    axes.set_ylabel("Total energy [GeV]")
    axes.legend()
    return figure


STUDY = Study("calogan", "CaloGAN", SUMMARY, SCALES, calogan, takes=("workers", "dask"))
