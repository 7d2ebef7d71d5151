"""Cache simulator: replay accesses through LRU, LFU, FIFO, Belady or a forecast; count misses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.events.tables import Floats

__all__ = ["OWN", "Misses", "Scores", "replay", "share_closed"]

# LRU drops what was read longest ago, LFU what was read least often since it came, FIFO what came
# first; Belady what is needed last, and belady-size that times its size: they know the future.
OWN = ("lru", "lfu", "fifo", "belady", "belady-size")
ROUNDING = 1e-9  # of sums of sizes: what fills a cache to the last byte fits


@dataclass(frozen=True)
class Misses:
    """What a cache did: `accesses` and `misses`, and their sizes, `read` and `missed` [GB]."""

    accesses: int
    misses: int
    read: float
    missed: float

    @property
    def ratio(self) -> float:
        """Misses over accesses."""
        return self.misses / max(self.accesses, 1)

    @property
    def byte_ratio(self) -> float:
        """Missed GB over GB that were read."""
        return self.missed / max(self.read, 1e-300)


@dataclass(frozen=True)
class Scores:
    """How much a cached data set is worth: the one of least worth is evicted.

    worth_i(t) = rate_i(day) + sum_j strength_j S_ij(t), S_ij = sum_k exp(-(t - t_k) / time_j)

    over its accesses k: a forecast of the coming accesses a day, and what was read just now, which
    a task reads again. The sum falls by itself, so that no count has to be forgotten.

    - `rate` (T, D), used from `days` (T,) on, the first row before them;
    - `strength` [1/day], `time` [days]: of each sum; none leaves the forecast alone;
    - `oldest`: only among this part of the cache, by the last access: 1 is all of it, 0 is LRU;
    - `size_power`: the worth is divided by size to this power: above 0 misses fall, bytes rise.
    """

    rate: Floats
    days: Floats
    strength: Sequence[float] = ()
    time: Sequence[float] = ()
    oldest: float = 1.0
    size_power: float = 0.0


def replay(
    accesses: Accesses, capacity: float, policy: str | Scores, *, since: float = -np.inf
) -> Misses:
    """Replay accesses through a cache of `capacity` GB and count the misses from day `since` on.

    What came before warms the cache. What is missed is brought in, evicting until it fits; what is
    larger than the cache passes by. `policy` is one of `OWN`, a name that libcachesim knows (GPL,
    ``pip install 'colliderkit[caches]'``), or `Scores`. Raises `InputError` for a capacity that is
    not positive and an unknown policy.
    """
    if not capacity > 0:
        raise InputError(f"the capacity of a cache is {capacity:g} GB; it must be above 0.")
    first = int(np.searchsorted(accesses.time, since))
    room = capacity * (1 + ROUNDING)
    if isinstance(policy, Scores):
        kernel, scores = compiled("scored"), policy
        worth = np.ascontiguousarray(scores.rate, dtype=np.float64)
        row = np.clip(np.searchsorted(scores.days, accesses.time, "right") - 1, 0, len(worth) - 1)
        found = kernel(
            accesses.time, accesses.dataset, accesses.size, room, first, worth, row,
            np.array(scores.strength, dtype=np.float64), np.array(scores.time, dtype=np.float64),
            scores.oldest, accesses.size**scores.size_power,
        )  # fmt: skip
    elif policy in OWN:
        count = len(accesses)
        number = np.arange(count, dtype=np.float64)
        key, again = number, policy != "fifo"
        weigh = np.ones(len(accesses.size))
        if policy.startswith("belady"):
            key = -accesses.next_use().astype(np.float64)
        if policy == "belady-size":
            weigh = accesses.size
            found = compiled("farthest")(
                accesses.dataset, accesses.size, room, first, accesses.next_use(), weigh
            )
        else:
            found = compiled("keyed")(
                accesses.dataset, accesses.size, room, first, key, again, policy == "lfu"
            )
    else:
        from colliderkit.methods.operations.cache_policies import replay_with_libcachesim

        return replay_with_libcachesim(accesses, capacity, policy, first)
    misses, missed = found
    read = float(accesses.size[accesses.dataset[first:]].sum())
    return Misses(len(accesses) - first, int(misses), read, float(missed))


def share_closed(ours: float, lru: float, belady: float) -> float:
    """Return (LRU - ours) / (LRU - Belady), the share of the gap that is closed; NaN for no gap."""
    return (lru - ours) / (lru - belady) if lru > belady else float("nan")


KERNELS: dict[str, Callable[..., Any]] = {}


def compiled(name: str) -> Callable[..., Any]:
    """Return a loop over accesses, compiled by numba when it is first asked for."""
    if name not in KERNELS:
        import numba

        from colliderkit.methods.operations import cache_loops

        KERNELS[name] = numba.njit(cache=True)(getattr(cache_loops, name))
    return KERNELS[name]
