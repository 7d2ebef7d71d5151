"""Transfers between sites, as FTS makes them: heavy-tailed sizes, a daily cycle, campaigns."""

from dataclasses import dataclass

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints
from colliderkit.seeds import derive
from colliderkit.sources.network.topology import Topology

__all__ = ["Transfers", "daily", "drawn_transfers"]

SMALLEST, LARGEST, TAIL = 40.0, 1.6e5, 1.2  # Gb: 5 GB to 20 TB, and the power of the tail
SWING = 0.5  # of the daily cycle
CAMPAIGN = 240  # intervals that a pair of sites is busy, or not


@dataclass(frozen=True)
class Transfers:
    """N data sets on their way, in the order of their beginning.

    - `begin` (N,) int64: the interval; `path` (N,) int64, the pair of sites;
    - `size` (N,) [Gb]; `rate` (N,) [Gb/s], the most that its streams take.
    """

    begin: Ints
    path: Ints
    size: Floats
    rate: Floats


def daily(interval: Ints, day: int) -> Floats:
    """Return how busy an interval of the day is, 1 in the mean: 1 + sin / 2, highest at 15:00."""
    cycle: Floats = 1 + SWING * np.sin(2 * np.pi * (interval / day - 0.375))
    return cycle


def drawn_transfers(
    topology: Topology,
    intervals: int,
    *,
    seconds: float = 60.0,
    day: int = 1440,
    load: float = 0.4,
    seed: int = 0,
) -> Transfers:
    """Draw transfers that fill the busiest link to a share `load` in the mean.

    Sizes have a density ~ s^-2.2 from 5 GB to 20 TB, an interval lasts `seconds`. Pairs of sites
    are busy in proportion to what both can send, by the hour of the day, and by campaigns that come
    and go. Raises `InputError` for a load that is not positive or of 1 or more.
    """
    if not 0 < load < 1:
        raise InputError(f"load is {load:g}; give a share of the capacity between 0 and 1.")
    random = np.random.default_rng(derive(seed, "transfers"))
    pairs, routes = topology.pairs, topology.routes()
    access = np.array(
        [topology.capacity[topology.source == s].max() for s in range(topology.sites)]
    )
    share = np.sqrt(access[pairs[:, 0]] * access[pairs[:, 1]]) * random.gamma(2.0, 0.5, len(pairs))
    share /= share.sum()
    unit = ((share @ routes) / topology.capacity).max()  # of the busiest link, for 1 Gb/s in all
    total = load / unit * seconds  # Gb an interval
    low, high = SMALLEST**-TAIL, LARGEST**-TAIL
    mean = TAIL / (TAIL - 1) * (SMALLEST ** (1 - TAIL) - LARGEST ** (1 - TAIL)) / (low - high)
    time = np.arange(intervals)
    campaigns = random.gamma(1.0, 1.0, (-(-intervals // CAMPAIGN) + 1, len(pairs)))
    block = (time[:, None] + random.integers(CAMPAIGN, size=len(pairs))) // CAMPAIGN
    busy = campaigns[block, np.arange(len(pairs))] * daily(time, day)[:, None]
    expected = total / mean * share * busy
    counts = random.poisson(expected)
    begin, path = (np.repeat(place, counts[counts > 0]) for place in np.nonzero(counts))
    size = (low - random.uniform(size=len(begin)) * (low - high)) ** (-1 / TAIL)
    rate = random.choice([2.0, 5.0, 10.0], size=len(begin), p=[0.3, 0.4, 0.3])
    return Transfers(begin.astype(np.int64), path.astype(np.int64), size, rate)
