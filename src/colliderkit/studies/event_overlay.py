"""Electrons and photons of Pythia's jets, shower by shower, in one calorimeter.

A surrogate makes the shower of one particle; an event is the sum of its showers, read out once.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.calorimeter import Geometry, Grid
from colliderkit.events.calorimeter.overlay import Digitiser, deposits
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.metrics.separation import separation
from colliderkit.metrics.value import Value, number
from colliderkit.report.html import Report
from colliderkit.report.overlay import cell_spectrum, layer_images, ratio_histogram
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.report.words import plural
from colliderkit.seeds import derive
from colliderkit.sources.datasets.jet_particles import CENTRAL, Particles, make_particles
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.gflash import effective_medium
from colliderkit.sources.geant4.gflash import showers as parametrised
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.simulation import Beam, simulate
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
# (particles, seed) -> showers (P, V) [MeV], the visible energy
Sampler = Callable[[Particles, int], NDArray[Any]]

SUMMARY = """
The electrons and photons of jets beside a Z enter a calorimeter one by one. Each shower is made by
Geant4, by Geant4 with other random numbers, by the parametrisation of Grindhammer and Peters, and
by a surrogate that was trained on Geant4's photons; showers are moved to where their particles
enter, summed, and read out once, with noise and a threshold. Cells and jets are compared.
"""
STAND_IN = """
The detector is lead and liquid argon in the voxels of data set 1 of the CaloChallenge, 1.5 m from
the beams and unrolled around each jet. All particles enter at right angles; there are no hadrons,
no magnetic field and no material in front. The physics is {physics}. Surrogate and parametrisation
are given electrons as photons of their energy.
"""
ORDER = """
Deposits add: the sum over particles is the deposit of the event, exactly. Readings do not add. If
each shower is read out by itself and the readings are added, noise enters once a shower instead of
once a cell, and deposits below the threshold are lost that would pass it together. The expected
reading of a deposit e is e P(z) + s p(z), z = (e - t) / s, with threshold t and noise s, so that
both orders are known exactly, given the deposits of Geant4.
"""

CALORIMETER = calorimeter("photons-368")
LEAST, MOST = 500.0, 200e3  # MeV: lower ones are left out, up to the higher the surrogate learns
RADIUS = 1500.0  # mm from the beams to the calorimeter's face
REACH = 600.0  # mm from the jet's axis to the edge of what is read out
READOUT = Digitiser(noise=20.0, threshold=60.0)
REFERENCE, AGAIN = "Geant4", "Geant4 again"
LAYERS = ("presampler", "strips", "middle", "back")
MIDDLE = LAYERS.index("middle")
ORDERED = 30  # jets that are read out in both orders
ENERGY, HITS, READ = "energy [GeV]", "cells hit", "read / exact"
AIMS = (
    Aim("Two samples of Geant4 agree in the energy of jets", "Geant4 again / Geant4", ENERGY,
        "equal", 1.0, tolerance=0.02),
    *(
        Aim(f"The {name} has the {words} of Geant4", f"{name} / Geant4", what, "equal", 1.0,
            tolerance=0.05)
        for name in ("surrogate", "parametrisation")
        for what, words in (("width", "width of jets"), (HITS, "number of cells hit"))
    ),
    Aim("Both orders of summing and reading out agree", READ, "*", "equal", 1.0, tolerance=0.02),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How many jets, Geant4 showers to train the surrogate on (0: none), and epochs.

    Particles above `most` [MeV] are left out: they are most of Geant4's time.
    """

    jets: int
    trained: int
    epochs: int
    most: float = np.inf


SCALES = {
    "smoke": Scale(3, 0, 0, 10e3),
    "laptop": Scale(150, 2500, 25),
    "paper": Scale(20_000, 100_000, 60),
}


