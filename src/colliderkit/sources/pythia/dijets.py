"""Events of two jets from Pythia 8: a row of numbers an event, as a search for resonances reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.clustering import cluster
from colliderkit.events.nsubjettiness import nsubjettiness
from colliderkit.events.schema import CONSTITUENTS
from colliderkit.sources.detector.response import Detector
from colliderkit.sources.pythia.jets import (
    FARTHEST,
    Numbers,
    clustered,
    collected,
    final_state,
    reconstruction,
)
from colliderkit.sources.pythia.processes import Process, process_named
from colliderkit.sources.pythia.tunes import Tune

__all__ = ["dijets", "invariant_mass", "rows_of"]

LEAST_PT = 20.0  # of the second jet [GeV]
SMALL = 1e-5  # keeps tau_N / tau_M finite, as in the published features
KINEMATICS = ("pt", "eta", "phi")

Floats = NDArray[np.float64]


def dijets(
    process: str,
    count: int,
    *,
    seed: int = 0,
    shard: int = 0,
    detector: bool | Detector = False,
    pileup: float = 0.0,
    settings: str | Sequence[str] = (),
    parameters: Mapping[str, Sequence[float]] | None = None,
    progress: Callable[[int], None] | None = None,
) -> ak.Array:
    """Generate exactly `count` events with two jets, one of which passes the process's cuts.

    Returns ``count * {...}``, a float32 each; of the two hardest jets, 1 is the lighter one:

    - ``mjj`` [GeV], of E = sqrt(p^2 + m^2); ``mj1`` <= ``mj2`` [GeV];
    - ``tau21_1``, ``tau32_1``, ``tau21_2``, ``tau32_2``: tau_N / (1e-5 + tau_{N-1});
    - ``pt_1`` [GeV], ``eta_1``, ``phi_1``, ``particles_1`` and likewise of 2;
    - ``weight`` (float64): 1, or what undoes the settings' bias of the phase space
      (``PhaseSpace:bias2Selection = on``); ``event`` (int64); the ``parameters`` by their names.

    The options are those of `colliderkit.sources.pythia.jets.jets`, and so are the errors; an
    `InputError` also for a process whose events have no two such jets.
    """
    definition = process_named(process)
    if not definition.dijet:
        raise InputError(f"process '{process}' is not of events with two jets; take its jets.")
    reconstruct = reconstruction(process, seed, detector, pileup)
    vertices = pileup > 0 or bool(detector)

    def dijets_of(batch: ak.Array, number: Numbers, random: np.random.Generator) -> ak.Array:
        particles = reconstruct(final_state(batch.prt, vertices), number, random)
        events, keep = rows_of(particles, batch.prt, definition, number)
        events["weight"] = np.asarray(batch.info.weights[:, 0], dtype=np.float64)[keep]
        events["event"] = number[keep]
        return ak.Array(events)

    tune = Tune.of(settings, parameters)
    return collected(
        process, count, dijets_of, seed=seed, shard=shard, tune=tune, progress=progress
    )


def rows_of(
    particles: ak.Array, record: ak.Array, process: Process, number: Numbers
) -> tuple[dict[str, NDArray], NDArray[np.bool_]]:
    """Cluster events; return the numbers of those with two jets, one within the process's cuts.

    The second value says which of the events, numbered upwards without a gap, these are.
    """
    hardest = replace(process, pt=(LEAST_PT, float("inf")), eta=FARTHEST, leading=2)
    jets = clustered(particles, record, hardest, number)
    place = np.asarray(jets["event"]) - number[0]
    pt, eta = (np.asarray(jets[f"jet_{name}"]) for name in ("pt", "eta"))
    passed = (pt > process.pt[0]) & (pt < process.pt[1]) & (np.abs(eta) < process.eta)
    size = len(number)
    two = np.bincount(place, minlength=size) == 2
    keep = two & (np.bincount(place, passed, minlength=size) > 0)
    return numbers_of(jets[keep[place]]), keep


def numbers_of(jets: ak.Array) -> dict[str, NDArray]:
    """Return the numbers of events from their jets, two after another each."""
    columns = {name: np.asarray(jets[f"jet_{name}"], dtype=np.float64) for name in KINEMATICS}
    columns["mj"] = np.asarray(jets["jet_mass"], dtype=np.float64)
    columns["particles"] = np.asarray(ak.num(jets[CONSTITUENTS]))
    taus = nsubjettiness(cluster(jets[CONSTITUENTS], "kt"), 3)[:, :, 0]
    for n in (2, 3):
        columns[f"tau{n}{n - 1}"] = taus[:, n - 1] / (SMALL + taus[:, n - 2])
    both = {name: column.reshape(-1, 2) for name, column in columns.items()}
    heavy = np.argsort(both["mj"], axis=1, kind="stable")
    both = {name: np.take_along_axis(column, heavy, 1) for name, column in both.items()}
    mass = invariant_mass(*(both[name] for name in (*KINEMATICS, "mj")))
    events: dict[str, NDArray] = {"mjj": mass}
    for name in ("mj", "tau21", "tau32", *KINEMATICS, "particles"):
        joint = "" if name == "mj" else "_"
        events |= {f"{name}{joint}{i + 1}": both[name][:, i] for i in range(2)}
    return {name: column.astype(np.float32) for name, column in events.items()}


def invariant_mass(pt: Floats, eta: Floats, phi: Floats, mass: Floats) -> Floats:
    """Return the mass (N,) [GeV] of the sum of particles (N, K), with E = sqrt(p^2 + m^2)."""
    momentum = [(pt * part).sum(1) for part in (np.cos(phi), np.sin(phi), np.sinh(eta))]
    energy = np.hypot(pt * np.cosh(eta), mass).sum(1)
    return np.sqrt(np.maximum(energy**2 - sum(part**2 for part in momentum), 0.0))
