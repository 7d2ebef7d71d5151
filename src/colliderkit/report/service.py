"""Plots of an inference service: throughput, latency and CPU time against clients."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from colliderkit.metrics.value import Value
from colliderkit.report.plots import COLOURS, MARKERS, drawn, legend

__all__ = ["against_clients", "loop_times"]

# (clients, figure)
Points = Sequence[tuple[int, Value]]


@drawn
def against_clients(
    series: Mapping[str, Points], label: str, *, limit: float | None = None
) -> Figure:
    """Draw a figure of merit of several series against the number of clients, both logarithmic.

    Dashed lines belong to names that say "not batched"; `limit` is a bound that is drawn.
    """
    figure = Figure(figsize=(8, 6.4))
    axes = figure.subplots()
    models = list(dict.fromkeys(name.partition(",")[0] for name in series))
    for name, points in series.items():
        place = models.index(name.partition(",")[0])
        clients, values = zip(*points, strict=True)
        axes.errorbar(
            clients,
            [v.value for v in values],
            yerr=[v.error for v in values],
            color=COLOURS[place % len(COLOURS)],
            marker=MARKERS[place % len(MARKERS)],
            linestyle="--" if "not batched" in name else "-",
            markerfacecolor="none" if "not batched" in name else None,
            capsize=3,
            label=name,
        )
    if limit is not None:
        axes.axhline(limit, color="k", linestyle=":", linewidth=1.4, label="bound")
    every = sorted({clients for points in series.values() for clients, _ in points})
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(every[0] / 1.6, every[-1] * 1.6)
    axes.set_xticks(every, [str(clients) for clients in every])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Clients, each with one request at a time")
    axes.set_ylabel(label)
    legend(figure)
    return figure


@drawn
def loop_times(loops: Mapping[str, Value], bare: Value) -> Figure:
    """Draw the time of an event in several event loops, beside that of a loop without inference."""
    figure = Figure(figsize=(8, 4.8))
    axes = figure.subplots()
    names = list(loops)
    for i, name in enumerate(names):
        value = loops[name]
        axes.barh(i, value.value, xerr=value.error, color=COLOURS[0], alpha=0.8, capsize=3)
    low, high = bare.value - bare.error, bare.value + bare.error
    axes.axvspan(low, high, color="0.6", alpha=0.5, linewidth=0)
    axes.axvline(bare.value, color="k", linestyle="--", linewidth=1.4, label="without inference")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Wall time of an event [ms]")
    legend(figure)
    return figure
