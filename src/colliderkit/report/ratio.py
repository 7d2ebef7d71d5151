"""Plots of learned likelihood ratios."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.metrics.closure import Agreement
from colliderkit.report.observables import axis_label
from colliderkit.report.plots import COLOURS, drawn, legend, styles

__all__ = ["closure", "ratio_curves"]

Floats = NDArray[np.float64]


@drawn
def ratio_curves(
    x: Floats, exact: Floats, learned: Mapping[str, Floats], title: str, label: str = "x"
) -> Figure:
    """Draw p1/p0 at `x` (N,): exact, and learned (repetitions, N) as mean and band of one sigma.

    The lower panel is the learned ratio over the exact one.
    """
    figure = Figure()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.4))
    looks = styles(list(learned))
    for name, values in learned.items():
        mean, spread = values.mean(0), values.std(0)
        for axes, norm in ((above, 1.0), (below, exact)):
            line = axes.plot(x, mean / norm, color=looks[name]["color"], label=name)[0]
            axes.fill_between(
                x,
                (mean - spread) / norm,
                (mean + spread) / norm,
                color=line.get_color(),
                alpha=0.25,
                linewidth=0,
            )
    above.plot(x, exact, "k--", label="exact")
    above.set_yscale("log")
    above.set_ylabel(r"$p_1 / p_0$")
    above.set_title(title, loc="left")
    legend(figure, above)
    below.axhline(1, color="black", linestyle="--", linewidth=1)
    below.set_ylim(0.8, 1.2)
    below.set_ylabel("Learned /\nexact", loc="center", fontsize=15)
    below.set_xlabel(axis_label(label))
    return figure


@drawn
def closure(found: Agreement, before: Agreement, label: str) -> Figure:
    """Draw source, reweighted source and target in bins, and the pulls after reweighting."""
    edges = np.array(found.edges)
    # The outer bins are open: they are drawn as wide as their neighbours.
    for end, inner in ((0, 1), (-1, -2)):
        if np.isinf(edges[end]):
            edges[end] = 2 * edges[inner] - edges[2 * inner - end]
    widths = np.diff(edges)
    figure = Figure()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.4))
    above.stairs(before.source / widths, edges, color=COLOURS[1], label="source")
    above.stairs(found.source / widths, edges, color=COLOURS[0], label="source, reweighted")
    centres = (edges[1:] + edges[:-1]) / 2
    above.errorbar(
        centres,
        found.target / widths,
        yerr=np.sqrt(found.error**2 / 2) / widths,
        fmt="k.",
        label="target",
    )
    above.set_ylabel("Density of events")
    above.set_ylim(bottom=0)
    above.set_title(
        rf"$\chi^2$: {before.chi2:.0f} $\to$ {found.chi2:.0f} / {found.ndf}", loc="left"
    )
    legend(figure, above)
    below.stairs(found.pulls, edges, color=COLOURS[0], fill=True, alpha=0.6)
    below.axhline(0, color="black", linewidth=1)
    reach = max(4.0, 1.1 * float(np.abs(found.pulls[np.isfinite(found.pulls)]).max(initial=0)))
    below.set_ylim(-reach, reach)
    below.set_ylabel("Pull", loc="center")
    below.set_xlabel(axis_label(label))
    below.set_xlim(edges[0], edges[-1])
    return figure
