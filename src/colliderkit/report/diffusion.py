"""Plots of diffusion: quality against the calls of the network that a sample takes."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from colliderkit.metrics.value import Value
from colliderkit.report.plots import MARKERS, drawn, legend, styles

__all__ = ["quality_by_calls"]

# (calls of the network, figure)
Points = Sequence[tuple[int, Value]]


@drawn
def quality_by_calls(
    points: Mapping[str, Points], floor: Value, label: str, *, logarithmic: bool = False
) -> Figure:
    """Draw a figure of merit of each sampler against its calls, above the band of the floor."""
    figure = Figure(figsize=(8, 6.4))
    axes = figure.subplots()
    looks = styles(list(points))
    for i, (name, line) in enumerate(points.items()):
        calls, values = zip(*line, strict=True)
        axes.errorbar(
            calls,
            [v.value for v in values],
            yerr=[v.error for v in values],
            color=looks[name]["color"],
            marker=MARKERS[i % len(MARKERS)],
            capsize=3,
            label=name,
        )
    low, high = floor.value - floor.error, floor.value + floor.error
    axes.axhspan(low, high, color="0.8", zorder=0, label="Geant4 again")
    axes.set_xscale("log")
    every = [calls for line in points.values() for calls, _ in line]
    axes.set_xlim(min(every) / 1.6, max(every) * 1.6)
    axes.set_xticks(sorted(set(every)), [str(calls) for calls in sorted(set(every))])
    axes.xaxis.set_minor_locator(NullLocator())
    if logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel("Calls of the network a shower")
    axes.set_ylabel(label)
    legend(figure)
    return figure
