"""A fast simulation refined towards the full one: pairs, ensembles and MDMM (2309.12919)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.events.observables import table
from colliderkit.files import refuse_existing
from colliderkit.methods.ratio import classifier_test
from colliderkit.methods.simulation.refinement import Refinement
from colliderkit.metrics.separation import separation
from colliderkit.metrics.value import Value
from colliderkit.report.distributions import distribution
from colliderkit.report.html import Report
from colliderkit.report.plots import COLOURS, style
from colliderkit.report.results import Result
from colliderkit.sources.detector.response import HCAL, Detector
from colliderkit.sources.pythia.matching import delta_r
from colliderkit.sources.pythia.pairs import pairs
from colliderkit.training.settings import Training

__all__ = ["FastDetector", "Pairs", "make_pairs", "run"]

Floats = NDArray[np.float64]

SUMMARY = """
Each jet beside a Z is simulated twice, by a detector and by a simplified one, from the same
particles. A residual network moves the quantities of the simplified one towards those of the
other, knowing pt and eta of the true jet. The Huber loss asks that each jet be near its partner,
the MMD that all jets together be distributed alike. After arXiv:2309.12919 (b-tagging
discriminators of CMS's FastSim and FullSim).
"""

STAND_IN = """
A stand-in: both simulations are this package's fast detector. "Full" is the detector as it is;
"fast" has no magnetic field and an ECAL with the towers of the HCAL, and its own random numbers.
No published figure can be compared; the published statement can: minimising the pairs' loss alone
leaves the ensembles apart, while the MMD can be made small at a small price in the pairs' loss.
"""

FRONT = """
The end that minimises the pairs alone is the best guess of the full quantity, and narrower than
it: what the two detectors do at random cannot be foretold. The other end has the right densities.
MDMM is asked for an ensemble loss by its bound, and reaches it; a fixed weight has to be guessed,
and what it leads to is seen afterwards. Points are losses on jets that no training has seen;
bars are the errors of the mean over batches.
"""

NAMES = ("response", "mass", "multiplicity", "width", "ptd", "tau21")
LABELS = {
    "response": "Jet $p_T$ / true jet $p_T$",
    "mass": "ln(1 + jet mass / GeV)",
    "multiplicity": "Constituents",
    "width": "Jet width",
    "ptd": "$p_T^D$",
    "tau21": r"$\tau_{21}$",
}
SAME = 0.2  # in the (eta, phi) plane: a jet farther from the true one is another


class FastDetector(Detector):
    """The detector without a field and with coarse towers, drawing its own random numbers."""

    def reconstruct(self, particles: Any, random: np.random.Generator | int = 0) -> Any:
        """Return what the detector sees; see `Detector.reconstruct`."""
        # Not those of the full detector, whose stream begins with the same seed.
        return super().reconstruct(particles, np.random.default_rng(random).spawn(1)[0])


@dataclass(frozen=True)
class Pairs:
    """Hold quantities of N jets, fast and full (N, D), what is true (N, C), and event numbers."""

    fast: Floats
    full: Floats
    truth: Floats
    event: NDArray[np.int64]

    def at(self, rows: Any) -> "Pairs":
        """Return some of the jets."""
        return Pairs(self.fast[rows], self.full[rows], self.truth[rows], self.event[rows])

    def __len__(self) -> int:
        return len(self.event)


@dataclass(frozen=True)
class Scale:
    """Say how many events, passes over them, bounds on the MMD, fixed weights and seeds."""

    events: int
    epochs: int
    bounds: tuple[float, ...]
    shares: tuple[float, ...]
    seeds: int
    hidden: tuple[int, ...] = (64, 64)


SCALES = {
    "smoke": Scale(600, 2, (1e-2,), (1.0,), 1, (16,)),
    "laptop": Scale(12_000, 20, (1e-3, 3e-3, 6e-3), (0.03, 0.1, 0.3, 1.0), 2),
    "paper": Scale(400_000, 50, (3e-4, 1e-3, 3e-3, 6e-3), (0.03, 0.1, 0.3, 1.0), 5, (128,) * 3),
}
BEST = "minimise the MMD"


def make_pairs(events: int, *, seed: int) -> Pairs:
    """Simulate `events` jets in both detectors; those are kept that both see, and see alike."""
    fast = FastDetector(field=0.0, ecal=replace(HCAL, name="ECAL"))
    made = [
        pairs("z-jets", events, seed=seed, detector=detector) for detector in (fast, Detector())
    ]
    numbers = [np.asarray(each["event"]) for each in made]
    common = np.intersect1d(numbers[0], numbers[1])
    levels = [each[np.isin(np.asarray(each["event"]), common)] for each in made]
    kept = np.ones(len(common), dtype=bool)
    for each in levels:
        kept &= np.asarray(each["pass_truth"] & each["pass_reco"])
        place = [
            np.asarray(each[level, f"jet_{name}"], dtype=np.float64)
            for level in ("truth", "reco")
            for name in ("eta", "phi")
        ]
        kept &= delta_r(*place) < SAME
    levels = [each[kept] for each in levels]
    truth = levels[1]["truth"]
    pt, eta = (np.asarray(truth[f"jet_{name}"], dtype=np.float64) for name in ("pt", "eta"))
    quantities = []
    for each in levels:
        found = table(each["reco"], NAMES[1:])[0].astype(np.float64)
        found[:, 0] = np.log1p(found[:, 0])
        response = np.asarray(each["reco", "jet_pt"], dtype=np.float64) / pt
        quantities.append(np.column_stack([response, found]))
    known = np.column_stack([np.log(pt), np.abs(eta)])
    return Pairs(quantities[0], quantities[1], known, common[kept])


def run(*, scale: str, out: Path, seeds: int | None = None, force: bool = False, **_: Any) -> Path:
    """Run the study into `out` and return the path of its report."""
    refuse_existing(out / "report.html", force)
    chosen = SCALES[scale]
    count = chosen.seeds if seeds is None else seeds
    timing: dict[str, float] = {}
    begin = time.perf_counter()
    print(f"{chosen.events} events in two detectors", flush=True)
    sample = make_pairs(chosen.events, seed=1)
    timing["events"] = time.perf_counter() - begin
    # The test jets are a third, by their place: events are in no order.
    cut = 2 * len(sample) // 3
    train, test = sample.at(slice(cut)), sample.at(slice(cut, None))
    size = min(512, len(test) // 4)
    training = Training(epochs=chosen.epochs, batch_size=size, learning_rate=3e-3)
    methods = {
        "minimise the pairs": Refinement(minimise="pairs"),
        **{f"MDMM, MMD < {b:g}": Refinement(minimise="pairs", bound=b) for b in chosen.bounds},
        **{f"weight {w:g}": Refinement(minimise="pairs", share=w) for w in chosen.shares},
        BEST: Refinement(minimise="ensemble"),
    }
    refined: dict[str, list[Floats]] = {}
    losses: dict[str, list[tuple[Value, Value]]] = {}
    begin = time.perf_counter()
    for name, method in methods.items():
        method.set_params(training=training, hidden=chosen.hidden)
        for seed in range(count):
            print(f"{name}, seed {seed}", flush=True)
            method.fit(train.fast, train.full, train.truth, event=train.event, seed=seed)
            moved = method.transform(test.fast, test.truth)
            # A network gives no whole numbers, and any tree would tell them from those that are.
            counted = NAMES.index("multiplicity")
            moved[:, counted] = np.maximum(np.rint(moved[:, counted]), 1)
            refined.setdefault(name, []).append(moved)
            losses.setdefault(name, []).append(_losses(method, moved, test))
    timing["training"] = time.perf_counter() - begin
    losses["not refined"] = [_losses(method, test.fast, test)]
    refined["not refined"] = [test.fast]
    report = Report(
        "Refining a fast simulation",
        SUMMARY,
        command=f"colliderkit study refinement --scale {scale} --seeds {count}",
        configuration=f"events: {chosen.events}\nepochs: {chosen.epochs}\nbatch: {size}\n",
        seeds=list(range(count)),
        timing=timing,
    )
    report.add_text(STAND_IN)
    report.add_text(
        f"{len(train)} jets train and choose the epoch, {len(test)} others are tested on. An"
        f" ensemble loss is the squared MMD of batches of {size} jets, beside pt and eta."
    )
    report.add_heading("The front")
    results = []
    for name, values in losses.items():
        pair, ensemble = ([both[i] for both in values] for i in (0, 1))
        thousand = [Value(1e3 * v.value, 1e3 * v.error) for v in ensemble]
        results.append(Result.over_seeds(name, "pairs (Huber)", pair))
        results.append(Result.over_seeds(name, "ensemble (MMD^2 x 1000)", thousand))
        results.append(
            Result.over_seeds(
                name, "classifier AUC", [_auc(moved, test) for moved in refined[name]]
            )
        )
    results.append(Result("full, other half", "classifier AUC", *_floor(test)))
    report.add_results(
        results,
        "Losses and the AUC of boosted trees between refined and full jets, given their truth (0.5:"
        " no difference), on the test jets: mean over seeds ± spread over seeds ± counting error.",
    )
    report.add_figure(_front(losses), "Both losses of each training.")
    report.add_text(FRONT)
    report.add_heading("The quantities")
    rows = []
    for i, name in enumerate(NAMES):
        edges = np.quantile(test.full[:, i], np.linspace(0, 1, 21))
        edges = np.unique([-np.inf, *edges[1:-1], np.inf])
        cells = [
            separation(test.full[:, i], table_[:, i], edges)
            for table_ in (test.fast, refined["minimise the pairs"][0], refined[BEST][0])
        ]
        related = [
            np.corrcoef(test.full[:, i], t[:, i])[0, 1] for t in (test.fast, refined[BEST][0])
        ]
        rows.append([name, *map(str, cells), *(f"{r:.3f}" for r in related)])
    report.add_table(
        ["", "fast", "pairs only", BEST, "correlation, fast", "correlation, refined"],
        rows,
        "Separation of each quantity from the full simulation, x 1000, in 20 bins of equal counts,"
        " with its counting floor; the correlation with the full simulation jet by jet. Seed 0.",
    )
    for i, name in enumerate(NAMES):
        low, high = np.quantile(test.full[:, i], [0.005, 0.995])
        width = 1.0 if name == "multiplicity" and high - low < 60 else (high - low) / 30
        edges = np.arange(low - width / 2, high + width, width)
        found = {
            "full": test.full[:, i],
            "fast": test.fast[:, i],
            "refined": refined[BEST][0][:, i],
            "pairs only": refined["minimise the pairs"][0][:, i],
        }
        report.add_figure(distribution(found, edges, LABELS[name]), f"{name}, of the test jets.")
    return report.write(out, force=force)


def _losses(method: Refinement, moved: Floats, test: Pairs) -> tuple[Value, Value]:
    pair, ensemble = (
        Value(float(x.mean()), float(x.std(ddof=1)) / len(x) ** 0.5)
        for x in method.losses(moved, test.full, test.truth)
    )
    return pair, ensemble


def _auc(moved: Floats, test: Pairs) -> Value:
    one = np.ones(len(test))
    # Halves of different events, so that no tree sees both partners of a pair.
    half = np.arange(len(test)) % 2 == 0
    return classifier_test(
        np.column_stack([moved, test.truth])[half],
        np.column_stack([test.full, test.truth])[~half],
        one[half],
        one[~half],
    )


def _floor(test: Pairs) -> tuple[float, float]:
    found = _auc(test.full, test)
    return found.value, found.error


@style()
def _front(losses: Mapping[str, Sequence[tuple[Value, Value]]]) -> Figure:
    """Draw pairs against ensemble loss of each training; bounds as lines."""
    figure = Figure()
    axes = figure.subplots()
    kinds = {"MDMM": ("o", COLOURS[2]), "weight": ("s", COLOURS[0]), "minimise": ("D", COLOURS[4])}
    for kind, (marker, colour) in kinds.items():
        own = {name: values for name, values in losses.items() if name.startswith(kind)}
        for i, (name, values) in enumerate(own.items()):
            shade = 0.35 + 0.65 * (i + 1) / len(own)
            filled = kind != "minimise" or name == BEST
            axes.errorbar(
                [both[0].value for both in values],
                [1e3 * both[1].value for both in values],
                [1e3 * both[1].error for both in values],
                [both[0].error for both in values],
                fmt=marker,
                markersize=8,
                color=colour,
                markerfacecolor=colour if filled else "white",
                alpha=shade,
                capsize=0,
                label=name,
            )
            if kind == "MDMM":
                axes.axhline(
                    1e3 * float(name.split()[-1]), color=colour, linestyle=":", alpha=shade
                )
    axes.set_xlabel("Pairs, mean Huber loss")
    axes.set_ylabel("Ensemble, MMD$^2$ $\\times$ 1000")
    axes.set_yscale("symlog", linthresh=1.0)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.5), 3 * high)
    axes.legend(fontsize=13, ncols=2)
    return figure
