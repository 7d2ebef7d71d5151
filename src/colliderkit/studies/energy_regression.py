"""Energies of electrons and photons from showers, each with its uncertainty: which are right?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.regression import REGRESSIONS, Conformal, Regression
from colliderkit.metrics.coverage import Uncertainties, uncertainties
from colliderkit.metrics.resolution import energy_bins, fit_resolution
from colliderkit.metrics.value import Value, number
from colliderkit.report.regression import against_energy, coverage_against, coverage_curves
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.report.words import plural
from colliderkit.sources.datasets.shower_energies import (
    EnergySum,
    ShowerEnergies,
    read_shower_energies,
)
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.simulation import Beam
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
CALORIMETER = "photons-368"
NAMES = {"gamma": "photons", "e-": "electrons"}
SOURCE, BEAM = "arXiv:physics/0608012", "ATLAS's barrel, test beam"
QUOTED = (0.68, 0.95)
LEVELS = (*QUOTED, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9)
BAR = 0.02
SUM, TREES, SHAPES, RINGS = (
    "sum of the cells",
    "trees on shapes",
    "network on shapes",
    "network on rings",
)
# What is learned sees these columns, by this kind of regression.
INPUTS = {TREES: "shapes", SHAPES: "shapes", RINGS: "rings"}
KINDS = {TREES: "boosted-regression", SHAPES: "deep-ensemble", RINGS: "deep-ensemble"}

SUMMARY = """
Geant4 simulates photons and electrons in a sampling calorimeter of lead and liquid argon. Their
energy is estimated from the sum of all cells, from the shapes of clusters by trees and by a
network, and from rings of cells. Six methods then give each energy an uncertainty, and the page
counts how often they are right, before and after conformal calibration.
"""
READING = """
What is learned is E / E_sum, with E_sum = a + b times the visible energy, fitted by least squares
in sqrt(E). Networks are deep ensembles of five (arXiv:1612.01474); shapes are the shares of the
layers, depth, centres and widths; a ring is the sum of the cells of a layer at one distance from
the axis, as no angle is preferred. Each method learns the mean of E given what it sees, for the
spectrum that it was trained on: at both ends of the spectrum energies are pulled inwards, where the
response is then not flat, and its width smaller than it would be without (arXiv:2205.05084): read
resolution and linearity together. No shape predicts sampling fluctuations. Shapes can correct what
is lost before, between and behind the layers, of which this calorimeter has little.
"""
COVERING = """
Coverage is the share of test showers whose energy lies in the interval; pulls are (estimate - E) /
std. "Conformal" takes {calibration} more showers and moves all intervals of a method by one number
(arXiv:1905.03222 for quantiles, by a factor of std otherwise). That makes the coverage right on
average, whatever the method, up to sqrt(level (1 - level) / {calibration}), and not at each energy.
A method is called calibrated by itself if its own intervals of 68% and 95% both cover within
{bar:g}%, the bar that was set. All methods share test and calibration showers, and with them what
is off for all of them alike.
"""
STAND_IN = """
The published terms, about 10% and 0.2% (arXiv:physics/0608012), are of a module of ATLAS's barrel
in a beam of electrons from 10 to 245 GeV. Here are five layers in the bins of the CaloChallenge's
data set 1, without noise, dead material, cracks or magnetic field, particles that all enter in the
middle, and another ratio of lead to argon. Energies fall as E^-1.5. The physics is {physics}.
"""
AIMS = (
    *(
        Aim(f"A {name} resolves photons better than the sum of the cells",
            "photons: stochastic term", name, "below", against=SUM)
        for name in (SHAPES, RINGS)
    ),
    *(
        Aim(f"All methods cover {100 * level:g}% within {100 * BAR:g}%{after}",
            f"coverage {100 * level:g}%{when}", "*", "within", (level - BAR, level + BAR))
        for level in QUOTED
        for when, after in (("", " by themselves"), (", conformal", ", made conformal"))
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Numbers of showers, their energies [GeV], bins of energy, fits (`seeds`) and epochs."""

    counts: Mapping[str, int]
    low: float
    high: float
    bins: int
    seeds: int
    epochs: int

    @property
    def edges(self) -> Floats:
        """The ends of the bins of energy [GeV], a little inside of what is shot."""
        return np.asarray(np.geomspace(1.1 * self.low, self.high / 1.1, self.bins + 1))

    def regression(self, kind: str) -> Regression:
        """Return one kind of regression, not fitted."""
        options: dict[str, Any] = {}
        if kind != "boosted-regression":
            training = Training(epochs=self.epochs, batch_size=256, learning_rate=1e-3)
            if kind == "variational-regression":
                # The widths of its weights take longer to settle.
                training = replace(training, epochs=3 * self.epochs, learning_rate=5e-3)
            options = {"hidden": (32, 32), "training": training}
        built: Regression = REGRESSIONS.build(kind, **options)
        return built


