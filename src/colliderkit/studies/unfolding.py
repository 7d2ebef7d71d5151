"""Unfolding of jet substructure beside a Z boson: OmniFold and what it is compared with.

After 1911.09107: six observables of the hardest jet, with Pythia's default tune as simulation and
a clearly different one as nature, both seen through the fast detector. One file of more than 500
lines, so that it reads from data to report in one go.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.observables import PRESETS, table
from colliderkit.files import refuse_existing
from colliderkit.methods.unfolding.binned import (
    IterationCurve,
    IterativeBayes,
    MatrixInversion,
    iteration_curve,
)
from colliderkit.methods.unfolding.generative import GenerativeUnfolding
from colliderkit.methods.unfolding.iterations import Choice, Histograms, choose_iteration
from colliderkit.methods.unfolding.omnifold import OmniFold, Sample
from colliderkit.methods.unfolding.response import Response
from colliderkit.methods.unfolding.result import UnfoldedEvents
from colliderkit.methods.unfolding.uncertainty import Replicas, replicate
from colliderkit.metrics.separation import TriangularDiscriminator, binned_separation, separation
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.unfolding import Spectrum, correlations, iteration_choice, unfolded
from colliderkit.sources.files.pairs import iterate_pairs, read_pairs
from colliderkit.sources.pythia.shards import generate
from colliderkit.training.settings import Training

__all__ = ["OBSERVABLES", "Observable", "Observed", "edges_of", "observed", "run"]

Floats = NDArray[np.float64]
SOURCE = "arXiv:1911.09107"
NATURE = ("TimeShower:alphaSvalue = 0.16", "StringZ:aLund = 0.9")
SIMULATION_SEED, NATURE_SEED = 1, 2
FEWEST = 20  # simulated events in a bin: fewer are merged with the next

SUMMARY = """
What did the jets look like before the detector? A simulation (Pythia, default tune) seen through a
fast detector is reweighted or binned until it agrees with the data, and its truth is the answer.
The data are made by another tune (alphaS 0.16 instead of 0.1365, aLund 0.9 instead of 0.68) and the
same detector, so that the answer is known.
"""

REMARKS = """
D is the triangular discriminator between the unfolded spectrum and the truth of nature, times 1000,
in the published ranges: 0 for equal spectra. "floor" is what two samples of one density of these
sizes have by counting alone; unfolding knows the very events that the truth is counted from, so
that a good one can lie below it. OmniFold unfolds all particles, MultiFold the six observables at
once, UniFold each alone; their errors are those of a training over seeds and of counting. Iterative
Bayesian unfolding (IBU) and matrix inversion work in bins, each observable alone: IBU in those of
D, with as many iterations as MultiFold and with those that its own bias and variance choose. These
are many where the response of nature is not that of the simulation, for what one observable leaves
open (another tune has other particles in a jet of the same N-subjettiness): no iteration mends
that, all of them bend the spectrum, and chi^2 stays large. MultiFold sees the other observables.

The published figures are of another problem: Herwig as nature and Pythia as simulation, through
Delphes, with 1.6 million jets. They are a scale to read ours against, as kept among the project's
references, and not a target; "simulation" is the published row "Generation".
"""


@dataclass(frozen=True)
class Observable:
    """Name an observable as a table has it, and the range and bins that it is compared in."""

    name: str
    symbol: str
    title: str
    label: str
    unit: str
    low: float
    high: float
    bins: int = 50

    @property
    def axis(self) -> str:
        """The label of an axis."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


# The ranges of 1911.09107; whole numbers stand in the middle of their bins.
OBSERVABLES = (
    Observable("mass", "m", "jet mass", "Jet mass m", "GeV", 0, 75),
    Observable("multiplicity", "M", "multiplicity", "Jet multiplicity M", "", -0.5, 79.5, 40),
    Observable("width", "w", "jet width", "Jet width w", "", 0, 0.6),
    Observable("ln_rho", "ln ρ", "groomed mass", r"Groomed jet mass ln $\rho$", "", -14, -2),
    Observable(
        "tau21", "τ21", "N-subjettiness ratio", r"N-subjettiness ratio $\tau_{21}$", "", 0, 1.2
    ),
    Observable(
        "zg", "zg", "groomed momentum fraction", r"Groomed momentum fraction $z_g$", "", 0, 0.5
    ),
)
assert tuple(o.name for o in OBSERVABLES) == PRESETS["unfolding"]

