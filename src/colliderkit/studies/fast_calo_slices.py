"""FastCaloGAN: a generative network for each slice in eta, put together (2109.02551)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.files import refuse_existing
from colliderkit.generators.gan import WGANGP
from colliderkit.metrics.two_sample import histogram_chi2
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.plots import style
from colliderkit.report.results import Result
from colliderkit.report.training import training
from colliderkit.sources.geant4.gflash import TUNGSTEN_SILICON, showers
from colliderkit.training.adversarial import GanSchedule, fit_adversarial
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["run"]

SUMMARY = """
ATLAS's fast simulation has a Wasserstein GAN with gradient penalty (arXiv:1704.00028) for each
particle and each slice of 0.05 in eta, and takes of each training the epoch whose total energy
agrees best with Geant4 (FastCaloGAN, arXiv:2109.02551). Here: slices of a barrel, a network each,
and the response of all together against eta, beside what they were trained on.
"""

REMARKS = """
A stand-in: the showers are those of the parametrisation of Grindhammer and Peters
(hep-ex/0001020) in {layers} layers of tungsten and silicon with {voxels} voxels, not Geant4's in
ATLAS; a layer is cosh(eta) times as deep for a particle of that eta as at eta = 0, which is what
tells the slices apart; {slices} slices of {width:g} in eta with {showers} showers each, log-uniform
between {low:g} and {high:g} GeV, where ATLAS has 100 slices and 10,000 showers for each of 15
energies. Within a slice a network knows the energy and not eta, as there: what it makes is the mean
over its slice.

