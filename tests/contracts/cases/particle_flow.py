"""Small events for particle flow: five particles each, of known deposits, and no simulation."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from colliderkit.events.particle_flow import (
    CHARGED,
    NEUTRAL,
    PHOTON,
    Clusters,
    FlowEvents,
    FlowParticles,
    Incidence,
    Towers,
    Tracks,
)
from colliderkit.methods.reconstruction.energy_flow import EnergyFlow
from colliderkit.methods.reconstruction.incidence_flow import IncidenceFlow
from colliderkit.methods.reconstruction.link_and_subtract import LinkAndSubtract
from colliderkit.methods.reconstruction.mlpf import MLPF
from colliderkit.sources.files.particle_flow import write_flow
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, TaskCase

KIND = np.array([CHARGED, CHARGED, PHOTON, NEUTRAL, PHOTON])
TRACKED, SEEN = 2, 5  # of the five particles, the first two have tracks


def small_events(count: int, seed: int) -> FlowEvents:
    """Draw events of two charged hadrons, two photons and a neutral hadron, by falling pT.

    Each leaves a cluster of its own, hadrons 0.7 to 0.9 of their energy in the hadronic section;
    the first photon leaves a tenth in the cluster of the first hadron.
    """
    random = np.random.default_rng(seed)
    shape = (count, SEEN)
    pt = np.sort(random.uniform(1, 20, shape), axis=1)[:, ::-1]
    eta = np.array([-1.0, 0.5, -0.95, 1.2, 0.0]) + random.normal(0, 0.02, shape)
    phi = np.array([0.3, -2.0, 0.3, 1.5, 3.0]) + random.normal(0, 0.02, shape)
    hadron = KIND != PHOTON
    left = pt * np.cosh(eta) * np.where(hadron, random.uniform(0.7, 0.9, shape), 1.0)
    energy = left.copy()
    energy[:, 0] += 0.1 * left[:, 2]
    energy[:, 2] -= 0.1 * left[:, 2]
    offsets = np.arange(count + 1) * SEEN
    kind = np.tile(KIND, count)
    particle = np.arange(count * SEEN)
    flat = {"eta": eta.reshape(-1), "phi": phi.reshape(-1)}
    own = np.ravel(particle.reshape(shape)[:, :TRACKED])
    smeared = pt[:, :TRACKED] * random.normal(1, 0.01, (count, TRACKED))
    own_eta, own_phi = eta[:, :TRACKED].reshape(-1), phi[:, :TRACKED].reshape(-1)
    ones = np.ones(len(own))
    tracks = Tracks(
        np.arange(count + 1) * TRACKED, smeared.reshape(-1), own_eta, own_phi, 0.01 * ones,
        own_eta, own_phi, np.zeros(len(own), dtype=np.int64),
    )  # fmt: skip
    hadronic = np.tile(hadron, count)
    layers = np.where(hadronic[:, None], [0.2, 0.6, 0.2], [0.3, 0.6, 0.1])
    clusters = Clusters(
        offsets, energy.reshape(-1), **flat, hadronic=hadronic.astype(np.int64), layers=layers,
        width=np.where(hadronic, 0.08, 0.02), cells=np.where(hadronic, 12, 5),
    )  # fmt: skip
    square = {k: (np.floor(v / 0.2) + 0.5) * 0.2 for k, v in flat.items()}
    towers = Towers(
        offsets, **square, electromagnetic=np.where(hadronic, 0.0, energy.reshape(-1)),
        hadronic=np.where(hadronic, energy.reshape(-1), 0.0),
    )  # fmt: skip
    true = FlowParticles(offsets, pt.reshape(-1), **flat, kind=kind)
    share = np.concatenate([particle, particle.reshape(shape)[:, 2]])
    cluster = np.concatenate([particle, particle.reshape(shape)[:, 0]])
    what = left.copy()
    what[:, 2] *= 0.9
    amount = np.concatenate([what.reshape(-1), 0.1 * left[:, 2]])
    order = np.argsort(cluster, kind="stable")
    incidence = Incidence(own, cluster[order], share[order], amount[order])
    return FlowEvents(tracks, clusters, towers, true, incidence)


def events(seed: int) -> Data:
    return (small_events(40, seed),), {}


def with_nan(args: Arguments) -> Arguments:
    pt = args[0].tracks.pt.copy()
    pt[3 * TRACKED] = np.nan
    return (replace(args[0], tracks=replace(args[0].tracks, pt=pt)),)


def write_events(folder: Path) -> None:
    for seed, name in enumerate(("train", "test")):
        write_flow(folder / f"{name}.parquet", small_events(40, seed))


CASES = {
    "energy-flow": Case(
        make=EnergyFlow,
        data=events,
        answer=lambda method, args: method.predict(args[0]).pt,
        nan=with_nan,
        refuses_weight="means of hadrons",
    ),
    "link-and-subtract": Case(
        make=LinkAndSubtract,
        data=events,
        answer=lambda method, args: method.predict(args[0]).pt,
        nan=with_nan,
        refuses_weight="means of hadrons",
    ),
    "mlpf": Case(
        make=lambda: MLPF(
            width=8, blocks=1, neighbours=3, training=Training(epochs=1, batch_size=8)
        ),
        data=events,
        answer=lambda method, args: method.outputs(args[0]),
        nan=with_nan,
        verbs={"predict": lambda method, args: method.predict(args[0])},
        refuses_weight="particles are counted",
    ),
    "incidence-flow": Case(
        make=lambda: IncidenceFlow(
            width=8, blocks=1, neighbours=3, training=Training(epochs=1, batch_size=8)
        ),
        data=events,
        answer=lambda method, args: method.outputs(args[0]),
        nan=with_nan,
        verbs={"predict": lambda method, args: method.predict(args[0])},
        refuses_weight="particles are counted",
    ),
}
SMALL = ("--width", "8", "--blocks", "1", "--training.epochs", "1")
TASK_CASES = {
    "particle-flow": TaskCase(
        write=write_events,
        fit=lambda folder: ("--files", folder / "train.parquet"),
        methods={"mlpf": SMALL, "incidence-flow": SMALL},
        apply=lambda folder: ("--files", folder / "test.parquet"),
        evaluate=lambda folder: ("--files", folder / "test.parquet"),
        export=lambda folder: ("--files", folder / "test.parquet"),
    ),
}
