"""Pareto fronts: two losses that cannot both be least, and where trainings come to rest."""

from collections.abc import Mapping, Sequence

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from colliderkit.metrics.value import Value
from colliderkit.report.plots import drawn, legend, styles

__all__ = ["pareto_front"]

Points = Sequence[tuple[Value, Value]]
MARKS = ("o", "s", "D", "^")


@drawn
def pareto_front(
    families: Mapping[str, Mapping[str, Points]],
    labels: tuple[str, str],
    *,
    limits: Mapping[str, float] | None = None,
    hollow: Sequence[str] = (),
) -> Figure:
    """Draw two losses (x, y) of each training against one another, with their errors.

    `families` of trainings share a marker and a colour, which gets darker; each training has a
    point a seed. `limits` by training are limits of y, drawn as dotted lines; `hollow` trainings
    have open markers. The vertical axis is linear below 1 and logarithmic above.
    """
    figure = Figure()
    axes = figure.subplots()
    sizes = (12, 9, 7, 5)  # where points lie on each other, all are seen
    looks = styles(list(families))
    for marker, size, (family, trainings) in zip(MARKS, sizes, families.items(), strict=False):
        for i, (name, points) in enumerate(trainings.items()):
            # Darker, not paler: a pale marker could hardly be seen.
            light = 1 - 0.65 * i / len(trainings)
            colour = tuple(light * part for part in to_rgb(looks[family]["color"]))
            axes.errorbar(
                [x.value for x, _ in points],
                [y.value for _, y in points],
                [y.error for _, y in points],
                [x.error for x, _ in points],
                fmt=marker,
                markersize=size,
                color=colour,
                markerfacecolor="white" if name in hollow else colour,
                capsize=0,
                label=name,
            )
            if limits is not None and name in limits:
                axes.axhline(limits[name], color=colour, linestyle=":")
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_yscale("symlog", linthresh=1.0)
    legend(figure)
    return figure
