"""FastCaloGAN: a generative network for each slice in eta, put together (2109.02551)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.metrics.two_sample import histogram_chi2
from colliderkit.metrics.value import Value, number
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.slices import against_eta, means_by_slice
from colliderkit.report.training import training
from colliderkit.report.verdict import Aim
from colliderkit.seeds import derive
from colliderkit.sources.datasets.eta_showers import GEOMETRY, EtaShowers, make_eta_showers
from colliderkit.studies.run import Run, Study
from colliderkit.training.adversarial import GanSchedule
from colliderkit.training.settings import Epoch, Training

__all__ = ["STUDY"]

SUMMARY = """
ATLAS's fast simulation has a Wasserstein GAN with gradient penalty (arXiv:1704.00028) for each
particle and each slice of 0.05 in eta. Of each training it keeps the epoch whose total energy
agrees best with Geant4 (FastCaloGAN, arXiv:2109.02551). Here each slice of a barrel has a network,
and the response of all is shown against eta, beside the showers that they learned from.
"""

STAND_IN = """
The showers are those of the parametrisation of Grindhammer and Peters (hep-ex/0001020) in {layers}
layers of tungsten and silicon with {voxels} voxels, not Geant4's in ATLAS. A layer is cosh(eta)
times as deep for a particle of that eta as at eta = 0, and this tells the slices apart. There are
{slices} slices of {width:g} in eta with {showers} showers each, log-uniform between {low:g} and
{high:g} GeV, where ATLAS has 100 slices and 10,000 showers for each of 15 energies.
"""

DEFINITIONS = """
Within a slice a network knows the energy and not eta, as in FastCaloGAN: it makes the mean over its
slice. The epoch is chosen on validation showers, by the chi^2 of E_tot/E_inc. The figures are those
of test showers of other seeds. Chi^2 per degree of freedom is 1 within {error:.2g} for equal
densities; the floor is the test showers against as many others of the same slice.
"""

NAME, FLOOR = "WGAN-GP", "GFlash"
GEV = 1e3  # MeV
BINS = 30


TOTAL, MEANS = "chi^2/ndf of E_tot/E_inc", "ratio of mean E_tot/E_inc"
WIDTHS = "ratio of width of E_tot/E_inc"
AIMS = (
    Aim("Networks have the total energy of their slices", TOTAL, f"{NAME}, *", "equal", 1.0),
    Aim("They have its mean", MEANS, f"{NAME}, *", "equal", 1.0, tolerance=0.02),
    Aim("They have its width", WIDTHS, f"{NAME}, *", "equal", 1.0, tolerance=0.05),
)


@dataclass(frozen=True)
class Scale:
    """Slices up to which eta, showers in each, of which energies [GeV], width, and training."""

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


def fast_calo_slices(run: Run[Scale]) -> None:
    """Train a network in each slice of eta, and compare all of them with what they learned."""
    scale, report, edges = run.scale, run.report, run.scale.edges
    histories: dict[str, list[Epoch]] = {}
    tests: list[EtaShowers] = []
    generated: list[EtaShowers] = []
    floors: list[EtaShowers] = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        name = f"eta {low:.3g} to {high:.3g}"
        train, test, floor = (
            EtaShowers(**run.arrays(f"{what} of {name}", partial(shot, scale, low, high, what)))
            for what in ("training", "test", "floor")
        )
        rows = train.voxels / train.incident[:, None]
        method = run.fitted(name, network(scale), rows, log_energy(train.incident), seed=1)
        histories[name] = method.history_["generator"]
        tests.append(test)
        floors.append(floor)
        generated.append(EtaShowers(test.eta, test.incident, sampled(method, test.incident)))
    report.add_heading("All slices together")
    together = {FLOOR: EtaShowers.joined(tests), NAME: EtaShowers.joined(generated)}
    report.add_figure(
        against_eta(
            {name: (showers.eta, showers.response) for name, showers in together.items()},
            edges,
            r"$E_\mathrm{tot} / E_\mathrm{inc}$",
        ),
        "Mean and standard deviation of the visible energy over the incident one against eta. The"
        " showers change with eta, the networks at the ends of their slices (dotted).",
        wide=True,
    )
    report.add_figure(
        means_by_slice(
            {name: (showers.eta, late_share(showers)) for name, showers in together.items()},
            edges,
            "Energy in the last two layers / total",
        ),
        "Mean share of the energy that is in the last two layers, by slice.",
    )
    _add_slices(report, list(histories), tests, generated, floors)
    report.add_heading("Training")
    report.add_figure(
        training(histories),
        "Validation loss: chi^2 per degree of freedom of E_tot/E_inc, by which the epoch is chosen;"
        " training loss: the generator's.",
    )
    report.add_definitions(DEFINITIONS.format(error=(2 / (BINS - 1)) ** 0.5))
    report.add_stand_in(
        STAND_IN.format(
            layers=len(GEOMETRY.layers),
            voxels=GEOMETRY.voxels,
            slices=scale.slices,
            width=scale.highest / scale.slices,
            showers=number(scale.train),
            low=scale.low,
            high=scale.high,
        )
    )


def shot(scale: Scale, low: float, high: float, what: str) -> dict[str, NDArray]:
    """Draw the showers of a slice: those to train on, to test on, and others for the floor."""
    count = scale.train if what == "training" else scale.test
    energies = scale.low * GEV, scale.high * GEV
    seed = derive(1, what, f"{low:.6g} to {high:.6g}")
    return asdict(make_eta_showers(count, (low, high), energies, seed=seed))


def network(scale: Scale) -> ConditionalGenerator:
    """Return the network of a slice, for voxels over E_inc given ln E_inc [GeV]."""
    return ConditionalGenerator(
        generator="wgan-gp",
        options={"noise": 50, "width": scale.width},
        distance="sum",
        schedule=SCHEDULE,
        validation=0.2,
        training=scale.training,
    )


def log_energy(incident: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a network is given, ln(E_inc / GeV)."""
    return np.asarray(np.log(incident / GEV))


