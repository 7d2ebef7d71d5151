"""Plots of objects in images of events: a display, and efficiencies against false objects."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colliderkit.events.event_objects import KINDS, EventObjects, EventTowers
from colliderkit.report.curves import record
from colliderkit.report.plots import COLOURS, WIDTHS, drawn, legend

__all__ = ["efficiency_over_false_objects", "event_image"]

CIRCLE = np.linspace(0, 2 * np.pi, 61)
SHOWN = 0.3  # of the largest score, from which on a found object is drawn


@drawn
def event_image(
    towers: EventTowers,
    objects: Mapping[str, EventObjects],
    event: int,
    *,
    radius: float = 1.0,
    true: str = "truth",
) -> Figure:
    """Draw the towers of an event, one panel of {whose: objects}, with circles of their radius.

    The area of a tower is as its transverse energy, its colour the electromagnetic share; the
    colour of a circle is the kind, beside it stand pT and mass. Found objects are those of a score
    of 0.3 or more.
    """
    one = towers.at([event])
    figure = Figure(figsize=(WIDTHS["wide"], 7.4), layout="compressed")
    axes: Any = figure.subplots(1, len(objects), sharex=True, sharey=True, squeeze=False)[0]
    energy = one.em + one.had
    seen = energy > 0
    share = one.em[seen] / energy[seen]
    marks: Any = None
    for panel, (name, several) in zip(axes, objects.items(), strict=True):
        own = several.at([event])
        own = own if name == true else own.where(own.score.max(1, initial=0.0) >= SHOWN)
        marks = panel.scatter(
            one.eta[seen], one.phi[seen], 5 * energy[seen] + 1, share, cmap="coolwarm", vmin=0,
            vmax=1, marker="s", linewidths=0.3, edgecolors="0.5",
        )  # fmt: skip
        record(marks, eta=one.eta[seen], phi=one.phi[seen], energy=energy[seen])
        for i in range(len(own.pt)):
            colour = COLOURS[own.kind[i]]
            for turn in (-2 * np.pi, 0.0, 2 * np.pi):
                panel.plot(
                    own.eta[i] + radius * np.cos(CIRCLE),
                    own.phi[i] + turn + radius * np.sin(CIRCLE), color=colour, linewidth=2.0,
                )  # fmt: skip
            text = f"{KINDS[own.kind[i]]}\n{own.pt[i]:.0f}, {own.mass[i]:.0f} GeV"
            up = 1 if own.phi[i] < 0 else -1
            panel.annotate(
                text, (own.eta[i], own.phi[i] + up * (radius + 0.1)), ha="center", color=colour,
                va="bottom" if up > 0 else "top", fontsize=14, annotation_clip=True,
            )  # fmt: skip
        panel.set_title(name, loc="left")
        panel.set_xlabel(r"$\eta$")
    axes[0].set_xlim(-2.6, 2.6)
    axes[0].set_ylim(-np.pi, np.pi)
    axes[0].set_ylabel(r"$\phi$ [rad]")
    figure.colorbar(marks, ax=list(axes), label="Electromagnetic share")
    return figure


@drawn
def efficiency_over_false_objects(
    curves: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
) -> Figure:
    """Draw efficiencies over false objects an event, {kind: {whose: (false, efficiency)}}.

    A panel is a kind.
    """
    figure = Figure(figsize=(WIDTHS["wide"], 6.0), layout="compressed")
    axes: Any = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for panel, (kind, several) in zip(axes, curves.items(), strict=True):
        for i, (name, (false, found)) in enumerate(several.items()):
            wrong, right = np.asarray(false, float), np.asarray(found, float)
            # A point for each step of 2% in the false ones is enough.
            steps = np.round(50 * np.log(np.maximum(wrong, 1e-4)))
            last = np.append(steps[1:] != steps[:-1], True) & (wrong > 1e-3)
            panel.plot(
                wrong[last], right[last], color=COLOURS[i], linewidth=2.0,
                linestyle=("-", "--", ":", "-.")[i % 4], label=name,
            )  # fmt: skip
        panel.set_xscale("log")
        panel.set_xlim(1e-3, 2.0)
        panel.set_ylim(0, 1.05)
        panel.set_title(kind, loc="left")
        panel.set_xlabel("False objects an event")
    axes[0].set_ylabel("Efficiency")
    legend(figure, *axes)
    return figure