SCALES = {
    "smoke": Scale({"gamma": 300}, 0.2, 1.0, 3, 1, 3),
    "laptop": Scale({"gamma": 10_000, "e-": 4_400}, 0.5, 16.0, 7, 3, 40),
    "paper": Scale({"gamma": 200_000, "e-": 200_000}, 0.5, 256.0, 12, 5, 40),
}


def energy_regression(run: Run[Scale]) -> None:
    """Simulate showers, learn their energies, and count how often intervals hold them."""
    report, geometry = run.report, calorimeter(CALORIMETER).geometry
    samples = {}
    for seed, (particle, count) in enumerate(run.scale.counts.items(), 1):
        path = run.file(f"{particle}-{count}.hdf5", partial(simulated, run, particle, seed))
        samples[particle] = read_shower_energies(path, geometry)
    report.facts.append(f"physics: {physics_name()}")
    report.add_definitions(READING)
    report.add_stand_in(STAND_IN.format(physics=physics_name()))
    report.add_heading("Resolution and linearity")
    for particle, showers in samples.items():
        add_energies(run, particle, showers)
    add_uncertainties(run, samples["gamma"])


def simulated(run: Run[Scale], particle: str, seed: int, path: Any) -> None:
    """Shoot particles of one kind into the calorimeter."""
    generate_showers(
        CALORIMETER, run.scale.counts[particle], path, index=1.5, beam=Beam(particle), seed=seed,
        energies=(1e3 * run.scale.low, 1e3 * run.scale.high), workers=run.workers, dask=run.dask,
    )  # fmt: skip


def fitted(
    run: Run[Scale], particle: str, kind: str, columns: str, train: ShowerEnergies, seed: int
) -> Regression:
    """Return a regression of E / E_sum on some columns of the showers, fitted once."""
    target = train.energy / EnergySum.fitted(train)(train)
    name = f"{NAMES[particle]}, {kind} on {columns}, seed {seed}"
    return run.fitted(name, run.scale.regression(kind), getattr(train, columns), target, seed=seed)


def add_energies(run: Run[Scale], particle: str, showers: ShowerEnergies) -> None:
    """Add resolution and linearity of the energies of one particle."""
    train, _, test = showers.parts()
    energy_sum, noun, report = EnergySum.fitted(train), NAMES[particle], run.report
    estimates: dict[str, list[Floats]] = {SUM: [energy_sum(test)]}
    for name, columns in INPUTS.items():
        fits = [fitted(run, particle, KINDS[name], columns, train, seed) for seed in run.seeds]
        unseen = getattr(test, columns)
        estimates[name] = [energy_sum(test) * fit.predict(unseen).estimate for fit in fits]
    widths, biases, curves, results = {}, {}, {}, []
    for name, each in estimates.items():
        bins = [energy_bins(estimate, test.energy, run.scale.edges) for estimate in each]
        terms = [fit_resolution(one.energy, one.resolution) for one in bins]
        energies, widths[name], biases[name] = bins[0].energy, bins[0].resolution, bins[0].bias
        curves[name] = (terms[0].stochastic.value, terms[0].constant.value)
        for what, published in (("stochastic", 10.0), ("constant", 0.2)):
            values = [getattr(term, what).percent for term in terms]
            quoted: dict[str, Any] = {"unit": "%"}
            if name == SUM and particle == "e-":
                quoted |= {"published": published, "source": SOURCE, "difference": BEAM}
            results.append(Result.over_seeds(name, f"{noun}: {what} term", values, **quoted))
    report.add_figure(
        against_energy(energies, widths, r"$\sigma_\mathrm{eff} / E$ [%]", curves=curves),
        f"Resolution of {noun}, half the smallest interval that holds 68.3%, and the fits; seed 0.",
    )
    report.add_figure(
        against_energy(energies, biases, r"$\langle E_\mathrm{est} / E\rangle - 1$ [%]", zero=True),
        f"Linearity of {noun}: mean response minus one; seed 0.",
    )
    report.add_results(
        results,
        f"Terms of sigma_eff / E = a / sqrt(E / GeV) (+) b of {number(len(test))} test {noun}, in"
        " percent, ± seeds ± counting.",
        best={result.quantity: "lower" for result in results},
    )


