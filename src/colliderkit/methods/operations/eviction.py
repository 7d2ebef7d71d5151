"""Eviction: what a cache of data sets drops, by a forecast and by what was read just now."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.events.tables import Floats
from colliderkit.methods.method import Method
from colliderkit.methods.operations.caches import Misses, Scores, replay
from colliderkit.methods.operations.popularity import Popularity, forecasts
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive

__all__ = ["Eviction"]

# What is tried: parts of the cache among whose oldest the least popular goes, and strengths
# [1/day] and times [days] of what was read just now.
OLDEST = (0.05, 0.1, 0.2, 0.3, 0.5)
LOOKED = (0.5, 1.0)  # with what was read just now, of which a part of the age is known already
STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
TIMES = (0.125, 0.25, 0.5, 1.0)
POWERS = (0.0, 0.25, 0.5, 1.0)


class Eviction(Method):
    """Choose how a cache uses a forecast, on the end of the time that it may know.

    Popularity alone forgets the task that runs now, and LRU knows nothing else. Two rules join
    them (`caches.Scores`): the least popular of the oldest part of the cache goes, or the least
    forecast plus what was read just now, which falls with a time. Which, and with which numbers, is
    what had the fewest misses on the last part of the training time, under forecasts of `method`
    trained before it; LRU is among what is tried. Then `method` learns from all of it.

    Args:
        method: an unfitted `Popularity`.
        cache: the size of the cache that the choice is made for, over that of all data sets.
        every: days between two forecasts.
        held_out: the last part of the training time.
        by_size: let a larger data set go before a smaller one of the same worth, too, as far as it
            helps: fewer misses, but more GB of them.

    After `fit`: `popularity_`; `choice_`, with oldest, strength, time and size_power; `tried_`,
    the miss ratio of each.
    """

    name: ClassVar[str] = "eviction"

    popularity_: Popularity
    choice_: dict[str, float]
    tried_: list[dict[str, float]]

    def __init__(
        self,
        method: Popularity,
        *,
        cache: float = 0.05,
        every: float = 7.0,
        held_out: float = 0.4,
        by_size: bool = False,
    ) -> None:
        self.method = method
        self.cache = cache
        self.every = every
        self.held_out = held_out
        self.by_size = by_size

    def fit(
        self,
        accesses: Accesses,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Choose and learn from all `accesses`; return self.

        Raises `InputError` for weights, and for a time too short for the forecast and the choice.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        if weight is not None:
            raise InputError("an access counts as one; leave weight out, or repeat the access.")
        begin, end = accesses.begin, accesses.end
        middle = end - self.held_out * (end - begin)
        trial = clone(self.method).fit(
            accesses.before(middle), seed=derive(seed, "trial"), progress=False
        )
        rate, days = self.rates(accesses, middle, end, trial)
        capacity = self.cache * float(accesses.size.sum())
        candidates = list(self._candidates())
        self.tried_ = []
        with progress_bar(shown=progress) as bar:
            task = bar.add_task("evictions", total=len(candidates))
            for choice in candidates:
                found = replay(accesses, capacity, scores(choice, rate, days), since=middle)
                self.tried_.append(choice | {"misses": found.ratio})
                bar.advance(task)
        best = min(self.tried_, key=lambda tried: tried["misses"])
        self.choice_ = {name: value for name, value in best.items() if name != "misses"}
        self.popularity_ = clone(self.method).fit(accesses, seed=seed, progress=False)
        return self

    def rates(
        self,
        accesses: Accesses,
        begin: float,
        end: float,
        popularity: Popularity | None = None,
        *,
        refit: float | None = None,
    ) -> tuple[Floats, Floats]:
        """Return forecasts of accesses a day (T, D), and the days (T,) on which they are made."""
        used = self.popularity_ if popularity is None else popularity
        days = np.arange(begin, end, self.every)
        return forecasts(used, accesses, days, refit=refit) / used.horizon, days

    def replay(
        self,
        accesses: Accesses,
        cache: float | None = None,
        *,
        since: float | None = None,
        rates: tuple[Floats, Floats] | None = None,
    ) -> Misses:
        """Replay accesses from the first one; count the misses from day `since` on.

        `since` is the end of the training if not given, and not before it; `cache` the part of the
        size of all data sets that it holds, that of the choice if not given; `rates` what `rates`
        returned, if it is there already. Raises `InputError` for a `since` in the training time.
        """
        until = self.popularity_.until_
        since = until if since is None else since
        if since < until:
            raise InputError(
                f"since is day {since:g}, and the eviction was chosen on accesses up to day"
                f" {until:g}; judge it on later ones."
            )
        if since > accesses.end:
            raise InputError(
                f"the accesses end on day {accesses.end:g}, and the training on day {until:g}; a"
                " cache is judged on later ones, give these too."
            )
        rate, days = rates or self.rates(accesses, since, accesses.end)
        capacity = (cache or self.cache) * float(accesses.size.sum())
        return replay(accesses, capacity, scores(self.choice_, rate, days), since=since)

    def _candidates(self) -> Iterator[dict[str, float]]:
        lru = {"oldest": 0.0, "strength": 0.0, "time": 1.0, "size_power": 0.0}
        yield lru
        for power in POWERS if self.by_size else POWERS[:1]:
            for oldest in OLDEST:
                yield lru | {"oldest": oldest, "size_power": power}
            for oldest, strength, time in product(LOOKED, STRENGTHS, TIMES):
                yield dict(oldest=oldest, strength=strength, time=time, size_power=power)


def scores(choice: dict[str, Any], rate: Floats, days: Floats) -> Scores:
    """Return what a choice makes of forecasts."""
    read_now = [choice["strength"]] if choice["strength"] else []
    return Scores(
        rate,
        days,
        read_now,
        [choice["time"]][: len(read_now)],
        choice["oldest"],
        choice["size_power"],
    )
