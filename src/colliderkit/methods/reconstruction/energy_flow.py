"""Energy flow: tracks, and what calorimeter towers hold beyond them, as fast detectors do."""

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.particle_flow import NEUTRAL, PHOTON, FlowEvents, FlowParticles, event_of
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

    After `fit`: `deposit_`, what hadrons leave.
    """

    name: ClassVar[str] = "energy-flow"

    deposit_: Deposit

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
        return self

    def predict(self, events: FlowEvents) -> FlowParticles:
        """Return tracks, and photons or neutral hadrons of towers."""
        tracks, towers = events.tracks, events.towers
        deposit = self.deposit_
        mean, spread = deposit.expected(tracks.pt * np.cosh(tracks.eta))
        owner = event_of(towers.offsets)
        # Towers are a grid: a track is of the one in whose square it enters.
        pitch = grid(towers.eta), grid(towers.phi)
        keys = [
            _key(event, eta, phi, pitch)
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


def grid(places: np.ndarray) -> float:
    """Return the step of a grid, from the places that are there."""
    steps = np.diff(np.unique(np.round(places, 6)))
    return float(steps.min()) if len(steps) else 0.1


def _key(event: np.ndarray, eta: np.ndarray, phi: np.ndarray, pitch: tuple[float, float]):  # type: ignore[no-untyped-def]
    along, around = (
        np.floor(x / p).astype(np.int64) for x, p in zip((eta, phi), pitch, strict=True)
    )
    return (event * 4096 + along + 2048) * 4096 + around + 2048
