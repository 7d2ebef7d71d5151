"""Plots and figures of controllers: how fast a machine is tuned, settings and rates over time."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.metrics.value import Value, bootstrap
from colliderkit.report.plots import drawn, legend, styles

__all__ = ["convergence", "over_fill", "quantile", "settings_over_time"]

Floats = NDArray[np.float64]


def quantile(values: ArrayLike, share: float) -> Value:
    """Return a quantile of trials (B,), with its error over resampled trials."""
    return bootstrap(lambda x: float(np.quantile(x, share)), np.asarray(values, dtype=np.float64))


@drawn
def convergence(errors: Mapping[str, ArrayLike], label: str) -> Figure:
    """Draw the error after each measurement, {name: (T, B)}: median, and 16 to 84% of the trials.

    `label` is that of the axis, with its unit.
    """
    figure = Figure(figsize=(11, 7.6))
    axes = figure.subplots()
    look = styles(list(errors))
    for name, each in errors.items():
        low, middle, high = np.quantile(np.asarray(each), [0.16, 0.5, 0.84], axis=1)
        number = np.arange(1, len(middle) + 1)
        axes.fill_between(number, low, high, color=look[name]["color"], alpha=0.13, linewidth=0)
        axes.plot(number, middle, linewidth=2.4, label=name, **look[name])
    axes.set_yscale("log")
    axes.set_xlim(1, None)
    axes.set_xlabel("Measurements")
    axes.set_ylabel(label)
    legend(figure, axes)
    return figure


@drawn
def settings_over_time(
    settings: Mapping[str, ArrayLike],
    names: Sequence[str],
    units: Sequence[str],
    limits: Sequence[tuple[float, float]],
    along: str = "Measurement",
) -> Figure:
    """Draw the settings of one trial, {controller: (T, S)}, a panel each, and their limits."""
    figure = Figure(figsize=(11, max(1.75 * len(names) + 1.2, 5.0)))
    panels = np.atleast_1d(figure.subplots(len(names), 1, sharex=True))
    look = styles(list(settings))
    for i, (axes, name, unit) in enumerate(zip(panels, names, units, strict=True)):
        for controller, values in settings.items():
            y = np.asarray(values)[:, i]
            axes.step(
                np.arange(1, len(y) + 1), y, where="mid", label=controller, **look[controller]
            )
        for end in limits[i]:
            axes.axhline(end, color="0.4", linestyle="--", linewidth=1.2)
        axes.set_ylabel(f"{name} [{unit}]" if unit else name, fontsize=14, loc="center")
        axes.margins(x=0)
    panels[-1].set_xlabel(along)
    figure.align_ylabels()
    legend(figure, panels[0])
    return figure


@drawn
def over_fill(
    rates: Mapping[str, ArrayLike], budget: float, values: Mapping[str, ArrayLike], along: str
) -> Figure:
    """Draw total rate (T,) [Hz] with the budget, and value (T,), of controllers over a fill."""
    figure = Figure(figsize=(11, 9))
    top, bottom = figure.subplots(2, 1, sharex=True)
    look = styles(list(values))
    for name, rate in rates.items():
        y = np.asarray(rate)
        top.step(np.arange(len(y)), y, where="mid", label=name, **look[name])
    top.axhline(budget, color="k", linestyle="--", linewidth=1.4, label="budget")
    top.set_ylabel("Rate [Hz]")
    for name, value in values.items():
        y = np.asarray(value)
        bottom.step(np.arange(len(y)), y, where="mid", label=name, **look[name])
    bottom.set_ylabel("Value of a section")
    bottom.set_xlabel(along)
    bottom.margins(x=0)
    legend(figure, top, bottom)
    return figure
