"""Unfolding of jet substructure beside a Z boson: OmniFold and what it is compared with.

After 1911.09107: six observables of the hardest jet, with Pythia's default tune as simulation and
a clearly different one as nature, both seen through the fast detector.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.methods.unfolding.closure import ClosureTest, Spectra
from colliderkit.methods.unfolding.generative import GenerativeUnfolding
from colliderkit.methods.unfolding.iterations import Histograms, choose_iteration
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.methods.unfolding.result import UnfoldedEvents
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.methods.unfolding.uncertainty import replicate
from colliderkit.metrics.value import Value
from colliderkit.report.results import Result
from colliderkit.report.unfolding import closure_spectra, correlations, iteration_choice
from colliderkit.report.verdict import Aim
from colliderkit.report.words import plural
from colliderkit.serve.hepdata import write_hepdata
from colliderkit.serve.unfolded_events import write_unfolded
from colliderkit.sources.datasets.zjets import OBSERVABLES, PairedTable, zjets
from colliderkit.sources.files.pairs import read_pairs
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
SUMMARY = """
What did the jets look like before the detector? A simulation (Pythia, default tune) seen through a
fast detector is reweighted or binned until it agrees with the data, and its truth is the answer.
The pseudo-data are made by another tune (alphaS 0.16 instead of 0.1365, aLund 0.9 instead of 0.68)
and the same detector, so that the answer is known.
"""
DEFINITIONS = """
D is the triangular discriminator between the unfolded spectrum and the truth of the pseudo-data,
times 1000, in the published ranges: 0 for equal spectra. "floor" is D of two samples of one density
by counting alone; an unfolding knows the events that the truth is counted from, and can lie below
it. OmniFold unfolds all particles, MultiFold the six observables at once, UniFold each alone.
Iterative Bayesian unfolding (IBU) and matrix inversion take each observable alone, in the bins of
D: IBU with as many iterations as MultiFold, and with those that its own bias and variance choose.
"""
STAND_IN = """
The published figures are of another problem: Herwig as data and Pythia as simulation, through
Delphes, with 1.6 million jets. They are a scale to read ours against, and no target; "simulation"
is the published row "Generation".
"""

AIMS = (
    *(
        Aim(f"MultiFold is nearer to the truth than {what}, in every observable", "D(*)",
            "MultiFold", "below", against=subject)
        for subject, what in (("simulation", "the simulation"), ("data", "the data"), ("IBU",) * 2)
    ),
    Aim("OmniFold, by all particles, is nearer than MultiFold, in every observable", "D(*)",
        "OmniFold", "below", against="MultiFold"),
    Aim("MultiFold differs from the truth by counting alone, in every observable", "D(*)",
        "MultiFold", "equal", against="floor"),
)  # fmt: skip

THEIRS: dict[str, Any] = {"source": "arXiv:1911.09107", "difference": "Herwig, Delphes, 1.6M jets"}
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
    """Events, iterations, bootstraps and trainings (`seeds`), and how each network is trained.

    `particles` trains the networks that look at all particles, for `particle_iterations`.
    """

    simulation: int
    nature: int
    iterations: int
    bootstraps: int
    seeds: int
    flow_iterations: int
    particle_iterations: int
    tables: Training
    flow: Training
    particles: Training


# Epochs, events a batch, learning rate; of perceptrons, flows and networks on particles.
cosine = partial(Training, schedule="cosine")
patient = partial(cosine, patience=10)
SMOKE = cosine(2, 256, 2e-3), cosine(1, 512, 2e-3), cosine(1, 256, 1e-3)
LAPTOP = cosine(10, 512, 3e-3), cosine(5, 512, 2e-3), cosine(4, 256, 2e-3)
NIGHT = cosine(20, 1_024, 3e-3), cosine(10, 1_024, 2e-3), cosine(8, 256, 2e-3)
PAPER = patient(100, 2_000, 2e-3), patient(50, 2_000, 2e-3), patient(100, 500, 1e-3)
SCALES = {
    "smoke": Scale(700, 400, 2, 2, 1, 1, 1, *SMOKE),
    "laptop": Scale(50_000, 30_000, 5, 8, 2, 2, 3, *LAPTOP),
    "night": Scale(200_000, 150_000, 6, 20, 3, 3, 4, *NIGHT),
    "paper": Scale(1_600_000, 1_600_000, 6, 50, 5, 3, 5, *PAPER),
}


def unfolding(run: Run[Scale]) -> None:
    """Unfold by every method, and compare with the truth of nature."""
    scale = run.scale
    made = partial(zjets, workers=run.workers, dask=run.dask)
    simulation = run.file("simulation.parquet", partial(made, count=scale.simulation))
    nature = run.file("nature.parquet", partial(made, count=scale.nature, nature=True))
    with run.step("observables"):
        test = closure_test(PairedTable.read(simulation), PairedTable.read(nature))
    sample, kept = test.sample, run.out / "models"
    pushed = run.arrays("OmniFold", lambda: {"push": omnifold(run, simulation, nature)})["push"]
    workers = 1 if run.scale_name == "smoke" else run.workers
    options: dict[str, Any] = {"members": len(run.seeds), "workers": workers, "resume": True}
    with run.step("MultiFold"):
        choice = choose_iteration(
            OmniFold(iterations=scale.iterations, training=scale.tables),
            sample,
            Histograms.of(sample, test.truth_edges, test.reco_edges),
            bootstraps=scale.bootstraps,
            folder=kept / "multifold",
            **options,
        )
    stop, trainings = choice.iteration, choice.replicas.weights[: len(run.seeds)]
    events = choice.replicas.unfolded_events(
        sample,
        sample.truth[sample.pass_truth].astype(np.float32),
        [o.name for o in OBSERVABLES],
        iteration=stop,
        units=tuple(o.unit for o in OBSERVABLES),
        seed=0,
        description="The hardest jet beside a Z of pt > 200 GeV, unfolded by MultiFold.",
        metadata={"iteration": stop},
    )
    multifold = test.weighted([], f"iteration {stop}", [trainings[:, stop]] * len(OBSERVABLES))
    binned = [events.binned(o.name, test.truth_edges[i]) for i, o in enumerate(OBSERVABLES)]
    multifold.spectra = [(spectrum.values, spectrum.covariance) for spectrum in binned]
    unifold = OmniFold(iterations=stop, training=scale.tables)
    with run.step("UniFold"):
        alone = [
            replicate(unifold, sample.observable(i), folder=kept / f"unifold-{o.name}", **options)
            for i, o in enumerate(OBSERVABLES)
        ]
    flow = GenerativeUnfolding(iterations=scale.flow_iterations, training=scale.flow)
    drawn = run.arrays("flow", lambda: {"push": flow.fit_sample(sample).weights()})["push"]
    with run.step("binned methods"):
        equal, best, bayes_curve = test.iterative_bayes(stop)
        inverted = test.inverted()
    answers = {
        "OmniFold": test.weighted([pushed] * 6, f"iteration {scale.particle_iterations}"),
        "MultiFold": multifold,
        "UniFold": test.weighted(
            [replicas.nominal[-1] for replicas in alone],
            f"iteration {stop}",
            [replicas.weights[:, -1] for replicas in alone],
        ),
        "IBU": equal,
        "IBU, own choice": best,
        "inversion": inverted,
        "generative": test.weighted([drawn] * 6, f"iteration {scale.flow_iterations}"),
    }
    run.report.add_heading("Triangular discriminator")
    shown = {name: answers[name] for name in ("MultiFold", "IBU")}
    for i, observable in enumerate(OBSERVABLES):
        run.report.add_figure(
            closure_spectra(test, i, shown, observable.axis),
            f"{observable.title.capitalize()}: MultiFold with its error from bootstraps and"
            " trainings, IBU with that of data and simulation, the truth with that of counting.",
        )
    add_separations(run, test, answers)
    run.report.add_heading("Choice of the iteration")
    run.report.add_figure(
        iteration_choice(
            {"MultiFold": choice.curve, "IBU": bayes_curve.first(len(choice.curve.chi2))},
            sum(len(edges) - 1 for edges in test.reco_edges),
        ),
        "Bias, variance and their sum by iteration over all bins, from data alone: the bias is that"
        " of unfolding the simulation weighted to the last iteration. Stars mark the smallest sums"
        f" of those shown; MultiFold stops after iteration {stop}.",
    )
    run.report.add_heading("Data")
    run.report.add_table(
        ["", "events", *sample.passes],
        [
            ["simulation", len(sample.truth), *sample.passes.values()],
            ["pseudo-data", len(sample.data), "", "", ""],
        ],
        "Events by where they pass (jet pt > 100 GeV, |eta| < 2.5), and those that are measured.",
    )
    add_files(run, test, events)


def closure_test(simulation: PairedTable, nature: PairedTable) -> ClosureTest:
    """Unfold the measured events of nature, in bins that hold enough of the simulation."""
    sample = UnfoldingSample.checked(
        nature.reco[nature.pass_reco],
        simulation.reco,
        simulation.truth,
        pass_reco=simulation.pass_reco,
        pass_truth=simulation.pass_truth,
        event=simulation.event,
        # The numbers of both files begin alike: nature's get others.
        data_event=-1 - nature.event[nature.pass_reco],
    )
    truth_edges, reco_edges = (
        [o.edges(values[simulation.both, i]) for i, o in enumerate(OBSERVABLES)]
        for values in (simulation.truth, simulation.reco)
    )
    return ClosureTest(sample, nature.truth[nature.pass_truth], truth_edges, reco_edges)


def omnifold(run: Run[Scale], simulation: Any, nature: Any) -> Floats:
    """Unfold all particles at once by particle-flow networks; return the weights (N,)."""
    measured = read_pairs(nature)
    measured = measured[measured["pass_reco"]]
    sample = UnfoldingSample.of_pairs(
        measured["reco"], read_pairs(simulation), data_event=-1 - np.asarray(measured["event"])
    )
    method = OmniFold(
        iterations=run.scale.particle_iterations,
        network="pfn",
        data_members=1,
        training=run.scale.particles,
    )
    return method.fit_sample(sample, folder=run.out / "models" / "omnifold", resume=True).weights()


def add_separations(run: Run[Scale], test: ClosureTest, answers: Mapping[str, Spectra]) -> None:
    """Compare D of every method with the published one."""
    results = []
    for i, observable in enumerate(OBSERVABLES):
        quantity = f"D({observable.symbol})"
        for subject, distances in test.separations(i, answers).items():
            published: dict[str, Any] = {}
            if subject in PUBLISHED:
                published = {"published": PUBLISHED[subject][i], **THEIRS}
            scaled = [Value(1e3 * d.value.value, 1e3 * d.value.error) for d in distances]
            if scaled:
                results.append(Result.over_seeds(subject, quantity, scaled, **published))
        floor = test.floor(i, answers["MultiFold"].trainings[i][0][0].sum())
        spread = 1e3 * floor.floor_spread
        results.append(Result("floor", quantity, 1e3 * floor.floor, spread, counting=spread))
    order = ["simulation", "data", "floor", *answers]
    run.report.add_results(
        sorted(results, key=lambda result: order.index(result.subject)),
        "1000 times D to the truth of the pseudo-data: mean over trainings ± standard deviation of"
        " one training ± counting error. "
        + "; ".join(f"{name}: {answer.note}" for name, answer in answers.items())
        + ".",
        best={result.quantity: "lower" for result in results},
        aside=("floor",),
    )
    run.report.add_definitions(DEFINITIONS)
    run.report.add_stand_in(STAND_IN)


def add_files(run: Run[Scale], test: ClosureTest, events: UnfoldedEvents) -> None:
    """Write the events and the binned spectra, and show the covariance of all bins."""
    names, count = [o.name for o in OBSERVABLES], events.kinds.count("bootstrap")
    covariance = events.joint_covariance(dict(zip(names, test.truth_edges, strict=True)))
    write_unfolded(events, run.out / "unfolded.h5", force=True)
    run.report.add_heading("Covariance and files")
    run.report.add_figure(
        correlations(covariance, test.truth_edges, names),
        f"Correlation of all bins of all observables over {plural(count, 'bootstrap')}, which know"
        f" an entry to {1 / max(count - 1, 1) ** 0.5:.2f}.",
    )
    text = "hepdata/ holds HEPData's tables of the observables, with their covariance."
    try:
        for observable, edges in zip(OBSERVABLES, test.truth_edges, strict=True):
            write_hepdata(
                events.binned(observable.name, edges, normalise=True, density=True),
                run.out / "hepdata" / observable.name,
                description=f"{observable.title.capitalize()}, unfolded by MultiFold.",
                force=True,
            )
    except InputError as error:
        text = f"No HEPData tables: {error}"
    run.report.add_text(f"unfolded.h5 holds weights, replicas and observables. {text}")


STUDY = Study(
    *("unfolding", "Unfolding", SUMMARY, SCALES, unfolding, ("seeds", "workers", "dask")),
    aims=AIMS,
    events="{simulation} simulated events, {nature} of pseudo-data",
    stand_in="Herwig through Delphes",
)
