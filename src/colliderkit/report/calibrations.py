"""Sections of a page that compares calibrations: closure, resolution and residuals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.metrics.response import (
    Profile,
    Statistic,
    profile,
    resolution_ratio,
    response_trends,
)
from colliderkit.report.calibration import residuals, resolutions, responses
from colliderkit.report.html import Report
from colliderkit.report.results import Result

__all__ = ["Calibrations", "add_calibrations"]

Floats = NDArray[np.float64]
STATISTICS: tuple[Statistic, ...] = ("median", "mode")


@dataclass(frozen=True)
class Calibrations:
    """What several calibrations of one quantity say of N events.

    - `title` and `label` of the quantity, and `edges` of the bins of its truth;
    - `truth` (N,), and `features` (N,) by name;
    - `weights` (N,) by prior: the distributions of the truth that are fitted and judged;
    - `responses`: estimate / truth (N,) of each calibration under each prior, one a seed.
    """

    title: str
    label: str
    edges: Sequence[float]
    truth: Floats
    features: Mapping[str, Floats]
    weights: Mapping[str, Floats]
    responses: Mapping[tuple[str, str], Sequence[Floats]]

    @property
    def names(self) -> list[str]:
        """The calibrations."""
        return list(dict.fromkeys(name for name, _ in self.responses))

    def profiles(self, name: str, prior: str, statistic: Statistic = "median") -> list[Profile]:
        """Return the response in bins of the truth, for each seed."""
        return [
            profile(
                response,
                self.truth,
                self.edges,
                weight=self.weights[prior],
                statistic=statistic,
            )
            for response in self.responses[name, prior]
        ]

    def trends(self, name: str, prior: str) -> list[dict[str, Profile]]:
        """Return the response in bins of each feature, for each seed.

        In bins of the truth a prior hardly enters; here all events of the bins count alike.
        """
        inside = (self.truth >= self.edges[0]) & (self.truth <= self.edges[-1])
        features = {feature: column[inside] for feature, column in self.features.items()}
        return [response_trends(r[inside], features) for r in self.responses[name, prior]]


def add_calibrations(
    report: Report,
    calibrations: Calibrations,
    *,
    reference: str,
    raw: str,
    prior: str,
    shown: Sequence[str],
) -> None:
    """Add closure under all priors, and resolution and residuals under `prior`.

    Resolutions are over those of the calibration `reference`; `raw` is what is not calibrated, and
    has none. Residuals are drawn for the calibrations `shown`.
    """
    _add_closure(report, calibrations)
    _add_resolution(report, calibrations, reference, raw, prior)
    _add_residuals(report, calibrations, reference, prior, shown)


def _add_closure(report: Report, calibrations: Calibrations) -> None:
    title = calibrations.title
    report.add_heading(f"Closure of the {title}")
    results, plots = [], []
    for statistic in STATISTICS:
        curves: dict[str, dict[str, Profile]] = {}
        for name, prior in calibrations.responses:
            each = calibrations.profiles(name, prior, statistic)
            quantity = f"{title}, non-closure, {prior} prior, {statistic}"
            values = [curve.largest().percent for curve in each]
            results.append(Result.over_seeds(name, quantity, values, unit="%"))
            curves.setdefault(name, {})[prior] = each[0]
        plots.append(responses(curves, calibrations.label, calibrations.edges))
    for statistic, plot in zip(STATISTICS, plots, strict=True):
        report.add_figure(
            plot,
            f"Response of the {title} in the {statistic}, fitted and judged under"
            f" {len(calibrations.weights)} priors; the band is 1%, an arrow a point beyond. Seed"
            " 0.",
            wide=True,
        )
    report.add_results(
        results,
        "Largest |response - 1| of all bins, with the error of that bin, in percent.",
        best={result.quantity: "lower" for result in results},
    )


def _add_resolution(
    report: Report, calibrations: Calibrations, reference: str, raw: str, prior: str
) -> None:
    title = calibrations.title
    report.add_heading(f"Resolution of the {title}")
    results = []
    for name, each_prior in calibrations.responses:
        if name not in (raw, reference):
            (base,) = calibrations.responses[reference, each_prior]
            values = [
                resolution_ratio(response, base, calibrations.truth, calibrations.edges)
                for response in calibrations.responses[name, each_prior]
            ]
            quantity = f"{title}, resolution ratio, {each_prior} prior"
            results.append(Result.over_seeds(name, quantity, values))
    curves = {n: calibrations.profiles(n, prior)[0] for n in calibrations.names if n != raw}
    report.add_figure(
        resolutions(curves, reference, calibrations.label, calibrations.edges),
        f"Relative resolution of the {title}, half of the central 68% over the median, {prior}"
        " prior: lower is better where the response closes.",
    )
    report.add_results(
        results,
        f"Relative resolution over that of {reference}, averaged over the bins of the truth."
        " Estimates that depend on the prior are drawn towards it, and scatter less by that.",
        best={result.quantity: "lower" for result in results},
    )


def _add_residuals(
    report: Report,
    calibrations: Calibrations,
    reference: str,
    prior: str,
    shown: Sequence[str],
) -> None:
    title, features = calibrations.title, list(calibrations.features)
    report.add_heading(f"Residuals of the {title}")
    trends = {name: calibrations.trends(name, prior) for name in calibrations.names}
    results = [
        Result.over_seeds(
            name,
            f"{title}, residual, {feature}",
            [trend[feature].largest().percent for trend in each],
            unit="%",
        )
        for name, each in trends.items()
        for feature in features
    ]
    report.add_figure(
        residuals({f: {name: trends[name][0][f] for name in shown} for f in features}),
        f"Response of the {title} along each feature, before ({reference} knows none of them) and"
        " after; the band is 1%.",
        wide=True,
    )
    report.add_results(
        results,
        "Largest residual along each feature, with the error of that bin, in percent.",
        best={result.quantity: "lower" for result in results},
    )
