"""CaloGAN: a generative adversarial network for three layers of cells (1712.10321)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.files import refuse_existing
from colliderkit.generators.gan import GAN
from colliderkit.methods.simulation.comparison import ShowerTest
from colliderkit.metrics.two_sample import histogram_chi2
from colliderkit.metrics.value import Value
from colliderkit.networks.calogan import CaloDiscriminator, CaloGenerator
from colliderkit.report.html import Report
from colliderkit.report.plots import style
from colliderkit.report.results import Result
from colliderkit.report.showers import Drawn, add_showers, example
from colliderkit.report.training import training
from colliderkit.serve.latency import cpu_seconds
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4 import Beam, calorimeter
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.timing import seconds_a_shower
from colliderkit.training.adversarial import GanSchedule, fit_adversarial
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["run"]

SUMMARY = """
Positrons in three layers of 3 x 96, 12 x 12 and 12 x 6 cells of lead and liquid argon, by Geant4
and by CaloGAN (arXiv:1712.10321): a generator with locally connected layers and attention between
the images of the layers, and a discriminator that sees a batch's variety, the share of empty cells
and the energies. How like the showers are, whether the energy that is asked for is the energy that
is given, and what a shower costs beside Geant4, in one run.
"""

REMARKS = """
A stand-in for the published set-up: the published showers hold the energy in lead and argon, ours
that in the argon alone, divided by the sampling fraction (the mean of E_tot/E_inc of the training
showers); {showers} showers of {low:g} to {high:g} GeV where the paper has 100,000 of 1 to 100; a
generator of {parameters} parameters, where the published widths make 29.7 million; and the physics
named {physics}. Energies below {threshold:g} MeV count as zero in all figures.

