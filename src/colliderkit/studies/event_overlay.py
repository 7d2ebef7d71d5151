"""Electrons and photons of Pythia's jets, shower by shower, in one calorimeter.

The factorisation of the calorimeter lectures: a surrogate makes the shower of one particle; an
event is the sum of its showers, read out once.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.events.calorimeter import Geometry, Grid
from colliderkit.events.calorimeter.overlay import Digitiser, deposits
from colliderkit.events.schema import CONSTITUENTS
from colliderkit.files import refuse_existing
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.metrics.separation import separation
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.plots import COLOURS, style
from colliderkit.report.results import Result
from colliderkit.sources.files.showers import drawn_energies
from colliderkit.sources.geant4.calorimeters import Calorimeter, calorimeter
from colliderkit.sources.geant4.gflash import effective_medium
from colliderkit.sources.geant4.gflash import showers as parametrised
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.simulation import Beam, simulate
from colliderkit.sources.pythia.jets import jets
from colliderkit.training.settings import Training

__all__ = ["Particles", "Sampler", "make_particles", "run"]

Floats = NDArray[np.float64]
# (particles, seed) -> showers (P, V) [MeV], the visible energy
Sampler = Callable[["Particles", int], NDArray[Any]]

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
CENTRAL = 1.0  # |eta| of the jets
LEAST = 500.0  # MeV, below which a particle is left out
SEEN = 10e3  # MeV, of the electrons and photons of a jet that is kept
MOST = 200e3  # MeV, up to which the surrogate is trained
RADIUS = 1500.0  # mm from the beams to the calorimeter's face
REACH = 600.0  # mm from the jet's axis to the edge of what is read out
READOUT = Digitiser(noise=20.0, threshold=60.0)
REFERENCE, AGAIN = "Geant4", "Geant4 again"
LAYERS = ("presampler", "strips", "middle", "back", "tile")


@dataclass(frozen=True)
class Particles:
    """Hold P particles: energy [MeV], whether an electron, place (x, y) [mm], number of the jet."""

    energy: Floats
    electron: NDArray[np.bool_]
    x: Floats
    y: Floats
    jet: NDArray[np.int64]
    jets: int


@dataclass(frozen=True)
class Scale:
    """Say how many jets, Geant4 showers to train the surrogate on (0: none), and epochs.

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


def make_particles(count: int, *, seed: int, most: float = np.inf) -> Particles:
    """Take electrons and photons of `count` central jets, placed around the jet's axis.

    Jets with less than 10 GeV of them are left out, and particles above `most` [MeV].

    x = R (eta - eta_jet) and y = R (phi - phi_jet), at the distance R from the beams.
    """
    found = jets(PROCESS, 4 * count + 20, seed=seed)
    own = found[CONSTITUENTS]
    own = own[((abs(own.pid) == 11) | (own.pid == 22)) & (own.E * 1e3 > LEAST)]
    bright = np.asarray(ak.sum(own.E, axis=1)) * 1e3 > SEEN
    kept = np.flatnonzero(bright & (np.abs(np.asarray(found["jet_eta"])) < CENTRAL))[:count]
    found, own = found[kept], own[kept]
    own = own[most > own.E * 1e3]
    jet = np.repeat(np.arange(len(found)), np.asarray(ak.num(own)))
    px, py, pz, energy = (
        np.asarray(ak.flatten(own[c]), np.float64) for c in ("px", "py", "pz", "E")
    )
    eta, phi = np.arcsinh(pz / np.hypot(px, py)), np.arctan2(py, px)
    around = phi - np.asarray(found["jet_phi"], dtype=np.float64)[jet]
    return Particles(
        1e3 * energy,
        np.abs(np.asarray(ak.flatten(own.pid))) == 11,
        RADIUS * (eta - np.asarray(found["jet_eta"], dtype=np.float64)[jet]),
        RADIUS * ((around + np.pi) % (2 * np.pi) - np.pi),
        jet,
        len(found),
    )


def readout_cells() -> Geometry:
    """Return cells of about the ATLAS barrel's widths: strips fine in eta, then squares."""
    side = 2 * REACH
    shapes = ((8, 32), (8, 256), (32, 32), (32, 16), (8, 8))
    return Geometry("cells", tuple(Grid(i, *shape, side, side) for i, shape in enumerate(shapes)))


def geant4(given: Calorimeter) -> Sampler:
    """Return Geant4 as a sampler, photons and electrons as they are."""

    def sampler(particles: Particles, seed: int) -> NDArray[Any]:
        found = np.zeros((len(particles.energy), given.geometry.voxels), np.float32)
        for i, name in enumerate(("gamma", "e-")):
            rows = np.flatnonzero(particles.electron == (name == "e-"))
            if len(rows):
                energy = particles.energy[rows]
                found[rows] = simulate(given, energy, beam=Beam(name), seed=2 * seed + i)
        return found

    return sampler


