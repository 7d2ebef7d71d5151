"""Made monitors of a calorimeter: occupancy and time of 34 x 72 towers, a spectrum, and faults.

Rates in towers differ, some towers are masked for good, pileup falls in a run, and the pattern is
tilted a little from run to run; what a fault does is known, and where and when.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.monitors import MonitorRuns
from colliderkit.events.tables import Floats, Ints

__all__ = ["ETA", "FAULTS", "PHI", "MadeRuns", "made_runs"]

ETA, PHI = 34, 72
MODULE = (17, 4)  # towers
ENERGIES = 60  # bins of the spectrum, of 1 GeV
FIRST_DAY = int(np.datetime64("2024-04-01", "D").astype(np.int64))
PATTERN = 16  # the seed of the detector, which is always the same
NOISE = 2.0  # ns, of a hit

# What the size of a fault is, and from where to where it is drawn if none is given.
FAULTS: dict[str, tuple[str, tuple[float, float]]] = {
    "module": ("share of the hits of 17 x 4 towers that is lost, from a section on", (1.0, 1.0)),
    "tower": ("share of the hits of 2 x 2 towers that is lost, for 1 to 5 sections", (0.3, 1.0)),
    "hot": ("hits a section that one tower has too many, from a section on", (3.0, 30.0)),
    "gain": ("share of the gain of 2 x 2 towers that is lost", (0.02, 0.12)),
    "timing": ("ns by which 2 x 2 towers are early or late", (0.1, 0.6)),
    "scale": ("share of all energies that is lost", (0.005, 0.03)),
}


class MadeRuns(NamedTuple):
    """Hold made runs and what is true of them.

    - `runs`: R of them, with `good`;
    - `towers` (R, 34, 72): those with a fault, not masked;
    - `begin`, `end` (R,): its sections, counted from 0, without the end;
    - `size` (R,): of the fault, 0 for good runs.
    """

    runs: MonitorRuns
    towers: NDArray[np.bool_]
    begin: Ints
    end: Ints
    size: Floats


def made_runs(
    count: int,
    *,
    fault: str | None = None,
    size: float | None = None,
    sections: int = 20,
    first: int = 1,
    a_day: float = 4.0,
    drift: float = 0.0,
    seed: int | list[int],
) -> MadeRuns:
    """Make runs, all good or all with one kind of `FAULTS`, of a `size` or of drawn sizes.

    In section s of a run with pileup mu a tower has Poisson(1.5 mu shape (1 - .01 s)) entries, with
    a slope in s and a tilt in eta of each run, a mean time of noise 2 ns / sqrt(n), and a hit is
    above threshold with its gain to the 1.5. Runs are numbered from `first`, `a_day` of them each
    day from 2024-04-01 on; `drift` is the share of its response that a tower at the edge loses in
    30 days. Raises `InputError` for a kind that is not there.
    """
    if fault is not None and fault not in FAULTS:
        raise InputError(f"fault '{fault}' is unknown; choose one of {', '.join(FAULTS)}.")
    random = np.random.default_rng(seed)
    shape, masked = pattern()
    eta = np.linspace(-1, 1, ETA)[:, None]
    day = FIRST_DAY + ((first - 1 + np.arange(count)) / a_day).astype(np.int64)
    occupancy = np.empty((count, sections, ETA, PHI), np.uint16)
    time = np.empty((count, sections, ETA, PHI), np.float32)
    energy = np.empty((count, sections, ENERGIES), np.int32)
    towers = np.zeros((count, ETA, PHI), bool)
    begin, end = np.zeros(count, np.int64), np.zeros(count, np.int64)
    sizes = np.zeros(count)
    fall = 1 - 0.01 * np.arange(sections)
    lumi = np.empty((count, sections))
    for r in range(count):
        mu, slope, tilt = random.uniform(25, 60), random.normal(0, 0.004), random.normal(0, 0.02)
        aged = np.exp(-drift * (day[r] - FIRST_DAY) / 30 * eta**2)
        lumi[r] = mu * fall
        rate = 1.5 * lumi[r] * (1 + slope * np.arange(sections))
        kept = np.ones((sections, ETA, PHI))
        more, late, scale = np.zeros((sections, ETA, PHI)), np.zeros((ETA, PHI)), 1.0
        scale *= 1 + random.normal(0, 0.001)
        if fault is not None:
            sizes[r] = random.uniform(*FAULTS[fault][1]) if size is None else size
            box = place_of(fault, random)
            begin[r], end[r] = when(fault, sections, random)
            during = (slice(begin[r], end[r]), *box)
            if fault in ("module", "tower"):
                kept[during] = 1 - sizes[r]
            elif fault == "gain":
                kept[during] = (1 - sizes[r]) ** 1.5
            elif fault == "hot":
                more[during] = sizes[r]
            elif fault == "timing":
                late[box] = random.choice([-1, 1]) * sizes[r]
            else:
                scale *= 1 - sizes[r]
            towers[r][box] = fault != "scale"
        expected = rate[:, None, None] * (shape * (1 + tilt * eta) * aged) * kept
        occupancy[r] = random.poisson(expected + more * ~masked)
        noise = random.standard_normal((sections, ETA, PHI), np.float32)
        time[r] = late + NOISE * noise / np.sqrt(np.maximum(occupancy[r], 1))
        spectrum = np.diff(-np.exp(-np.arange(ENERGIES + 1) / (3.0 * scale)))
        energy[r] = random.poisson(150 * lumi[r][:, None] * spectrum)
    each = np.repeat(np.arange(count), sections)
    runs = MonitorRuns(
        run=first + np.arange(count),
        offsets=np.arange(count + 1) * sections,
        section=np.tile(np.arange(1, sections + 1), count),
        luminosity=lumi.reshape(-1),
        counts={
            "occupancy": occupancy.reshape(len(each), ETA, PHI),
            "energy": energy.reshape(len(each), ENERGIES),
        },
        means={"time": time.reshape(len(each), ETA, PHI)},
        day=day,
        good=np.full(count, fault is None),
    )
    return MadeRuns(runs, towers & ~masked, begin, end, sizes)


def pattern() -> tuple[Floats, NDArray[np.bool_]]:
    """Return the relative rate of each tower, (34, 72), and which are masked, 1 in 100."""
    random = np.random.default_rng(PATTERN)
    eta = np.linspace(-1.48, 1.48, ETA)[:, None]
    shape = (1 + 0.35 * eta**2) * np.exp(random.normal(0, 0.12, (ETA, PHI)))
    shape *= 1 + 0.05 * np.cos(np.linspace(0, 2 * np.pi, PHI))
    masked = random.random((ETA, PHI)) < 0.01
    return np.where(masked, 0.0, shape), masked


def place_of(fault: str, random: np.random.Generator) -> tuple[slice, slice]:
    """Draw the towers of a fault."""
    sides = {"module": MODULE, "hot": (1, 1)}.get(fault, (2, 2))
    begin = [
        int(random.integers(n // side)) * side for n, side in zip((ETA, PHI), sides, strict=True)
    ]
    eta, phi = (slice(b, b + side) for b, side in zip(begin, sides, strict=True))
    return eta, phi


def when(fault: str, sections: int, random: np.random.Generator) -> tuple[int, int]:
    """Draw the sections of a fault: a stretch, from one on, or all."""
    if fault in ("gain", "timing", "scale"):
        return 0, sections
    begin = int(random.integers(max(sections // 2, 1)))
    if fault == "tower":
        return begin, min(begin + int(random.integers(1, 6)), sections)
    return begin, sections