The epoch is the one whose chi^2 of E_tot/E_inc against the validation showers is lowest (as in
FastCaloGAN, arXiv:2109.02551); the test showers had no part in that. The floor is Geant4 against
Geant4: the two halves of the test showers.
"""

Floats = NDArray[np.float32]
NAME, MODEL, REFERENCE, FLOOR = "calogan", "CaloGAN", "Geant4", "Geant4, second half"
THRESHOLD = 0.1  # MeV, after division by the sampling fraction
GEV = 1e3  # MeV
HELD = 0.15  # of the training showers, for validation
# Milliseconds a shower of 1 to 100 GeV on one CPU core (1712.10321, table 4).
PUBLISHED = {"Geant4": 1772.0, "batch 1": 13.1, "batch 1024": 2.03}


@dataclass(frozen=True)
class Scale:
    """Say how many showers of which energies [GeV], which widths, how long, and what is timed."""

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


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    workers: int = 2,
    dask: str | None = None,
    force: bool = False,
) -> Path:
    """Run the study into `out` and return the path of its report; there is one training."""
    refuse_existing(out / "report.html", force)
    if seeds not in (None, 1):
        raise InputError(f"--seeds is {seeds}; this study trains one CaloGAN.")
    chosen = SCALES[scale]
    timing: dict[str, float] = {}
    geometry = calorimeter(NAME).geometry
    out.mkdir(parents=True, exist_ok=True)

    begin = time.perf_counter()
    path = out / "showers.hdf5"
    count = chosen.train + chosen.test
    if force or not path.exists():
        generate_showers(
            NAME, count, path, energies=(chosen.low * GEV, chosen.high * GEV), index=0.0,
            beam=Beam("e+"), seed=1, workers=workers, dask=dask, force=force,
        )  # fmt: skip
    incident, showers = read_showers(path, geometry)
    if len(incident) != count:
        raise InputError(f"{path}: holds {len(incident)} showers, not {count}; give --force.")
    timing["Geant4"] = time.perf_counter() - begin
    fraction = float((showers[: chosen.train].sum(1) / incident[: chosen.train]).mean())
    showers /= fraction

    begin = time.perf_counter()
    model, history = trained(
        chosen, incident[: chosen.train], showers[: chosen.train], out / "training", not force
    )
    timing["training"] = time.perf_counter() - begin

    begin = time.perf_counter()
    half = chosen.train + chosen.test // 2
    reference = incident[chosen.train : half], showers[chosen.train : half]
    floor = incident[half:], showers[half:]
    made = reference[0], generated(model, reference[0], seed=1)
    test = ShowerTest(
        geometry, THRESHOLD, classifier=chosen.classifier, width=128, levels=("high-level",)
    )
    # Each in its own half, so that no shower stands on both sides.
    found = {name: test.compare(reference, s) for name, s in ((MODEL, made), (FLOOR, floor))}
    timing["figures"] = time.perf_counter() - begin

    begin = time.perf_counter()
    middle = (chosen.low + chosen.high) / 2 * GEV
    seconds = timed(model, middle, chosen.timed, chosen.batches)
    timing["timing"] = time.perf_counter() - begin

    report = Report(
        "CaloGAN",
        SUMMARY,
        command=f"colliderkit study calogan --scale {scale}",
        configuration=f"showers: {count}\nsampling_fraction: {fraction:.5g}\n",
        seeds=[1],
        timing=timing,
    )
    _add_timing(report, seconds, middle)
    _add_conditioning(report, model, *reference)
    base = found[MODEL]
    add_showers(
        report,
        [
            Result(name, figure, value.value, value.error)
            for name, comparison in found.items()
            for figure, value in comparison.figures.items()
        ],
        Drawn(
            geometry,
            THRESHOLD,
            base.edges,
            {REFERENCE: base.spectra[0], MODEL: base.spectra[1], FLOOR: found[FLOOR].spectra[1]},
            {
                name: example(*sample, middle)
                for name, sample in ((REFERENCE, reference), (MODEL, made), (FLOOR, floor))
            },
            FLOOR,
        ),
    )
    report.add_heading("Training")
    report.add_figure(
        training({MODEL: history}),
        "The generator's loss, and as validation loss the chi^2 per degree of freedom of"
        " E_tot/E_inc by which the epoch was chosen.",
    )
    report.add_heading("What is a stand-in here")
    report.add_text(
        REMARKS.format(
            showers=chosen.train,
            low=chosen.low,
            high=chosen.high,
            parameters=sum(p.numel() for p in model.network.parameters()),
            physics=_physics(path),
            threshold=THRESHOLD,
        )
    )
    return report.write(out, force=force)


def trained(
    chosen: Scale, incident: Floats, showers: Floats, folder: Path, resume: bool = True
) -> tuple[GAN, list[Epoch]]:
    """Train CaloGAN on showers (N, 504) [MeV]; checkpoints in `folder`, for `resume`."""
    torch.manual_seed(1)
    model = GAN(
        showers.shape[1],
        1,
        noise=chosen.noise,
        network=CaloGenerator(noise=chosen.noise, channels=chosen.channels),
        discriminator=CaloDiscriminator(channels=chosen.discriminator),
        regression=0.05,
        # GeV in the paper, where the largest energy is 100: its constants fit other ranges so.
        unit=chosen.high * GEV / 100,
    )
    x, c = torch.from_numpy(showers), torch.from_numpy(incident)[:, None]
    model.fit_scaling(x, c)
    data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
    held = torch.arange(len(x)) >= (1 - HELD) * len(x)
    history = fit_adversarial(
        model,
        response_chi2,
        data.at(torch.nonzero(~held)[:, 0]),
        data.at(torch.nonzero(held)[:, 0]),
        chosen.training,
        schedule=chosen.schedule,
        folder=folder,
        seed=1,
        resume=resume,
        title=MODEL,
    )
    return model, history


def response_chi2(data: Tensor, samples: Tensor, context: Tensor) -> float:
    """Return chi^2 of E_tot/E_inc of generated showers (N, V) against the data."""
    response = (rows.double().sum(1) / context[:, 0].double() for rows in (data, samples))
    return histogram_chi2(*response)


def generated(model: GAN, incident: Floats, *, seed: int) -> Floats:
    """Return a shower (V,) [MeV] for each incident energy (N,) [MeV]."""
    made: Floats = model.sample(torch.from_numpy(incident)[:, None], seed=seed).numpy()
    return made


def timed(model: GAN, energy: float, count: int, batches: Sequence[int]) -> dict[str, float]:
    """Return the CPU milliseconds of a shower of `energy` [MeV] on one core, by what makes it."""
    geant4 = seconds_a_shower(calorimeter(NAME), energy, count, beam=Beam("e+"))
    found = {REFERENCE: 1e3 * geant4}
    for batch in batches:
        noise = torch.randn(batch, model.noise_size)
        make = partial(model.decode, noise, torch.full((batch, 1), energy))
        found[f"batch {batch}"] = 1e3 * cpu_seconds(make) / batch
    return found


def _physics(path: Path) -> str:
    import h5py

    with h5py.File(path) as file:
        return str(file.attrs["physics"])


# What follows writes the report.


def _add_timing(report: Report, found: dict[str, float], energy: float) -> None:
    report.add_heading("Time of a shower")
    geant4 = found[REFERENCE]
    rows, results = [], []
    for name, value in found.items():
        subject = name if name == REFERENCE else f"{MODEL}, {name}"
        theirs = PUBLISHED.get(name)
        ratio = "" if theirs is None else f"{PUBLISHED['Geant4'] / theirs:.3g}"
        rows.append(
            [
                subject,
                f"{value:.3g}",
                "" if name == REFERENCE else f"{geant4 / value:.3g}",
                "" if theirs is None else f"{theirs:g}",
                "" if name == REFERENCE else ratio,
            ]
        )
        results.append(
            Result(
                subject, "CPU time of a shower", value, published=theirs,
                source="" if theirs is None else "arXiv:1712.10321", unit="ms",
            )
        )  # fmt: skip
    report.add_table(
        ["", "ms", "Geant4 over it", "published ms", "published ratio"],
        rows,
        f"CPU time on one core, for positrons of {energy / GEV:.3g} GeV; the published times are"
        " those of 1 to 100 GeV on another machine. Medians of five; Geant4 without its set-up.",
    )
    report.results += results


def _add_conditioning(report: Report, model: GAN, incident: Floats, showers: Floats) -> None:
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
    figures = []
    for name, e in ((REFERENCE, showers), (MODEL, generated(model, incident, seed=2))):
        response = e.sum(1) / incident
        n = len(response)
        figures += [
            (name, "mean of E_tot/E_inc", Value(response.mean(), response.std() / n**0.5)),
            (name, "width of E_tot/E_inc", Value(response.std(), response.std() / (2 * n) ** 0.5)),
        ]
    results = [Result(name, what, float(v.value), float(v.error)) for name, what, v in figures]
    report.add_results(results, "Over all test energies; errors are those of counting.")


@style()
def _response(energies: Floats, lines: NDArray, incident: Floats, showers: Floats) -> Figure:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot(energies / GEV, lines[:, :30] / GEV, color="#3f90da", alpha=0.35, linewidth=1)
    axes.plot([], [], color="#3f90da", label=f"{MODEL}, one noise each")
    edges = np.linspace(incident.min(), incident.max(), 9)
    place = np.clip(np.digitize(incident, edges) - 1, 0, 7)
    total = showers.sum(1) / GEV
    seen = [k for k in range(8) if (place == k).sum() > 1]
    axes.errorbar(
        [incident[place == k].mean() / GEV for k in seen],
        [total[place == k].mean() for k in seen],
        [(total - incident / GEV)[place == k].std() for k in seen],
        fmt="o",
        color="black",
        label=REFERENCE,
    )
    axes.set_xlabel("Incident energy [GeV]")
    axes.set_ylabel("Total energy [GeV]")
    axes.legend()
    return figure