# D times 1000 of 1911.09107, in the order of OBSERVABLES.
PUBLISHED: dict[str, tuple[float, ...]] = {
    "OmniFold": (2.77, 0.33, 0.10, 0.35, 0.53, 0.68),
    "MultiFold": (3.80, 0.89, 0.09, 0.37, 0.26, 0.15),
    "UniFold": (8.82, 1.46, 0.15, 0.59, 1.11, 0.59),
    "IBU": (9.31, 1.51, 0.11, 0.71, 1.10, 0.37),
    "data": (24.6, 130, 15.7, 14.2, 11.1, 3.76),
    "simulation": (3.62, 15.0, 22.4, 19, 20.8, 3.84),
}


@dataclass(frozen=True)
class Scale:
    """Say how much: events, iterations, bootstraps, and how each step is trained.

    `particles` trains the networks that look at all particles, for `particle_iterations`.
    """

    simulation: int
    nature: int
    iterations: int
    bootstraps: int
    seeds: int
    training: Training
    flow: Training
    flow_iterations: int
    particles: Training
    particle_iterations: int


SCALES = {
    "smoke": Scale(
        1_000,
        600,
        2,
        2,
        1,
        Training(epochs=2, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        Training(epochs=1, batch_size=512, learning_rate=2e-3, schedule="cosine"),
        1,
        Training(epochs=1, batch_size=256, learning_rate=1e-3, schedule="cosine"),
        1,
    ),
    "laptop": Scale(
        50_000,
        30_000,
        5,
        8,
        2,
        Training(epochs=10, batch_size=512, learning_rate=3e-3, schedule="cosine"),
        Training(epochs=5, batch_size=512, learning_rate=2e-3, schedule="cosine"),
        2,
        Training(epochs=4, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        3,
    ),
    "paper": Scale(
        1_600_000,
        1_600_000,
        6,
        50,
        5,
        Training(epochs=100, batch_size=2_000, learning_rate=2e-3, schedule="cosine", patience=10),
        Training(epochs=50, batch_size=2_000, learning_rate=2e-3, schedule="cosine", patience=10),
        3,
        Training(epochs=100, batch_size=500, learning_rate=1e-3, schedule="cosine", patience=10),
        5,
    ),
}


@dataclass(frozen=True)
class Observed:
    """Hold the observables of paired events: `truth`, `reco` (N, 6), what passes, and `event`."""

    truth: Floats
    reco: Floats
    pass_truth: NDArray[np.bool_]
    pass_reco: NDArray[np.bool_]
    event: NDArray[np.int64]


def observed(path: Path) -> Observed:
    """Compute the six observables of a file of paired events, 0 where a level does not pass."""
    parts: dict[str, list[NDArray[Any]]] = {}
    for array in iterate_pairs(path):
        for level in ("truth", "reco"):
            passed = np.asarray(array[f"pass_{level}"])
            values = np.zeros((len(array), len(OBSERVABLES)))
            values[passed] = table(array[level][passed], "unfolding")[0]
            parts.setdefault(level, []).append(values)
            parts.setdefault(f"pass_{level}", []).append(passed)
        parts.setdefault("event", []).append(np.asarray(array["event"]))
    return Observed(**{name: np.concatenate(values) for name, values in parts.items()})


def edges_of(observable: Observable, values: Floats) -> Floats:
    """Return the edges of equal bins, those of fewer than 20 `values` (N,) merged upwards."""
    edges = np.linspace(observable.low, observable.high, observable.bins + 1)
    kept = [edges[0]]
    ordered = np.sort(values)
    for edge in edges[1:]:
        low, high = np.searchsorted(ordered, [kept[-1], edge])
        if high - low >= FEWEST:
            kept.append(edge)
    if len(kept) < 3:
        raise InputError(
            f"{observable.name}: {len(values)} events fill less than two bins; generate more."
        )
    # What is left at the upper end joins the last bin.
    kept[-1] = edges[-1]
    return np.array(kept)


@dataclass(frozen=True)
class Problem:
    """Hold what is unfolded, and what should come out: the truth of nature (M, 6)."""

    sample: Sample
    nature: Floats
    truth_edges: Sequence[Floats]
    reco_edges: Sequence[Floats]
    scale: Scale
    seeds: int
    workers: int
    folder: Path

    def spectrum(self, i: int, push: Floats) -> tuple[Floats, Floats]:
        """Return contents and variances of the simulated truth of observable i, weighted."""
        weight = self.sample.weight * self.sample.pass_truth * push
        sums = (
            np.histogram(self.sample.truth[:, i], self.truth_edges[i], weights=w)[0]
            for w in (weight, weight**2)
        )
        found = tuple(np.asarray(s, dtype=np.float64) for s in sums)
        return found[0], found[1]

    def truth(self, i: int, edges: Floats | None = None) -> Floats:
        """Return the contents that should come out."""
        limits = self.truth_edges[i] if edges is None else edges
        return np.histogram(self.nature[:, i], limits)[0].astype(np.float64)

    def alone(self, i: int) -> Sample:
        """Return the sample of one observable."""
        column = slice(i, i + 1)
        tables = {name: getattr(self.sample, name)[:, column] for name in ("data", "reco", "truth")}
        return Sample(**{**vars(self.sample), **tables})

    def binned(self, i: int) -> tuple[Response, Floats]:
        """Return the response of one observable and the contents of the data."""
        edges = self.truth_edges[i], self.reco_edges[i]
        data = np.histogram(self.sample.data[:, i], edges[1], weights=self.sample.data_weight)[0]
        return Response.of(self.alone(i), *edges), data.astype(np.float64)


@dataclass
class Unfolded:
    """Hold what a method finds: for each observable the spectrum and its variance or covariance.

    A spectrum is None where the method has none. `trainings` are the spectra of each network,
    where there are several; `edges` those of the truth, where they are the method's own.
    """

    spectra: Sequence[tuple[Floats, Floats] | None]
    trainings: list[list[tuple[Floats, Floats]]] = field(default_factory=list)
    note: str = ""
    edges: Sequence[Floats] | None = None

    def separations(self, problem: Problem, i: int) -> list[TriangularDiscriminator]:
        """Return D of each training, or of the one spectrum there is; none where that is negative.

        An inverse can have bins so far below zero that they stay there with the truth added.
        """
        truth = problem.truth(i, None if self.edges is None else self.edges[i])
        found = self.trainings[i] if self.trainings else [self.spectra[i]]
        return [
            binned_separation(*each, truth, truth)
            for each in found
            if each is not None and (each[0] / each[0].sum() + truth / truth.sum() >= 0).all()
        ]


def multifold(problem: Problem) -> tuple[Unfolded, Choice, UnfoldedEvents]:
    """Unfold all observables at once; choose the iteration from data."""
    chosen = problem.scale
    method = OmniFold(iterations=chosen.iterations, training=chosen.training)
    choice = choose_iteration(
        method,
        problem.sample,
        Histograms.of(problem.sample, problem.truth_edges, problem.reco_edges),
        bootstraps=chosen.bootstraps,
        members=problem.seeds,
        workers=problem.workers,
        folder=problem.folder / "multifold",
    )
    events = unfolded_events(problem, choice)
    found = Unfolded(
        [
            (binned.values, binned.covariance)
            for o, edges in zip(OBSERVABLES, problem.truth_edges, strict=True)
            for binned in [events.binned(o.name, edges)]
        ],
        trainings_of(problem, choice.replicas, choice.iteration),
        f"iteration {choice.iteration}",
    )
    return found, choice, events


def trainings_of(
    problem: Problem, replicas: Replicas, iteration: int
) -> list[list[tuple[Floats, Floats]]]:
    """Return the spectra of each member, by observable."""
    members = [w[iteration] for w, kind in zip(replicas.weights, replicas.kinds, strict=True)]
    members = members[: problem.seeds]
    return [[problem.spectrum(i, push) for push in members] for i in range(len(OBSERVABLES))]


def unfolded_events(problem: Problem, choice: Choice) -> UnfoldedEvents:
    """Return the events that are published: weights, replicas and observables."""
    sample, true = problem.sample, problem.sample.pass_truth
    replicas = choice.replicas
    # A single training is the nominal one, and says nothing of its own error.
    kept = [i for i, kind in enumerate(replicas.kinds) if kind != "member" or problem.seeds > 1]
    return UnfoldedEvents(
        observables=sample.truth[true].astype(np.float32),
        names=tuple(o.name for o in OBSERVABLES),
        units=tuple(o.unit for o in OBSERVABLES),
        weights=(sample.weight * choice.weights)[true],
        replicas=(sample.weight * replicas.weights[kept, choice.iteration]).T[true],
        kinds=[replicas.kinds[i] for i in kept],
        seed=0,
        description="The hardest jet beside a Z of pt > 200 GeV, unfolded by MultiFold.",
        metadata={"iteration": choice.iteration},
    )


def unifold(problem: Problem, iteration: int) -> Unfolded:
    """Unfold each observable alone, by as many iterations."""
    method = OmniFold(iterations=iteration, training=problem.scale.training)
    spectra, trainings = [], []
    for i, observable in enumerate(OBSERVABLES):
        replicas = replicate(
            method,
            problem.alone(i),
            members=problem.seeds,
            workers=problem.workers,
            folder=problem.folder / f"unifold-{observable.name}",
        )
        spectra.append(problem.spectrum(i, replicas.nominal[-1]))
        trainings.append([problem.spectrum(i, w[-1]) for w in replicas.weights])
    return Unfolded(spectra, trainings, f"iteration {iteration}")


def iterative_bayes(problem: Problem, iteration: int) -> tuple[Unfolded, Unfolded, IterationCurve]:
    """Unfold each observable in bins, by as many iterations and by those its own curve chooses."""
    equal: list[tuple[Floats, Floats]] = []
    own: list[tuple[Floats, Floats]] = []
    curves, chosen = [], []
    for i in range(len(OBSERVABLES)):
        response, data = problem.binned(i)
        edges = response.truth_edges.tolist(), response.reco_edges.tolist()
        curve = iteration_curve(response, data, data, iterations=20)
        for count, spectra in ((iteration, equal), (curve.best, own)):
            method = IterativeBayes(
                truth_edges=edges[0], reco_edges=edges[1], iterations=count
            ).fit_histogram(data, data, response)
            spectra.append((method.spectrum_, method.covariance_))
        curves.append(curve)
        chosen.append(str(curve.best))
    # The observables one after the other, as MultiFold's curve has them.
    joined = IterationCurve(
        np.sum([c.chi2 for c in curves], 0),
        *(
            np.concatenate([getattr(c, name) for c in curves], 1)
            for name in ("bias", "variance", "spectrum")
        ),
    )
    return (
        Unfolded(equal, note=f"iteration {iteration}"),
        Unfolded(own, note=f"iterations {', '.join(chosen)}"),
        joined,
    )


def inversion(problem: Problem) -> Unfolded:
    """Unfold each observable by the inverse of its response matrix, in ten bins of the truth.

    In as many as at detector level it oscillates beyond zero, or does not exist.
    """
    spectra: list[tuple[Floats, Floats] | None] = []
    edges = [coarse(limits) for limits in problem.truth_edges]
    for i, limits in enumerate(edges):
        data = problem.binned(i)[1]
        method = MatrixInversion(
            truth_edges=limits.tolist(), reco_edges=problem.reco_edges[i].tolist()
        )
        try:
            response = Response.of(problem.alone(i), limits, problem.reco_edges[i])
            method.fit_histogram(data, data, response)
        except InputError as error:
            print(f"{OBSERVABLES[i].name}: {error}", flush=True)
            spectra.append(None)
            continue
        spectra.append((method.spectrum_, method.covariance_))
    return Unfolded(spectra, note="ten bins, so that D and its floor are smaller", edges=edges)


def coarse(edges: Floats, bins: int = 10) -> Floats:
    """Return some of the edges, for `bins` bins or fewer."""
    places = np.unique(np.round(np.linspace(0, len(edges) - 1, bins + 1)).astype(int))
    return np.asarray(edges[places])


def omnifold(problem: Problem, files: Mapping[str, Path]) -> Unfolded:
    """Unfold all particles at once by particle-flow networks."""
    simulation, nature = (read_pairs(files[name]) for name in ("simulation", "nature"))
    tables = problem.sample
    sample = Sample.checked(
        nature["reco"][np.asarray(nature["pass_reco"])],
        simulation["reco"],
        simulation["truth"],
        pass_reco=tables.pass_reco,
        pass_truth=tables.pass_truth,
        event=tables.event,
        data_event=tables.data_event,
    )
    # A network on particles costs as much as all perceptrons: one looks at the data.
    method = OmniFold(
        iterations=problem.scale.particle_iterations,
        network="pfn",
        data_members=1,
        training=problem.scale.particles,
    )
    push = method.fit_sample(sample, seed=0, folder=problem.folder / "omnifold").weights()
    spectra = [problem.spectrum(i, push) for i in range(len(OBSERVABLES))]
    return Unfolded(spectra, note=f"iteration {method.iterations}")


def generative(problem: Problem) -> Unfolded:
    """Unfold all observables by a flow p(truth | reco), and by its iteration."""
    method = GenerativeUnfolding(
        iterations=problem.scale.flow_iterations, training=problem.scale.flow
    )
    push = method.fit_sample(problem.sample, seed=0).weights()
    spectra = [problem.spectrum(i, push) for i in range(len(OBSERVABLES))]
    return Unfolded(spectra, note=f"iteration {method.iterations}")


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    workers: int = 2,
    dask: str | None = None,
    force: bool = False,
) -> Path:
    """Run the study into `out` and return the path of its report; `seeds` are the trainings."""
    refuse_existing(out / "report.html", force)
    chosen = SCALES[scale]
    count = chosen.seeds if seeds is None else seeds
    if count < 1:
        raise InputError(f"--seeds is {count}; it must be at least 1.")
    if force:
        shutil.rmtree(out / "replicas", ignore_errors=True)
    timing: dict[str, float] = {}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        print(name, flush=True)
        begin = time.perf_counter()
        result = action()
        timing[name] = time.perf_counter() - begin
        return result

    files = timed("generation", lambda: _generated(out, chosen, workers, dask))
    # A process takes longer to start than a replica of a smoke run.
    side_by_side = 1 if scale == "smoke" else workers
    problem = timed("observables", lambda: _problem(files, chosen, count, side_by_side, out))
    found: dict[str, Unfolded] = {}
    found["OmniFold"] = timed("OmniFold", lambda: omnifold(problem, files))
    found["MultiFold"], choice, events = timed("MultiFold", lambda: multifold(problem))
    found["UniFold"] = timed("UniFold", lambda: unifold(problem, choice.iteration))
    found["IBU"], found["IBU, own choice"], bayes_curve = timed(
        "IBU", lambda: iterative_bayes(problem, choice.iteration)
    )
    found["inversion"] = timed("inversion", lambda: inversion(problem))
    found["generative"] = timed("generative", lambda: generative(problem))
    report = Report(
        "Unfolding",
        SUMMARY,
        command=f"colliderkit study unfolding --scale {scale} --seeds {count}",
        configuration=_configuration(chosen),
        seeds=list(range(count)),
        timing=timing,
    )
    _add_data(report, problem)
    _add_separations(report, problem, found)
    _add_spectra(report, problem, found)
    _add_iterations(report, problem, choice, bayes_curve)
    _add_files(report, events, problem, out, force)
    return report.write(out, force=force)


def _generated(out: Path, scale: Scale, workers: int, dask: str | None) -> dict[str, Path]:
    files = {}
    for name, count, seed, settings in (
        ("simulation", scale.simulation, SIMULATION_SEED, ()),
        ("nature", scale.nature, NATURE_SEED, NATURE),
    ):
        files[name] = out / "data" / f"{name}-{count}.parquet"
        if not files[name].exists():
            generate(
                "z-jets",
                count,
                files[name],
                seed=seed,
                settings=settings,
                paired=True,
                workers=workers,
                dask=dask,
            )
    return files


def _problem(
    files: Mapping[str, Path], scale: Scale, seeds: int, workers: int, out: Path
) -> Problem:
    simulation, nature = (observed(files[name]) for name in ("simulation", "nature"))
    sample = Sample.checked(
        nature.reco[nature.pass_reco],
        simulation.reco,
        simulation.truth,
        pass_reco=simulation.pass_reco,
        pass_truth=simulation.pass_truth,
        event=simulation.event,
        # The numbers of both files begin alike: nature's get others.
        data_event=-1 - nature.event[nature.pass_reco],
    )
    both = sample.both
    edges = {
        level: [edges_of(o, values[both, i]) for i, o in enumerate(OBSERVABLES)]
        for level, values in (("truth", simulation.truth), ("reco", simulation.reco))
    }
    true = nature.truth[nature.pass_truth]
    return Problem(
        sample, true, edges["truth"], edges["reco"], scale, seeds, workers, out / "replicas"
    )


def _configuration(scale: Scale) -> str:
    lines = [f"{name}: {value}" for name, value in vars(scale).items()]
    return "\n".join([*lines, f"nature: {'; '.join(NATURE)}"]) + "\n"


def _add_data(report: Report, problem: Problem) -> None:
    sample = problem.sample
    true, seen = sample.pass_truth, sample.pass_reco
    report.add_heading("Data")
    report.add_table(
        ["", "events", "seen and true", "missed", "fakes"],
        [
            [
                "simulation",
                len(true),
                int(sample.both.sum()),
                int((true & ~seen).sum()),
                int((seen & ~true).sum()),
            ],
            ["nature", len(sample.data), "", "", ""],
        ],
        "Simulated events by where they pass (jet pt > 100 GeV, |eta| < 2.5), and the events that"
        " are measured. A missed event is true and not seen, a fake is seen and not true.",
    )


def _add_separations(report: Report, problem: Problem, found: Mapping[str, Unfolded]) -> None:
    """Set D of every method beside the published one."""
    results = []
    none = np.ones(len(problem.sample.truth))
    for i, observable in enumerate(OBSERVABLES):
        figure = f"D({observable.symbol})"
        truth = problem.truth(i)
        edges = problem.truth_edges[i]
        prior = binned_separation(*problem.spectrum(i, none), truth, truth)
        data = separation(
            problem.sample.data[:, i],
            problem.nature[:, i],
            edges,
            weight=problem.sample.data_weight,
        )
        rows = {
            "simulation": [prior],
            "data": [data],
            **{name: method.separations(problem, i) for name, method in found.items()},
        }
        for subject, values in rows.items():
            if not values:
                continue
            published = PUBLISHED.get(subject)
            given: dict[str, Any] = {}
            if published is not None:
                given = {"published": published[i], "source": SOURCE, "setup": "stand-in"}
            scaled = [Value(1e3 * v.value.value, 1e3 * v.value.error) for v in values]
            results.append(Result.over_seeds(subject, figure, scaled, **given))
        moved = problem.spectrum(i, found["MultiFold"].trainings[i][0][0].sum() * none / none.sum())
        counted = binned_separation(*moved, truth, truth)
        spread = 1e3 * counted.floor_spread
        results.append(Result("floor", figure, 1e3 * counted.floor, spread, counting=spread))
    order = {name: n for n, name in enumerate(["simulation", "data", "floor", *found])}
    report.add_heading("Triangular discriminator")
    report.add_results(
        sorted(results, key=lambda r: order[r.subject]),
        "D, 1000 times the triangular discriminator to the truth of nature, of each observable:"
        " mean over trainings ± standard deviation of one training ± counting error. Below it, in"
        " grey, the published value of another problem. "
        + "; ".join(f"{name}: {method.note}" for name, method in found.items() if method.note)
        + ".",
    )
    report.add_text(REMARKS)


def _add_spectra(report: Report, problem: Problem, found: Mapping[str, Unfolded]) -> None:
    report.add_heading("Spectra")
    none = np.ones(len(problem.sample.truth))
    for i, observable in enumerate(OBSERVABLES):
        edges, truth = problem.truth_edges[i], problem.truth(i)
        data = np.histogram(problem.sample.data[:, i], edges, weights=problem.sample.data_weight)[0]
        report.add_figure(
            unfolded(
                edges,
                {
                    name: Spectrum.of(*spectrum)
                    for name in ("MultiFold", "IBU")
                    if (spectrum := found[name].spectra[i]) is not None
                },
                truth=Spectrum.of(truth, truth),
                prior=problem.spectrum(i, none)[0],
                data=data,
                label=observable.axis,
            ),
            f"{observable.title.capitalize()}: MultiFold with the error of"
            f" {problem.scale.bootstraps} bootstraps and {problem.seeds} trainings as a band, IBU"
            " with that of data and simulation, and the truth with its counting in grey.",
        )


def _add_iterations(
    report: Report, problem: Problem, choice: Choice, bayes: IterationCurve
) -> None:
    report.add_heading("Choice of the iteration")
    bins = sum(len(edges) - 1 for edges in problem.reco_edges)
    length = len(choice.curve.chi2)
    cut = IterationCurve(
        bayes.chi2[:length], bayes.bias[:length], bayes.variance[:length], bayes.spectrum[:length]
    )
    report.add_figure(
        iteration_choice({"MultiFold": choice.curve, "IBU": cut}, bins),
        "Bias, variance and their sum by iteration, from data alone: the bias is what unfolding"
        " makes of the simulation weighted to the last iteration, less that; the variance of"
        " MultiFold is that of the bootstraps, of IBU that of the data, propagated. A star marks"
        f" the smallest sum in the range shown. Over all bins of the six observables; MultiFold"
        f" stops after iteration {choice.iteration}.",
    )


def _add_files(
    report: Report, events: UnfoldedEvents, problem: Problem, out: Path, force: bool
) -> None:
    """Write the events and the binned spectra, and show the covariance of all bins."""
    report.add_heading("Covariance and files")
    path = events.write(out / "unfolded.h5", force=True)
    weights = (
        events.weights,
        *(
            events.replicas[:, r]
            for r, kind in enumerate(events.kinds)
            if events.replicas is not None and kind == "bootstrap"
        ),
    )
    contents = [
        np.concatenate(
            [
                np.histogram(events.observables[:, i], edges, weights=w)[0]
                for i, edges in enumerate(problem.truth_edges)
            ]
        )
        for w in weights[1:]
    ]
    report.add_figure(
        correlations(
            np.cov(np.array(contents).T), problem.truth_edges, [o.name for o in OBSERVABLES]
        ),
        f"Correlation of all bins of all observables over {len(contents)} bootstraps: they are"
        " unfolded together, so that their covariance is known, between observables as well."
        f" From {len(contents)} bootstraps an entry is known to"
        f" {1 / max(len(contents) - 1, 1) ** 0.5:.2f}.",
    )
    written = []
    for observable, edges in zip(OBSERVABLES, problem.truth_edges, strict=True):
        try:
            events.binned(observable.name, edges, normalise=True, density=True).to_hepdata(
                out / "hepdata" / observable.name,
                description=f"{observable.title.capitalize()}, unfolded by MultiFold.",
                force=True,
            )
        except InputError as error:
            report.add_text(f"No HEPData tables: {error}")
            break
        written.append(observable.name)
    report.add_text(
        f"{path.name} holds the unfolded events: weights, replicas and observables, to be binned by"
        f" anyone later. It is read with h5py alone. hepdata/ holds HEPData's tables of"
        f" {', '.join(written) or 'nothing'}, with their covariance."
    )
