"""A stream of events before a trigger: drawn objects in the layout of the challenge of 2021.

The layout is that of the anomaly detection challenge 2021 (2107.02157): missing momentum, four
electrons, four muons and ten jets by falling pt, with zeros where there is none. The numbers are
drawn from simple distributions, in place of a generator and a detector.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.sources.files.search_layouts import ADC_CLASSES, ADC_OBJECTS

__all__ = [
    "COLUMNS",
    "MENU",
    "PRESCALES",
    "SIGNALS",
    "STREAM",
    "TriggerToy",
    "columns",
    "dijets",
    "measured",
    "signal",
    "stream",
    "table",
]

Floats = NDArray[np.float64]

# Places of electrons, muons and jets, the least pt [GeV] and the width in eta of each.
KINDS = {
    "e": (slice(1, 5), 23.0, 1.2),
    "mu": (slice(5, 9), 23.0, 1.2),
    "j": (slice(9, 19), 30, 1.6),
}
KIND_OF_JETS = ADC_CLASSES[9]
COLUMNS = tuple(
    f"{name}_{quantity}"
    for name in ADC_OBJECTS
    for quantity in ("pt", "eta", "phi")
    if (name, quantity) != ("met", "eta")
)


@dataclass(frozen=True)
class TriggerToy:
    """Say what events are like: mean numbers of objects, and mean pt above the least [GeV].

    - `jets`, `electrons`, `muons`: Poisson means; `jet_pt`, `lepton_pt`, `met`: exponential means.
    """

    jets: float
    electrons: float
    muons: float
    jet_pt: float
    lepton_pt: float
    met: float


# The shares of the stream, and what it does not know.
STREAM = {
    "jets": (0.65, TriggerToy(2.5, 0.03, 0.03, 40, 18, 12)),
    "W": (0.25, TriggerToy(1.2, 0.5, 0.5, 35, 18, 35)),
    "Z": (0.07, TriggerToy(1.2, 1.0, 1.0, 35, 18, 12)),
    "top": (0.03, TriggerToy(4.0, 0.5, 0.5, 70, 18, 45)),
}
SIGNALS = {
    "A to 4 leptons": TriggerToy(1.5, 2.0, 2.0, 35, 22, 14),
    "leptoquark": TriggerToy(3.0, 0.15, 0.15, 95, 18, 40),
    "charged Higgs": TriggerToy(2.0, 0.3, 0.3, 45, 18, 55),
}
# A made menu: single and double objects, cross items, sums; loose ones with a prescale.
MENU = {
    "electron": "e1_pt > 110",
    "muon": "mu1_pt > 110",
    "two electrons": "(e1_pt > 55) & (e2_pt > 40)",
    "two muons": "(mu1_pt > 55) & (mu2_pt > 40)",
    "electron, muon": "(e1_pt > 55) & (mu1_pt > 45)",
    "missing momentum": "met_pt > 200",
    "jet": "j1_pt > 450",
    "four jets": "j4_pt > 130",
    "HT": " + ".join(f"j{i}_pt" for i in range(1, 11)) + " > 900",
    "lepton, missing": "((e1_pt > 60) | (mu1_pt > 60)) & (met_pt > 110)",
    "loose jet": "j1_pt > 150",
    "two loose jets": "j2_pt > 40",
}
PRESCALES = {"loose jet": 500, "two loose jets": 1_000}


def stream(count: int, *, seed: int | list[int], pileup: float = 1.0) -> Floats:
    """Return `count` events of the stream, (count, 19, 4): pt [GeV], eta, phi, class.

    `pileup` in units of the usual one adds 0.6 jets an event for each unit beyond it.
    """
    random = np.random.default_rng(seed)
    names = list(STREAM)
    of = random.choice(len(names), count, p=[STREAM[name][0] for name in names])
    events = np.zeros((count, len(ADC_OBJECTS), 4))
    for i, name in enumerate(names):
        events[of == i] = drawn(STREAM[name][1], int((of == i).sum()), random, pileup)
    return events


def signal(name: str, count: int, *, seed: int | list[int], pileup: float = 1.0) -> Floats:
    """Return `count` events of one of `SIGNALS`, (count, 19, 4)."""
    if name not in SIGNALS:
        raise InputError(f"signal '{name}' is unknown; choose one of {', '.join(SIGNALS)}.")
    return drawn(SIGNALS[name], count, np.random.default_rng(seed), pileup)


def dijets(mass: float, count: int, *, seed: int | list[int]) -> Floats:
    """Return `count` narrow resonances of a mass [GeV] that decay to two jets, (count, 19, 4).

    The jets are back to back in phi with the same pt, and nothing else is there but the missing
    momentum of a QCD event.
    """
    random = np.random.default_rng(seed)
    events = drawn(TriggerToy(0, 0, 0, 1, 1, STREAM["jets"][1].met), count, random, 1.0)
    eta = np.clip(random.normal(0, 1.0, (count, 2)), -2.5, 2.5)
    phi = random.uniform(-np.pi, np.pi, count)
    pt = mass / (2 * np.cosh((eta[:, 0] - eta[:, 1]) / 2))
    two = events[:, 9:11]
    two[..., 0], two[..., 1] = pt[:, None], eta
    two[..., 2] = np.stack([phi, np.where(phi > 0, phi - np.pi, phi + np.pi)], 1)
    two[..., 3] = KIND_OF_JETS
    return events


def measured(events: Floats, resolution: float, *, seed: int | list[int]) -> Floats:
    """Return events (N, 19, 4) whose jets have a relative resolution of pt, ordered by pt anew."""
    random = np.random.default_rng(seed)
    found, (jets, _, _) = events.copy(), KINDS["j"]
    there = found[:, jets]
    there[..., 0] *= np.clip(random.normal(1, resolution, there.shape[:2]), 0.1, None)
    order = np.argsort(-there[..., 0], axis=1, kind="stable")
    found[:, jets] = np.take_along_axis(there, order[..., None], axis=1)
    return found


def drawn(toy: TriggerToy, count: int, random: np.random.Generator, pileup: float) -> Floats:
    """Draw events of one kind."""
    events = np.zeros((count, len(ADC_OBJECTS), 4))
    means = {"e": toy.electrons, "mu": toy.muons, "j": toy.jets + 0.6 * (pileup - 1)}
    for kind, (places, least, width) in KINDS.items():
        slots = places.stop - places.start
        there = np.arange(slots) < random.poisson(max(means[kind], 0.0), count)[:, None]
        pt = least + random.exponential(1.0, there.shape) * (
            # Events differ in hardness: the tail of jets is longer than an exponential.
            toy.jet_pt * random.gamma(3, 1 / 3, (count, 1)) if kind == "j" else toy.lepton_pt
        )
        events[:, places, 0] = -np.sort(-pt * there, axis=1)
        edge = 4.0 if kind == "j" else 2.4
        eta = np.clip(random.normal(0, width, there.shape), -edge, edge)
        events[:, places, 1] = eta * there
        events[:, places, 2] = random.uniform(-np.pi, np.pi, there.shape) * there
    events[:, 0, 0] = random.exponential(toy.met, count)
    events[:, 0, 2] = random.uniform(-np.pi, np.pi, count)
    events[..., 3] = np.array(ADC_CLASSES) * (events[..., 0] > 0)
    return events


def columns(events: Floats) -> dict[str, Floats]:
    """Return the `COLUMNS` of events (N, 19, 4) by name, (N,): pt [GeV], eta, phi."""
    return {
        f"{name}_{quantity}": events[:, place, axis]
        for place, name in enumerate(ADC_OBJECTS)
        for axis, quantity in enumerate(("pt", "eta", "phi"))
        if (name, quantity) != ("met", "eta")
    }


def table(events: Floats) -> Floats:
    """Return the `COLUMNS` of events (N, 19, 4), (N, 56), with ln(1 + pt / 20 GeV) for each pt."""
    numbers = np.concatenate([np.log1p(events[..., :1] / 20), events[..., 1:3]], axis=2)
    return np.delete(numbers.reshape(len(events), -1), 1, axis=1)