The epoch is chosen on validation showers, by the chi^2 of E_tot/E_inc. The figures are those of
test showers of other seeds. Chi^2 per degree of freedom is 1 within {error:.2g} for equal
densities; the floor is the test showers against as many others of the same slice.
"""

Floats = NDArray[np.float32]
NAME, FLOOR = "WGAN-GP", "GFlash"
GEV = 1e3  # MeV
GEOMETRY = Geometry.regular("slices", 5, 4, (0, 4, 9, 18, 40))
DEPTHS = np.array([0.0, 8.0, 24.0, 56.0, 90.0, 140.0])  # mm, at eta = 0
BINS = 30
COLOURS = {NAME: "#bd1f01", FLOOR: "#94a4a2"}
CELLS = 5  # in eta, drawn in a slice


@dataclass(frozen=True)
class Scale:
    """Say how many slices up to which eta, showers in each, of which energies [GeV]."""

    slices: int
    highest: float
    train: int
    test: int
    low: float
    high: float
    width: int
    training: Training

    @property
    def edges(self) -> NDArray[np.float64]:
        """The ends of the slices, (slices + 1,)."""
        return np.linspace(0, self.highest, self.slices + 1)


SCHEDULE = GanSchedule(discriminator_steps=5, discriminator_rate=2.0, betas=(0.0, 0.9))
SCALES = {
    "smoke": Scale(
        2, 0.8, 1_000, 500, 1.0, 8.0, 32,
        Training(epochs=2, batch_size=100, learning_rate=1e-3, schedule="constant"),
    ),
    "laptop": Scale(
        4, 0.8, 6_000, 2_000, 1.0, 16.0, 128,
        Training(epochs=60, batch_size=100, learning_rate=1e-3, schedule="flat-then-decay"),
    ),
    "paper": Scale(
        16, 0.8, 150_000, 50_000, 1.0, 256.0, 256,
        Training(epochs=200, batch_size=256, learning_rate=2e-4, schedule="flat-then-decay"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """Hold showers (N, V) [MeV] of incident energies (N,) [MeV] at eta (N,)."""

    eta: NDArray[np.float64]
    incident: Floats
    energy: Floats

    @property
    def response(self) -> NDArray[np.float64]:
        """E_tot / E_inc, (N,)."""
        return self.energy.sum(1, dtype=np.float64) / self.incident

    @property
    def layers(self) -> NDArray[np.float64]:
        """The energy of each layer over E_inc, (N, L)."""
        sums = np.add.reduceat(self.energy.astype(np.float64), GEOMETRY.starts[:-1], axis=1)
        return sums / self.incident[:, None]


def run(
    *, scale: str, out: Path, seeds: int | None = None, force: bool = False, **_: object
) -> Path:
    """Run the study into `out` and return the path of its report; there is one training a slice."""
    refuse_existing(out / "report.html", force)
    if seeds not in (None, 1):
        raise InputError(f"--seeds is {seeds}; this study trains one network a slice.")
    chosen = SCALES[scale]
    timing: dict[str, float] = {}
    models, histories, tests, floors = [], {}, [], []
    for i, (low, high) in enumerate(zip(chosen.edges[:-1], chosen.edges[1:], strict=True)):
        name = f"eta {low:.3g} to {high:.3g}"
        begin = time.perf_counter()
        data = shot(chosen, chosen.train, low, high, seed=10 * i)
        tests.append(shot(chosen, chosen.test, low, high, seed=10 * i + 1))
        floors.append(shot(chosen, chosen.test, low, high, seed=10 * i + 2))
        timing["showers"] = timing.get("showers", 0) + time.perf_counter() - begin
        begin = time.perf_counter()
        model, histories[name] = trained(
            chosen, data, out / "training" / str(i), name, resume=not force
        )
        models.append(model)
        timing["training"] = timing.get("training", 0) + time.perf_counter() - begin
    made = [
        Sample(test.eta, test.incident, generated(model, test.incident, seed=1))
        for model, test in zip(models, tests, strict=True)
    ]
    report = Report(
        "FastCaloGAN",
        SUMMARY,
        command=f"colliderkit study fast-calo-slices --scale {scale}",
        configuration=f"slices: {chosen.slices}\nshowers: {chosen.train}\n",
        seeds=[1],
        timing=timing,
    )
    _add_slices(report, list(histories), tests, made, floors)
    report.add_heading("Put together")
    stitched = {"GFlash": _joined(tests), NAME: _joined(made)}
    report.add_figure(
        _against_eta(stitched, chosen.edges),
        "Mean and standard deviation of the visible energy over the incident one against eta. The"
        " showers change with eta, the networks at the ends of their slices (dotted).",
        wide=True,
    )
    report.add_figure(
        _depth(stitched, chosen.edges),
        "Mean share of the energy that is in the last two layers, by slice.",
    )
    report.add_heading("Training")
    report.add_figure(
        training(histories),
        "Validation loss: chi^2 per degree of freedom of E_tot/E_inc, by which the epoch is chosen;"
        " training loss: the generator's.",
    )
    report.add_heading("What is a stand-in here")
    report.add_text(
        REMARKS.format(
            layers=len(GEOMETRY.layers),
            voxels=GEOMETRY.voxels,
            slices=chosen.slices,
            width=chosen.highest / chosen.slices,
            showers=chosen.train,
            low=chosen.low,
            high=chosen.high,
            error=(2 / (BINS - 1)) ** 0.5,
        )
    )
    return report.write(out, force=force)


def shot(chosen: Scale, count: int, low: float, high: float, *, seed: int) -> Sample:
    """Draw showers with eta between `low` and `high`, by the parametrisation."""
    random = np.random.default_rng([seed, 7])
    incident = GEV * chosen.low * (chosen.high / chosen.low) ** random.random(count)
    # All showers of a call have one depth: a few values of eta, the middles of equal parts.
    parts = np.array_split(np.arange(count), CELLS)
    eta, energy = np.empty(count), np.empty((count, GEOMETRY.voxels), np.float32)
    for k, rows in enumerate(parts):
        eta[rows] = low + (k + 0.5) / CELLS * (high - low)
        energy[rows] = showers(
            incident[rows],
            GEOMETRY,
            TUNGSTEN_SILICON,
            seed=100 * seed + k,
            depths=DEPTHS * np.cosh(eta[rows[0]]),
        )
    order = random.permutation(count)
    return Sample(eta[order], incident[order].astype(np.float32), energy[order])


def trained(
    chosen: Scale, data: Sample, folder: Path, title: str, *, resume: bool = True
) -> tuple[WGANGP, list[Epoch]]:
    """Train the network of a slice on voxels over E_inc, given ln E_inc [GeV]."""
    torch.manual_seed(1)
    model = WGANGP(GEOMETRY.voxels, 1, noise=50, width=chosen.width)
    x = torch.from_numpy(data.energy / data.incident[:, None])
    c = torch.from_numpy(data.incident / GEV).log()[:, None]
    model.fit_scaling(x, c)
    rows = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
    held = torch.arange(len(x)) % 5 == 0
    history = fit_adversarial(
        model,
        response_chi2,
        rows.at(torch.nonzero(~held)[:, 0]),
        rows.at(torch.nonzero(held)[:, 0]),
        chosen.training,
        schedule=SCHEDULE,
        folder=folder,
        seed=1,
        resume=resume,
        title=title,
    )
    return model, history


def response_chi2(data: Tensor, samples: Tensor, context: Tensor) -> float:
    """Return chi^2 of the sums of voxels over E_inc, (N, V) each; there are none below zero."""
    return histogram_chi2(data.double().sum(1), samples.double().clamp(min=0).sum(1), bins=BINS)


def generated(model: WGANGP, incident: Floats, *, seed: int) -> Floats:
    """Return a shower (V,) [MeV] for each incident energy (N,) [MeV]."""
    c = torch.from_numpy(incident / GEV).log()[:, None]
    made: Floats = model.sample(c, seed=seed).clamp(min=0).numpy() * incident[:, None]
    return made


def _joined(samples: Sequence[Sample]) -> Sample:
    return Sample(
        *(
            np.concatenate([getattr(s, name) for s in samples])
            for name in ("eta", "incident", "energy")
        )
    )


# What follows writes the report.


def _add_slices(
    report: Report,
    names: Sequence[str],
    tests: Sequence[Sample],
    made: Sequence[Sample],
    floors: Sequence[Sample],
) -> None:
    report.add_heading("Slices")
    rows, results = [], []
    for name, test, *others in zip(names, tests, made, floors, strict=True):
        cells: list[object] = [name]
        for who, sample in zip((NAME, FLOOR), others, strict=True):
            chi2 = histogram_chi2(test.response, sample.response, bins=BINS)
            ratio = sample.response.mean() / test.response.mean()
            spread = test.response.std() / test.response.mean() * (2 / len(test.eta)) ** 0.5
            width = sample.response.std() / test.response.std()
            layers = float(
                np.mean(
                    [
                        histogram_chi2(one, two, bins=BINS)
                        for one, two in zip(test.layers.T, sample.layers.T, strict=True)
                    ]
                )
            )
            cells += [
                f"{chi2:.3g}",
                f"{layers:.3g}",
                Value(ratio, spread),
                Value(width, width / len(test.eta) ** 0.5),
            ]
            subject = f"{who}, {name}"
            results += [
                Result(subject, "chi^2/ndf of E_tot/E_inc", chi2, (2 / (BINS - 1)) ** 0.5),
                Result(subject, "chi^2/ndf of layers, mean", layers),
                Result(subject, "ratio of mean E_tot/E_inc", float(ratio), float(spread)),
                Result(subject, "ratio of width of E_tot/E_inc", float(width)),
            ]
        rows.append(cells)
    report.add_table(
        [
            "slice",
            *("χ²/ndf", "of layers", "mean", "width"),
            *("floor: χ²/ndf", "of layers", "mean", "width"),
        ],
        rows,
        f"E_tot/E_inc of test showers: chi^2 per degree of freedom in {BINS} bins, the same of"
        " the energy in each layer over E_inc (the mean over the layers), and mean and width over"
        f" those of GFlash; of the {NAME} of the slice, and of other GFlash showers.",
    )
    report.results += results


@style()
def _against_eta(samples: dict[str, Sample], edges: NDArray[np.float64]) -> Figure:
    figure = Figure(figsize=(17, 6.5), layout="constrained")
    axes = figure.subplots(1, 2)
    for name, sample in samples.items():
        values = np.unique(sample.eta)
        groups = [sample.response[sample.eta == eta] for eta in values]
        count = np.array([len(group) for group in groups])
        width = np.array([group.std() for group in groups])
        mean = np.array([group.mean() for group in groups])
        look = {
            "fmt": "o-" if name == NAME else "s",
            "color": COLOURS[NAME] if name == NAME else "black",
            "label": name,
        }
        axes[0].errorbar(values, mean, width / count**0.5, **look)
        axes[1].errorbar(values, width, width / (2 * count) ** 0.5, **look)
    for panel, what in zip(axes, ("Mean", "Standard deviation"), strict=True):
        for edge in edges[1:-1]:
            panel.axvline(edge, color="0.6", linestyle=":")
        panel.set_xlabel(r"$\eta$")
        panel.set_ylabel(rf"{what} of $E_\mathrm{{tot}} / E_\mathrm{{inc}}$")
    axes[0].legend()
    return figure


@style()
def _depth(samples: dict[str, Sample], edges: NDArray[np.float64]) -> Figure:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    late = GEOMETRY.layer >= len(GEOMETRY.layers) - 2
    for name, sample in samples.items():
        share = sample.energy[:, late].sum(1) / np.maximum(sample.energy.sum(1), 1e-9)
        place = np.digitize(sample.eta, edges) - 1
        means = np.array([share[place == k].mean() for k in range(len(edges) - 1)])
        errors = np.array(
            [share[place == k].std() / (place == k).sum() ** 0.5 for k in range(len(edges) - 1)]
        )
        axes.errorbar(
            (edges[1:] + edges[:-1]) / 2,
            means,
            errors,
            fmt="o" if name == NAME else "s",
            color=COLOURS[NAME] if name == NAME else "black",
            label=name,
        )
    axes.set_xlabel(r"$\eta$")
    axes.set_ylabel("Energy in the last two layers / total")
    axes.legend()
    return figure
