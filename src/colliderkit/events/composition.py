"""Composition of a jet: multiplicities, charged and photon pt fractions, widths.

That is, what a reconstructed jet is made of: its tracks, and what the calorimeters add to them.
"""

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.schema import CONSTITUENTS, check_jets

__all__ = ["COMPOSITION", "composition"]

Floats = NDArray[np.float64]

# Names and what they are, for a reader.
COMPOSITION: dict[str, str] = {
    "constituents": "Constituents",
    "tracks": "Tracks",
    "charged": "Charged $p_T$ fraction",
    "electromagnetic": "Photon $p_T$ fraction",
    "track_width": "Track width",
    "calorimeter_width": "Width of neutrals",
}
PHOTON = 22


def composition(jets: ak.Array) -> Floats:
    """Return the columns of `COMPOSITION` for each jet, (N, 6).

    `jets` is a jet array whose constituents have ``charge`` and ``pid``. Fractions are of the sum
    of the constituents' pt: of tracks, and of photons (what the ECAL adds). A width is
    sum(pt R) / sum(pt) of the tracks, or of all that is not one, with R the distance to the jet's
    axis; 0 where there is none.
    Raises `InputError` for a column that is missing.
    """
    check_jets(jets, "jets", ("px", "py", "pz", "charge", "pid"))
    counts = np.asarray(ak.num(jets[CONSTITUENTS], axis=1))
    jet = np.repeat(np.arange(len(jets)), counts)
    particles = {
        name: np.asarray(ak.flatten(jets[CONSTITUENTS, name])).astype(np.float64)
        for name in ("px", "py", "pz", "charge", "pid")
    }
    pt = np.hypot(particles["px"], particles["py"])
    eta = np.arcsinh(particles["pz"] / np.maximum(pt, 1e-9))
    axis = {name: np.asarray(jets[f"jet_{name}"], dtype=np.float64)[jet] for name in ("eta", "phi")}
    turn = np.abs(np.arctan2(particles["py"], particles["px"]) - axis["phi"])
    distance = np.hypot(eta - axis["eta"], np.minimum(turn, 2 * np.pi - turn))
    charged = particles["charge"] != 0

    def total(values: Floats) -> Floats:
        return np.bincount(jet, values, minlength=len(jets)).astype(np.float64)

    def ratio(above: Floats, below: Floats) -> Floats:
        top, bottom = total(above), total(below)
        return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)

    return np.column_stack(
        [
            counts,
            total(charged.astype(np.float64)),
            ratio(pt * charged, pt),
            ratio(pt * (particles["pid"] == PHOTON), pt),
            ratio(pt * charged * distance, pt * charged),
            ratio(pt * ~charged * distance, pt * ~charged),
        ]
    )
