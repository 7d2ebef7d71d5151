"""A fast simulation refined towards the full one: pairs, ensembles and MDMM (2309.12919)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.ratio import classifier_test
from colliderkit.methods.simulation.refinement import Refinement
from colliderkit.metrics.separation import separation
from colliderkit.metrics.value import Value, number
from colliderkit.report.distributions import distribution
from colliderkit.report.pareto import pareto_front
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.sources.datasets.refinement_jets import QUANTITIES, JetPairs, make_jet_pairs
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Each jet beside a Z is simulated twice, by a detector and by a simplified one, from the same
particles. A residual network moves the quantities of the simplified one towards those of the
other, knowing pt and eta of the true jet. The Huber loss asks that each jet be near its partner,
the MMD that all jets together be distributed alike. After arXiv:2309.12919 (b-tagging
discriminators of CMS's FastSim and FullSim).
"""

STAND_IN = """
Both simulations are this package's fast detector. "Full" is the detector as it is; "fast" has no
magnetic field and an ECAL with the towers of the HCAL, and its own random numbers. No published
figure can be compared, but the published statement can: minimising the pairs' loss alone leaves the
ensembles apart, while the MMD can be made small at a small price in the pairs' loss.
"""

READING = """
What to look for: the training that minimises the pairs alone gives the best guess of the full
quantity, which is narrower than the quantity, because what two detectors do at random cannot be
predicted. The training that minimises the MMD gives the right densities. MDMM takes a limit of the
ensemble loss; the limit matters only where the pairs alone miss it. A fixed weight has to be
guessed, and shows afterwards what it leads to. Points are losses on jets that no training has seen,
bars the errors of the mean over batches.
"""

Floats = NDArray[np.float64]
Losses = tuple[Value, Value]  # of the pairs and of the ensemble


@dataclass(frozen=True)
class Scale:
    """Events, passes over them, limits of the MMD, fixed weights, seeds and network widths."""

    events: int
    epochs: int
    limits: tuple[float, ...]
    strengths: tuple[float, ...]
    seeds: int
    hidden: tuple[int, ...] = (64, 64)


SCALES = {
    "smoke": Scale(300, 1, (1e-2,), (1.0,), 1, (16,)),
    "laptop": Scale(12_000, 20, (1e-3, 3e-3, 6e-3), (0.03, 0.1, 0.3, 1.0), 2),
    "paper": Scale(400_000, 50, (3e-4, 1e-3, 3e-3, 6e-3), (0.03, 0.1, 0.3, 1.0), 5, (128,) * 3),
}
PAIRS, BEST, FAST = "minimise the pairs", "minimise the MMD", "not refined"
HUBER, ENSEMBLE, AREA = "pairs (Huber)", "ensemble (MMD^2 x 1000)", "classifier AUC"
FLOOR = "full, other half"
NAMES = list(QUANTITIES)


def aims(scale: Scale) -> list[Aim]:
    """Ask whether the published statement holds, and whether limits matter and are kept."""
    alone = [
        Aim("Minimising the pairs alone leaves the ensembles apart", ENSEMBLE, PAIRS, "above",
            against=BEST),
        Aim("The MMD is made small at less than a tenth more of the pairs' loss", HUBER, BEST,
            "below", against=PAIRS, times=1.1),
        Aim("Trees tell refined jets from full ones less than fast ones", AREA, BEST, "below",
            against=FAST),
    ]  # fmt: skip
    for limit in scale.limits:
        # Without this a limit that is kept says nothing of MDMM.
        text = f"The pairs alone miss the limit of {1e3 * limit:g}, so that MDMM has work to do"
        alone.append(Aim(text, ENSEMBLE, PAIRS, "above", 1e3 * limit))
        kept = f"MDMM keeps its limit of {1e3 * limit:g} within a fifth"
        alone.append(Aim(kept, ENSEMBLE, limited(limit), "below", 1.2e3 * limit))
    return alone


def limited(limit: float) -> str:
    """Name the training with a limit of the MMD."""
    return f"MDMM, MMD < {limit:g}"


