"""Traces of accesses to data sets, made: campaigns, conferences, reprocessing, tiers, sizes."""

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.events.tables import Floats, Ints

__all__ = ["TIERS", "accesses"]

TIERS = ("AOD", "DAOD", "NTUP")
SIZES = (6.0, 1.5, 0.4)  # GB, medians of each
GROUPS = 20
CONFERENCES = (75, 195, 330)  # days of a year
HURRY, FACTOR = 28, 6.0  # days before one, in which its groups read so many times more
LIFE, LIFE_SPREAD = 60.0, 0.6  # days in which interest falls by e, log-normal over data sets
ZIPF = 0.9
REPLACED, LEFT = 0.15, 0.05  # data sets that are reprocessed, and the interest that stays
JOBS = 1 / 0.35  # accesses of one task, in the mean
TASKS = 150  # a day, for 2,000 data sets
TASK = 0.5  # days over which its jobs begin
CAMPAIGN = 12.0  # interest in data sets of a new campaign, times all others


def accesses(
    days: int = 730, datasets: int = 2_000, *, seed: int = 0, campaign: float | None = None
) -> Accesses:
    """Make a trace of `days` days and `datasets` data sets, about 0.2 accesses a day and set.

    Interest in a set is Zipf's (rank^-0.9) times exp(-age / life), times 6 for groups that have a
    conference in the next four weeks, and moves by 95% to a successor where the set is
    reprocessed. Tasks are drawn by it, fewer at weekends; each is a geometric number of jobs (2.9
    in the mean) that begin within half a day. Sets are born evenly from a year before the
    first day to the last. Sizes are log-normal, by tier 6, 1.5 or 0.4 GB. From the day `campaign`
    on, what is born is read twelve times more: a regime that the time before it does not know.
    """
    if days < 1 or datasets < 1:
        raise InputError(f"{days} days and {datasets} data sets make no trace; give 1 or more.")
    random = np.random.default_rng(seed)
    born = np.sort(random.integers(-365, max(days, 1), datasets)).astype(np.float64)
    life = random.lognormal(np.log(LIFE), LIFE_SPREAD, datasets)
    tier = random.integers(0, len(TIERS), datasets)
    size = np.maximum(0.05, random.lognormal(np.log(np.array(SIZES))[tier], 1.0))
    interest = np.arange(1, datasets + 1) ** -ZIPF
    interest = interest[random.permutation(datasets)]
    if campaign is not None:
        interest[born >= campaign] *= CAMPAIGN
    group = random.integers(0, GROUPS, datasets)
    heir = successors(born, tier, random)
    meetings = np.array([365 * y + day for y in range(days // 365 + 2) for day in CONFERENCES])
    times, sets = [], []
    for day in range(days):
        age = day - born
        wanted = interest * np.exp(-np.maximum(age, 0) / life) * (age >= 0)
        for number in np.flatnonzero((meetings >= day) & (meetings < day + HURRY)):
            wanted[group == (number * 7 + 3) % GROUPS] *= FACTOR
        wanted[(heir >= 0) & (born[heir] <= day)] *= LEFT
        if not wanted.any():
            continue
        weekly = 0.6 if day % 7 > 4 else 1.1
        tasks = random.poisson(TASKS * datasets / 2_000 * weekly)
        read = random.choice(datasets, tasks, p=wanted / wanted.sum())
        jobs = random.geometric(1 / JOBS, tasks)
        begun = np.repeat(day + random.random(tasks), jobs)
        times.append(begun + TASK * random.random(len(begun)))
        sets.append(np.repeat(read, jobs))
    time, dataset = np.concatenate(times), np.concatenate(sets)
    order = np.argsort(time, kind="stable")
    order = order[time[order] < days]
    return Accesses(
        time[order],
        dataset[order],
        size,
        tuple(f"group{group[i]:02d}.{TIERS[tier[i]]}.{i:05d}" for i in range(datasets)),
        born,
        {"tier": tier.astype(np.float64), "group": group.astype(np.float64)},
        meetings.astype(np.float64),
    )


def successors(born: Floats, tier: Ints, random: np.random.Generator) -> Ints:
    """Return for each set the one of its tier, 90 days younger or more, that replaces it, or -1."""
    heir = np.full(len(born), -1)
    for old in random.choice(len(born), int(REPLACED * len(born)), replace=False):
        later = np.flatnonzero((born > born[old] + 90) & (tier == tier[old]))
        if len(later):
            heir[old] = random.choice(later)
    return heir
