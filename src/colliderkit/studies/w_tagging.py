"""W tagging without sculpting (2001.05310, 2010.09745): the frontier, and the fake bumps."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.observables import PRESETS, table
from colliderkit.events.schema import split
from colliderkit.events.weights import spectrum_weights
from colliderkit.files import atomic_file, refuse_existing
from colliderkit.methods.decorrelation import DecorrelatedTagger
from colliderkit.methods.decorrelation.maps import FlowDecorrelation, TransportDecorrelation
from colliderkit.methods.search.bump_hunt import BumpHunt, false_positives
from colliderkit.metrics.roc import auc
from colliderkit.metrics.sculpting import (
    CONVENTIONS,
    Sculpting,
    efficiency_by_mass,
    inverse,
    rejection_at,
    sculpting,
)
from colliderkit.metrics.value import Value
from colliderkit.report import decorrelation as draw
from colliderkit.report.distributions import distribution
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.sources import iterate, write
from colliderkit.sources.pythia.shards import generate
from colliderkit.studies.taggers import claim
from colliderkit.training.settings import Training

__all__ = ["Sample", "jets", "run"]

Floats = NDArray[np.float64]

SUMMARY = """
Jets of boosted W bosons against those of quarks and gluons by ten numbers, none of which is the
mass; but most know it, and a cut on a tagger that may use them leaves a bump in the background
where the signal would be. Each method here is asked to tag without that. How far the background's
mass is sculpted is a divergence, what it costs is rejection, and what it does to a search is
counted: how often a smooth background gives a significant bump.
"""

STAND_IN = """
A stand-in for the public jets (Zenodo 3606767): the same selection (13 TeV, anti-kT R = 1.0,
300 < pt < 400 GeV, |eta| < 2, 50 < m < 300 GeV, W bosons and their quarks matched) and the same
observables, by Pythia 8 at particle level and without multiple interactions, which the published
jets have taken out otherwise. The published values are a scale for the shape of the frontier and
not a target. QCD jets carry weights that give them the pt spectrum of the W bosons.
"""

FLOOR = """
Two samples of one density have a JSD above zero, by about (bins - 1) / 8 times the sum of the
inverse numbers of jets. Published figures include it, which matters little among the published
850,000 test jets; here it is taken off (“floor” says how much it was), and where what is left is
within two errors of zero, 1 / JSD is a lower limit at 95% confidence.
"""

READING = """
A point is a training at one strength, or to one bound; bars are the spread over seeds and the
counting of the test jets, arrows are lower limits. Up and to the right is better. Between the
points of a method R50 is interpolated, ln R50 in JSD, and nothing is extrapolated. A method whose
strengths are far apart is then known badly, and its errors say so only in part.
"""

SEARCH = """
Each pseudo-experiment is a third of the test background, drawn without replacement, after the cut
that keeps half of the W bosons. The search does not know where a bump might be. It fits what was
there before the cut, times an efficiency whose logarithm is constant, linear or quadratic in the
mass, to what lies outside of a window, does so for every window, and takes the most significant
one; its global p-value is counted among spectra without a bump that go through the same. Without
sculpting 5% of the searches have p < 5%. The experiments of one method overlap in part, so that the
errors of these shares are too small where the share is neither 0 nor 1.
"""

NO_MPI = "PartonLevel:MPI = off"
MASS = (50.0, 300.0)  # GeV
TEST = 0.5  # of the jets
TARGETS = (30.0, 100.0, 300.0)  # of 1 / JSD at which methods are compared
LEVEL = 0.05
FRONTIER = "disco"  # the convention by which methods are compared
THOUSAND = f"1000 JSD, {FRONTIER}"
OBSERVABLES = PRESETS["w-tagging"]

DISCO_NOTEBOOK = "notebook of arXiv:2001.05310"
MODE_NOTEBOOK = "notebook of arXiv:2010.09745"
UBOOST = ((19.0, 4.1), (17.2, 8.9), (11.3, 76.0), (7.5, 301.0))
MODE = ((27.2, 3.8), (7.9, 656.0))


@dataclass(frozen=True)
class Family:
    """State one way to decorrelate: the tagger's arguments, and what is varied.

    `argument` is "strength" or "at_most"; `label` turns its value into words.
    """

    name: str
    tagger: Mapping[str, Any]
    argument: str = "strength"
    label: str = "strength {:g}"

    def subject(self, value: float | None) -> str:
        """Name the member of this value."""
        return self.name if value is None else f"{self.name}, {self.label.format(value)}"


PLAIN = Family("unconstrained", {"penalty": None})
BINNED = {"order": 0, "bins": 16}
FAMILIES = (
    PLAIN,
    Family("planing", {"penalty": "planing"}),
    Family("DisCo", {"penalty": "disco"}),
    Family("MoDe[0], binned", {"penalty": "mode", "penalty_options": BINNED}),
    Family("MoDe[0]", {"penalty": "mode", "penalty_options": {"order": 0}}),
    Family("MoDe[2]", {"penalty": "mode", "penalty_options": {"order": 2}}),
    Family("adversary", {"penalty": "adversary"}),
    Family("DisCo, MDMM", {"penalty": "disco"}, "at_most", "at most {:g}"),
)
# Maps of the score of the unconstrained tagger, each a method without a strength.
MAPS = {"flow": FlowDecorrelation, "transport": TransportDecorrelation}


@dataclass(frozen=True)
class Scale:
    """Say how many jets, which strengths of which family, how it is trained, and how often.

    A search is of a `share` of the test background, in `searched`: from, to [GeV] and bins.
    """

    w: int
    qcd: int
    strengths: Mapping[str, Sequence[float | None]]
    training: Training
    seeds: int
    experiments: int
    toys: int
    hidden: tuple[int, ...] = (64, 64, 64)
    share: float = 1 / 3
    searched: tuple[float, float, int] = (50.0, 250.0, 40)


SCALES = {
    "smoke": Scale(
        250,
        800,
        {"unconstrained": (None,), "DisCo": (10.0,)},
        Training(epochs=12, batch_size=128, learning_rate=3e-3),
        seeds=1,
        experiments=4,
        toys=40,
        hidden=(16,),
        share=1.0,
        searched=(50.0, 150.0, 16),
    ),
    "laptop": Scale(
        30_000,
        100_000,
        {
            "unconstrained": (None,),
            "planing": (None,),
            "DisCo": (30.0, 100.0, 300.0, 1000.0),
            "MoDe[0], binned": (300.0, 1000.0, 1500.0, 2000.0),
            "MoDe[0]": (1000.0, 2000.0, 3000.0, 10000.0),
            "MoDe[2]": (300.0, 1000.0),
            "adversary": (2.0, 3.0, 5.0),
            "DisCo, MDMM": (0.003, 0.0003, 0.0001),
            "flow": (),
            "transport": (),
        },
        Training(epochs=50, batch_size=2048, learning_rate=3e-3),
        seeds=2,
        experiments=40,
        toys=400,
    ),
    # Batches and passes of the published recipe.
    "paper": Scale(
        600_000,
        2_000_000,
        {
            "unconstrained": (None,),
            "planing": (None,),
            "DisCo": (10.0, 30.0, 100.0, 200.0, 400.0, 600.0, 1000.0),
            "MoDe[0], binned": (100.0, 300.0, 1000.0, 3000.0),
            "MoDe[0]": (300.0, 1000.0, 3000.0, 10000.0, 30000.0),
            "MoDe[2]": (1000.0, 3000.0, 10000.0),
            "adversary": (1.0, 2.0, 3.0, 5.0),
            "DisCo, MDMM": (0.003, 0.001, 0.0003, 0.0001),
            "flow": (),
            "transport": (),
        },
        Training(epochs=200, batch_size=2048, learning_rate=1e-3),
        seeds=6,
        experiments=200,
        toys=2000,
    ),
}


@dataclass(frozen=True)
class Sample:
    """Hold the table of the jets that train and of those that test."""

    train: ak.Array
    test: ak.Array


def jets(w: int, qcd: int, folder: Path, *, seed: int = 1, workers: int = 1) -> Sample:
    """Generate jets into `folder`, or read them if they are there, and return the observables.

    Of `w` and `qcd` jets those between 50 and 300 GeV are kept. ``weight`` gives the QCD jets the
    pt spectrum of the others.
    """
    path = folder / "table.parquet"
    if not path.exists():
        parts = []
        for label, (process, count) in enumerate((("qcd-w", qcd), ("w", w))):
            file = folder / f"{process}.parquet"
            if not file.exists():
                print(f"{count} jets of {process}", flush=True)
                generate(process, count, file, seed=seed, workers=workers, settings=NO_MPI)
            for chunk in iterate(file):
                mass = np.asarray(chunk["jet_mass"])
                kept = chunk[(mass > MASS[0]) & (mass < MASS[1])]
                values, names = table(kept, OBSERVABLES)
                columns = {name: kept[name] for name in ("jet_pt", "jet_eta", "jet_mass")}
                columns |= {name: values[:, i] for i, name in enumerate(names)}
                # The numbers of the two processes' events overlap.
                columns["event"] = np.asarray(kept["event"]) | (label << 56)
                columns["label"] = np.full(len(kept), label, dtype=np.int64)
                parts.append(ak.zip(columns))
        whole = ak.concatenate(parts)
        edges = np.linspace(300, 400, 21).tolist()
        weight = spectrum_weights(whole, reference=1, pt_bins=edges, eta_bins=[-2.0, 2.0])
        write(path, ak.with_field(whole, weight, "weight"))
    train, test = split(ak.from_parquet(path), (1 - TEST, TEST), seed=seed)
    return Sample(train, test)


@dataclass(frozen=True)
class Judged:
    """Hold what one training is worth on the test jets."""

    area: Value
    cuts: Mapping[str, Sculpting]
    bumps: Floats
    passed: NDArray[np.bool_]

    @property
    def rejection(self) -> Value:
        """R50, with weights."""
        return self.cuts["disco"].rejection


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    workers: int = 2,
    force: bool = False,
    **_: Any,
) -> Path:
    """Run the study into `out` and return the path of its report."""
    refuse_existing(out / "report.html", force)
    chosen = SCALES[scale]
    count = chosen.seeds if seeds is None else seeds
    if count < 1:
        raise InputError(f"--seeds is {count}; it must be at least 1.")
    claim(out, {"study": "w-tagging", "scale": scale, "size": repr(chosen)}, force)
    timing: dict[str, float] = {}
    begin = time.perf_counter()
    sample = jets(chosen.w, chosen.qcd, out / "data", workers=workers)
    timing["jets"] = time.perf_counter() - begin
    begin = time.perf_counter()
    scores = _scores(sample, chosen, count, out / "models")
    timing["training"] = time.perf_counter() - begin
    begin = time.perf_counter()
    judged = {
        name: [judge(score, sample.test, chosen, seed) for seed, score in enumerate(each)]
        for name, each in scores.items()
    }
    timing["searches"] = time.perf_counter() - begin
    return _report(sample, chosen, judged, scale, count, timing).write(out, force=force)


def _scores(sample: Sample, chosen: Scale, count: int, folder: Path) -> dict[str, list[Floats]]:
    """Train every method, or read what an earlier call left, and return its test scores."""
    found: dict[str, list[Floats]] = {}
    folder.mkdir(parents=True, exist_ok=True)

    def kept(name: str, seed: int) -> Path:
        return folder / f"{re.sub(r'[^0-9A-Za-z.]+', '-', name)}-seed{seed}.npz"

    for family in FAMILIES:
        for value in chosen.strengths.get(family.name, ()):
            name = family.subject(value)
            for seed in range(count):
                path = kept(name, seed)
                if not path.exists():
                    print(f"{name}, seed {seed}", flush=True)
                    _keep(path, *_trained(family, value, sample, chosen, seed))
                found.setdefault(name, []).append(np.load(path)["test"])
    background = np.asarray(sample.train["label"]) == 0
    light = sample.train[background]
    for name in (name for name in MAPS if name in chosen.strengths):
        for seed in range(count):
            path = kept(name, seed)
            if not path.exists():
                print(f"{name}, seed {seed}", flush=True)
                plain = np.load(kept(PLAIN.name, seed))
                given = [plain["train"][background], *(light[c] for c in ("jet_mass", "weight"))]
                # Transport draws nothing at random.
                options = {"seed": seed} if name == "flow" else {}
                moved = MAPS[name]().fit(*map(np.asarray, given), **options)
                both = (
                    moved.transform(plain[part], np.asarray(own["jet_mass"]))
                    for part, own in (("train", sample.train), ("test", sample.test))
                )
                _keep(path, *both)
            found.setdefault(name, []).append(np.load(path)["test"])
    return found


def _trained(
    family: Family, value: float | None, sample: Sample, chosen: Scale, seed: int
) -> tuple[Floats, Floats]:
    """Return the scores of one training on the jets that train and on those that test."""
    varied = {} if value is None else {family.argument: value}
    tagger = DecorrelatedTagger(
        "mlp",
        observables=OBSERVABLES,
        options={"hidden": chosen.hidden, "batch_norm": True},
        classes=("QCD", "W"),
        balance=True,
        training=chosen.training,
        **{**family.tagger, **varied},
    )
    tagger.fit(sample.train, seed=seed, progress=False)
    train, test = (tagger.predict_proba(part)[:, 1] for part in (sample.train, sample.test))
    return train, test


def _keep(path: Path, train: Floats, test: Floats) -> None:
    with atomic_file(path) as part, open(part, "wb") as file:
        np.savez(file, train=train, test=test)


def judge(score: Floats, test: ak.Array, chosen: Scale, seed: int) -> Judged:
    """Return rejection, sculpting and searches of a score (N,) on the test jets."""
    label, mass = np.asarray(test["label"]), np.asarray(test["jet_mass"], dtype=np.float64)
    weight = np.asarray(test["weight"])
    cuts = {
        name: sculpting(score, label, mass, weight if own.weighted else None, convention=own)
        for name, own in CONVENTIONS.items()
    }
    background = label == 0
    passed = score[background] >= cuts["mode"].threshold
    spectra = experiments(mass[background], passed, chosen, seed)
    return Judged(
        auc(score, label, weight),
        cuts,
        hunt(mass[background], chosen).global_p(spectra, toys=chosen.toys, seed=seed),
        passed,
    )


def hunt(mass: Floats, chosen: Scale) -> BumpHunt:
    """Return the search behind a cut, from the background's masses (N,) before it.

    What passes is fitted by what was there times an efficiency whose logarithm is constant, linear
    or quadratic in m: without the template, smooth functions follow a peak that is all there is.
    """
    low, high, bins = chosen.searched
    edges = np.linspace(low, high, bins + 1)
    return BumpHunt(edges, orders=(0, 2), template=np.histogram(mass, edges)[0])


def experiments(
    mass: Floats, passed: NDArray[np.bool_], chosen: Scale, seed: int
) -> NDArray[np.int64]:
    """Return the spectra, (E, B), of what passes among shares of the background."""
    random = np.random.default_rng([seed, len(mass)])
    size = round(chosen.share * len(mass))
    drawn = (random.permutation(len(mass))[:size] for _ in range(chosen.experiments))
    low, high, bins = chosen.searched
    return np.array([np.histogram(mass[i][passed[i]], bins, (low, high))[0] for i in drawn])


def _report(
    sample: Sample,
    chosen: Scale,
    judged: Mapping[str, Sequence[Judged]],
    scale: str,
    count: int,
    timing: dict[str, float],
) -> Report:
    training = chosen.training
    report = Report(
        "W tagging without sculpting",
        SUMMARY,
        command=f"colliderkit study w-tagging --scale {scale} --seeds {count}",
        configuration=f"hidden: {list(chosen.hidden)}\nepochs: {training.epochs}\n"
        f"batch_size: {training.batch_size}\nlearning_rate: {training.learning_rate}\n",
        seeds=list(range(count)),
        timing=timing,
    )
    report.add_text(STAND_IN)
    rows = []
    for label, name in enumerate(("QCD", "W")):
        parts = [
            int((np.asarray(part["label"]) == label).sum()) for part in (sample.train, sample.test)
        ]
        rows.append([name, *parts])
    report.add_table(
        ["class", "training and validation", "test"],
        rows,
        f"Jets between {MASS[0]:g} and {MASS[1]:g} GeV, parted by a hash of the event. The inputs:"
        f" {', '.join(OBSERVABLES)}.",
    )
    report.add_heading("The frontier")
    sentences = [f"“{name}”: {own.sentence}" for name, own in CONVENTIONS.items()]
    report.add_text("\n\n".join([*sentences, FLOOR]))
    results = _results(judged)
    report.add_results(
        results,
        f"Test jets, at a signal efficiency of 50%: mean over seeds ± spread over seeds ± counting."
        f" “disco” and “mode” are the two definitions above. Fake bumps: the share of background"
        f" searches with a global p-value below {LEVEL:.0%}.",
    )
    points = {
        family: [_point(results, name) for name in names]
        for family, names in _families(judged).items()
    }
    report.add_figure(
        draw.frontier(
            {
                family: [(rejection, inverse(divergence)) for rejection, divergence in own]
                for family, own in points.items()
            },
            published={"uBoost, published": UBOOST},
        ),
        "R50 against 1 / JSD (disco). The published points are of other jets.",
        wide=True,
    )
    report.add_text(READING)
    report.add_results(
        _at_targets(points),
        "R50 that each method reaches at 1 / JSD (disco) of 30, 100 and 300; empty where no"
        " strength does. Errors are those of the points that are interpolated between.",
    )
    report.add_table(
        ["", "R50", "1 / JSD", "definition", "source"],
        [
            *(["uBoost", *pair, "disco", DISCO_NOTEBOOK] for pair in UBOOST),
            ["unconstrained", *MODE[0], "mode", MODE_NOTEBOOK],
            ["MoDe[0], strength 300", *MODE[1], "mode", MODE_NOTEBOOK],
        ],
        "What is published for the public jets, as far as its files could be read; one training"
        " each. The last scatters between 380 and 1080 from epoch to epoch.",
    )
    _add_shapes(report, sample.test, judged, points)
    _add_searches(report, sample.test, chosen, judged, points)
    return report


def _families(judged: Mapping[str, Sequence[Judged]]) -> dict[str, list[str]]:
    """Return the members of each family that was trained, in order."""
    members = {
        family.name: [
            n
            for n in judged
            if n == family.name or n.startswith(f"{family.name}, {family.label.split()[0]}")
        ]
        for family in FAMILIES
    }
    members |= {name: [name] for name in MAPS if name in judged}
    return {name: own for name, own in members.items() if own}


def _results(judged: Mapping[str, Sequence[Judged]]) -> list[Result]:
    """Return the figures of each method over its seeds."""
    results = []
    for name, each in judged.items():
        known = (
            dict(zip(("R50", "1/JSD, mode"), MODE[0], strict=True)) if name == PLAIN.name else {}
        )
        published: dict[str, dict[str, Any]] = {
            figure: {"published": value, "source": MODE_NOTEBOOK} for figure, value in known.items()
        }
        for figure, values in {
            "AUC": [one.area for one in each],
            "R50": [one.rejection for one in each],
            "fake bumps": [false_positives(one.bumps, LEVEL) for one in each],
        }.items():
            results.append(Result.over_seeds(name, figure, values, **published.get(figure, {})))
        for convention in CONVENTIONS:
            # JSD is averaged, not its inverse, which has no mean where JSD may be 0.
            divergences = [one.cuts[convention].jsd.corrected for one in each]
            if convention == FRONTIER:
                thousand = [Value(1e3 * v.value, 1e3 * v.error) for v in divergences]
                results.append(Result.over_seeds(name, THOUSAND, thousand))
            mean = Result.over_seeds(name, "", divergences)
            value = inverse(Value(mean.value, mean.error or 0.0))
            figure = f"1/JSD, {convention}"
            error = None if value.lower_limit else value.error
            known_here = published.get(figure, {})
            results.append(
                Result(
                    name, figure, value.value, error, lower_limit=value.lower_limit, **known_here
                )
            )
    return results


def _point(results: Sequence[Result], name: str) -> tuple[Value, Value]:
    """Return R50 and JSD of one method, each with its error over seeds and counting."""
    own = {r.quantity: r for r in results if r.subject == name}
    rejection, thousand = own["R50"], own[THOUSAND]
    return (
        Value(rejection.value, rejection.error or 0.0),
        Value(thousand.value / 1e3, (thousand.error or 0.0) / 1e3),
    )


def _at_targets(points: Mapping[str, Sequence[tuple[Value, Value]]]) -> list[Result]:
    results = []
    for family, own in points.items():
        for target in TARGETS:
            best = rejection_at(own, target)
            if best is not None:
                results.append(
                    Result(family, f"R50 at 1/JSD >= {target:g}", best.value, best.error)
                )
    return results


def _representatives(
    judged: Mapping[str, Sequence[Judged]],
    points: Mapping[str, Sequence[tuple[Value, Value]]],
) -> dict[str, str]:
    """Return of each family the member of highest rejection with 1 / JSD >= 100, or the nearest."""
    chosen = {}
    for family, names in _families(judged).items():
        own = list(zip(points[family], names, strict=True))
        reached = [pair for pair in own if pair[0][1].value <= 1 / TARGETS[1]]
        best = (
            max(reached, key=lambda pair: pair[0][0].value)
            if reached
            else min(own, key=lambda pair: pair[0][1].value)
        )
        chosen[family] = best[1]
    return chosen


def _add_shapes(
    report: Report,
    test: ak.Array,
    judged: Mapping[str, Sequence[Judged]],
    points: Mapping[str, Sequence[tuple[Value, Value]]],
) -> None:
    report.add_heading("The background's mass")
    mass = np.asarray(test["jet_mass"], dtype=np.float64)[np.asarray(test["label"]) == 0]
    shown = _representatives(judged, points)
    edges = np.arange(50.0, 251.0, 10.0)
    samples = {"before the cut": mass}
    for family in ("unconstrained", "planing", "DisCo", "MoDe[0]"):
        if family in shown:
            samples[shown[family]] = mass[judged[shown[family]][0].passed]
    report.add_figure(
        distribution(samples, edges, "Background jet mass", "GeV"),
        "Background before and after the cut that keeps half of the W bosons; seed 0.",
    )
    wide = np.arange(50.0, 251.0, 20.0)
    curves = {}
    for name in shown.values():
        passed = judged[name][0].passed
        share, error = efficiency_by_mass(mass, passed, wide)
        curves[name] = share / passed.mean(), error / passed.mean()
    report.add_figure(
        draw.efficiencies(curves, wide),
        "The background's efficiency by mass over that of all masses, of each method's member of"
        " highest rejection beyond 1 / JSD = 100, or of the one that comes nearest; seed 0.",
        wide=True,
    )


def _add_searches(
    report: Report,
    test: ak.Array,
    chosen: Scale,
    judged: Mapping[str, Sequence[Judged]],
    points: Mapping[str, Sequence[tuple[Value, Value]]],
) -> None:
    report.add_heading("The search that follows")
    report.add_text(SEARCH)
    mass = np.asarray(test["jet_mass"], dtype=np.float64)[np.asarray(test["label"]) == 0]
    random = np.random.default_rng(0)
    spectra = {name: experiments(mass, each[0].passed, chosen, 0) for name, each in judged.items()}
    # What no tagger had a hand in, with as many jets as the best of them keeps.
    share = float(np.mean(judged[PLAIN.name][0].passed))
    spectra["by chance"] = experiments(mass, random.random(len(mass)) < share, chosen, 0)
    search = hunt(mass, chosen)
    chance = search.global_p(spectra["by chance"], toys=chosen.toys)
    rows: list[list[Any]] = []
    for name in [*judged, "by chance"]:
        p = np.concatenate([one.bumps for one in judged[name]]) if name in judged else chance
        own = spectra[name]
        rows.append(
            [name, round(float(own.sum(1).mean())), false_positives(p, LEVEL), float(np.median(p))]
        )
    report.add_table(
        ["jets kept", "jets in a search", f"share with p < {LEVEL:g}", "median p"],
        rows,
        f"{chosen.experiments} searches a seed; “by chance” keeps jets by a random number.",
    )
    shown = _representatives(judged, points)
    for family in ("unconstrained", "DisCo", "MoDe[0]"):
        if family in shown:
            counts = spectra[shown[family]][0]
            found = search.search(counts, toys=chosen.toys)
            report.add_figure(
                draw.bump(counts, search.edges, found, shown[family]),
                f"One search of the background that {shown[family]} keeps: the largest excess.",
            )
