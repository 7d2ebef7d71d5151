"""CWoLa hunting (1805.02664): all mass windows, harsher and harsher cuts, beside a tagger's.

A tagger that was trained on the signal itself is better, one that was trained on another is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.methods.search.resonant.bounds import Supervised
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.scan import WindowScan
from colliderkit.methods.search.resonant.search import ResonantSearch
from colliderkit.methods.search.spectrum import Excess, excess
from colliderkit.metrics.value import Value, number
from colliderkit.report.anomaly import spectra
from colliderkit.report.results import Result
from colliderkit.report.significance import strength_scan
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets.hidden_dijets import (
    HiddenDijets,
    labelled,
    toy_dijets,
)
from colliderkit.sources.datasets.lhc_olympics import SIGNAL_REGION, Dijets, read_dijets
from colliderkit.sources.pythia.shards import generate
from colliderkit.sources.toys.resonance import Resonance
from colliderkit.studies.run import Run, Study

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
If a signal is localised in one mass, a window of it and the sidebands of that window are two mixed
samples. A classifier that tells them apart finds what the window has in excess, and nothing where
nothing is in excess (arXiv:1805.02664, arXiv:1902.02634). Harsher and harsher cuts on its score
uncover a bump that the spectrum hides. A tagger of the right signal does better; a tagger of
another signal may find nothing.
"""
STAND_IN = """
The dijets are Pythia's with the fast detector, the resonance a W' of 3.5 TeV that decays to X (500
GeV) and Y (100 GeV), the other signal the same with both of 170 GeV. The published study has a W'
of 3 TeV to W X. Boosted trees stand in for its networks unless the scale says otherwise.
"""
MEASURES = """
"Z" is the local significance of the excess in the signal region, of all masses the cut has left;
the function is fitted beside it. Each data set has other events of the signal and other trainings,
the background is the same: errors are those of the mean over data sets. "Hunting" has nested folds,
so that no event is judged by what it has trained; the taggers have labelled events of their own.
The windows are three of 15 bins of equal width in ln m, each searched for itself.
"""
HUNTING, RIGHT, WRONG, NO_CUT = (
    "CWoLa hunting", "tagger of this signal", "tagger of another signal", "no cut"
)  # fmt: skip
OTHER = tuple(
    f"900000{which}:{what} = {mass}"
    for which in (1, 2)
    for what, mass in (("m0", 170), ("mMin", 160), ("mMax", 180))
)
TOY, TOY_OTHER = Resonance(), Resonance(distance=(-2.0, 1.0, -1.0, -1.0))
Z, LARGEST = "Z", "largest Z of all windows"
BINS, WIDTH = 15, 3
RARE = 4.0  # standard deviations, local, that no window should have by chance


