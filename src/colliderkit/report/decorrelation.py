"""Plots of decorrelation: the frontier, the background's efficiency by mass."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.metrics.value import Value
from colliderkit.report.observables import axis_label
from colliderkit.report.plots import LINES, drawn, legend, styles

__all__ = ["efficiencies", "frontier"]

Floats = NDArray[np.float64]
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h", "<", ">")
MEMBER = re.compile(r", (strength|at most) [^,]*$")


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each method: that of its family, whatever its strength."""
    families = {name: MEMBER.sub("", name) for name in names}
    looks = styles(list(dict.fromkeys(families.values())))
    return {name: looks[family]["color"] for name, family in families.items()}


@drawn
def frontier(
    methods: Mapping[str, Sequence[tuple[Value, Value]]],
    *,
    published: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    target: float = 100.0,
) -> Figure:
    """Draw 1 / JSD against background rejection, (rejection, 1 / JSD) of each method and strength.

    Points of one method are joined, a lower limit of 1 / JSD has an arrow; `published` points are
    black and open; a line marks `target`.
    """
    figure = Figure(figsize=(16.4, 7.6))
    axes = figure.subplots()
    shades = colours(list(methods))
    for number, (name, members) in enumerate(methods.items()):
        points = sorted(members, key=lambda point: point[0].value)
        colour = shades[name]
        limits = [point[1].lower_limit for point in points]
        axes.errorbar(
            [point[0].value for point in points],
            [point[1].value for point in points],
            [
                0.4 * point[1].value if limit else point[1].error
                for point, limit in zip(points, limits, strict=True)
            ],
            [point[0].error for point in points],
            lolims=limits,
            fmt=MARKERS[number % len(MARKERS)],
            linestyle="-" if len(points) > 1 else "none",
            linewidth=1.6,
            markersize=9,
            elinewidth=1.4,
            color=colour,
            markeredgecolor="white",
            label=name,
        )
    for (name, pairs), marker in zip((published or {}).items(), ("o", "s", "^"), strict=False):
        axes.plot(
            [pair[0] for pair in pairs],
            [pair[1] for pair in pairs],
            marker,
            linestyle=":",
            linewidth=1.2,
            color="k",
            markerfacecolor="white",
            markersize=9,
            label=name,
        )
    axes.axhline(target, color="k", linewidth=1.0, linestyle="--")
    axes.set_yscale("log")
    axes.set_xlabel(r"Background rejection at $\varepsilon_S = 50\%$, $R_{50}$")
    axes.set_ylabel("1 / JSD")
    legend(figure)
    return figure


@drawn
def efficiencies(
    curves: Mapping[str, tuple[Floats, Floats]],
    edges: ArrayLike,
    quantity: str = "Jet mass [GeV]",
) -> Figure:
    """Draw the background's efficiency by mass over that of all masses, {method: (K,), (K,)}.

    The second array of a method holds the errors. At 1 throughout nothing is sculpted; a bump here
    is one in the background that passes, a straight line is none.
    """
    figure = Figure(figsize=(16.4, 6.6))
    axes = figure.subplots()
    borders = np.asarray(edges, dtype=np.float64)
    middle, width = (borders[1:] + borders[:-1]) / 2, np.diff(borders)
    axes.axhline(1, color="k", linewidth=1.2, linestyle="--")
    shades = colours(list(curves))
    for number, (name, (share, error)) in enumerate(curves.items()):
        # Beside each other within a bin, so that all bars can be seen.
        shift = (number + 0.5) / len(curves) - 0.5
        axes.errorbar(
            middle + 0.5 * shift * width,
            share,
            error,
            fmt=MARKERS[number % len(MARKERS)],
            linestyle=LINES[list(shades.values())[:number].count(shades[name]) % len(LINES)],
            linewidth=1.4,
            markersize=7,
            elinewidth=1.4,
            color=shades[name],
            markeredgecolor="white",
            label=name,
        )
    axes.set_xlim(borders[0], borders[-1])
    axes.set_ylim(0, None)
    axes.set_xlabel(axis_label(quantity))
    axes.set_ylabel(r"$\varepsilon_B(m)$ / $\varepsilon_B$")
    legend(figure)
    return figure
