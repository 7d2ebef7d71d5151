"""Hadronic decays of taus in Pythia's event records: decay mode and visible momentum."""

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.sources.pythia.matching import Directions

__all__ = ["MODES", "Taus", "hadronic_taus", "of_jets"]

Floats = NDArray[np.float64]
# Charged hadrons (p) and neutral pions (n), X two or more; with three prongs one or more.
MODES = ("1p0n", "1p1n", "1pXn", "3p0n", "3pXn")
CONE = 0.2  # of the visible tau around the axis of its jet
GENERATIONS = 10  # between a tau and what is left of it
NEUTRINOS = (12, 14, 16)
STRANGE = (130, 310, 311, 3122)  # what comes of their decays is no prong


@dataclass(frozen=True)
class Taus:
    """Visible taus (T,): directions, `momentum` (T, 4) px, py, pz, E [GeV] and `mode` (T,).

    The mode is the place in `MODES`, -1 of decays with other numbers of prongs.
    """

    where: Directions
    momentum: Floats
    mode: NDArray[np.int64]


def hadronic_taus(record: ak.Array) -> Taus:
    """Return the taus of events that decay to hadrons, as they are seen: without the neutrino.

    `record` is Pythia's event record, ``var * {id, status, mother1, p, ...}``.
    """
    counts = np.asarray(ak.num(record))
    begin = np.cumsum(counts) - counts
    event = np.repeat(np.arange(len(counts)), counts)
    flat = ak.flatten(record)
    pid, status = np.abs(np.asarray(flat.id)), np.asarray(flat.status)
    mother = begin[event] + np.asarray(flat.mother1)
    four = np.stack([np.asarray(flat.p[name]) for name in ("px", "py", "pz", "e")], axis=1)
    # The last copy of a tau is its own; all others look at what their mother has.
    copied = np.zeros(len(pid), dtype=np.bool_)
    copied[mother[pid == 15]] = True
    last = (pid == 15) & (status < 0) & ~(copied & (pid == 15))
    owner = np.where(last, np.arange(len(pid)), -1)
    strange = np.zeros(len(pid), dtype=np.bool_)
    for _ in range(GENERATIONS):
        fresh = (owner < 0) & (owner[mother] >= 0)
        if not fresh.any():
            break
        owner[fresh] = owner[mother[fresh]]
        strange[fresh] = strange[mother[fresh]] | np.isin(pid[mother[fresh]], STRANGE)
    taus = np.flatnonzero(last)
    place = np.full(len(pid), -1)
    place[taus] = np.arange(len(taus))
    mine = (owner >= 0) & ~last
    of = place[owner]

    def number(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(of[mine & chosen], minlength=len(taus))

    # A neutrino beside that of the tau tells a lepton, not an electron of a pi0.
    leptonic = number(np.isin(pid, (12, 14)) & ~strange & (owner == mother)) > 0
    prongs = number(np.isin(pid, (211, 321)) & ~strange)
    neutral = number((pid == 111) & ~strange)
    seen = mine & (status > 0) & ~np.isin(pid, NEUTRINOS)
    momentum: Floats = np.stack(
        [np.bincount(of[seen], four[seen, i], len(taus)).astype(float) for i in range(4)], axis=1
    )
    mode = np.full(len(taus), -1)
    mode[prongs == 1] = np.minimum(neutral, 2)[prongs == 1]
    mode[prongs == 3] = 3 + np.minimum(neutral, 1)[prongs == 3]
    keep = ~leptonic & (np.hypot(momentum[:, 0], momentum[:, 1]) > 0)
    momentum = momentum[keep]
    pt = np.hypot(momentum[:, 0], momentum[:, 1])
    where = Directions(
        event[taus][keep],
        np.arcsinh(momentum[:, 2] / pt),
        np.arctan2(momentum[:, 1], momentum[:, 0]),
    )
    return Taus(where, momentum, mode[keep])


def of_jets(jets: Directions, taus: Taus) -> tuple[NDArray[np.bool_], dict[str, NDArray[Any]]]:
    """Return which jets (N,) have a tau of a known mode within 0.2, and what is true of those.

    That is ``decay_mode`` int8, the visible ``tau_pt``, ``tau_eta``, ``tau_phi``, ``tau_mass``.
    """
    if not len(taus.mode):
        return np.zeros(len(jets.event), dtype=np.bool_), {}
    index, distance = jets.nearest(taus.where)
    keep = (distance < CONE) & (taus.mode[index] >= 0)
    index = index[keep]
    px, py, pz, energy = taus.momentum[index].T
    mass2 = energy**2 - px**2 - py**2 - pz**2
    columns = {
        "tau_pt": np.hypot(px, py),
        "tau_eta": taus.where.eta[index],
        "tau_phi": taus.where.phi[index],
        "tau_mass": np.sqrt(np.maximum(mass2, 0.0)),
    }
    found: dict[str, NDArray[Any]] = {n: c.astype(np.float32) for n, c in columns.items()}
    return keep, {"decay_mode": taus.mode[index].astype(np.int8), **found}
