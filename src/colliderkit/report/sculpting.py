"""Page of decorrelated taggers: rejection against sculpting, mass shapes, fake bumps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.methods.decorrelation.fake_bumps import FakeBumps, Judged
from colliderkit.methods.search.bump_hunt import false_positives
from colliderkit.metrics.sculpting import CONVENTIONS, efficiency_by_mass, inverse, rejection_at
from colliderkit.metrics.value import Value
from colliderkit.report import decorrelation as plots
from colliderkit.report.distributions import distribution
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.search import bump

__all__ = [
    "LEVEL",
    "TARGETS",
    "add_frontier",
    "add_mass",
    "add_searches",
    "frontier",
    "representatives",
    "results_of",
]

# Methods by the names of their members (one a strength), and these with what each seed is worth.
Families = Mapping[str, Sequence[str]]
Judgements = Mapping[str, Sequence[Judged]]
Point = tuple[Value, Value]  # rejection and JSD
Published = Mapping[str, Mapping[str, Any]]

TARGETS = (30.0, 100.0, 300.0)  # of 1 / JSD at which methods are compared
AT_100 = f"R50 at 1/JSD >= {TARGETS[1]:g}"
LEVEL = 0.05  # of the searches
FRONTIER = "disco"  # the convention by which methods are compared
THOUSAND = f"1000 JSD, {FRONTIER}"


def results_of(name: str, judged: Sequence[Judged], published: Published) -> list[Result]:
    """Return the quantities of one member over its seeds.

    `published` has further fields of `Result` by quantity.
    """
    results = [
        Result.over_seeds(name, quantity, values, **published.get(quantity, {}))
        for quantity, values in {
            "AUC": [one.area for one in judged],
            "R50": [one.rejection for one in judged],
            "fake bumps": [false_positives(one.p_values, LEVEL) for one in judged],
        }.items()
    ]
    for convention in CONVENTIONS:
        # JSD is averaged, not its inverse, which has no mean where JSD may be 0.
        divergences = [one.cuts[convention].jsd.corrected for one in judged]
        if convention == FRONTIER:
            thousand = [Value(1e3 * v.value, 1e3 * v.error) for v in divergences]
            results.append(Result.over_seeds(name, THOUSAND, thousand))
        mean = Result.over_seeds(name, "", divergences)
        value = inverse(Value(mean.value, mean.error or 0.0))
        quantity = f"1/JSD, {convention}"
        results.append(
            Result(
                name,
                quantity,
                value.value,
                None if value.lower_limit else value.error,
                lower_limit=value.lower_limit,
                **published.get(quantity, {}),
            )
        )
    return results


def frontier(results: Sequence[Result], families: Families) -> dict[str, list[Point]]:
    """Return R50 and JSD of each member of each family, with errors over seeds and counting."""

    def value(name: str, quantity: str, unit: float = 1.0) -> Value:
        result = next(r for r in results if (r.subject, r.quantity) == (name, quantity))
        return Value(result.value * unit, (result.error or 0.0) * unit)

    return {
        family: [(value(name, "R50"), value(name, THOUSAND, 1e-3)) for name in names]
        for family, names in families.items()
    }


def at_targets(points: Mapping[str, Sequence[Point]]) -> list[Result]:
    """Return the R50 that each family reaches at each of `TARGETS`."""
    results = []
    for family, members in points.items():
        for target in TARGETS:
            # A divergence that may be 0 is known to be small, and not to be as small as asked.
            known = [member for member in members if _reaches(member, target) is not None]
            best = rejection_at(known, target) if known else None
            if best is not None:
                quantity = f"R50 at 1/JSD >= {target:g}"
                results.append(Result(family, quantity, best.value, best.error))
    return results


def _reaches(point: Point, target: float) -> bool | None:
    """Return whether a member has 1 / JSD of at least `target`, None if a limit leaves it open."""
    sculpted = inverse(point[1])
    if sculpted.lower_limit and sculpted.value < target:
        return None
    return sculpted.value >= target


def representatives(points: Mapping[str, Sequence[Point]], families: Families) -> dict[str, str]:
    """Return of each family the member of highest rejection with 1 / JSD >= 100, or the nearest."""
    shown = {}
    for family, names in families.items():
        members = list(zip(points[family], names, strict=True))
        reached = [member for member in members if _reaches(member[0], TARGETS[1])]
        best = (
            max(reached, key=lambda member: member[0][0].value)
            if reached
            else min(members, key=lambda member: member[0][1].value)
        )
        shown[family] = best[1]
    return shown


def add_frontier(
    report: Report,
    results: Sequence[Result],
    points: Mapping[str, Sequence[Point]],
    published: Mapping[str, Sequence[tuple[float, float]]],
) -> None:
    """Add rejection against sculpting, what each family reaches at the targets, and all quantities.

    `published` are (R50, 1 / JSD) of other jets.
    """
    report.add_figure(
        plots.frontier(
            {
                family: [(rejection, inverse(divergence)) for rejection, divergence in members]
                for family, members in points.items()
            },
            published=published,
        ),
        "1 / JSD (disco) against R50: up and to the right is better, arrows are lower limits. The"
        " published points are of other jets.",
        wide=True,
    )
    reached = at_targets(points)
    if reached:
        order = next((r.quantity for r in reached if r.quantity == AT_100), "")
        report.add_results(
            reached,
            "R50 that each method reaches at 1 / JSD (disco) of 30, 100 and 300; empty where no"
            " strength is known to. Errors are those of the points that are interpolated between.",
            best={result.quantity: "higher" for result in reached},
            order=order,
        )
    report.add_results(
        results,
        f"Test jets, at a signal efficiency of 50%: mean over seeds ± spread over seeds ± counting."
        f" “disco” and “mode” are two definitions of JSD. Fake bumps: the share of background"
        f" searches with a global p-value below {LEVEL:.0%}.",
    )


def add_mass(
    report: Report,
    mass: Floats,
    judged: Judgements,
    shown: Mapping[str, str],
    families: Sequence[str],
) -> None:
    """Add the masses of background (B,) before and after the cut, and its efficiency by mass.

    `shown` names the member that stands for a family; the masses are of some `families`.
    """
    report.add_heading("The background's mass")
    samples = {"before the cut": mass}
    samples |= {
        shown[family]: mass[judged[shown[family]][0].passed]
        for family in families
        if family in shown
    }
    edges = np.arange(50.0, 251.0, 10.0)
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
        plots.efficiencies(curves, wide),
        "The background's efficiency by mass over that of all masses, of each method's member of"
        " highest rejection beyond 1 / JSD = 100, or of the one that comes nearest; seed 0.",
        wide=True,
    )


def add_searches(
    report: Report,
    mass: Floats,
    judged: Judgements,
    test: FakeBumps,
    shown: Sequence[str],
    unconstrained: str,
) -> None:
    """Add how often searches in background (B,) claim a bump, and one search of each in `shown`.

    Beside the members stand searches in background that was kept by chance, with as many jets as
    the tagger called `unconstrained` keeps.
    """
    random = np.random.default_rng(0)
    spectra = {name: test.spectra(mass, each[0].passed, 0) for name, each in judged.items()}
    share = float(np.mean(judged[unconstrained][0].passed))
    spectra["by chance"] = test.spectra(mass, random.random(len(mass)) < share, 0)
    hunt = test.hunt(mass)
    p_values = {
        **{name: np.concatenate([one.p_values for one in each]) for name, each in judged.items()},
        "by chance": hunt.global_p(spectra["by chance"]),
    }
    report.add_table(
        ["jets kept", "jets in a search", f"share with p < {LEVEL:g}", "median p"],
        [
            [
                name,
                round(float(spectra[name].sum(1).mean())),
                false_positives(p, LEVEL),
                float(np.median(p)),
            ]
            for name, p in p_values.items()
        ],
        f"{test.experiments} searches a seed; “by chance” keeps jets by a random number.",
    )
    for name in shown:
        search = hunt.fit_histogram(spectra[name][0])
        report.add_figure(
            bump(search.counts_, search.edges_, search.bump_, name),
            f"One search of the background that {name} keeps: the largest excess.",
        )