def event_overlay(run: Run[Scale]) -> None:
    """Send the particles of jets through four sources of showers, and read the events out."""
    scale, report, cells = run.scale, run.report, readout_cells()
    make = partial(make_particles, scale.jets, RADIUS, seed=1, least=LEAST, most=scale.most)
    columns: dict[str, Any] = run.arrays("particles", lambda: asdict(make()))
    particles = Particles(**{**columns, "jets": int(columns["jets"])})
    samplers: dict[str, Sampler] = {
        REFERENCE: by_geant4,
        AGAIN: by_geant4,
        "parametrisation": by_parametrisation,
    }
    if scale.trained:
        samplers["surrogate"] = surrogate_of(run)
    energies: dict[str, Floats] = {}
    showers: dict[str, NDArray[Any]] = {}
    for name, sampler in samplers.items():
        draw = partial(drawn, sampler, particles, derive(1, "showers", name))
        seen = run.arrays(f"showers, {name}", draw)["seen"]
        # Each has its own sampling fraction, as any calorimeter is calibrated.
        showers[name] = seen * (particles.energy.sum() / seen.sum())
        energies[name] = deposits(
            showers[name], CALORIMETER.geometry, particles.x, particles.y, particles.jet, cells,
            events=particles.jets, seed=derive(1, "deposits", name),
        )  # fmt: skip
    readings = {name: READOUT(e, derive(1, "noise", name)) for name, e in energies.items()}
    report.add_stand_in(STAND_IN.format(physics=physics_name()))
    report.facts += [plural(len(particles), "particle"), f"physics: {physics_name()}"]
    report.add_definitions(
        f"{particles.jets} jets of |eta| < {CENTRAL:g} with {len(particles)} electrons and photons"
        f" above {LEAST / 1e3:g} GeV, {particles.electron.mean():.1%} of them electrons;"
        f" {number(cells.voxels)} cells a jet, noise {READOUT.noise:g} MeV, threshold"
        f" {READOUT.threshold:g} MeV. Each source has its own sampling fraction.\n\n{ORDER}"
    )
    report.add_heading("Jets and cells")
    quantities = {name: jet_quantities(reading, cells) for name, reading in readings.items()}
    busiest = int(np.argmax(quantities[REFERENCE][HITS]))
    shown = {name: reading[busiest] for name, reading in readings.items()}
    report.add_figure(
        layer_images(shown, cells, MIDDLE, reach=REACH / RADIUS, threshold=READOUT.threshold),
        "The jet of most cells, as read out in the middle layer: the same particles in each.",
        wide=True,
    )
    report.add_figure(
        cell_spectrum(readings, threshold=READOUT.threshold),
        "Energies of all cells, after noise and threshold: sources should lie on one another.",
    )
    for quantity, caption in (
        (ENERGY, "Jet energy over that of Geant4, jet by jet."),
        ("width", "Jet width over that of Geant4, jet by jet."),
        (HITS, "Cells that are read out, over those of Geant4."),
    ):
        values = {name: each[quantity] for name, each in quantities.items()}
        label = quantity.removesuffix(" [GeV]")
        report.add_figure(ratio_histogram(values, label), f"{caption} 1 is right.")
    _add_comparison(report, quantities)
    report.add_heading("Sum first, then digitise")
    _add_order(report, showers[REFERENCE], particles, cells)


def readout_cells() -> Geometry:
    """Return cells of about the ATLAS barrel's widths: strips fine in eta, then squares."""
    side = 2 * REACH
    shapes = ((8, 32), (8, 256), (32, 32), (32, 16), (8, 8))
    return Geometry("cells", tuple(Grid(i, *shape, side, side) for i, shape in enumerate(shapes)))


def drawn(sampler: Sampler, particles: Particles, seed: int) -> dict[str, NDArray[Any]]:
    """Draw the showers of all particles, the energy that is seen."""
    return {"seen": sampler(particles, seed)}


def by_geant4(particles: Particles, seed: int) -> NDArray[Any]:
    """Shoot photons and electrons by Geant4."""
    showers = np.zeros((len(particles), CALORIMETER.geometry.voxels), np.float32)
    for name in ("gamma", "e-"):
        rows = np.flatnonzero(particles.electron == (name == "e-"))
        if len(rows):
            showers[rows] = simulate(
                CALORIMETER, particles.energy[rows], beam=Beam(name), seed=derive(seed, name)
            )
    return showers


def by_parametrisation(particles: Particles, seed: int) -> NDArray[Any]:
    """Draw showers from the parametrisation, in one medium for the whole calorimeter."""
    geometry = CALORIMETER.geometry
    medium, depths, seen = effective_medium(CALORIMETER)
    deposited = parametrised(particles.energy, geometry, medium, seed=seed, depths=depths)
    return np.asarray(deposited * seen[geometry.layer])


def surrogate_of(run: Run[Scale]) -> Sampler:
    """Train a surrogate on Geant4's photons, dN/dE ~ E^-1.5, and return what draws from it."""
    scale = run.scale

    def shoot(path: Path) -> None:
        generate_showers(
            CALORIMETER, scale.trained, path, energies=(LEAST, MOST), index=1.5,
            beam=Beam("gamma"), seed=5, workers=run.workers, dask=run.dask,
        )  # fmt: skip

    photons = read_showers(run.file("photons.hdf5", shoot), CALORIMETER.geometry)
    layers, voxels = (
        Training(epochs=scale.epochs, learning_rate=1e-3, batch_size=size) for size in (256, 128)
    )
    surrogate = ShowerSurrogate(layers=layers, voxels=voxels)
    fitted = run.fitted("surrogate", surrogate, photons, CALORIMETER.geometry, seed=5)
    return lambda particles, seed: fitted.sample(particles.energy, seed=seed, outside=True)


