"""Electrons and photons of Pythia's jets, shower by shower, in one calorimeter.

The factorisation of the calorimeter lectures: a surrogate makes the shower of one particle; an
event is the sum of its showers, read out once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.calorimeter import Geometry, Grid
from colliderkit.events.calorimeter.overlay import Digitiser, deposits
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.metrics.separation import separation
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.overlay import cell_images, cell_spectrum, jet_ratios
from colliderkit.report.results import Result
from colliderkit.sources.datasets.jet_particles import CENTRAL, LEAST, JetParticles, jet_particles
from colliderkit.sources.files.showers import drawn_energies, read_showers, write_showers
from colliderkit.sources.geant4.calorimeters import Calorimeter, calorimeter
from colliderkit.sources.geant4.gflash import effective_medium
from colliderkit.sources.geant4.gflash import showers as parametrised
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.simulation import Beam, simulate
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
# (particles, seed) -> showers (P, V) [MeV], the visible energy
Sampler = Callable[[JetParticles, int], NDArray[Any]]

SUMMARY = """
The electrons and photons of jets beside a Z enter a calorimeter one by one. Each shower is made by
Geant4, by Geant4 with other random numbers, by the parametrisation of Grindhammer and Peters, and
by a surrogate that was trained on Geant4's photons; showers are moved to where their particles
enter, summed, and read out once, with noise and a threshold. Cells and jets are compared.
"""

STAND_IN = """
A stand-in for a detector: lead and liquid argon in the voxels of data set 1 of the CaloChallenge,
at 1.5 m from the beams and unrolled around each jet; all particles enter at right angles, no
hadrons, no magnetic field, no material in front. Geant4's physics is that of its set-up here (see
the configuration). Electrons are given to the surrogate as photons of their energy, and to the
parametrisation too.
"""

ORDER = """
Deposits add: the sum over particles is the deposit of the event, exactly. Readings do not. If each
shower is read out by itself and the readings are added, noise enters once a shower instead of once
a cell, and deposits below the threshold are lost that would pass it together. The expected reading
of a deposit e is e P(z) + s p(z), z = (e - t) / s, so that both orders are known exactly, given the
deposits of Geant4.
"""

PROCESS = "z-jets"
PHOTONS = Beam("gamma")
MOST = 200e3  # MeV, up to which the surrogate is trained
RADIUS = 1500.0  # mm from the beams to the calorimeter's face
REACH = 600.0  # mm from the jet's axis to the edge of what is read out
READOUT = Digitiser(noise=20.0, threshold=60.0)
REFERENCE, AGAIN = "Geant4", "Geant4 again"
LAYERS = ("presampler", "strips", "middle", "back", "tile")


@dataclass(frozen=True)
class Scale:
    """Number of jets, Geant4 showers to train the surrogate on (0: none), and epochs.

    JetParticles above `most` [MeV] are left out: they are most of Geant4's time.
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


def readout_cells() -> Geometry:
    """Return cells of about the ATLAS barrel's widths: strips fine in eta, then squares."""
    side = 2 * REACH
    shapes = ((8, 32), (8, 256), (32, 32), (32, 16), (8, 8))
    return Geometry("cells", tuple(Grid(i, *shape, side, side) for i, shape in enumerate(shapes)))


def geant4(detector: Calorimeter) -> Sampler:
    """Return Geant4 as a sampler, photons and electrons as they are."""

    def sampler(particles: JetParticles, seed: int) -> NDArray[Any]:
        found = np.zeros((len(particles.energy), detector.geometry.voxels), np.float32)
        for i, name in enumerate(("gamma", "e-")):
            rows = np.flatnonzero(particles.electron == (name == "e-"))
            if len(rows):
                energy = particles.energy[rows]
                found[rows] = simulate(detector, energy, beam=Beam(name), seed=2 * seed + i)
        return found

    return sampler


def parametrisation(detector: Calorimeter) -> Sampler:
    """Return the parametrisation as a sampler."""
    medium, depths, seen = effective_medium(detector)
    visible = seen[detector.geometry.layer]

    def sampler(particles: JetParticles, seed: int) -> NDArray[Any]:
        energy = particles.energy
        drawn = parametrised(energy, detector.geometry, medium, seed=seed, depths=depths)
        return np.asarray(drawn * visible)

    return sampler


