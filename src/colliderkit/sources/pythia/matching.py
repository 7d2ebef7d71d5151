"""Truth matching (Delta R) of jets to the partons and heavy hadrons of their event."""

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.sources.pythia.processes import Process

__all__ = ["Directions", "delta_r", "matched", "outgoing"]

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]

HEAVY_PT, HEAVY_CONE = 5.0, 0.3  # of the hadron that gives a jet its flavour [GeV]


@dataclass(frozen=True)
class Directions:
    """Directions of jets or particles: event, eta and phi, each (N,), sorted by event."""

    event: NDArray[np.int64]
    eta: Floats
    phi: Floats

    def count_near(self, others: "Directions", cone: float) -> NDArray[np.int64]:
        """Count the others of the same event within `cone` of each of these."""
        first, _, distance = self.pairs(others)
        return np.bincount(first[distance < cone], minlength=len(self.event))

    def nearest(self, others: "Directions") -> tuple[NDArray[np.int64], Floats]:
        """Return the place of the nearest of the others in the same event, and its distance.

        Where there is none the place is 0 and the distance infinite.
        """
        first, second, distance = self.pairs(others)
        index = np.zeros(len(self.event), dtype=np.int64)
        least = np.full(len(self.event), np.inf)
        # The nearest is written last.
        order = np.argsort(-distance, kind="stable")
        index[first[order]], least[first[order]] = second[order], distance[order]
        return index, least

    def pairs(self, others: "Directions") -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
        """Return all pairs of one of these and one of the others in an event, and how far apart.

        The places of both and their distance, each (pairs,).
        """
        begin = np.searchsorted(others.event, self.event, side="left")
        pairs = np.searchsorted(others.event, self.event, side="right") - begin
        first = np.repeat(np.arange(len(pairs)), pairs)
        second = np.arange(len(first)) - np.repeat(np.cumsum(pairs) - pairs - begin, pairs)
        distance = delta_r(self.eta[first], self.phi[first], others.eta[second], others.phi[second])
        return first, second, distance


def delta_r(eta: Floats, phi: Floats, other_eta: Floats, other_phi: Floats) -> Floats:
    """Return sqrt(deta^2 + dphi^2), dphi the shorter way around."""
    dphi = np.abs(phi - other_phi) % (2 * np.pi)
    return np.hypot(eta - other_eta, np.minimum(dphi, 2 * np.pi - dphi))


def matched(jets: Directions, record: ak.Array, process: Process) -> NDArray[np.bool_]:
    """Return which jets are of the kind that the process asks for.

    `record` is Pythia's event record, ``var * {id, status, p, ...}``, of the same events.
    """
    code, status, momentum = flattened(record)
    pid, (px, py, _) = np.abs(code), momentum

    def near(selected: NDArray[np.bool_], cone: float) -> NDArray[np.int64]:
        return jets.count_near(directions(record, selected, momentum), cone)

    if process.match in ("top", "W"):
        heavy, quarks = (6, 3) if process.match == "top" else (24, 2)
        cone = process.radius or 0.0
        # Status 62 is the particle as it decays, 23 its decay products before they radiate.
        parent = near((pid == heavy) & (status == 62), cone) > 0
        return parent & (near((pid <= 5) & (status == 23), cone) >= quarks)
    hard = px**2 + py**2 > HEAVY_PT**2
    bottom = near(hard & open_flavour(pid, 5), HEAVY_CONE) > 0
    charm = near(hard & open_flavour(pid, 4), HEAVY_CONE) > 0
    return {"b": bottom, "c": charm & ~bottom, "light": ~charm & ~bottom}[process.match]


def outgoing(jets: Directions, record: ak.Array, process: Process) -> NDArray[np.int32]:
    """Return the PDG code of the hard process's parton nearest to each jet, 0 beyond the radius."""
    code, status, momentum = flattened(record)
    partons = (status == 23) & ((np.abs(code) <= 5) | (code == 21))
    place, distance = jets.nearest(directions(record, partons, momentum))
    found = code[np.flatnonzero(partons)[place]]
    return np.where(distance < (process.radius or 0.0), found, 0).astype(np.int32)


def flattened(record: ak.Array) -> tuple[Codes, Codes, tuple[Floats, Floats, Floats]]:
    """Return PDG code, |status| and momentum of the particles of all events, one after another."""
    particles = ak.flatten(record)
    px, py, pz = (np.asarray(particles.p[name]) for name in ("px", "py", "pz"))
    return np.asarray(particles.id), np.abs(np.asarray(particles.status)), (px, py, pz)


def directions(
    record: ak.Array, selected: NDArray[np.bool_], momentum: tuple[Floats, Floats, Floats]
) -> Directions:
    """Return the directions of the `selected` ones among all particles."""
    counts = np.asarray(ak.num(record))
    index = np.flatnonzero(selected)
    px, py, pz = (component[index] for component in momentum)
    event = np.repeat(np.arange(len(counts)), counts)[index]
    return Directions(event, np.arcsinh(pz / np.hypot(px, py)), np.arctan2(py, px))


def open_flavour(pid: Codes, quark: int) -> NDArray[np.bool_]:
    """Return which codes (>= 0) are hadrons whose heaviest quark is `quark`, quarkonia left out.

    In a PDG code the digits of thousands, hundreds and tens are the quarks, heaviest first; a
    diquark has no third one.
    """
    one, two, three = pid // 1000 % 10, pid // 100 % 10, pid // 10 % 10
    meson = (one == 0) & (two == quark) & (three > 0) & (three < quark)
    return (pid < 1_000_000) & (meson | ((one == quark) & (three > 0)))
