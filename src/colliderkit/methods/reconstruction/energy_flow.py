"""Energy flow: tracks, and what calorimeter towers hold beyond them, as fast detectors do."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.particle_flow import NEUTRAL, PHOTON, FlowEvents, FlowParticles, event_of
from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.reconstruction.particle_flow import (
    Deposit,
    ParticleFlow,
    gathered,
    of_tracks,
)

__all__ = ["EnergyFlow"]


class EnergyFlow(ParticleFlow):
    """Keep all tracks, and of each tower what exceeds its tracks, as Delphes does (1307.6346).

    Tracks are given to the tower that they enter. Hadrons leave their energy in both sections
    here, so that a tower is one sum; from it goes what charged hadrons of the momenta of its tracks
    leave in the mean, and what is left counts if it is above `threshold` and `significance` times
    the spread of that: as a photon where the tower is electromagnetic, as a neutral hadron, with
    the mean response of these, else.

    Args:
        threshold: GeV of what is left.
        significance: spreads of what tracks leave.
        electromagnetic: the share of a tower's energy in that section, from which on it is photons.

    After `fit`: `deposit_`, what hadrons leave, and `side_` of a tower in eta and phi, the least
    step between towers, whose edges are multiples of it.
    """

    name: ClassVar[str] = "energy-flow"

    deposit_: Deposit
    side_: list[float]

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        significance: float = 2.0,
        electromagnetic: float = 0.9,
    ) -> None:
        self.threshold = threshold
        self.significance = significance
        self.electromagnetic = electromagnetic

    def fit(
        self,
        events: FlowEvents,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Take what hadrons leave from events with truth, and return self.

        Raises `InputError` for weights, and as `FlowEvents.check` and `Deposit.of` do.
        """
        self._begin(seed=seed, folder=folder, resume=resume, events=events)
        if weight is not None:
            raise InputError("means of hadrons are taken, each once; leave weight out.")
        self.deposit_ = Deposit.of(events.check())
        self.side_ = [_step(events.towers.eta), _step(events.towers.phi)]
        return self

    def predict(self, events: FlowEvents) -> FlowParticles:
        """Return tracks, and photons or neutral hadrons of towers.

        Raises `InputError` for events that have clusters and no towers.
        """
        tracks, towers = events.tracks, events.towers
        if len(events.clusters.energy) and not len(towers.eta):
            raise InputError(
                "the events have clusters and no towers, which energy flow needs; give tower_eta,"
                " tower_phi, tower_electromagnetic and tower_hadronic."
            )
        deposit = self.deposit_
        mean, spread = deposit.expected(tracks.pt * np.cosh(tracks.eta))
        owner = event_of(towers.offsets)
        keys = [
            self._square(event, eta, phi)
            for event, eta, phi in (
                (owner, towers.eta, towers.phi),
                (events.track_event, tracks.face_eta, tracks.face_phi),
            )
        ]
        order = np.argsort(keys[0], kind="stable")
        place = np.searchsorted(keys[0][order], keys[1])
        place = np.minimum(place, max(len(order) - 1, 0))
        there = keys[0][order][place] == keys[1] if len(order) else np.zeros(len(place), bool)
        tower = order[place[there]] if len(order) else np.zeros(0, dtype=np.int64)
        size = len(owner)
        expected = np.bincount(tower, mean[there], size)
        variance = np.bincount(tower, spread[there] ** 2, size)
        total = towers.electromagnetic + towers.hadronic
        rest = total - expected
        found = (rest > self.threshold) & (rest > self.significance * np.sqrt(variance))
        photon = towers.electromagnetic > self.electromagnetic * total
        energy = np.where(photon, rest, rest / deposit.neutral)[found]
        neutrals = {
            "event": owner[found],
            "pt": energy / np.cosh(towers.eta[found]),
            "eta": towers.eta[found],
            "phi": towers.phi[found],
            "kind": np.where(photon[found], PHOTON, NEUTRAL),
        }
        return gathered([of_tracks(events), neutrals], len(events))

    def _square(self, event: Ints, eta: Floats, phi: Floats) -> Ints:
        """Return a number for the square of the grid, and the event, that a place is in."""
        along, around = (
            np.floor(x / side).astype(np.int64)
            for x, side in zip((eta, phi), self.side_, strict=True)
        )
        return np.asarray((event * 4096 + along + 2048) * 4096 + around + 2048)


def _step(places: Floats) -> float:
    steps = np.diff(np.unique(np.round(places, 6)))
    return float(steps.min()) if len(steps) else 0.1