def sampled(method: ConditionalGenerator, incident: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a shower (V,) [MeV] for each incident energy (N,) [MeV]."""
    rows = method.sample(log_energy(incident), seed=1)
    return np.maximum(rows, 0) * incident[:, None]


def late_share(showers: EtaShowers) -> NDArray[np.float64]:
    """Return the share of the energy that is in the last two layers, (N,)."""
    late = GEOMETRY.layer >= len(GEOMETRY.layers) - 2
    total = np.maximum(showers.voxels.sum(1), 1e-9)
    return np.asarray(showers.voxels[:, late].sum(1) / total)


def _add_slices(
    report: Report,
    names: Sequence[str],
    tests: Sequence[EtaShowers],
    generated: Sequence[EtaShowers],
    floors: Sequence[EtaShowers],
) -> None:
    report.add_heading("Slices")
    rows, results = [], []
    for name, test, *others in zip(names, tests, generated, floors, strict=True):
        cells: list[object] = [name]
        for who, sample in zip((NAME, FLOOR), others, strict=True):
            chi2 = histogram_chi2(test.response, sample.response, bins=BINS)
            ratio = sample.response.mean() / test.response.mean()
            spread = test.response.std() / test.response.mean() * (2 / len(test)) ** 0.5
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
                float(f"{chi2:.3g}"),
                float(f"{layers:.3g}"),
                Value(ratio, spread),
                Value(width, width / len(test) ** 0.5),
            ]
            subject = f"{who}, {name}"
            results += [
                Result(subject, TOTAL, chi2, (2 / (BINS - 1)) ** 0.5),
                Result(subject, "chi^2/ndf of layers, mean", layers),
                Result(subject, MEANS, float(ratio), float(spread)),
                Result(subject, WIDTHS, float(width), float(width) / len(test) ** 0.5),
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


STUDY = Study(
    *("fast-calo-slices", "FastCaloGAN", SUMMARY, SCALES, fast_calo_slices),
    aims=AIMS,
    events="{slices} slices, {train} showers each to train on and {test} to test with",
    stand_in="Geant4's showers in ATLAS",
)
