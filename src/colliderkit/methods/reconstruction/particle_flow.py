"""Base of particle flow: tracks and clusters of events in, particles out."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from colliderkit.errors import InputError
from colliderkit.events.particle_flow import (
    CHARGED,
    ELECTRON,
    NEUTRAL,
    PHOTON,
    FlowEvents,
    FlowParticles,
    event_of,
)
from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.method import Method
from colliderkit.metrics.particle_flow import patch_response

__all__ = [
    "Deposit",
    "ParticleFlow",
    "chosen_by_patches",
    "coordinates",
    "gathered",
    "nearest_track",
    "of_tracks",
    "patch_width",
    "with_true_shares",
]

BINS = 8  # of momentum, equally many tracks each


class ParticleFlow(Method):
    """Reconstruct the particles of events from tracks, clusters and towers (1706.04965).

    A method learns or chooses by events with truth in `fit` and gives particles in `predict`.
    """

    @abstractmethod
    def predict(self, events: FlowEvents) -> FlowParticles:
        """Return the particles of events; truth is not looked at."""


@dataclass(frozen=True)
class Deposit:
    """What charged hadrons leave of their energy in clusters: mean and spread of E/p, by ln p.

    `place`, `mean`, `spread` (K,); between and beyond the places as `numpy.interp` does. `neutral`
    is that of neutral hadrons, one number.
    """

    place: list[float]
    mean: list[float]
    spread: list[float]
    neutral: float

    @classmethod
    def of(cls, events: FlowEvents) -> "Deposit":
        """Return it from what the truth says of charged hadrons with a track.

        Raises `InputError` where there are fewer than two tracks of charged hadrons.
        """
        particles, incidence = events.truth
        left = np.bincount(incidence.particle, incidence.energy, len(particles.pt))
        own = incidence.track[incidence.track >= 0]
        own = own[(particles.kind[own] == CHARGED) & (particles.energy[own] > 0.5)]
        if len(own) < 2:
            raise InputError(
                "the events have fewer than two tracks of charged hadrons above 0.5 GeV, of which"
                " to learn what these leave in the calorimeter; give more events."
            )
        p = particles.energy[own]
        ratio = left[own] / p
        part = np.array_split(np.argsort(p, kind="stable"), min(BINS, len(own) // 2))
        neutral = (particles.kind == NEUTRAL) & (left > 0)
        total = particles.energy[neutral].sum()
        return cls(
            [float(np.log(p[rows]).mean()) for rows in part],
            [float(ratio[rows].mean()) for rows in part],
            [float(ratio[rows].std()) for rows in part],
            float(left[neutral].sum() / total) if total > 0 else 1.0,
        )

    def expected(self, p: Floats) -> tuple[Floats, Floats]:
        """Return mean and spread [GeV] of what hadrons of momenta (T,) [GeV] leave."""
        at = np.log(np.maximum(p, 1e-3))
        return tuple(  # type: ignore[return-value]
            np.interp(at, self.place, values) * p for values in (self.mean, self.spread)
        )


def nearest_track(events: FlowEvents, eta: Floats, phi: Floats, event: Ints) -> tuple[Ints, Floats]:
    """Return the nearest track of the same event to places (N,), and how far it is; inf of none."""
    tracks = events.tracks
    if len(tracks.pt) == 0 or len(eta) == 0:
        return np.zeros(len(eta), dtype=np.int64), np.full(len(eta), np.inf)
    own = coordinates(tracks.face_eta, tracks.face_phi, event_of(tracks.offsets))
    away, place = cKDTree(own).query(coordinates(eta, phi, event), distance_upper_bound=3.0)
    found = np.isfinite(away)
    return np.where(found, place, 0), np.where(found, away, np.inf)


def coordinates(eta: Floats, phi: Floats, event: Ints) -> Floats:
    """Return places (N, 4) whose distance is about dR within an event, and large between two."""
    return np.stack([np.cos(phi), np.sin(phi), eta, 100.0 * event], axis=1)


def of_tracks(events: FlowEvents) -> dict[str, Floats | Ints]:
    """Return the columns of particles that tracks are, as they were measured."""
    tracks = events.tracks
    return {
        "event": events.track_event,
        "pt": tracks.pt,
        "eta": tracks.eta,
        "phi": tracks.phi,
        "kind": tracks.kind,
    }


def gathered(parts: list[dict[str, Floats | Ints]], events: int) -> FlowParticles:
    """Return particles of several groups of columns (with "event") as one."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    event = columns.pop("event")
    columns["kind"] = columns["kind"].astype(np.int64)
    return FlowParticles.of(event, events, **columns)


def patch_width(true: FlowParticles, found: FlowParticles) -> float:
    """Return half of the central 68% of the response of patches over its median, inf of few."""
    ratio, _ = patch_response(true, found)
    if len(ratio) < 3:
        return np.inf
    low, middle, high = np.quantile(ratio, [0.1585, 0.5, 0.8415])
    return float((high - low) / 2 / middle) if middle > 0 else np.inf


def chosen_by_patches(
    settings: list[dict[str, float]],
    answer: Callable[[dict[str, float]], FlowParticles],
    true: FlowParticles,
) -> tuple[dict[str, float], list[float]]:
    """Return the settings whose answer has the narrowest response of patches, and all widths."""
    widths = [patch_width(true, answer(each)) for each in settings]
    return settings[int(np.argmin(widths))], widths


def with_true_shares(events: FlowEvents, deposit: Deposit) -> FlowParticles:
    """Return the tracks, and each particle without one by what it left in clusters: the oracle.

    It has its true direction, and of hadrons the mean response is corrected.
    """
    particles, incidence = events.truth
    left = np.bincount(incidence.particle, incidence.energy, len(particles.pt))
    left[incidence.track[incidence.track >= 0]] = 0.0
    light = np.isin(particles.kind, (PHOTON, ELECTRON))
    found = left > 0
    energy = np.where(light, left, left / deposit.neutral)[found]
    others: dict[str, Floats | Ints] = {
        "event": particles.event[found],
        "pt": energy / np.cosh(particles.eta[found]),
        "eta": particles.eta[found],
        "phi": particles.phi[found],
        "kind": np.where(light, PHOTON, NEUTRAL)[found],
    }
    return gathered([of_tracks(events), others], len(events))
