"""Energies of electrons and photons from showers, each with its uncertainty: which are right?"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.calorimeter.features import features
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.files import refuse_existing
from colliderkit.methods.regression import REGRESSIONS, Conformal, Regression, build
from colliderkit.metrics.coverage import coverage, coverage_curve, coverage_in_bins, pulls
from colliderkit.metrics.resolution import Resolution, effective_width, fit_resolution
from colliderkit.metrics.value import Value, bootstrap
from colliderkit.report.html import Report
from colliderkit.report.regression import against_energy, coverage_against, coverage_curves
from colliderkit.report.results import Result
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.simulation import Beam
from colliderkit.training.settings import Training

__all__ = ["run"]

Floats = NDArray[np.float64]
CALORIMETER = "photons-368"
NAMES = {"gamma": "photons", "e-": "electrons"}
SOURCE = "arXiv:physics/0608012"
TEST, CALIBRATION = 0.3, 0.2  # shares of the showers; the rest is trained on
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.8, 0.9, 0.95)
QUOTED = (0.68, 0.95)
BAR = 0.02
SUM, TREES, SHAPES, RINGS = (
    "sum of the cells",
    "trees on shapes",
    "network on shapes",
    "network on rings",
)

SUMMARY = """
Photons and electrons from {low:g} to {high:g} GeV in a sampling calorimeter of lead and liquid
argon, simulated by Geant4. Their energy from the sum of all cells, from the shapes of clusters by
boosted trees and by a network, and from the energies of all rings of cells; then what six methods
say of the uncertainty of each energy, and how often they are right, before and after conformal
calibration.
"""

READING = """
What is learned is E / E_sum, with E_sum = a + b times the visible energy, fitted by least squares
in sqrt(E). Networks are deep ensembles of five (arXiv:1612.01474); shapes are the shares of the
layers, depth, centres and widths; a ring is the sum of the cells of a layer at one distance from
the axis, as no angle is preferred. Each method learns the mean of E given what it sees, for the
spectrum that it was trained on: at both ends of the spectrum energies are pulled inwards, where the
response is then not flat, and its width smaller than it would be without. That is the price of a
regression (arXiv:2205.05084), not of a network; resolution and linearity are to be read together.

