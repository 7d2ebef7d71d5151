"""Placement of data sets: how many replicas on disk, and which stay on disk rather than on tape."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.events.tables import Floats, Ints

__all__ = ["Recalls", "Waits", "keep_on_disk", "recalls", "replicas", "waits"]

Forecast = Callable[[float], Floats]  # day -> accesses expected until the next decision, (D,)


@dataclass(frozen=True)
class Waits:
    """Mean `days` that an access waits, and the mean `disk` used, over one copy of all data."""

    days: float
    disk: float
    accesses: int


@dataclass(frozen=True)
class Recalls:
    """Recalls from tape: `recalls` and `recalled` [GB]; accesses and the mean `disk` used."""

    recalls: int
    recalled: float
    accesses: int
    disk: float


def replicas(expected: Floats, size: Floats, disk: float) -> Ints:
    """Return the number of replicas of each data set (D,), one or more, that fit on `disk` [GB].

    The work of n expected accesses at r replicas waits in proportion to n^2 / r; one replica more
    saves n^2 / (r (r + 1)). The savings a GB, n^2 / (r (r + 1) size), are taken from the largest
    on while there is room, which minimises the sum of n^2 / r but for the last one. Raises
    `InputError` for a disk that does not hold one replica of each.
    """
    if disk < size.sum():
        raise InputError(
            f"the disk has {disk:g} GB and one replica of each data set takes {size.sum():g}; give"
            " more, or leave some on tape."
        )
    # With a price of a GB, r is the largest number that still saves more than it costs.
    worth = expected**2 / size

    def at(price: float) -> Ints:
        number = np.floor(0.5 + np.sqrt(0.25 + worth / price)).astype(np.int64)
        return np.maximum(number, 1)

    low, high = 1e-30, max(float(worth.max()), 1e-29)
    for _ in range(80):
        price = np.sqrt(low * high)
        if (at(price) * size).sum() > disk:
            low = price
        else:
            high = price
    return at(high)


def waits(
    accesses: Accesses,
    forecast: Forecast,
    disk: float,
    *,
    begin: float,
    every: float = 7.0,
    served: float = 5.0,
) -> Waits:
    """Return how long accesses wait from day `begin` on, when replicas follow a forecast.

    `forecast(day)` gives the accesses expected in the next `every` days, when replicas are chosen
    anew for `disk` GB in units of one copy of all data (1 or more). A replica serves `served`
    accesses a day; what it does not serve waits for the next day (a fluid queue a data set), and
    an access in a queue of q at r replicas waits q / (r served) days.
    """
    size, total = accesses.size, float(accesses.size.sum())
    queue = np.zeros(len(size))
    waited = counted = used = 0.0
    days = np.arange(begin, accesses.end, 1.0)
    number = np.ones(len(size), dtype=np.int64)
    for i, day in enumerate(days):
        if i % round(every) == 0:
            number = replicas(forecast(day), size, disk * total)
        come = accesses.counts(day, day + 1)
        room = number * served
        # Who comes sees, in the mean, the queue of yesterday and half of those who come too.
        waited += float((come * (queue + come / 2) / room).sum())
        queue = np.maximum(queue + come - room, 0)
        counted += float(come.sum())
        used += float((number * size).sum())
    return Waits(waited / max(counted, 1), used / total / max(len(days), 1), int(counted))


def keep_on_disk(expected: Floats, size: Floats, disk: float) -> "np.ndarray":
    """Return which data sets stay on `disk` [GB], (D,) bool: the largest chance of a recall a GB.

    A set without an access costs nothing, one with any is recalled once: of n expected accesses
    that come independently the chance is 1 - exp(-n). Sets are taken by it, over their size, as
    long as they fit.
    """
    order = np.argsort(-(1 - np.exp(-expected)) / size, kind="stable")
    kept = np.zeros(len(size), dtype=bool)
    fits = np.cumsum(size[order]) <= disk
    kept[order[fits]] = True
    return kept


def recalls(
    accesses: Accesses, forecast: Forecast, disk: float, *, begin: float, every: float = 7.0
) -> Recalls:
    """Count recalls from tape from day `begin` on, when a forecast says what stays on disk.

    `disk` is in units of the size of all data sets. Every `every` days `keep_on_disk` chooses by
    `forecast(day)`; what is read and not there is recalled, and stays until the next choice, on a
    buffer beside the disk. All data are on tape.
    """
    size, total = accesses.size, float(accesses.size.sum())
    found, gigabytes, counted, used = 0, 0.0, 0, 0.0
    days = np.arange(begin, accesses.end, every)
    for day in days:
        kept = keep_on_disk(forecast(day) * accesses.known(day), size, disk * total)
        come = accesses.counts(day, day + every)
        # What was not there yet comes from where it is made, which writes it to disk.
        missing = (come > 0) & ~kept & accesses.known(day)
        found += int(missing.sum())
        gigabytes += float(size[missing].sum())
        counted += int(come.sum())
        used += float(size[kept].sum())
    return Recalls(found, gigabytes, counted, used / total / max(len(days), 1))
