"""Plots of particle flow: neutral shares of cells, and elements and particles of an event."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.particle_flow import KINDS, FlowEvents, FlowParticles
from colliderkit.report.curves import record
from colliderkit.report.plots import COLOURS, WIDTHS, drawn, legend

__all__ = ["elements_and_particles", "shares_of_an_event"]

AREA = 420.0  # points squared of the cell of most energy
LAYERS = 3  # those of most energy are drawn
POINT, LARGEST = 45.0, 1400.0  # points squared of 1 GeV of an element or particle, and at most
SHAPES = ("o", "o", "s", "D", "P")  # of particles by kind


@drawn
def shares_of_an_event(
    hits: CalorimeterHits,
    shares: Mapping[str, NDArray[np.float64]],
    event: int,
    track: ArrayLike,
) -> Figure:
    """Draw the shares (H,) of hits of one event by several methods, in its layers of most energy.

    A row a method, a column a layer; colours run from charged (0) to neutral (1), the area of a
    mark is as the root of the energy; `track` (x, y, ...) is a cross.
    """
    rows = slice(*hits.offsets[event : event + 2])
    x, y, z = hits.position[rows].T
    energy = hits.energy[rows]
    depths, layer = np.unique(np.round(z, 1), return_inverse=True)
    sums = np.bincount(layer, energy, len(depths))
    chosen = np.sort(np.argsort(-sums)[:LAYERS])
    place = np.asarray(track, dtype=np.float64)
    figure = Figure(figsize=(WIDTHS["wide"], 4.2 * len(shares) + 0.6), layout="compressed")
    axes: Any = figure.subplots(len(shares), len(chosen), sharex=True, sharey=True, squeeze=False)
    area = AREA * np.sqrt(energy / energy.max(initial=1e-30)) + 3
    marks = None
    for i, (name, values) in enumerate(shares.items()):
        share = values[rows]
        for j, number in enumerate(chosen):
            here = layer == number
            panel = axes[i, j]
            marks = panel.scatter(
                x[here], y[here], area[here], share[here], cmap="coolwarm", vmin=0, vmax=1,
                marker="s", linewidths=0.4, edgecolors="0.4",
            )  # fmt: skip
            record(marks, x=x[here], y=y[here], energy=energy[here], value=share[here])
            panel.plot(*place[:2], marker="x", color="k", markersize=14, markeredgewidth=2.4)
            if i == 0:
                panel.set_title(f"z = {depths[number]:g} mm, {sums[number]:.1f} GeV", loc="left")
            if i == len(shares) - 1:
                panel.set_xlabel("x [mm]")
        axes[i, 0].set_ylabel(f"{name}\ny [mm]")
    if marks is not None:
        figure.colorbar(marks, ax=list(axes.flat), label="Neutral share")
    return figure


@drawn
def elements_and_particles(
    events: FlowEvents, found: Mapping[str, FlowParticles], event: int = 0
) -> Figure:
    """Draw one event in eta and phi: its tracks and clusters, the true particles, those found.

    The area of a mark is as pT; tracks stand where they enter the calorimeter. `found` has the
    particles of all events by the name of the method.
    """
    one = events.at([event])
    panels: dict[str, list[tuple[str, str, str, Any]]] = {}
    tracks, clusters = one.tracks, one.clusters
    light = clusters.hadronic == 0
    pt = clusters.energy / np.cosh(clusters.eta)
    sections = [(clusters.eta[mine], clusters.phi[mine], pt[mine]) for mine in (~light, light)]
    panels["tracks and clusters"] = [
        ("hadronic cluster", COLOURS[3], "s", sections[0]),
        ("electromagnetic cluster", COLOURS[1], "o", sections[1]),
        ("track", COLOURS[2], "x", (tracks.face_eta, tracks.face_phi, tracks.pt)),
    ]
    everyone = {} if one.particles is None else {"true particles": one.particles}
    everyone |= {name: each.at([event]) for name, each in found.items()}
    for name, each in everyone.items():
        panels[name] = []
        for kind in (2, 1, 0, 3, 4):
            mine = each.kind == kind
            columns = each.eta[mine], each.phi[mine], each.pt[mine]
            colour = (COLOURS[2], COLOURS[1], COLOURS[3], COLOURS[4], COLOURS[9])[kind]
            panels[name].append((KINDS[kind], colour, SHAPES[kind], columns))
    figure = Figure(figsize=(WIDTHS["wide"], 10.0))
    axes: Any = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for panel, (name, groups) in zip(axes, panels.items(), strict=True):
        total = 0.0
        for label, colour, shape, (eta, phi, size) in groups:
            total += float(size.sum())
            area = np.minimum(POINT * size + 4, LARGEST)
            look: dict[str, Any] = {"linewidths": 0.5, "edgecolors": "white", "alpha": 0.75}
            if shape == "x":  # a cross has no inside
                look, area = {"linewidths": 1.6}, np.minimum(area, 120.0)
            # What is in no panel is not in the legend.
            name_it = label if len(eta) else None
            marks = panel.scatter(eta, phi, area, colour, marker=shape, label=name_it, **look)
            record(marks, x=eta, y=phi, pt=size)
        panel.set_title(f"{name}: {total:.0f} GeV", loc="left")
        panel.set_xlabel(r"$\eta$")
    axes[0].set_xlim(-2.6, 2.6)
    axes[0].set_ylim(-np.pi, np.pi)
    axes[0].set_ylabel(r"$\phi$")
    legend(figure)
    return figure