def shoot_photons(detector: Calorimeter, count: int, path: Path) -> None:
    """Shoot the photons that a surrogate is trained on, dN/dE ~ E^-1.5."""
    energy = drawn_energies(count, LEAST, MOST, 1.5, np.random.default_rng(5))
    write_showers(path, energy, simulate(detector, energy, beam=PHOTONS, seed=6))


def event_overlay(run: Run[Scale]) -> None:
    """Send the particles of jets through each source of showers, and compare the jets."""
    scale, report = run.scale, run.report
    detector, cells = calorimeter("photons-368"), readout_cells()
    with run.step("jets"):
        particles = jet_particles(PROCESS, scale.jets, radius=RADIUS, seed=1, most=scale.most)
    samplers: dict[str, Sampler] = {
        REFERENCE: geant4(detector),
        AGAIN: geant4(detector),
        "parametrisation": parametrisation(detector),
    }
    if scale.trained:
        path = run.file("photons.hdf5", partial(shoot_photons, detector, scale.trained))
        options: dict[str, Any] = {"epochs": scale.epochs, "learning_rate": 1e-3}
        surrogate = ShowerSurrogate(
            layers=Training(batch_size=256, **options), voxels=Training(batch_size=128, **options)
        )
        surrogate = run.fitted(
            "surrogate", surrogate, read_showers(path), detector.geometry, seed=5
        )
        samplers["surrogate"] = lambda p, seed: surrogate.sample(p.energy, seed=seed, outside=True)
    showers: dict[str, NDArray[Any]] = {}
    energies: dict[str, Floats] = {}
    for i, (name, sampler) in enumerate(samplers.items()):
        draw = partial(_drawn, sampler, particles, 11 + i)
        drawn = run.arrays(f"{len(particles.energy)} particles through {name}", draw)["showers"]
        # Each has its own sampling fraction, as any calorimeter is calibrated.
        showers[name] = drawn * (particles.energy.sum() / drawn.sum())
        place = particles.x, particles.y, particles.jet
        energies[name] = deposits(
            showers[name], detector.geometry, *place, cells, events=particles.jets, seed=i
        )
    readings = {name: READOUT(e, 100 + i) for i, (name, e) in enumerate(energies.items())}
    report.add_text(STAND_IN)
    report.add_text(
        f"{particles.jets} jets of |eta| < {CENTRAL:g} with {len(particles.energy)} electrons and"
        f" photons above {LEAST / 1e3:g} GeV, {particles.electron.mean():.1%} of them electrons;"
        f" {cells.voxels} cells a jet, noise {READOUT.noise:g} MeV, threshold"
        f" {READOUT.threshold:g} MeV. Each source is calibrated by its own sampling fraction."
        f" Geant4's physics: {physics_name()}; the surrogate is trained on {scale.trained} photons."
    )
    report.add_heading("Jets and cells")
    quantities = {name: jet_quantities(reading, cells) for name, reading in readings.items()}
    _add_comparison(report, quantities)
    _add_figures(report, quantities, readings, cells)
    report.add_heading("Sum first, then digitise")
    report.add_text(ORDER)
    _add_order(report, showers[REFERENCE], particles, detector.geometry, cells)


def _drawn(sampler: Sampler, particles: JetParticles, seed: int) -> dict[str, NDArray[Any]]:
    return {"showers": sampler(particles, seed)}


def jet_quantities(readings: Floats, cells: Geometry) -> dict[str, Floats]:
    """Return numbers of each jet (N,) from its cells (N, C) [MeV]."""
    layer, d = cells.layer, np.hypot(cells.eta(), cells.phi()) / RADIUS
    total = np.maximum(readings.sum(1), 1e-9)
    found = {"energy [GeV]": readings.sum(1) / 1e3, "width": readings @ d / total}
    found["cells hit"] = (readings > 0).sum(1).astype(np.float64)
    found["hottest cell / energy"] = readings.max(1) / total
    for i, name in enumerate(LAYERS[:4]):
        found[f"{name} / energy"] = readings[:, layer == i].sum(1) / total
    return found