def parametrisation(given: Calorimeter) -> Sampler:
    """Return the parametrisation as a sampler."""
    medium, depths, seen = effective_medium(given)
    visible = seen[given.geometry.layer]

    def sampler(particles: Particles, seed: int) -> NDArray[Any]:
        energy = particles.energy
        drawn = parametrised(energy, given.geometry, medium, seed=seed, depths=depths)
        return np.asarray(drawn * visible)

    return sampler


def trained_surrogate(given: Calorimeter, scale: Scale, *, seed: int) -> ShowerSurrogate:
    """Train a surrogate on Geant4's photons, dN/dE ~ E^-1.5."""
    random = np.random.default_rng(seed)
    energy = drawn_energies(scale.trained, LEAST, MOST, 1.5, random)
    showers = simulate(given, energy, beam=Beam("gamma"), seed=seed + 1)
    options: dict[str, Any] = {"epochs": scale.epochs, "learning_rate": 1e-3}
    surrogate = ShowerSurrogate(
        layers=Training(batch_size=256, **options), voxels=Training(batch_size=128, **options)
    )
    return surrogate.fit(energy, showers, given.geometry, seed=seed, progress=False)


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    force: bool = False,
    surrogate: ShowerSurrogate | None = None,
    **_: Any,
) -> Path:
    """Run the study into `out` and return the path of its report.

    A fitted `surrogate` of the calorimeter "photons-368" takes the place of the one that the scale
    trains; ``seeds`` changes nothing here.
    """
    refuse_existing(out / "report.html", force)
    chosen = SCALES[scale]
    given, cells = calorimeter("photons-368"), readout_cells()
    particles = make_particles(chosen.jets, seed=1, most=chosen.most)
    timing: dict[str, float] = {}
    samplers: dict[str, Sampler] = {
        REFERENCE: geant4(given),
        AGAIN: geant4(given),
        "parametrisation": parametrisation(given),
    }
    if surrogate is None and chosen.trained:
        print(f"a surrogate of {chosen.trained} showers", flush=True)
        begin = time.perf_counter()
        surrogate = trained_surrogate(given, chosen, seed=5)
        timing["training the surrogate"] = time.perf_counter() - begin
    if surrogate is not None:
        fitted = surrogate
        samplers["surrogate"] = lambda p, seed: fitted.sample(p.energy, seed=seed, outside=True)
    energies: dict[str, Floats] = {}
    apart: Floats | None = None
    for i, (name, sampler) in enumerate(samplers.items()):
        print(f"{len(particles.energy)} particles through {name}", flush=True)
        begin = time.perf_counter()
        showers = sampler(particles, 11 + i)
        timing[name] = time.perf_counter() - begin
        # Each has its own sampling fraction, as any calorimeter is calibrated.
        showers = showers * (particles.energy.sum() / showers.sum())
        place = particles.x, particles.y
        energies[name] = deposits(
            showers, given.geometry, *place, particles.jet, cells, events=particles.jets, seed=i
        )
        if name == REFERENCE:
            apart = showers
    assert apart is not None
    readings = {name: READOUT(e, 100 + i) for i, (name, e) in enumerate(energies.items())}
    report = Report(
        "Jets of showers in one calorimeter",
        SUMMARY,
        command=f"colliderkit study event-overlay --scale {scale}",
        configuration=(
            f"jets: {particles.jets}\nparticles: {len(particles.energy)}\n"
            f"physics: {physics_name()}\nsurrogate trained on: {chosen.trained}\n"
            f"noise: {READOUT.noise}\nthreshold: {READOUT.threshold}\n"
        ),
        seeds=[1],
        timing=timing,
    )
    report.add_text(STAND_IN)
    report.add_text(
        f"{particles.jets} jets of |eta| < {CENTRAL:g} with {len(particles.energy)} electrons and"
        f" photons above {LEAST / 1e3:g} GeV, {particles.electron.mean():.1%} of them electrons;"
        f" {cells.voxels} cells a jet, noise {READOUT.noise:g} MeV, threshold"
        f" {READOUT.threshold:g} MeV. Each source is calibrated by its own sampling fraction."
    )
    report.add_heading("Jets and cells")
    quantities = {name: jet_quantities(reading, cells) for name, reading in readings.items()}
    _add_comparison(report, quantities)
    _add_figures(report, quantities, readings, cells)
    report.add_heading("Sum first, then digitise")
    report.add_text(ORDER)
    _add_order(report, apart, particles, given.geometry, cells)
    return report.write(out, force=force)


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
        for figure, values in own.items():
            mean = float(reference[figure].mean())
            shift = values - reference[figure]
            error = float(shift.std(ddof=1)) / len(shift) ** 0.5
            ratio = Value(1 + float(shift.mean()) / mean, error / abs(mean))
            results.append(Result.over_seeds(figure, f"{name} / {REFERENCE}", [ratio]))
    report.add_results(
        results,
        "Mean over that of Geant4, of the same jets, ± the error of the mean difference.",
    )
    rows = []
    for figure, exact in reference.items():
        inner = np.unique(np.quantile(exact, np.linspace(0, 1, min(11, len(exact) // 3 + 2))))
        edges = np.array([-np.inf, *inner[1:-1], np.inf])
        others = [own for name, own in quantities.items() if name != REFERENCE]
        rows.append([figure, *(str(separation(exact, own[figure], edges)) for own in others)])
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
        _images({n: r[busiest] for n, r in readings.items()}, cells),
        "The jet of most cells, as read out in the middle layer: the same particles in each.",
        wide=True,
    )
    report.add_figure(_spectrum(readings), "Energies of all cells, after noise and threshold.")
    report.add_figure(
        _scatter(quantities, "energy [GeV]"), "Jet energy over that of Geant4, jet by jet."
    )
    report.add_figure(_scatter(quantities, "width"), "Jet width over that of Geant4, jet by jet.")
    report.add_figure(
        _scatter(quantities, "cells hit"), "Cells that are read out, over those of Geant4."
    )


def _add_order(
    report: Report, showers: NDArray[Any], particles: Particles, geometry: Geometry, cells: Geometry
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


def _colours(names: Any) -> dict[str, str]:
    order = (COLOURS[3], COLOURS[8], COLOURS[1], COLOURS[0])
    return dict(zip(names, order, strict=False))


@style()
def _images(readings: Mapping[str, Floats], cells: Geometry) -> Figure:
    """Draw the middle layer of one jet, for each source."""
    figure = Figure(figsize=(6.2 * len(readings) + 1.5, 6.4), layout="compressed")
    axes = figure.subplots(1, len(readings), sharey=True, squeeze=False)[0]
    shape = cells.layers[2].shape
    top = max(float(r[cells.layer == 2].max()) for r in readings.values()) / 1e3
    reach = REACH / RADIUS
    for panel, (name, reading) in zip(axes, readings.items(), strict=True):
        image = reading[cells.layer == 2].reshape(shape) / 1e3
        drawn = panel.imshow(
            np.where(image > 0, image, np.nan),
            origin="lower",
            extent=(-reach, reach, -reach, reach),
            norm=LogNorm(READOUT.threshold / 1e3, max(top, 1.0)),
            cmap="viridis",
            interpolation="nearest",
        )
        panel.set_title(name, loc="left", fontsize=20)
        panel.set_xlabel(r"$\Delta\eta$")
    axes[0].set_ylabel(r"$\Delta\varphi$ [rad]")
    figure.colorbar(drawn, ax=list(axes), label="Energy [GeV]")
    return figure


@style()
def _spectrum(readings: Mapping[str, Floats]) -> Figure:
    """Draw cells a jet against energy, and the ratio to Geant4."""
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.geomspace(READOUT.threshold, 1e5, 31)
    base = None
    for name, colour in _colours(readings).items():
        cells = readings[name]
        count = np.histogram(cells[cells > 0], edges)[0]
        top.stairs(count / len(cells), edges, color=colour, label=name, linewidth=2.2)
        base = count if base is None else base
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(base > 0, count / base, np.nan)
            error = ratio * np.sqrt(1 / np.maximum(count, 1) + 1 / np.maximum(base, 1))
        middle = np.sqrt(edges[1:] * edges[:-1])
        if name != REFERENCE:
            bottom.errorbar(middle, ratio, error, fmt="o", markersize=4, color=colour)
    bottom.axhline(1, color="k", linewidth=1)
    top.set_xscale("log")
    top.set_yscale("log")
    top.set_ylabel("Cells a jet")
    top.legend(fontsize=15)
    bottom.set_ylim(0, 2)
    bottom.set_xlabel("Energy of a cell [MeV]")
    bottom.set_ylabel("Ratio", loc="center")
    return figure


@style()
def _scatter(quantities: Mapping[str, Mapping[str, Floats]], figure_name: str) -> Figure:
    """Draw the distribution of a quantity over that of Geant4, of the same jets."""
    figure = Figure()
    axes = figure.subplots()
    colours = _colours(quantities)
    reference = quantities[REFERENCE][figure_name]
    ratios = {
        name: own[figure_name] / np.maximum(reference, 1e-9)
        for name, own in quantities.items()
        if name != REFERENCE
    }
    pool = np.concatenate(list(ratios.values()))
    low, high = np.quantile(pool, [0.01, 0.99])
    room = 0.15 * (high - low) + 1e-3
    edges = np.linspace(low - room, high + room, 31)
    for name, values in ratios.items():
        label = f"{name}: {values.mean():.3f} ± {values.std():.3f}"
        count = np.histogram(values, edges)[0]
        axes.stairs(count, edges, color=colours[name], linewidth=2.4, label=label)
    axes.axvline(1, color="k", linestyle=":", linewidth=1.4)
    axes.set_ylim(0, 1.5 * axes.get_ylim()[1])
    axes.set_xlim(edges[0], edges[-1])
    label = figure_name.replace(" [GeV]", "")
    axes.set_xlabel(f"Jet {label} / that of Geant4")
    axes.set_ylabel("Jets")
    axes.legend(fontsize=15, title="mean ± spread", title_fontsize=14)
    return figure
