"""What a certification finds in made runs, whose faults are known: counts by test, place, time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.certification import Certificates, Certification
from colliderkit.sources.monitors.calorimeter import MadeRuns, made_runs

__all__ = ["ALL", "counted"]

ALL = "combined"
CHUNK = 200  # runs that are made at a time


def counted(
    method: Certification,
    count: int,
    first: int,
    seed: list[int],
    fault: str | None = None,
    size: float | None = None,
) -> dict[str, Any]:
    """Certify `count` made runs, later than the fit from `first` on, and count what is found.

    Returns JSON values: runs that are flagged by `ALL` tests together and by each at its share;
    those `located`, whose worst bin has the fault; bins `named` and `false` ones among them, over
    monitors that are maps; `proportions`, `squares` and `lists`, of which the mean share of false
    ones a run and test is made; luminosity and what is `lost`; and `until`, after how many
    sections of its fault each run that has an alarm by sections has the first.
    """
    total: dict[str, Any] = {"runs": count, "until": []}
    for begin in range(0, count, CHUNK):
        part = min(CHUNK, count - begin)
        made = made_runs(part, fault=fault, size=size, first=first, seed=[*seed, begin])
        for key, value in of_runs(method, made).items():
            total[key] = total[key] + value if key in total else value
    return total


def of_runs(method: Certification, made: MadeRuns) -> dict[str, Any]:
    """Return counts of one sample."""
    found = method.certify(made.runs)
    truth = made.towers.reshape(len(found), -1)
    maps = np.array([monitor != "energy" for monitor in found.monitor])
    place = np.where(maps, found.place, 0)
    located = found.flagged & maps & truth[np.arange(len(found)), place]
    named = {name: bins for name, bins in found.bins.items() if bins.shape == truth.shape}
    until = first_alarm(found, made)
    singles = (found.p_values <= method.joint_.share).sum(0)
    return {
        ALL: int(found.flagged.sum()),
        **{name: int(n) for name, n in zip(found.names, singles, strict=True)},
        "located": int(located.sum()),
        "named": int(sum(bins.sum() for bins in named.values())),
        "false": int(sum((bins & ~truth).sum() for bins in named.values())),
        "proportions": float(sum((false_share(bins, truth)).sum() for bins in named.values())),
        "squares": float(sum((false_share(bins, truth) ** 2).sum() for bins in named.values())),
        "lists": len(named) * len(found),
        "lost": float(found.lost_luminosity().sum()),
        "luminosity": float(made.runs.luminosity.sum()),
        "until": until,
    }


def false_share(bins: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Floats:
    """Return the share of false ones among the bins named in each run, 0 of none."""
    share: Floats = (bins & ~truth).sum(1) / np.maximum(bins.sum(1), 1)
    return share


def first_alarm(found: Certificates, made: MadeRuns) -> list[int]:
    """Return after how many sections of its fault a run has the first alarm, where it has one."""
    over = np.any(list(found.alarms.values()), axis=0)
    sections = over.reshape(len(made.runs), -1)
    number = np.arange(sections.shape[1])
    seen = sections & (number >= made.begin[:, None]) & (made.end > 0)[:, None]
    return [
        int(np.argmax(s)) - int(b) + 1 for s, b in zip(seen, made.begin, strict=True) if s.any()
    ]
