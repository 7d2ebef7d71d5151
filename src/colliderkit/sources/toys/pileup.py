"""Toy of events with pileup: jets of known particles among collisions that are evenly spread.

A hard collision makes two or three jets; each further collision makes particles of exponential
pT, evenly in eta and phi, a third of them in clusters. The density of the pileup is known:
rho = mu `PARTICLES` <pT> / (2 `REACH` 2 pi).
"""

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from colliderkit.errors import InputError
from colliderkit.events.pileup import TRACKER, UNKNOWN
from colliderkit.events.tables import Floats
from colliderkit.sources.detector.timing import LIGHT, PION, Timing, arrivals

__all__ = [
    *("PARTICLES", "REACH", "SLOPE", "density", "in_time", "pileup_toy", "time_ratio"),
    "time_widths",
]

REACH = 4.0  # |eta| of all particles
PARTICLES = 30.0  # of a collision, in the mean
SLOPE = 0.7  # mean pT [GeV] of its particles
CHARGED = 0.6
SPREAD = 53.0  # of the collisions along the beams [mm]
CLUSTER = 0.15  # width of a cluster


def density(mu: float) -> float:
    """Return the mean density of pT in eta and phi [GeV] of mu collisions."""
    return mu * PARTICLES * SLOPE / (2 * REACH * 2 * np.pi)


def time_widths(eta: ArrayLike, timing: Timing) -> tuple[Floats, Floats]:
    """Return how wide [ps] times are around that of the hard collision, (P,) each.

    Of one of the hard collision it is the resolution s; of another, where both collisions are
    spread by s_t in time and s_z along the beams,

        S^2 = s^2 + 2 s_t^2 + 2 (s_z tanh(eta) / c)^2,

    to first order in s_z over the size of the detector. Both are normal around 0.
    """
    along = np.tanh(np.asarray(eta, np.float64)) * SPREAD / LIGHT
    wide = np.sqrt(timing.resolution**2 + 2 * timing.spread**2 + 2 * along**2)
    return np.full_like(wide, timing.resolution), wide


def time_ratio(delay: ArrayLike, eta: ArrayLike, timing: Timing) -> Floats:
    """Return p(delay | hard) / p(delay | pileup) of particles (P,), a ratio of two normals.

    Times the odds before, it gives those that a particle is of the hard collision, from time alone.
    """
    narrow, wide = time_widths(eta, timing)
    away = np.asarray(delay, np.float64)
    ratio: Floats = wide / narrow * np.exp(-(away**2) * (narrow**-2 - wide**-2) / 2)
    return ratio


def in_time(window: float, eta: ArrayLike, timing: Timing) -> tuple[Floats, Floats]:
    """Return the share of hard and of pileup particles within `window` [ps], erf(w / (s sqrt 2)).

    As the ratio falls with the distance there is no better choice by time alone at one eta.
    """
    narrow, wide = time_widths(eta, timing)
    return erf(window / (np.sqrt(2) * narrow)), erf(window / (np.sqrt(2) * wide))


