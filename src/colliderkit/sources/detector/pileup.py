"""Pileup: minimum-bias collisions laid over each event."""

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform
from colliderkit.seeds import derive

__all__ = ["check_pileup", "overlay"]

SPREAD = 53.0  # of the collisions along the beams [mm], as in the Delphes pileup card


def overlay(
    particles: ak.Array,
    pool: ak.Array,
    mu: float,
    *,
    event: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> ak.Array:
    """Add n ~ Poisson(mu) collisions of `pool` to each event.

    `particles` and `pool` are ``var * {px, py, pz, E, ..., x, y, z}`` [GeV, mm]; the collisions
    are turned by a random azimuth and moved along z by a Gaussian of 53 mm (the event's own
    collision stays at 0). Where `particles` have a column ``collision``, it numbers those that are
    added, from 1 in each event. The draws of an event depend on `seed` and its number in `event`
    alone (default: its place), not on the events beside it, and no collision of the pool comes
    twice in one event.

    Raises `InputError` for a negative mu, or a pool with fewer collisions than an event needs.
    """
    check_pileup(mu)
    if mu == 0 or len(particles) == 0:
        return particles
    event = np.arange(len(particles)) if event is None else event
    size = len(pool)
    counts = poisson(uniform(event, 0, seed), mu)
    if counts.max() > size:
        raise InputError(
            f"pileup is {mu}, which needs up to {counts.max()} collisions an event, and the pool"
            f" has {size}; give a larger pool."
        )
    owner = np.repeat(np.arange(len(particles)), counts)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    # start + rank * step visits every collision once before it returns, if step and size have
    # no common factor.
    steps = np.flatnonzero(np.gcd(np.arange(size), size) == 1) if size > 1 else np.array([1])
    step = steps[(uniform(event, 1, seed) * len(steps)).astype(np.int64)]
    first = (uniform(event, 2, seed) * size).astype(np.int64)
    collision = (first[owner] + rank * step[owner]) % size
    key = event[owner] * 4096 + rank
    turn = 2 * np.pi * uniform(key, 3, seed)
    # Box and Muller: a Gaussian from two uniforms.
    radius = np.sqrt(-2 * np.log1p(-uniform(key, 4, seed)))
    shift = SPREAD * radius * np.cos(2 * np.pi * uniform(key, 5, seed))
    added = moved(pool[collision], turn, shift)
    if "collision" in particles.fields:
        added["collision"] = ak.broadcast_arrays(rank + 1, added["px"])[0]
    lengths = np.bincount(owner, np.asarray(ak.num(added)), minlength=len(particles))
    added = ak.unflatten(ak.flatten(added), lengths.astype(np.int64))
    return ak.concatenate([particles, added[particles.fields]], axis=1)


def check_pileup(mu: float) -> None:
    """Raise `InputError` unless `mu` can be a mean number of collisions."""
    if not 0 <= mu < float("inf"):
        raise InputError(f"pileup is {mu}; give a mean number of collisions, 0 or more.")


def uniform(key: NDArray[np.int64], use: int, seed: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each key, apart for each use."""
    return hash_uniform(key, derive(seed, "pileup", use))


def poisson(uniform: NDArray[np.float64], mu: float) -> NDArray[np.int64]:
    """Return the quantiles of the Poisson distribution of mean `mu`."""
    last = int(mu + 10 * np.sqrt(mu) + 20)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, last + 1)))])
    probability = np.exp(np.arange(last + 1) * np.log(mu) - mu - log_factorial)
    return np.searchsorted(np.cumsum(probability), uniform, side="right").clip(max=last)


def moved(collisions: ak.Array, turn: NDArray[np.float64], shift: NDArray[np.float64]) -> ak.Array:
    """Turn each collision about the beams and move it along them."""
    cos, sin = np.cos(turn), np.sin(turn)
    new = {name: collisions[name] for name in collisions.fields}
    for one, two in (("px", "py"), ("x", "y")):
        new[one] = cos * collisions[one] - sin * collisions[two]
        new[two] = sin * collisions[one] + cos * collisions[two]
    new["z"] = collisions["z"] + shift
    return ak.zip(new)