Sampling fluctuations are what no shape foretells. Shapes can mend what is lost before, between and
behind the layers, and there is little of that in this calorimeter: the sum is hard to beat.
"""

COVERING = """
Coverage is the share of test showers whose energy lies in the interval; pulls are (estimate - E) /
std. "Conformal" takes {calibration} more showers and moves all intervals of a method by one number
(arXiv:1905.03222 for quantiles, by a factor of std otherwise). That makes the coverage right on
average, whatever the method, up to sqrt(level (1 - level) / {calibration}); it does not make it
right at each energy, as the last figure shows. A method is called calibrated by
itself if its own intervals of 68% and 95% both cover within {bar:g}%, the bar that was set.
"""

REMARKS = """
A stand-in: the published terms, about 10% and 0.2% (arXiv:physics/0608012), are of a module of
ATLAS's barrel in a beam of electrons from 10 to 245 GeV. Here are five layers in the bins of the
CaloChallenge's data set 1, without noise, dead material, cracks or magnetic field, particles that
all enter in the middle, and another ratio of lead to argon: the sum of the cells is better, and
there is less to be won by shapes. Energies fall as E^-1.5.
"""


@dataclass(frozen=True)
class Scale:
    """Say how many showers of which energies [GeV], the bins, and how long is trained."""

    counts: Mapping[str, int]
    low: float
    high: float
    bins: int
    seeds: int
    epochs: int

    def options(self, kind: str) -> dict[str, Any]:
        """Return the options of one kind of regression."""
        if kind == "boosted-trees":
            return {}
        training = Training(epochs=self.epochs, learning_rate=1e-3)
        if kind == "variational":
            # The widths of its weights take longer to settle.
            training = replace(training, epochs=3 * self.epochs, learning_rate=5e-3)
        return {"hidden": (32, 32), "training": training}


SCALES = {
    "smoke": Scale({"gamma": 300}, 0.2, 1.0, 3, 1, 3),
    "laptop": Scale({"gamma": 10_000, "e-": 4_400}, 0.5, 16.0, 7, 3, 40),
    "paper": Scale({"gamma": 200_000, "e-": 200_000}, 0.5, 256.0, 12, 5, 40),
}


@dataclass(frozen=True)
class Sample:
    """Hold N showers: `energy` (N,) [GeV], `visible` (N,) [GeV], `shapes` (N, F), `rings` (N, R).

    Rings are ln(1 + e / `THRESHOLD`).
    """

    energy: Floats
    visible: Floats
    shapes: Floats
    rings: Floats

    def at(self, rows: slice) -> "Sample":
        """Return some showers."""
        return Sample(self.energy[rows], self.visible[rows], self.shapes[rows], self.rings[rows])

    def parts(self) -> tuple["Sample", "Sample", "Sample"]:
        """Return showers to train on, to calibrate with and to test with.

        They are independent and in no order: the first are as good as any.
        """
        test = int(TEST * len(self.energy))
        calibration = test + int(CALIBRATION * len(self.energy))
        rows = (slice(calibration, None), slice(test, calibration), slice(test))
        return self.at(rows[0]), self.at(rows[1]), self.at(rows[2])


THRESHOLD = 0.05  # MeV in the active slabs
# What is learned sees these columns.
INPUTS = {TREES: "shapes", SHAPES: "shapes", RINGS: "rings"}
KINDS = {TREES: "boosted-trees", SHAPES: "ensemble", RINGS: "ensemble"}


@dataclass(frozen=True)
class Line:
    """Hold E_sum = a + b S, [GeV]."""

    a: float
    b: float

    @classmethod
    def of(cls, sample: Sample) -> "Line":
        """Fit it to showers, each with a variance that grows as its energy."""
        root = np.sqrt(sample.energy)
        design = np.stack([np.ones_like(root), sample.visible], 1) / root[:, None]
        a, b = np.linalg.lstsq(design, sample.energy / root)[0]
        return cls(float(a), float(b))

    def __call__(self, sample: Sample) -> Floats:
        """Return E_sum of each shower."""
        return self.a + self.b * sample.visible


@dataclass(frozen=True)
class Judged:
    """Hold what the uncertainties of one method are worth, by a name of its figure."""

    figures: Mapping[str, Value]
    curve: Sequence[Any]
    bins: Sequence[Any]


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
    """Run the study into `out` and return the path of its report; `seeds` are those of fits."""
    refuse_existing(out / "report.html", force)
    chosen = replace(SCALES[scale], seeds=SCALES[scale].seeds if seeds is None else seeds)
    timing: dict[str, float] = {}
    samples = {}
    for number, (particle, count) in enumerate(chosen.counts.items(), 1):
        path = out / f"{particle}-{count}.hdf5"
        begin = time.perf_counter()
        if not path.exists():
            generate_showers(
                CALORIMETER,
                count,
                path,
                energies=(1e3 * chosen.low, 1e3 * chosen.high),
                index=1.5,
                beam=Beam(particle),
                seed=number,
                workers=workers,
                dask=dask,
            )
            timing[f"Geant4, {NAMES[particle]}"] = time.perf_counter() - begin
        samples[particle] = read(path, calorimeter(CALORIMETER).geometry)
    report = Report(
        "Energies and their uncertainties",
        SUMMARY.format(low=chosen.low, high=chosen.high),
        command=f"colliderkit study energy-regression --scale {scale} --seeds {chosen.seeds}",
        configuration=f"showers: {dict(chosen.counts)}\nenergies: [{chosen.low}, {chosen.high}]\n",
        seeds=list(range(1, chosen.seeds + 1)),
        timing=timing,
    )
    report.add_heading("Resolution and linearity")
    report.add_text(READING)
    fits: dict[tuple[str, int], Regression] = {}
    for particle, sample in samples.items():
        begin = time.perf_counter()
        fits |= _add_energies(report, chosen, particle, sample)
        timing[f"energies, {NAMES[particle]}"] = time.perf_counter() - begin
    begin = time.perf_counter()
    _add_uncertainties(report, chosen, samples["gamma"], fits)
    timing["uncertainties"] = time.perf_counter() - begin
    report.add_heading("What is a stand-in here")
    report.add_text(REMARKS)
    return report.write(out, force=force)


def read(path: Path, geometry: Geometry) -> Sample:
    """Read showers and return what is seen of them."""
    sample = read_showers(path, geometry)
    incident, showers = sample.incident, sample.voxels
    found = features(showers, incident, geometry)
    places, ring = np.unique(np.stack([geometry.layer, geometry.r]), axis=1, return_inverse=True)
    sums = showers @ np.eye(places.shape[1], dtype=np.float32)[ring.reshape(-1)]
    return Sample(
        incident.astype(np.float64) / 1e3,
        found.total / 1e3,
        found.shapes(),
        np.log1p(sums.astype(np.float64) / THRESHOLD),
    )


def fitted(kind: str, x: Floats, train: Sample, line: Line, seed: int, chosen: Scale) -> Regression:
    """Fit one method to E / E_sum of the training showers."""
    return build(kind, **chosen.options(kind)).fit(x, train.energy / line(train), seed=seed)


def edges(chosen: Scale) -> Floats:
    """Return the ends of the bins of energy [GeV], a little inside of what is shot."""
    found: Floats = np.geomspace(1.1 * chosen.low, chosen.high / 1.1, chosen.bins + 1)
    return found


def resolution(
    estimate: Floats, energy: Floats, ends: Floats
) -> tuple[Floats, list[Value], list[Value]]:
    """Return 1 / <1 / E> [GeV], sigma_eff / E and the bias in each bin of energy."""
    place = np.digitize(energy, ends) - 1
    middles, widths, biases = [], [], []
    for i in range(len(ends) - 1):
        ratio = estimate[place == i] / energy[place == i]
        middles.append(1 / np.mean(1 / energy[place == i]))
        widths.append(bootstrap(lambda r: effective_width(r) / float(r.mean()), ratio, seed=i))
        biases.append(Value(float(ratio.mean()) - 1, float(ratio.std() / len(ratio) ** 0.5)))
    return np.array(middles), widths, biases


# What follows writes the report.


def _add_energies(
    report: Report, chosen: Scale, particle: str, sample: Sample
) -> dict[tuple[str, int], Regression]:
    """Add resolution and linearity of one particle; return what was fitted, by name and seed."""
    train, _, test = sample.parts()
    line, ends, noun = Line.of(train), edges(chosen), NAMES[particle]
    fits: dict[tuple[str, int], Regression] = {}
    estimates: dict[str, list[Floats]] = {SUM: [line(test)]}
    for name, columns in INPUTS.items():
        estimates[name] = []
        for seed in range(1, chosen.seeds + 1):
            print(f"{noun}: {name}, seed {seed}", flush=True)
            x, unseen = getattr(train, columns), getattr(test, columns)
            method = fitted(KINDS[name], x, train, line, seed, chosen)
            estimates[name].append(line(test) * method.predict(unseen).estimate)
            if particle == "gamma":
                fits[name, seed] = method
    widths, biases, curves, results = {}, {}, {}, []
    for name, values in estimates.items():
        terms: list[Resolution] = []
        for estimate in values:
            middles, width, bias = resolution(estimate, test.energy, ends)
            terms.append(fit_resolution(middles, width))
            if len(terms) == 1:
                widths[name], biases[name] = width, bias
        curves[name] = (terms[0].stochastic.value, terms[0].constant.value)
        for what, published in (("stochastic", 10.0), ("constant", 0.2)):
            found = [_percent(getattr(term, what)) for term in terms]
            quoted: dict[str, Any] = {"unit": "%"}
            if name == SUM and particle == "e-":
                quoted |= {"published": published, "source": SOURCE}
            results.append(Result.over_seeds(name, f"{noun}: {what} term", found, **quoted))
    report.add_results(
        results,
        f"Terms of sigma_eff / E = a / sqrt(E / GeV) (+) b of {len(test.energy)} test {noun}, in"
        f" percent, ± seeds ± counting. Published: ATLAS's barrel in a test beam.",
    )
    report.add_figure(
        against_energy(middles, widths, r"$\sigma_\mathrm{eff} / E$ [%]", curves=curves),
        f"Resolution of {noun}, half the smallest interval that holds 68.3%, and the fits; seed 1.",
    )
    report.add_figure(
        against_energy(middles, biases, r"$\langle E_\mathrm{est} / E\rangle - 1$ [%]", zero=True),
        f"Linearity of {noun}: mean response minus one; seed 1.",
    )
    return fits


def _percent(value: Value) -> Value:
    return Value(100 * value.value, 100 * value.error)


def _add_uncertainties(
    report: Report, chosen: Scale, sample: Sample, fits: Mapping[tuple[str, int], Regression]
) -> None:
    """Add coverage, pulls and widths of each method on the shapes of photons."""
    train, calibration, test = sample.parts()
    line = Line.of(train)
    before: dict[str, list[Judged]] = {kind: [] for kind in REGRESSIONS}
    after: dict[str, list[Judged]] = {kind: [] for kind in REGRESSIONS}
    known = {"boosted-trees": TREES, "ensemble": SHAPES}
    for kind in REGRESSIONS:
        for seed in range(1, chosen.seeds + 1):
            print(f"uncertainties: {kind}, seed {seed}", flush=True)
            method = (
                fits[known[kind], seed]
                if kind in known
                else fitted(kind, train.shapes, train, line, seed, chosen)
            )
            conformal = Conformal(
                method, score="shifted" if kind == "quantile" else "scaled", levels=LEVELS
            )
            conformal.calibrate(method, calibration.shapes, calibration.energy / line(calibration))
            before[kind].append(judged(method, test, line, edges(chosen)))
            after[kind].append(judged(conformal, test, line, edges(chosen)))
    report.add_heading("Uncertainties")
    report.add_text(COVERING.format(calibration=len(calibration.energy), bar=100 * BAR))
    rows = []
    for kind in REGRESSIONS:
        cells: dict[str, Result] = {}
        for when, found in (("", before[kind]), (", conformal", after[kind])):
            for figure in found[0].figures:
                if when and figure.startswith("pull"):
                    continue
                values = [one.figures[figure] for one in found]
                cells[figure + when] = Result.over_seeds(kind, figure + when, values)
        report.results += list(cells.values())
        right = all(abs(cells[_covering(level)].value - level) <= BAR for level in QUOTED)
        shown = [Value(cell.value, cell.error or 0.0) for cell in cells.values()]
        rows.append([kind, *shown, "yes" if right else "no"])
    report.add_table(
        ["method", *cells, "calibrated by itself"],
        rows,
        f"Coverage, pulls and mean width of 68% intervals over E, of {len(test.energy)} test"
        f" photons, mean of {chosen.seeds} fits with the error of fits and counting; what the"
        " calibration showers add is the same for all of them.",
    )
    first = {kind: found[0] for kind, found in before.items()}
    then = {kind: found[0] for kind, found in after.items()}
    report.add_figure(
        coverage_curves(LEVELS, {kind: one.curve for kind, one in first.items()}),
        "Coverage of central intervals minus their level, seed 1.",
    )
    report.add_figure(
        coverage_curves(
            LEVELS, {kind: one.curve for kind, one in then.items()}, len(calibration.energy)
        ),
        "The same after conformal calibration. All methods share test and calibration showers: what"
        " is off in one direction for all of them is these.",
    )
    for judgement, what in ((first, "before"), (then, "after")):
        report.add_figure(
            coverage_against(
                edges(chosen), {kind: one.bins for kind, one in judgement.items()}, QUOTED[0]
            ),
            f"Coverage in bins of energy, {what} conformal calibration, seed 1.",
        )


def _covering(level: float) -> str:
    return f"coverage {100 * level:g}%"


def judged(method: Regression | Conformal, test: Sample, line: Line, ends: Floats) -> Judged:
    """Measure coverage, pulls and width of a method's intervals on test showers."""
    base = line(test)

    def interval(level: float) -> tuple[Floats, Floats]:
        low, high = method.interval(test.shapes, level)
        return base * low, base * high

    found = method.predict(test.shapes)
    pull = pulls(base * found.estimate, base * found.std, test.energy)
    low, high = interval(QUOTED[0])
    width = (high - low) / test.energy
    figures = {_covering(level): coverage(*interval(level), test.energy).value for level in QUOTED}
    figures |= {
        "width of 68%": Value(float(width.mean()), float(width.std() / len(width) ** 0.5)),
        "pull mean": pull.mean,
        "pull width": pull.width,
    }
    inside = (test.energy >= ends[0]) & (test.energy <= ends[-1])
    columns = (low[inside], high[inside], test.energy[inside], test.energy[inside])
    return Judged(
        figures, coverage_curve(interval, test.energy, LEVELS), coverage_in_bins(*columns, ends)
    )
