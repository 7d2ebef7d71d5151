"""Padded arrays without names that the field publishes, recognised by what stands in them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PARTICLES", "QUARK_GLUON_MASSES", "particle_columns", "quark_gluon_slots"]

# What recognised slots are called as columns.
PARTICLES = ("particles.pt", "particles.eta", "particles.phi")
# Masses [GeV] of what a simulated jet is made of (Particle Data Group).
QUARK_GLUON_MASSES = {
    11: 0.000511,
    13: 0.10566,
    22: 0.0,
    130: 0.49761,
    211: 0.13957,
    310: 0.49761,
    321: 0.49368,
    2112: 0.93957,
    2212: 0.93827,
}


def particle_columns(values: NDArray[Any]) -> dict[str, range]:
    """Find the slots of pt, eta, phi in rows (N, F) as the LHC Olympics write them.

    An event is pt, eta, phi of up to M particles [GeV], falling in pt and filled up with zeros,
    F = 3 M; a label, 0 or 1, follows in labelled sets, F = 3 M + 1 (Zenodo 4536377, 2101.08320,
    with M = 700). Nothing is found unless all of this holds, M is two at least, and some row has
    empty slots or M is 700: other tables of numbers are not to be taken for particles.
    """
    width = values.shape[1]
    labelled = width % 3 == 1
    slots = width - labelled
    if slots % 3 or slots < 6 or not np.isfinite(values).all():
        return {}
    pt, eta, phi = (values[:, i:slots:3] for i in range(3))
    filled = pt > 0
    sound = (
        (pt >= 0).all()
        and (np.diff(pt, axis=1) <= 0).all()
        and (np.abs(phi) <= 3.1416).all()
        and (np.abs(eta) < 20).all()
        and not eta[~filled].any()
        and not phi[~filled].any()
        and (eta < 0).any()
        and (phi < 0).any()
        and (not filled.all() or slots == 2100)
        and (not labelled or np.isin(values[:, -1], (0, 1)).all())
    )
    if not sound:
        return {}
    found = {name: range(i, slots, 3) for i, name in enumerate(PARTICLES)}
    return found | ({"particles.label": range(slots, width)} if labelled else {})


def quark_gluon_slots(values: NDArray[Any]) -> bool:
    """Return whether (N, M, F) are pt, y, phi, pid of particles, as EnergyFlow publishes them.

    The quark and gluon jets of Zenodo 3164691 (1810.05165) are padded with zeros; the code of the
    particle, a whole number of a few, is what tells them from other arrays.
    """
    if values.ndim != 3 or values.shape[2] < 4 or not np.isfinite(values).all():
        return False
    pt, rapidity, phi, code = (values[..., i] for i in range(4))
    known = np.isin(np.abs(code), [0, *QUARK_GLUON_MASSES])
    sound = (pt >= 0).all() and (np.abs(rapidity) < 20).all() and (np.abs(phi) < 13).all()
    return bool(known.all() and code.any() and sound and not code[pt == 0].any())
