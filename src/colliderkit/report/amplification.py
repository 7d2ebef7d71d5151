"""Plots of statistical amplification: quantile errors of generated events, and their densities."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from colliderkit.metrics.quantiles import expected_error
from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["densities", "quantile_errors"]

Floats = NDArray[np.float64]
TRUTH = COLOURS[3]
PALETTE = tuple(COLOURS[i] for i in (1, 0, 4, 2, 9, 5, 7, 8))
FEW = 10_000  # events, below which histograms have wide bins


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each density that is not a sample, in their order."""
    return dict(zip(names, PALETTE, strict=False))


@drawn
def quantile_errors(
    sizes: NDArray[np.int64],
    errors: Mapping[str, Floats],
    sample: float,
    count: int,
    quantiles: int,
) -> Figure:
    """Draw the mean quantile error of the first n generated events against n.

    `errors` (R, S) of each density, by repetition and by the S `sizes` n; bands are errors of the
    mean. `sample` is the error of the training sample of `count` events. The axis on the right
    says how many events of the truth an error is worth.
    """
    figure = Figure()
    axes = figure.subplots()
    axes.plot(sizes, [expected_error(int(n), quantiles) for n in sizes], color=TRUTH)
    axes.plot([], [], color=TRUTH, label="truth")
    axes.axhline(sample, color="k", linestyle=":", label=f"sample of {count}")
    colour = colours(list(errors))
    for name, table in errors.items():
        mean = table.mean(0)
        error = table.std(0, ddof=1) / len(table) ** 0.5 if len(table) > 1 else 0 * mean
        axes.plot(sizes, mean, color=colour[name], label=name)
        axes.fill_between(
            sizes, mean - error, mean + error, color=colour[name], alpha=0.25, linewidth=0
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(sizes[0], sizes[-1])
    low = min(float(table.mean(0)[-1]) for table in errors.values())
    axes.set_ylim(0.8 * min(low, sample), None)
    axes.set_xlabel("Generated events")
    axes.set_ylabel("Quantile error")
    worth = axes.secondary_yaxis(
        "right",
        functions=(
            lambda e: expected_error(1, quantiles) / np.maximum(e, 1e-12),
            lambda n: expected_error(1, quantiles) / np.maximum(n, 1e-12),
        ),
    )
    worth.set_ylabel("Equivalent events")
    worth.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    worth.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    worth.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", right=False)
    legend(figure, axes)
    return figure


@drawn
def densities(x: Floats, truth: Floats, sample: Floats, generated: Mapping[str, Floats]) -> Figure:
    """Draw the true density at points x (K,), and histograms of a sample and what is made of it.

    Each of `generated` (N,) has the colour that `quantile_errors` gives it, in the same order.
    """
    figure = Figure()
    axes = figure.subplots()
    axes.fill_between(x, truth, color=TRUTH, alpha=0.3, linewidth=0, label="truth")
    looks: dict[str, dict[str, Any]] = {"sample": {"color": "k", "linestyle": ":"}}
    looks |= {name: {"color": c, "linestyle": "-"} for name, c in colours([*generated]).items()}
    for name, values in {"sample": sample, **generated}.items():
        few = len(values) < FEW
        edges = np.linspace(x[0], x[-1], 33 if few else 129)
        height = np.histogram(values, edges)[0] / len(values) / (edges[1] - edges[0])
        axes.stairs(height, edges, label=name, linewidth=1.6 if few else 2.2, **looks[name])
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("x")
    axes.set_ylabel("Density")
    legend(figure)
    return figure