def pileup_toy(
    count: int, mu: float, *, timing: Timing | None = None, seed: int | list[int] = 0
) -> ak.Array:
    """Draw `count` events of a hard collision and n ~ Poisson(mu) others.

    Returns events as `colliderkit.events.pileup` describes them, with ``truth``, ``vertices``,
    ``interactions`` and ``event``, and of charged particles within the tracker ``z0`` and
    ``z0_error`` [mm]; ``vertex_z`` are the places of all collisions along the beams, the hard one's
    first. With `timing` particles have a ``time`` and collisions a ``vertex_time`` [ps], and all
    else is as without; charged particles are pions, neutral ones photons.
    Raises `InputError` for a count below 1 or a negative mu.
    """
    if count < 1 or not 0 <= mu < np.inf:
        raise InputError(f"count is {count} and mu {mu}; give at least 1 event, and mu from 0.")
    random = np.random.default_rng(seed)
    others = random.poisson(mu, count)
    hard, soft = _hard(count, random), _soft(count, others, random)
    parts = {name: np.concatenate([hard[name], soft[name]]) for name in hard}
    order = np.lexsort((-parts["pt"], parts["event"]))
    parts = {name: values[order] for name, values in parts.items()}
    event, collision = parts.pop("event").astype(np.int64), parts.pop("collision").astype(np.int64)
    size = np.bincount(event, minlength=count)
    charge = np.where(random.random(len(event)) < CHARGED, 1, 0)
    known = (charge != 0) & (np.abs(parts["eta"]) < TRACKER)
    z = random.normal(0, SPREAD, int((others + 1).sum()))
    first = np.cumsum(others + 1) - (others + 1)
    error = 0.03 + 0.09 * np.cosh(parts["eta"]) ** 1.5 / parts["pt"]
    z0 = z[first[event] + collision] + error * random.normal(size=len(event))
    particles = {
        **parts,
        "mass": np.zeros(len(event)),
        "charge": charge,
        "vertex": np.where(known, collision, UNKNOWN),
        "truth": (collision == 0).astype(np.float64),
        "z0": np.where(known, z0, 0.0),
        "z0_error": np.where(known, error, 0.0),
    }
    columns = {
        "vertices": 1 + random.binomial(others, 0.7),
        "interactions": others,
        "vertex_z": ak.unflatten(z, others + 1),
        "event": np.arange(count),
    }
    if timing:
        time = random.normal(0, timing.spread, len(z))
        p, mass = parts["pt"] * np.cosh(parts["eta"]), np.where(charge != 0, PION, 0.0)
        mine, leading = first[event] + collision, first[event]
        left = arrivals(time[mine], z[mine], z[leading], p, parts["eta"], mass, charge)
        particles["time"] = timing.measured(left, parts["pt"], parts["eta"], charge, random)
        columns["vertex_time"] = ak.unflatten(time, others + 1)
    return ak.zip({"particles": ak.unflatten(ak.zip(particles), size), **columns}, depth_limit=1)


def _hard(count: int, random: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Draw the particles of two jets of opposite phi, and of a softer third one, in each event."""
    pt = 50 + random.exponential(40, count)
    share = random.uniform(0, 0.4, count)
    phi = random.uniform(-np.pi, np.pi, count)
    jets = np.stack([pt, pt * (1 - share), pt * share], axis=1).reshape(-1)
    turn = np.stack([phi, phi + np.pi, phi + np.pi - 1], axis=1).reshape(-1)
    middle = random.uniform(-2, 2, len(jets))
    many = 3 + random.poisson(2 * np.log1p(jets))
    jet = np.repeat(np.arange(len(jets)), many)
    piece = random.gamma(0.5, 1, len(jet))
    piece /= np.bincount(jet, piece)[jet]
    width = 0.25 * random.exponential(0.5, len(jet)) * (1 - 0.7 * piece)
    angle = random.uniform(-np.pi, np.pi, len(jet))
    return {
        "pt": np.maximum(jets[jet] * piece, 0.05),
        "eta": np.clip(middle[jet] + width * np.cos(angle), -REACH, REACH),
        "phi": _turned(turn[jet] + width * np.sin(angle)),
        "event": jet // 3,
        "collision": np.zeros(len(jet)),
    }


def _soft(
    count: int, others: NDArray[np.int64], random: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """Draw the particles of the other collisions; a third of them stand in clusters of three."""
    event = np.repeat(np.arange(count), others)
    number = np.arange(len(event)) - np.repeat(np.cumsum(others) - others, others) + 1
    many = random.poisson(PARTICLES, len(event))
    event, number = np.repeat(event, many), np.repeat(number, many)
    eta = random.uniform(-REACH, REACH, len(event))
    phi = random.uniform(-np.pi, np.pi, len(event))
    # Those beside the first of three of one collision.
    centre = np.arange(len(event)) // 3 * 3
    near = (random.random(len(event)) < 1 / 3) & (number[centre] == number)
    near &= event[centre] == event
    step = random.normal(0, CLUSTER, (2, len(event)))
    return {
        "pt": 0.1 + random.exponential(SLOPE - 0.1, len(event)),
        "eta": np.clip(np.where(near, eta[centre] + step[0], eta), -REACH, REACH),
        "phi": _turned(np.where(near, phi[centre] + step[1], phi)),
        "event": event.astype(np.float64),
        "collision": number.astype(np.float64),
    }


def _turned(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles in [-pi, pi)."""
    return np.remainder(phi + np.pi, 2 * np.pi) - np.pi
