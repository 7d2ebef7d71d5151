"""The page of a search without a model: spectra, p-values, limits, and the gain by labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.binning import inside
from colliderkit.methods.search.resonant.limits import Limits, upper_limit
from colliderkit.methods.search.resonant.scan import WindowScan
from colliderkit.methods.search.resonant.search import ResonantSearch
from colliderkit.methods.search.spectrum import Excess, excess
from colliderkit.metrics.significance import improvement
from colliderkit.metrics.value import Value, number
from colliderkit.report.html import Report
from colliderkit.report.observables import axis_label, unit_of
from colliderkit.report.plots import COLOURS, drawn, legend
from colliderkit.report.search import local_p_values
from colliderkit.report.significance import improvement_curves
from colliderkit.report.verdict import Claim, Line

__all__ = [
    "Finding",
    "add_bounds",
    "add_limits",
    "add_scan",
    "add_search",
    "finding_of",
    "injection_limits",
    "least_p_values",
    "spectra",
]

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]
THREE_SIGMA = 0.00135
HARSH = (1.0, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)  # efficiencies of the cuts in the table
BAD_FIT = 0.01  # goodness below which a page says so


@dataclass(frozen=True)
class Finding:
    """What a search found: a `summary` in a sentence, the `claim` of a resonance, and `lines`."""

    summary: str
    claim: Claim
    lines: list[Line] = field(default_factory=list)


def finding_of(search: ResonantSearch, scan: WindowScan | None = None) -> Finding:
    """Say what is in excess in the window of a search, and of a scan the global p-value."""
    one, before = search.excess_, search.before_
    low, high = one.region
    summary = (
        f"Between {low:g} and {high:g} {one.observed:g} events pass the cut where"
        f" {number(one.expected)} ± {number(one.uncertainty, 2)} are expected: local p-value"
        f" {one.local_p:.2g} ({one.significance:.2f} standard deviations;"
        f" {before.significance:.2f} before the cut)"
    )
    text = "There is a resonance: the {} is below that of 3 standard deviations"
    if scan is None:
        p, kind = Value(one.local_p, 0.0), "p-value of this one window"
        summary += "; if this one window was chosen before, it is the global one."
    elif scan.global_p_ is None:
        p, kind = Value(scan.bound_, 0.0), "largest possible global p-value"
        summary += (
            f"; the global one is at most {scan.bound_:.2g} with {len(scan.windows_)} windows."
        )
    else:
        found = scan.global_p_
        p, kind = found.value, "global p-value"
        summary += (
            f"; global p-value {found.value.value:.2g} from {found.searches} whole searches"
            f" repeated without a bump ({found.trials} independent windows)."
        )
    lines = [
        Line(
            "alarm",
            f"The function does not hold the spectrum {what} the cut beside {low:g} to {high:g}:"
            f" p-value {fit.goodness:.2g} of its χ²; a p-value from it is not to be trusted.",
        )
        for what, fit in (("before", before), ("after", one))
        if fit.goodness < BAD_FIT
    ]
    bound = Value(THREE_SIGMA, 0.0)
    return Finding(summary, Claim(text.format(kind), p, "below", bound), lines)


def add_search(page: Report, search: ResonantSearch, events: Columns, label: str) -> None:
    """Add the spectra before and after the cut, what harsher cuts leave, and the fits.

    `events` has `mass` (N,) of the events of the fit and, if they have any, their `weight`.
    """
    one, before = search.excess_, search.before_
    page.add_heading("Spectrum")
    page.add_figure(
        spectra(before, one, label),
        f"All events, and the {search.efficiency:.3g} of them that pass in each fold. Lines are"
        f" fits outside of the shaded window after the cut with {one.order} parameters beside the"
        " norm; below, the pulls after the cut.",
        wide=True,
    )
    page.add_definitions(
        "Each event is judged by classifiers that have not seen it, and the cut is that of its"
        " fold. The significance is that of a Poisson count with the uncertainty of the fit (Li"
        " and Ma). The goodness is the p-value of the χ² of the fit beside the window, neighbouring"
        " bins merged up to 5 expected events. The spurious signal is what the function finds in"
        " the window of spectra without any, of other functions that fit the same sidebands; it is"
        " quoted, and not part of the p-value."
    )
    page.add_table(
        ["share that passes", "observed", "expected", "significance", "local p", "goodness",
         "spurious signal", "signal, 95% limit"],
        [row for share in _shares(search.efficiency) if (row := _cut(search, events, share))],
        "Spectra behind other cuts of the same scores. The cut of the search was chosen before;"
        " the best of these rows is not a result. The limit is on signal events behind the cut,"
        " by CLs, whatever the signal.",
    )  # fmt: skip


def add_scan(page: Report, scan: WindowScan, label: str) -> None:
    """Add the local p-value of each window, and where the global one comes from."""
    page.add_heading("Windows")
    found = scan.global_p_
    least = scan.bound_ if found is None else found.value.value
    if len(scan.windows_) > 1:
        page.add_figure(
            local_p_values(scan.windows_, scan.local_p_, least, label),
            "Local p-value of every window, each trained for itself; the dotted line is the global"
            f" p-value of the least{'' if found else ', at most'}.",
            wide=True,
        )
    if found is not None:
        page.add_figure(
            least_p_values(scan.null_.min(1), scan.local_p_.min(), found.trials.value),
            f"Least local p-values of {found.searches} whole searches, training included, on data"
            " sets without a bump that are made of the data, and of the data.",
        )
    rows: list[list[Any]] = [["largest possible, by the number of windows", scan.bound_]]
    if found is not None:
        rows = [
            [f"counted among {found.searches} repeated searches", found.counted],
            [f"extrapolated by {found.trials} independent windows", found.value],
            *rows,
        ]
    rows.append(
        ["cross-check: toys of the spectrum after the cut, not trained again", scan.toys_p_]
    )
    page.add_table(["global p-value", ""], rows, "The global p-value of the least local one.")
    page.add_table(
        ["window", "observed", "expected", "significance", "local p", "before the cut", "goodness"],
        [
            [
                f"{one.region[0]:g} to {one.region[1]:g}",
                one.observed,
                Value(one.expected, one.uncertainty),
                one.significance,
                one.local_p,
                before.significance,
                one.goodness,
            ]
            for one, before in zip(scan.excesses_, scan.before_, strict=True)
        ],
        "All windows; “before the cut” is the significance of all events in the window.",
    )


def add_limits(page: Report, limits: Limits) -> None:
    """Add the limits on a signal that was injected."""
    page.add_heading("Limits")
    # Where all strengths are excluded the limit is not between two of them.
    least = limits.injections[0].strength
    said = [
        f"{name} {'at most ' * (value <= least)}{number(value)} signal events"
        if value is not None
        else f"{name} none"
        for name, value in (("observed", limits.limit), ("expected", limits.expected))
    ]
    page.add_figure(
        injection_limits(limits),
        f"Signal events behind the cut against those injected, each search trained anew, and what"
        f" is excluded at {100 * limits.level:g}%: limits {' and '.join(said)}.",
        wide=True,
    )
    page.add_table(
        ["injected", "efficiency", "observed in the data", "expected", "limit behind the cut",
         "expected limit"],
        [
            [one.strength, Value(one.efficiency, one.error), one.observed,
             Value(one.expected, one.uncertainty), one.upper, one.upper_expected]
            for one in limits.injections
        ],
        "A strength is excluded where its events behind the cut are more than the limit (CLs); a"
        " limit is the strength from which on all are.",
    )  # fmt: skip


def add_bounds(page: Report, search: ResonantSearch, events: Columns) -> None:
    """Add the gain in significance that labels tell, beside the bounds.

    `events` has `label` and `score` (N,) and, if they could be trained, `supervised` and
    `idealised`, the scores of the bounds.
    """
    window = inside(events["mass"], search.excess_.region)
    label = events["label"][window]
    names = {search.name: "score"} | {n: n for n in ("supervised", "idealised") if n in events}
    try:
        curves = {
            name: improvement(events[column][window], label) for name, column in names.items()
        }
    except InputError as error:
        page.findings.append(Line("alarm", f"No gain is told by the labels: {error}"))
        return
    page.add_heading("By the labels")
    page.add_figure(
        improvement_curves({name: [one] for name, one in curves.items()}, bounds=list(names)[1:]),
        "Significance improvement ε_S/√ε_B against signal efficiency, in the window; the band is"
        f" the counting error of this one training, and no cut counts that keeps fewer than"
        f" {next(iter(curves.values())).floor:g} background events.",
        wide=True,
    )
    page.add_table(
        ["", "largest improvement"],
        [[name, curve.largest] for name, curve in curves.items()],
        f"{int(label.sum())} signal and {int((1 - label).sum())} background events in the window."
        " The supervised bound knows the labels of what it is trained on, the idealised one has a"
        " template of the background without error, of half of the events.",
    )


def _shares(own: float) -> list[float]:
    """Return efficiencies for the table, that of the search among them, falling."""
    return sorted({*HARSH, own}, reverse=True)


def _cut(search: ResonantSearch, events: Columns, share: float) -> list[Any] | None:
    """Return the row of a cut, None where nothing can be fitted behind it."""
    weight = events.get("weight")
    passed = search.select(share, weight=weight)
    try:
        one = excess(
            events["mass"][passed],
            region=search.signal_region,
            edges=search.excess_.edges,
            family=search.family,
            orders=search.orders,
            weight=None if weight is None else weight[passed],
        )
    except InputError:
        return None
    limit = upper_limit(one.observed, one.expected, one.uncertainty)
    expected = Value(one.expected, one.uncertainty)
    return [f"{share:.3g}", one.observed, expected, one.significance, one.local_p, one.goodness,
            one.spurious, limit]  # fmt: skip


@drawn
def spectra(before: Excess, after: Excess, label: str) -> Figure:
    """Draw the spectra before and after a cut with their fits, the window, and pulls after it."""
    figure = Figure(figsize=(12.0, 8.5))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    label = axis_label(label)
    unit = f" {unit_of(label)}".rstrip()
    step = float(np.median(np.diff(after.edges)))
    for one, what, colour in ((before, "all", COLOURS[3]), (after, "behind the cut", "k")):
        width = np.diff(one.edges) / step
        middle = (one.edges[1:] + one.edges[:-1]) / 2
        seen = one.counts > 0
        top.errorbar(
            middle[seen],
            (one.counts / width)[seen],
            (np.sqrt(one.counts) / width)[seen],
            fmt="o",
            color=colour,
            markersize=4,
            elinewidth=1.2,
            label=what,
        )
        colour = COLOURS[0] if one is after else COLOURS[8]
        top.stairs(
            one.background / width,
            one.edges,
            baseline=None,
            color=colour,
            linewidth=2.2,
            label=f"fit beside the window, {what}",
        )
    pulls = (after.counts - after.background) / np.sqrt(np.maximum(after.background, 1e-9))
    known = after.background > 0.5
    bottom.stairs(np.where(known, pulls, 0.0), after.edges, color=COLOURS[0], fill=True, alpha=0.6)
    bottom.axhline(0, color="k", linewidth=1.0)
    for axes in (top, bottom):
        axes.axvspan(*after.region, color=COLOURS[1], alpha=0.2, linewidth=0)
    top.set_yscale("log")
    top.set_ylim(0.3, 3 * (before.counts / np.diff(before.edges) * step).max())
    top.set_xlim(after.edges[0], after.edges[-1])
    top.set_title(
        f"{after.region[0]:g}-{after.region[1]:g}{unit}: {after.observed:g} events,"
        f" {after.expected:.1f} $\\pm$ {after.uncertainty:.1f} expected,"
        f" local {after.significance:.1f}$\\sigma$"
        f" (before the cut {before.significance:.1f}$\\sigma$)",
        loc="left",
        fontsize=15,
    )
    legend(figure, top)
    top.set_ylabel(f"Events / {step:.3g}{unit}")
    bottom.set_ylabel("Pull", loc="center")
    bottom.set_xlabel(label)
    return figure


@drawn
def least_p_values(null: Floats, least: float, trials: float) -> Figure:
    """Draw the share of repeated searches with a least p-value (K,) below, and that of the data."""
    figure = Figure()
    axes = figure.subplots()
    p = np.sort(null)
    share = np.arange(1, len(p) + 1) / len(p)
    axes.step(p, share, where="post", color=COLOURS[0], linewidth=2.2, label="repeated searches")
    fine = np.geomspace(min(p[0], 1e-3) / 3, 1, 300)
    axes.plot(
        fine, 1 - (1 - fine) ** trials, color=COLOURS[1], linestyle="--",
        label=f"{trials:.3g} independent windows",
    )  # fmt: skip
    if least >= fine[0]:
        axes.axvline(least, color="k", linewidth=1.6, label="data")
    else:
        axes.axvline(fine[0], color="k", linestyle=":", label=f"data: {least:.1e}, further left")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(fine[0], 1)
    axes.set_ylim(0.3 / len(p), 1.5)
    axes.set_xlabel("Least local p-value")
    axes.set_ylabel("Share of searches below")
    legend(figure)
    return figure


@drawn
def injection_limits(limits: Limits) -> Figure:
    """Draw signal behind the cut against what was injected, and what is excluded of it."""
    figure = Figure(figsize=(12.0, 7.2))
    axes = figure.subplots()
    found = limits.injections
    strength = np.array([one.strength for one in found], dtype=np.float64)
    behind = strength * np.array([one.efficiency for one in found])
    error = strength * np.array([one.error for one in found])
    axes.errorbar(
        strength, behind, error, color="k", marker="o", label="signal behind the cut", capsize=3
    )
    for name, line, values in (
        ("observed limit", "-", [one.upper for one in found]),
        ("expected limit", "--", [one.upper_expected for one in found]),
    ):
        axes.plot(strength, values, line, marker="s", color=COLOURS[1], label=name)
    for value, line in ((limits.limit, "-"), (limits.expected, "--")):
        if value is not None:
            axes.axvline(value, color=COLOURS[0], linestyle=line, linewidth=1.4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("Signal events injected")
    axes.set_ylabel("Signal events behind the cut")
    legend(figure)
    return figure
