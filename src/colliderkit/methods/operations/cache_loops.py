"""The loops over accesses of the cache simulator, in the part of Python that numba compiles.

All return the number of misses and their GB, of the accesses from number `first` on.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["farthest", "keyed", "scored"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def keyed(
    dataset: Ints,
    size: Floats,
    capacity: float,
    first: int,
    key: Floats,
    again: bool,
    counted: bool,
) -> tuple[int, float]:
    """Evict the least key, which each access sets: a heap whose places are known.

    Without `again` only the access that brings a set in sets its key; with `counted` the key is
    the number of accesses since then, of equals the one that was read last longest ago.
    """
    heap = np.empty(len(size), dtype=np.int64)
    place = np.full(len(size), -1)
    value = np.zeros(len(size))
    count, used, misses, missed = 0, 0.0, 0, 0.0
    for k in range(len(dataset)):
        x = dataset[k]
        known = place[x] >= 0
        if not known:
            if k >= first:
                misses += 1
                missed += size[x]
            if size[x] > capacity:
                continue
            while count > 0 and used + size[x] > capacity:
                gone = heap[0]
                used -= size[gone]
                place[gone] = -1
                count -= 1
                if count > 0:  # the last takes the root's place, and sinks
                    y, i = heap[count], 0
                    while 2 * i + 1 < count:
                        below = 2 * i + 1
                        if below + 1 < count and value[heap[below + 1]] < value[heap[below]]:
                            below += 1
                        if value[y] <= value[heap[below]]:
                            break
                        heap[i] = heap[below]
                        place[heap[i]] = i
                        i = below
                    heap[i] = y
                    place[y] = i
            used += size[x]
            heap[count] = x
            place[x] = count
            count += 1
            value[x] = 1.0 + k * 1e-12 if counted else key[k]
        elif not again:
            continue
        else:
            # Time breaks the ties of counts: 1e-12 an access stays below one count.
            value[x] = np.floor(value[x]) + 1.0 + k * 1e-12 if counted else key[k]
        i = place[x]
        while i > 0 and value[heap[(i - 1) // 2]] > value[x]:
            heap[i] = heap[(i - 1) // 2]
            place[heap[i]] = i
            i = (i - 1) // 2
        while 2 * i + 1 < count:
            below = 2 * i + 1
            if below + 1 < count and value[heap[below + 1]] < value[heap[below]]:
                below += 1
            if value[x] <= value[heap[below]]:
                break
            heap[i] = heap[below]
            place[heap[i]] = i
            i = below
        heap[i] = x
        place[x] = i
    return misses, missed


def farthest(
    dataset: Ints, size: Floats, capacity: float, first: int, use: Ints, weigh: Floats
) -> tuple[int, float]:
    """Evict the largest (accesses until the next use) x `weigh`, which changes with every access.

    What is never used again goes first, the largest of it before the others.
    """
    cached = np.empty(len(size), dtype=np.int64)
    place = np.full(len(size), -1)
    next_use = np.zeros(len(size), dtype=np.int64)
    never = len(dataset)
    count, used, misses, missed = 0, 0.0, 0, 0.0
    for k in range(len(dataset)):
        x = dataset[k]
        next_use[x] = use[k]
        if place[x] >= 0:
            continue
        if k >= first:
            misses += 1
            missed += size[x]
        if size[x] > capacity:
            continue
        while count > 0 and used + size[x] > capacity:
            best, gone = -1.0, cached[0]
            for c in range(count):
                y = cached[c]
                wait = float(next_use[y] - k) * weigh[y]
                if next_use[y] == never:
                    wait = 1e18 * weigh[y]
                if wait > best:
                    best, gone = wait, y
            used -= size[gone]
            count -= 1
            cached[place[gone]] = cached[count]
            place[cached[count]] = place[gone]
            place[gone] = -1
        used += size[x]
        cached[count] = x
        place[x] = count
        count += 1
    return misses, missed


def scored(
    time: Floats,
    dataset: Ints,
    size: Floats,
    capacity: float,
    first: int,
    rate: Floats,
    row: Ints,
    strength: Floats,
    fade: Floats,
    oldest: float,
    weigh: Floats,
) -> tuple[int, float]:
    """Evict the least worth (see `Scores`) among the oldest part of a list by the last access."""
    sets, sums = len(size), len(strength)
    recent = np.zeros((sets, sums))
    last = np.zeros(sets)
    there = np.zeros(sets, dtype=np.bool_)
    after = np.full(sets + 1, sets)  # a ring, whose place `sets` is between newest and oldest
    before = np.full(sets + 1, sets)
    count, used, misses, missed = 0, 0.0, 0, 0.0
    for k in range(len(dataset)):
        x, now = dataset[k], time[k]
        for j in range(sums):
            recent[x, j] = recent[x, j] * np.exp(-(now - last[x]) / fade[j]) + 1.0
        last[x] = now
        if there[x]:
            before[after[x]], after[before[x]] = before[x], after[x]
        else:
            if k >= first:
                misses += 1
                missed += size[x]
            if size[x] > capacity:
                continue
            while count > 0 and used + size[x] > capacity:
                looked = max(1, int(oldest * count))
                y = after[sets]
                gone, least = y, np.inf
                for _ in range(looked):
                    worth = rate[row[k], y]
                    for j in range(sums):
                        worth += strength[j] * recent[y, j] * np.exp(-(now - last[y]) / fade[j])
                    worth /= weigh[y]
                    if worth < least:
                        least, gone = worth, y
                    y = after[y]
                there[gone] = False
                used -= size[gone]
                count -= 1
                before[after[gone]], after[before[gone]] = before[gone], after[gone]
            used += size[x]
            there[x] = True
            count += 1
        newest = before[sets]
        after[newest], before[x] = x, newest
        after[x], before[sets] = sets, x
    return misses, missed