@dataclass(frozen=True)
class Scale:
    """Background of the data and of the taggers, signals, strengths as S / sqrt(B), and trees."""

    background: int
    labelled: int
    signal: int
    strengths: tuple[float, ...]
    cuts: tuple[float, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    folds: int = 5
    seeds: int = 1
    toy: bool = False


SCALES = {
    "smoke": Scale(
        12_000, 6_000, 4_000, (3.0,), (0.1, 0.02), {"rounds": 10, "leaves": 8}, 3, toy=True
    ),
    "laptop": Scale(120_000, 40_000, 10_000, (1.0, 2.0, 3.0), (0.1, 0.01, 0.002), seeds=2),
    "night": Scale(
        400_000, 100_000, 40_000, (0.5, 1.0, 1.5, 2.0, 3.0), (0.1, 0.01, 0.001), seeds=10
    ),
    "paper": Scale(
        1_000_000, 200_000, 80_000, (0.5, 1.0, 1.5, 2.0, 3.0), (0.1, 0.01, 0.001), seeds=10
    ),
}


def aims(scale: Scale) -> Sequence[Aim]:
    """Ask for a bump that is brought out, by whom, and for none where there is no signal."""
    strongest = f"{Z}, S/√B {max(scale.strengths):g}"
    return (
        Aim("Hunting brings out a bump that the spectrum alone does not show", strongest,
            HUNTING, "above", against=NO_CUT),
        Aim("A tagger of the signal itself finds more", strongest, RIGHT, "above",
            against=HUNTING),
        Aim("A tagger of another signal finds less than hunting", strongest, WRONG, "below",
            against=HUNTING),
        Aim("Without a signal no window is remarkable", LARGEST, "without a signal", "below", RARE),
    )  # fmt: skip


def cwola_hunting(run: Run[Scale]) -> None:
    """Search all windows with and without a signal; cut harder; compare with taggers."""
    run.report.add_stand_in(STAND_IN)
    run.report.add_definitions(MEASURES)
    with run.step("events"):
        events, other = made(run)
    results = all_windows(run, events)
    taggers = {
        name: tagger(run, name, events.template, signal)
        for name, signal in ((RIGHT, events.signal), (WRONG, other))
    }
    found: dict[str, dict[float, list[float]]] = {}
    for strength in run.scale.strengths:
        for seed in run.seeds:
            for name, z in compared(run, events, taggers, strength, seed).items():
                found.setdefault(name, {}).setdefault(strength, []).append(z)
    for name, each in found.items():
        results += [
            Result.over_seeds(name, f"{Z}, S/√B {strength:g}", [Value(z, unknown(zs)) for z in zs])
            for strength, zs in each.items()
        ]
    run.report.add_results(
        results,
        f"Cuts keep {number(100 * run.scale.cuts[-1])}% of all events. Data sets:"
        f" {len(run.seeds)}.",
    )
    if len(run.scale.strengths) > 1:
        run.report.add_figure(
            strength_scan(
                run.scale.strengths,
                {name: list(each.values()) for name, each in found.items()},
                quantity="Local significance Z",
                bounds=(RIGHT, WRONG),
            ),
            "Significance of the excess behind the cut over the strength of the signal; taggers are"
            " dashed, bands are of data sets.",
        )


def unknown(values: Sequence[float]) -> float:
    """Return the error of a significance: 1 for one data set, and that of the mean for several."""
    return 1.0 if len(values) < 2 else 0.0


def made(run: Run[Scale]) -> tuple[HiddenDijets, Dijets]:
    """Make the events of both signals and of the background once."""
    scale = run.scale
    total = scale.background + scale.labelled
    shares = scale.background / total, scale.labelled / total
    events = HiddenDijets.made(
        run.out / "data", total, scale.signal, shares, toy=scale.toy, workers=run.workers
    )
    count = scale.signal // 2
    if scale.toy:
        return events, toy_dijets(TOY_OTHER.events(0, count, 3))

    def write(path: Any) -> None:
        process: Any = [("lhco-signal", 1)]
        generate(process, count, path, seed=9, detector=True, settings=OTHER, workers=run.workers)

    return events, read_dijets(run.file("other-signal.parquet", write))


def hunting(scale: Scale) -> CwolaHunting:
    """Return the search in the window of the signal."""
    return CwolaHunting(
        signal_region=SIGNAL_REGION,
        folds=scale.folds,
        efficiency=scale.cuts[-1],
        options=scale.options,
        members=1,
    )


def all_windows(run: Run[Scale], events: HiddenDijets) -> list[Result]:
    """Search all windows of the strongest data and of background alone; draw what is found."""
    strongest = max(run.scale.strengths)
    rows, table = [], []
    for name, data in (
        ("with a signal", events.data(strongest, 0)),
        ("without a signal", events.background),
    ):
        # A loose cut: outside of the window of a strong signal a harsh one leaves nothing to fit.
        method = hunting(run.scale).set_params(efficiency=run.scale.cuts[0])
        scan = run.fitted(
            f"windows {name}",
            WindowScan(method, bins=BINS, width=WIDTH),
            data.features,
            data.mass,
            event=data.event,
            progress=False,
        )
        z = [one.significance for one in scan.excesses_]
        rows.append(Result(name, LARGEST, max(z), 1.0))
        best = scan.excesses_[scan.best_]
        table.append([name, f"{best.region[0]:.0f}-{best.region[1]:.0f}", best.significance,
                      best.local_p, scan.bound_])  # fmt: skip
        if data is not events.background:
            cuts(run, scan.search_, data.mass)
    run.report.add_table(
        ["data", "window [GeV]", "Z", "local p", "global p at most"],
        table,
        f"The window of least p-value of {len(scan.windows_)}, at a cut that keeps"
        f" {run.scale.cuts[0]:.0%}; the global p is the bound by the number of windows, as repeated"
        " searches without a bump would take that many times as long.",
    )
    return rows


def cuts(run: Run[Scale], search: ResonantSearch, mass: Floats) -> None:
    """Draw the spectrum of the best window behind harsher and harsher cuts."""
    for share in run.scale.cuts:
        try:
            behind = fitted(mass, search.select(share), search.signal_region)
        except InputError:
            continue
        run.report.add_figure(
            spectra(search.before_, behind, "mjj"),
            f"The {number(100 * share)}% of all events with the highest score, in the window of"
            " least p-value.",
        )


def fitted(mass: Floats, passed: NDArray[np.bool_], region: tuple[float, float]) -> Excess:
    """Return the excess in a window of the events that pass."""
    return excess(
        mass[passed], region=region, edges=np.linspace(mass.min(), mass.max(), 41), orders=(2, 3)
    )


def tagger(run: Run[Scale], name: str, background: Dijets, signal: Dijets) -> Supervised:
    """Train on labelled events, half of what is there of a signal."""
    both = labelled(background, signal)
    method = Supervised(
        signal_region=SIGNAL_REGION, folds=2, efficiency=0.5, options=run.scale.options
    )
    return run.fitted(name, method, both.features, both.mass, label=both.label, progress=False)


def compared(
    run: Run[Scale],
    events: HiddenDijets,
    taggers: Mapping[str, Supervised],
    strength: float,
    seed: int,
) -> dict[str, float]:
    """Return Z of one data set, by hunting, by each tagger, and without a cut."""

    def compute() -> dict[str, float]:
        data = events.data(strength, seed)
        search = hunting(run.scale)
        search.fit(data.features, data.mass, event=data.event, seed=seed, progress=False)
        found = {HUNTING: search.excess_.significance, NO_CUT: search.before_.significance}
        for name, method in taggers.items():
            score = method.score(data.features, data.mass)
            passed = score >= np.quantile(score, 1 - search.efficiency)
            found[name] = fitted(data.mass, passed, SIGNAL_REGION).significance
        return found

    found: dict[str, float] = run.value(f"compared, {strength:g}, data set {seed}", compute)
    return found


STUDY = Study(
    *("cwola-hunting", "CWoLa hunting", SUMMARY, SCALES, cwola_hunting, ("seeds", "workers")),
    aims=aims,
    events="{background} background events in the data, {labelled} for the taggers",
    stand_in="the published dijets and signals",
)
