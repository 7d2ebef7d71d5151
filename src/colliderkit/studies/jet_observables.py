"""Learned observables of jets (2203.16722): substructure of Z + jet events under a far tune."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.binning import balanced_edges, quantile_edges, with_overflow
from colliderkit.methods.unfolding.binned import IterativeBayes
from colliderkit.methods.unfolding.learned import LearnedObservable
from colliderkit.methods.unfolding.quality import Quality
from colliderkit.metrics.separation import TriangularDiscriminator, binned_separation
from colliderkit.metrics.value import Value
from colliderkit.report.results import Result
from colliderkit.report.unfolding import by_bin
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets.zjets import PairedTable, zjets
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
A jet observable at particle level is unfolded from the observable of the same name at detector
level, and from a function of eight observables that is learned for it (arXiv:2203.16722).
"Inflation" is the variance of an unfolded bin over that of counting its true events, for an
unbiased inversion; quoted is the geometric mean over bins, 1 for a perfect detector.
"""

JETS = """
Z + jet at 14 TeV from Pythia 8 with the package's fast detector, pT(Z) > 200 GeV, hardest anti-kT
jet of R = 0.4. The simulation is Pythia's default, the pseudo-data are of a far tune (alphaS 0.16,
aLund 0.9). The observables learn from eight of the jet: mass, multiplicity, width, ln rho, tau21,
zg, pT and pTD at detector level. Half of the simulation trains, half gives the response in ten bins
of equal shares; half of the pseudo-data is unfolded and compared with the truth of the other half.
D is 10^3 times the triangular discriminator.
"""

LEARNED = ("learned, mean", "learned, flat", "learned, information")
DETECTOR_BINS = 20
ITERATIONS = 4
JET_COLUMNS = ("mass", "multiplicity", "width", "ln_rho", "tau21", "zg", "pt", "ptd")
JET_BINS = 10
JET_LABELS = {"mass": "Jet mass [GeV]", "width": "Jet width", "tau21": r"$\tau_{21}$"}
COST = "Unfolded / counting variance"


AIMS = (
    *(
        Aim(f"Learned bins cost less than the namesake, for the {name}", f"{name}: inflation",
            LEARNED[-1], "below", against="plain")
        for name in JET_LABELS
    ),
    *(
        Aim(f"The unfolded {name} agrees with the truth, by each observable", f"{name}: D", "*",
            "equal", over=f"{name}: floor")
        for name in JET_LABELS
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events, trainings (`seeds`), and how the networks of a number and of bins are trained."""

    jets: int
    seeds: int
    number: Training
    bins: Training


cosine = partial(Training, schedule="cosine")
SCALES = {
    "smoke": Scale(1_000, 1, cosine(2, 512, 2e-3), cosine(2, 500, 5e-3)),
    "laptop": Scale(15_000, 1, cosine(12, 1_024, 2e-3), cosine(60, 4_000, 5e-3)),
    "night": Scale(60_000, 2, cosine(30, 1_024, 2e-3), cosine(80, 8_000, 5e-3)),
    "paper": Scale(200_000, 3, cosine(60, 2_048, 2e-3), cosine(100, 20_000, 5e-3)),
}


def jet_observables(run: Run[Scale]) -> None:
    """Unfold jet observables of a far tune by their namesake and by what is learned."""
    run.report.add_definitions(JETS)
    run.report.add_heading("What each bin costs")
    made = partial(zjets, count=run.scale.jets, workers=run.workers, dask=run.dask)
    simulation = PairedTable.read(run.file("simulation.parquet", made), JET_COLUMNS)
    far = run.file("far.parquet", partial(made, nature=True))
    nature = PairedTable.read(far, JET_COLUMNS)
    results = []
    for target in JET_LABELS:
        column = JET_COLUMNS.index(target)
        true = simulation.truth[simulation.pass_truth, column]
        edges = quantile_edges(true, JET_BINS)
        edges[0], edges[-1] = true.min(), np.quantile(true, 0.995)  # for the eye
        costs = {}
        for name in ("plain", *LEARNED):
            pairs = [
                unfolded_jets(run, name, target, edges, simulation, nature, seed)
                for seed in (run.seeds if name in LEARNED else range(1))
            ]
            costs[name] = pairs[0][0].inflation
            for what, values in (
                ("inflation", [Value(q.mean, q.mean_error) for q, _ in pairs]),
                ("D", [Value(1e3 * d.value.value, 1e3 * d.value.error) for _, d in pairs]),
                ("floor", [Value(1e3 * pairs[0][1].floor, 1e3 * pairs[0][1].floor_spread)]),
            ):
                results.append(Result.over_seeds(name, f"{target}: {what}", values))
        figure = by_bin(costs, edges, JET_LABELS[target], COST, line=1.0, log=True)
        run.report.add_figure(
            figure, f"What each bin of {target} costs to unfold; lower is better."
        )
    run.report.add_results(
        results,
        f"Inflation by the response, and 10^3 D between the unfolded pseudo-data ({ITERATIONS}"
        " iterations) and their truth, with its counting floor: what D would be, and its spread, if"
        " both were one spectrum.",
        best={r.quantity: "lower" for r in results if not r.quantity.endswith("floor")},
    )


def unfolded_jets(
    run: Run[Scale],
    name: str,
    target: str,
    edges: Floats,
    simulation: PairedTable,
    nature: PairedTable,
    seed: int,
) -> tuple[Quality, TriangularDiscriminator]:
    """Unfold half of nature with half of the simulation, by an observable of the other half."""
    column, every = JET_COLUMNS.index(target), with_overflow(edges[1:-1])
    (train, response), (data, other) = (
        (table.at(slice(0, None, 2)), table.at(slice(1, None, 2))) for table in (simulation, nature)
    )
    measured, reco = data.reco[data.pass_reco], response.reco
    truth = response.truth[:, column]
    if name == "plain":
        values, seen = measured[:, column], reco[:, column]
    else:
        criterion: Any = name.removeprefix("learned, ")
        information = criterion == "information"
        observable = run.fitted(
            f"{target}, {name}, seed {seed}",
            LearnedObservable(
                criterion=criterion,
                truth_edges=(every if information else edges[1:-1]).tolist(),
                bins=DETECTOR_BINS,
                columns=JET_COLUMNS,
                training=run.scale.bins if information else run.scale.number,
            ),
            train.reco[train.both],
            train.truth[train.both, column],
            seed=seed,
        )
        values, seen = observable.predict(measured), observable.predict(reco)
    both = response.both
    reco_edges = (
        observable.edges()
        if name == LEARNED[-1]
        else balanced_edges(seen[both], DETECTOR_BINS, truth[both], every)
    )
    method = IterativeBayes(
        truth_edges=every.tolist(), reco_edges=reco_edges.tolist(), iterations=ITERATIONS
    )
    method.fit(
        values,
        seen,
        truth,
        pass_reco=response.pass_reco,
        pass_truth=response.pass_truth,
        seed=seed,
    )
    counts = np.histogram(other.truth[other.pass_truth, column], every)[0]
    distance = binned_separation(method.spectrum_, method.covariance_, counts, counts)
    return Quality.of(method.response_), distance


TAKES = ("seeds", "workers", "dask")
STUDY = Study(
    "jet-observables",
    "Learned observables of jets",
    SUMMARY,
    SCALES,
    jet_observables,
    TAKES,
    aims=AIMS,
    events="{jets} events each of simulation and pseudo-data",
)