def _add_comparison(report: Report, quantities: Mapping[str, Mapping[str, Floats]]) -> None:
    """Add the mean of each quantity over Geant4's, and separations, of the same jets."""
    results = []
    reference = quantities[REFERENCE]
    for name, own in quantities.items():
        if name == REFERENCE:
            continue
        for quantity, values in own.items():
            mean = float(reference[quantity].mean())
            shift = values - reference[quantity]
            error = float(shift.std(ddof=1)) / len(shift) ** 0.5
            ratio = Value(1 + float(shift.mean()) / mean, error / abs(mean))
            results.append(Result.over_seeds(quantity, f"{name} / {REFERENCE}", [ratio]))
    report.add_results(
        results,
        "Mean over that of Geant4, of the same jets, ± the error of the mean difference.",
    )
    rows = []
    for quantity, exact in reference.items():
        inner = np.unique(np.quantile(exact, np.linspace(0, 1, min(11, len(exact) // 3 + 2))))
        edges = np.array([-np.inf, *inner[1:-1], np.inf])
        others = [own for name, own in quantities.items() if name != REFERENCE]
        rows.append([quantity, *(str(separation(exact, own[quantity], edges)) for own in others)])
    report.add_table(
        ["", *(name for name in quantities if name != REFERENCE)],
        rows,
        "Separation from Geant4 x 1000, in bins of equal counts, with its counting floor.",
    )


def _add_figures(
    report: Report,
    quantities: Mapping[str, Mapping[str, Floats]],
    readings: Mapping[str, Floats],
    cells: Geometry,
) -> None:
    busiest = int(np.argmax(quantities[REFERENCE]["cells hit"]))
    report.add_figure(
        cell_images(
            {name: each[busiest] for name, each in readings.items()},
            cells,
            2,
            REACH / RADIUS,
            READOUT.threshold,
        ),
        "The jet of most cells, as read out in the middle layer: the same particles in each.",
        wide=True,
    )
    report.add_figure(
        cell_spectrum(readings, READOUT.threshold),
        "Energies of all cells, after noise and threshold.",
    )
    report.add_figure(
        jet_ratios(quantities, "energy [GeV]"), "Jet energy over that of Geant4, jet by jet."
    )
    report.add_figure(jet_ratios(quantities, "width"), "Jet width over that of Geant4, jet by jet.")
    report.add_figure(
        jet_ratios(quantities, "cells hit"), "Cells that are read out, over those of Geant4."
    )


def _add_order(
    report: Report,
    showers: NDArray[Any],
    particles: JetParticles,
    geometry: Geometry,
    cells: Geometry,
) -> None:
    """Compare both orders of summing and digitising with their exact expectations."""
    sums: dict[str, list[tuple[float, float, float, float]]] = {"right": [], "wrong": []}
    random = np.random.default_rng(7)
    for jet in range(min(particles.jets, 30)):
        own = np.flatnonzero(particles.jet == jet)
        if len(own) == 0:
            continue
        place = particles.x[own], particles.y[own]
        single = deposits(
            showers[own], geometry, *place, np.arange(len(own)), cells, events=len(own), seed=jet
        )
        for name, e in (("right", single.sum(0)), ("wrong", single)):
            read, expected = READOUT(e, random), float(READOUT.expected(e).sum())
            hit = np.count_nonzero(read.sum(0) if e.ndim == 2 else read)
            sums[name].append((float(single.sum()), float(read.sum()), expected, float(hit)))
    rows: list[list[Any]] = []
    for name, title in (("right", "sum, then digitise"), ("wrong", "digitise, then sum")):
        deposit, read, expected, hits = np.array(sums[name]).T
        each = read / expected
        error = float(np.std(each, ddof=1)) / len(each) ** 0.5 if len(each) > 1 else float("nan")
        ratio = Value(float(read.sum() / expected.sum()), error)
        share = float(read.sum() / deposit.sum())
        rows.append(
            [title, float(hits.mean()), share, float(expected.sum() / deposit.sum()), ratio]
        )
    report.add_table(
        ["", "cells read out a jet", "read / deposited", "exact", "read / exact"],
        rows,
        f"Deposits of Geant4, {len(sums['right'])} jets.",
    )


STUDY = Study("event-overlay", "Jets of showers in one calorimeter", SUMMARY, SCALES, event_overlay)
