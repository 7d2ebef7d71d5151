"""Faults of a network with labels: flaps, bursts, misrouting, silent loss, duplex mismatch."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from colliderkit.errors import InputError
from colliderkit.seeds import derive
from colliderkit.sources.network.topology import Topology

__all__ = ["KINDS", "Fault", "FaultKind", "drawn_faults"]

FaultKind = Literal["flap", "burst", "misroute", "silent loss", "duplex mismatch"]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
# Intervals that a fault lasts, and its size: the share of the time that a flapping link is down, of
# its capacity that a burst or a mismatch takes, a factor of its metric, the share of packets lost.
LASTS: dict[FaultKind, tuple[float, float]] = {
    "flap": (5, 20),
    "burst": (5, 30),
    "misroute": (20, 90),
    "silent loss": (60, 240),
    "duplex mismatch": (60, 240),
}
SIZES: dict[FaultKind, tuple[float, float]] = {
    "flap": (0.3, 1.0),
    "burst": (0.5, 1.2),
    "misroute": (10.0, 10.0),
    "silent loss": (1e-4, 1e-2),
    "duplex mismatch": (0.4, 0.6),
}


@dataclass(frozen=True)
class Fault:
    """A fault of `kind` on `link` in the intervals from `begin` up to, not with, `end`.

    `size` is the share of the time down ("flap"), of the capacity that others take ("burst") or
    that is lost ("duplex mismatch", in which packets are lost too), the factor of the metric
    ("misroute"), or the share of packets lost ("silent loss").
    """

    kind: FaultKind
    link: int
    begin: int
    end: int
    size: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"fault '{self.kind}' is none of {', '.join(KINDS)}.")
        if not 0 <= self.begin < self.end or not self.size > 0:
            raise InputError(
                f"a fault from interval {self.begin} to {self.end} of size {self.size:g}; give a"
                " beginning of 0 or more, a later end and a positive size."
            )


def drawn_faults(topology: Topology, intervals: int, each: int, *, seed: int = 0) -> list[Fault]:
    """Draw `each` faults of every kind, at most one at a time; as many as there is room for.

    Links are drawn among those that a path takes, misrouting among those of the core; sizes are
    uniform in their logarithm. Between two faults lies an hour of 60 intervals or more.
    """
    random = np.random.default_rng(derive(seed, "faults"))
    used = topology.routes().any(0)
    core = used & (topology.source >= topology.sites) & (topology.target >= topology.sites)
    kinds = random.permutation(np.repeat(np.arange(len(KINDS)), each))
    spacing = intervals / max(len(kinds), 1)
    faults: list[Fault] = []
    free = 0
    for i, number in enumerate(kinds):
        kind = KINDS[number]
        lasts = int(np.exp(random.uniform(*np.log(LASTS[kind]))))
        begin = max(free, int(i * spacing + random.uniform(0, max(spacing - lasts, 1))))
        link = int(random.choice(np.flatnonzero(core if kind == "misroute" else used)))
        size = float(np.exp(random.uniform(*np.log(SIZES[kind]))))
        if begin + lasts >= intervals:
            break
        faults.append(Fault(kind, link, begin, begin + lasts, size))
        free = begin + lasts + 60
    return faults
