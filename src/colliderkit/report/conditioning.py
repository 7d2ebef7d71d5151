"""Conditioning of a generator of showers: the energy that is given, and the energy that comes."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.events.calorimeter.showers import Showers
from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["energy_lines"]

GEV = 1e3  # MeV
BANDS = 8


@drawn
def energy_lines(
    energies: ArrayLike,
    totals: NDArray[np.floating],
    showers: Showers,
    *,
    name: str,
    reference: str = "Geant4",
) -> Figure:
    """Draw the total energy of showers against the incident energy, in GeV.

    Lines: `totals` (K, N) [MeV] of N noises, each carried through the `energies` (K,) [MeV].
    Points: mean of the reference's showers in bands of their incident energy; bars are the
    standard deviation of E_tot - E_inc.
    """
    figure = Figure()
    axes = figure.subplots()
    axes.plot(np.asarray(energies) / GEV, totals / GEV, color=COLOURS[0], alpha=0.35, linewidth=1)
    axes.plot([], [], color=COLOURS[0], label=f"{name}, one noise each")
    incident, total = showers.incident, showers.voxels.sum(1, dtype=np.float64)
    edges = np.linspace(incident.min(), incident.max(), BANDS + 1)
    band = np.clip(np.digitize(incident, edges) - 1, 0, BANDS - 1)
    filled = [rows for rows in (band == k for k in range(BANDS)) if rows.sum() > 1]
    axes.errorbar(
        [incident[rows].mean() / GEV for rows in filled],
        [total[rows].mean() / GEV for rows in filled],
        [(total - incident)[rows].std() / GEV for rows in filled],
        fmt="o",
        color="black",
        label=reference,
    )
    axes.set_xlabel("Incident energy [GeV]")
    axes.set_ylabel("Total energy [GeV]")
    legend(figure)
    return figure