def refinement(run: Run[Scale]) -> None:
    """Refine jets by each loss, by both with a limit and by both with a fixed weight."""
    scale, report = run.scale, run.report
    jets = JetPairs(**run.arrays("pairs", lambda: make_jet_pairs(scale.events, seed=1).columns()))
    # The test jets are the last third: events are in no order.
    cut = 2 * len(jets) // 3
    train, test = jets.at(slice(cut)), jets.at(slice(cut, None))
    size = min(512, len(test) // 4)
    limits = {limited(limit): limit for limit in scale.limits}
    families = {
        "MDMM": {
            name: Refinement(minimise="pairs", at_most=limit) for name, limit in limits.items()
        },
        "weight": {
            f"weight {strength:g}": Refinement(minimise="pairs", strength=strength)
            for strength in scale.strengths
        },
        "alone": {
            PAIRS: Refinement(minimise="pairs"),
            BEST: Refinement(minimise="ensemble"),
        },
    }
    training = Training(epochs=scale.epochs, batch_size=size, learning_rate=3e-3)
    refined: dict[str, list[Floats]] = {}
    losses: dict[str, list[Losses]] = {}
    for name, method in (item for family in families.values() for item in family.items()):
        method.set_params(training=training, hidden=scale.hidden)
        for seed in run.seeds:
            fitted = run.fitted(
                f"{name}, seed {seed}", method, train.fast, train.full, train.truth,
                event=train.event, seed=seed,
            )  # fmt: skip
            moved = whole_numbers(fitted.transform(test.fast, test.truth))
            refined.setdefault(name, []).append(moved)
            losses.setdefault(name, []).append(losses_of(fitted, moved, test))
    refined[FAST], losses[FAST] = [test.fast], [losses_of(fitted, test.fast, test)]
    report.add_stand_in(STAND_IN)
    report.add_definitions(
        f"{number(len(train))} jets train and choose the epoch, {number(len(test))} others are"
        f" tested on. An ensemble loss is the squared MMD of batches of {size} jets, beside pt and"
        f" eta.\n\n{READING}"
    )
    report.add_heading("Trade-off")
    results = []
    for name, tables in refined.items():
        pair, ensemble = ([both[i] for both in losses[name]] for i in (0, 1))
        areas = [area(moved, test) for moved in tables]
        results.append(Result.over_seeds(name, HUBER, pair))
        results.append(Result.over_seeds(name, ENSEMBLE, ensemble))
        results.append(Result.over_seeds(name, AREA, areas))
    floor = area(test.full, test)
    results.append(Result(FLOOR, AREA, floor.value, floor.error))
    report.add_figure(
        pareto_front(
            {key: {name: losses[name] for name in family} for key, family in families.items()},
            ("Pairs, mean Huber loss", "Ensemble, MMD$^2$ $\\times$ 1000"),
            limits={name: 1e3 * limit for name, limit in limits.items()},
            hollow=[PAIRS],
        ),
        "Both losses of each training: down and to the left is better. Dotted lines are the limits"
        " that MDMM is given.",
    )
    report.add_results(
        results,
        "Losses, and the AUC of boosted trees between refined and full jets, given their truth"
        " (0.5: no difference), on the test jets: mean over seeds ± spread over seeds ± counting"
        " error.",
        best={HUBER: "lower", ENSEMBLE: "lower", AREA: 0.5},
        aside=(FLOOR, FAST),
    )
    report.add_heading("The quantities")
    seed_0 = {name: refined[name][0] for name in (FAST, PAIRS, BEST)}
    report.add_table(
        ["", "fast", "pairs only", BEST, "correlation, fast", "correlation, refined"],
        [comparison(i, test.full, seed_0) for i in range(len(NAMES))],
        "Separation of each quantity from the full simulation, x 1000, in 20 bins of equal counts,"
        " with its counting floor; the correlation with the full simulation jet by jet. Seed 0.",
    )
    samples = {"full": test.full, "fast": test.fast}
    samples |= {"refined": seed_0[BEST], "pairs only": seed_0[PAIRS]}
    for i, name in enumerate(NAMES):
        low, high = np.quantile(test.full[:, i], [0.005, 0.995])
        width = 1.0 if name == "multiplicity" and high - low < 60 else (high - low) / 30
        columns = {sample: values[:, i] for sample, values in samples.items()}
        edges = np.arange(low - width / 2, high + width, width)
        plot = distribution(columns, edges, QUANTITIES[name])
        caption = f"{name} of the test jets: refined should lie on full."
        report.add_figure(plot, caption)


def whole_numbers(moved: Floats) -> Floats:
    """Round the multiplicity; a network gives no whole numbers, and any tree would see that."""
    column = NAMES.index("multiplicity")
    moved[:, column] = np.maximum(np.rint(moved[:, column]), 1)
    return moved


def losses_of(method: Refinement, moved: Floats, test: JetPairs) -> Losses:
    """Return the pairs' loss and 1000 times that of the ensemble, means over batches."""
    pair, ensemble = (
        Value(unit * float(loss.mean()), unit * float(loss.std(ddof=1)) / len(loss) ** 0.5)
        for unit, loss in zip((1, 1e3), method.losses(moved, test.full, test.truth), strict=True)
    )
    return pair, ensemble


def area(moved: Floats, test: JetPairs) -> Value:
    """Return the AUC of trees between refined and full jets, of different events each.

    In halves, so that no tree sees both partners of a pair.
    """
    one = np.ones(len(test))
    half = np.arange(len(test)) % 2 == 0
    return classifier_test(
        np.column_stack([moved, test.truth])[half],
        np.column_stack([test.full, test.truth])[~half],
        one[half],
        one[~half],
    )


def comparison(column: int, full: Floats, samples: dict[str, Floats]) -> list[str]:
    """Return the row of a quantity: separations from the full simulation, and correlations."""
    exact = full[:, column]
    edges = np.quantile(exact, np.linspace(0, 1, 21))
    edges = np.unique([-np.inf, *edges[1:-1], np.inf])
    cells = [str(separation(exact, sample[:, column], edges)) for sample in samples.values()]
    correlations = (np.corrcoef(exact, samples[n][:, column])[0, 1] for n in (FAST, BEST))
    return [NAMES[column], *cells, *(f"{r:.3f}" for r in correlations)]


STUDY = Study(
    "refinement",
    "Refining a fast simulation",
    SUMMARY,
    SCALES,
    refinement,
    takes=("seeds",),
    aims=aims,
    rankings=(Ranking(AREA, "lower", aside=(FLOOR, FAST)),),
    events="{events} events with a jet, a third of them to test with",
    stand_in="the two simulations of CMS",
)