def add_uncertainties(run: Run[Scale], showers: ShowerEnergies) -> None:
    """Add coverage, pulls and widths of each method on the shapes of photons."""
    train, calibration, test = showers.parts()
    energy_sum, report = EnergySum.fitted(train), run.report
    target = calibration.energy / energy_sum(calibration)
    before: dict[str, list[Uncertainties]] = {}
    after: dict[str, list[Uncertainties]] = {}
    for kind in REGRESSIONS:
        for seed in run.seeds:
            method = fitted(run, "gamma", kind, "shapes", train, seed)
            score = "shifted" if kind == "quantile-regression" else "scaled"
            conformal = Conformal(method, score=score, levels=LEVELS)  # type: ignore[arg-type]
            conformal.calibrate(method, calibration.shapes, target)
            for worth, judged in ((before, method), (after, conformal)):
                one = measured(judged, test, energy_sum(test), run.scale.edges)
                worth.setdefault(kind, []).append(one)
    report.add_heading("Uncertainties")
    report.add_definitions(COVERING.format(calibration=len(calibration), bar=100 * BAR))
    rows = []
    for kind in REGRESSIONS:
        cells: dict[str, Result] = {}
        for when, each in (("", before[kind]), (", conformal", after[kind])):
            values = [quantities(one) for one in each]
            for quantity in values[0]:
                if not (when and quantity.startswith("pull")):
                    name = quantity + when
                    cells[name] = Result.over_seeds(kind, name, [v[quantity] for v in values])
        report.results += list(cells.values())
        right = all(abs(cells[_covering(level)].value - level) <= BAR for level in QUOTED)
        shown = [Value(cell.value, cell.error or 0.0) for cell in cells.values()]
        rows.append([kind, "✓" if right else "✗", *shown])
    report.add_table(
        ["method", "calibrated by itself", *cells],
        rows,
        f"Coverage, pulls and mean width of 68% intervals over E, of {number(len(test))} test"
        f" photons, mean of {plural(len(run.seeds), 'fit')} with the error of fits and counting;"
        " the calibration showers add the same to all of them.",
    )
    order = np.argsort(LEVELS)
    levels = [LEVELS[i] for i in order]
    for worth, count, caption in (
        (before, None, "Coverage of central intervals minus their level, seed 0: 0 is right."),
        (
            after,
            len(calibration),
            "The same after conformal calibration; the band is the error of that.",
        ),
    ):
        curves = {kind: [each[0].curve[i] for i in order] for kind, each in worth.items()}
        report.add_figure(coverage_curves(levels, curves, count), caption)
    for worth, when in ((before, "before"), (after, "after")):
        bins = {kind: each[0].bins for kind, each in worth.items()}
        report.add_figure(
            coverage_against(run.scale.edges, bins, QUOTED[0]),
            f"Coverage in bins of energy, {when} conformal calibration, seed 0.",
        )


def measured(
    method: Regression | Conformal, test: ShowerEnergies, base: Floats, edges: Floats
) -> Uncertainties:
    """Measure the uncertainties of a method's energies; it predicts their ratio to `base`."""

    def interval(level: float) -> tuple[Floats, Floats]:
        low, high = method.interval(test.shapes, level)
        return base * low, base * high

    answer = method.predict(test.shapes)
    return uncertainties(
        base * answer.estimate,
        base * answer.std,
        interval,
        test.energy,
        levels=LEVELS,
        edges=edges,
    )


def quantities(one: Uncertainties) -> dict[str, Value]:
    """Return the quantities that are quoted, by name."""
    return {
        **{_covering(level): one.at(level) for level in QUOTED},
        "width of 68%": one.width,
        "pull mean": one.pulls.mean,
        "pull width": one.pulls.width,
    }


def _covering(level: float) -> str:
    return f"coverage {100 * level:g}%"


TITLE, TAKES = "Energies and their uncertainties", ("seeds", "workers", "dask")
STUDY = Study(
    *("energy-regression", TITLE, SUMMARY, SCALES, energy_regression, TAKES),
    aims=AIMS,
    events="{counts[gamma]} photons of {low} to {high} GeV",
    stand_in="ATLAS's barrel in a test beam",
)