def jet_quantities(readings: Floats, cells: Geometry) -> dict[str, Floats]:
    """Return numbers of each jet (N,) from its cells (N, C) [MeV]."""
    distance = np.hypot(cells.eta(), cells.phi()) / RADIUS
    total = np.maximum(readings.sum(1), 1e-9)
    quantities = {
        ENERGY: readings.sum(1) / 1e3,
        "width": readings @ distance / total,
        HITS: (readings > 0).sum(1).astype(np.float64),
        "hottest cell / energy": readings.max(1) / total,
    }
    for i, name in enumerate(LAYERS):
        quantities[f"{name} / energy"] = readings[:, cells.layer == i].sum(1) / total
    return quantities


def _add_comparison(report: Report, quantities: Mapping[str, Mapping[str, Floats]]) -> None:
    """Add the mean of each quantity over Geant4's, and separations, of the same jets."""
    results, rows = [], []
    others = [name for name in quantities if name != REFERENCE]
    for quantity, exact in quantities[REFERENCE].items():
        inner = np.unique(np.quantile(exact, np.linspace(0, 1, min(11, len(exact) // 3 + 2))))
        edges = np.array([-np.inf, *inner[1:-1], np.inf])
        row = [quantity]
        for name in others:
            values, mean = quantities[name][quantity], float(exact.mean())
            shift = values - exact
            error = float(shift.std(ddof=1)) / len(shift) ** 0.5
            if mean:  # of few jets Geant4 may leave a layer without any energy
                ratio = Value(1 + float(shift.mean()) / mean, error / abs(mean))
                results.append(Result.over_seeds(quantity, f"{name} / {REFERENCE}", [ratio]))
            row.append(str(separation(exact, values, edges)))
        rows.append(row)
    report.add_results(
        results,
        "Mean over that of Geant4, of the same jets, ± the error of the mean difference; left out"
        " where Geant4 has none.",
    )
    caption = "Separation from Geant4 x 1000, in bins of equal counts, with its counting floor."
    report.add_table(["", *others], rows, caption)


def _add_order(
    report: Report, showers: NDArray[Any], particles: Particles, cells: Geometry
) -> None:
    """Compare both orders of summing and digitising with their exact expectations."""
    names = "sum, then digitise", "digitise, then sum"
    orders: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    random = np.random.default_rng(derive(1, "noise of both orders"))
    for jet in range(min(particles.jets, ORDERED)):
        rows = np.flatnonzero(particles.jet == jet)
        if len(rows) == 0:
            continue
        single = deposits(
            showers[rows], CALORIMETER.geometry, particles.x[rows], particles.y[rows],
            np.arange(len(rows)), cells, events=len(rows), seed=derive(1, "both orders", jet),
        )  # fmt: skip
        for order, energy in zip(orders, (single.sum(0), single), strict=True):
            read = READOUT(energy, random)
            expected = float(READOUT.expected(energy).sum())
            hit = np.count_nonzero(np.atleast_2d(read).sum(0))
            orders[order].append((float(single.sum()), float(read.sum()), expected, float(hit)))
    table = []
    for order, sums in orders.items():
        deposit, read, expected, hits = np.array(sums).T
        ratios = read / expected
        error = float(np.std(ratios, ddof=1)) / len(ratios) ** 0.5 if len(ratios) > 1 else np.nan
        exact = float(expected.sum() / deposit.sum())
        ratio = Value(float(read.sum() / expected.sum()), error)
        share = float(read.sum() / deposit.sum())
        table.append([order, float(hits.mean()), share, exact, ratio])
        report.results.append(Result(order, READ, ratio.value, ratio.error))
    report.add_table(
        ["", "cells read out a jet", "read / deposited", "exact", READ],
        table,
        f"Deposits of Geant4 in {plural(len(ratios), 'jet')}, read out in both orders.",
    )


TITLE = "Jets of showers in one calorimeter"
STUDY = Study(
    *("event-overlay", TITLE, SUMMARY, SCALES, event_overlay, ("workers", "dask")),
    aims=AIMS,
    events="{jets} jets",
    stand_in="a detector",
)
