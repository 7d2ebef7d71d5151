"""Particle flow of events: a network on tracks and clusters beside energy flow and links."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.calorimeter.library import calibration
from colliderkit.events.particle_flow import (
    CHARGED,
    ELECTRON,
    MUON,
    NEUTRAL,
    PHOTON,
    FlowEvents,
    FlowParticles,
)
from colliderkit.methods.reconstruction.energy_flow import EnergyFlow
from colliderkit.methods.reconstruction.incidence_flow import IncidenceFlow
from colliderkit.methods.reconstruction.link_and_subtract import LinkAndSubtract
from colliderkit.methods.reconstruction.mlpf import MLPF
from colliderkit.methods.reconstruction.particle_flow import with_true_shares
from colliderkit.metrics.pileup import compared
from colliderkit.metrics.value import number
from colliderkit.report.particle_flow import elements_and_particles
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.seeds import derive
from colliderkit.sources.datasets.particle_flow import KINDS, READOUT, WIDTHS, flow_events
from colliderkit.sources.detector.response import Detector
from colliderkit.sources.files.particle_flow import read_flow, write_flow
from colliderkit.sources.files.shower_libraries import read_library
from colliderkit.sources.geant4.library import generate_library
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.particle_flow import (
    EXPLAINED,
    FAKES,
    RESOLUTION,
    Judgement,
    add_bins,
    add_responses,
    binned,
    flow_rows,
    typical,
)
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
An experiment measures the momenta of charged particles with tracks and the energy of all in a
calorimeter, where showers overlap. Particle flow makes a list of particles of both, without
counting any energy twice. Here a graph network says of each track and cluster whether it stands for
a particle, of which kind and momentum (MLPF, arXiv:2101.08578, 2309.06782), and at larger scales
another divides each cluster among particles (HGPflow's incidence matrix, arXiv:2212.01328), beside
what is done without learning: energy flow in towers, as fast detectors have it (arXiv:1307.6346),
and links of clusters and tracks with the expected E/p subtracted (after arXiv:1706.04965).
"""
STAND_IN = """
Jets are those of Pythia 8, 20 to 120 GeV at 13.6 TeV, without multiple interactions or pileup. Each
particle takes a shower of its kind and energy from a library: lead, iron and liquid argon in cells
of {widths} mm, {physics}, without {missing}. The calorimeter is a barrel of 1.53 m, unrolled: all
come at right angles with all their energy. Kaons and protons shower as pions. A cell reads
its sum once, with a noise of {noise:g} MeV and a threshold of {threshold:g} MeV; cells are gathered
by CLUE, each section apart. Tracks have the efficiency and resolution of the fast detector, and no
fakes. "Energy flow, fast detector" has another calorimeter, the parametrised one, for the same
particles, and stands for orientation.
"""
MEASURES = f"""
{EXPLAINED} No shower of the test is in an event of the training, nor is a collision. The classical
methods learn E/p, and the links their distances and significance, from the events of the training.
"True shares" has the tracks, and of each other particle what it left in the clusters, in its
direction: what calorimeter and tracker leave to be had.
"""
ENERGY_FLOW, LINKS, ORACLE = "energy flow", "link and subtract", "true shares"
FAST = "energy flow, fast detector"
NETWORK, INCIDENCE = "MLPF", "incidence matrix"
OVER = "jet resolution over energy flow's"
AIMS = (
    Aim("The network's jets are resolved 15% better than by energy flow", OVER, NETWORK, "below",
        0.85),
    Aim("No more of its particles are fakes", FAKES, NETWORK, "below", against=ENERGY_FLOW),
    Aim("Its jets are resolved better than by links", RESOLUTION, NETWORK, "below", against=LINKS),
    Aim("Links are better than towers", OVER, LINKS, "below", 1.0),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Showers of each kind, their energies [MeV], events, epochs, fits, width, and networks."""

    showers: int
    low: float
    high: float
    train: int
    test: int
    epochs: int
    seeds: int
    width: int = 48
    networks: tuple[str, ...] = (NETWORK, INCIDENCE)


SCALES = {
    "smoke": Scale(8, 300.0, 2e3, 20, 20, 1, 1, 8),
    "laptop": Scale(250, 200.0, 50e3, 2_500, 1_200, 12, 1, networks=(NETWORK,)),
    "night": Scale(3_000, 200.0, 150e3, 40_000, 10_000, 30, 3, 64),
    "paper": Scale(30_000, 200.0, 300e3, 1_000_000, 50_000, 40, 5, 128),
}


def particle_flow(run: Run[Scale]) -> None:
    """Make showers and events, reconstruct them in each way, and compare."""
    scale, report = run.scale, run.report
    library = read_library(run.file("library.hdf5", partial(shot, run)))
    parts = library.parts(0.7, 0.3, seed=1)
    factors = calibration(parts[0])
    train, test = (
        read_flow(
            str(run.file(f"{name}.parquet", partial(drawn, part, count, factors, derive(1, name))))
        )
        for part, count, name in zip(
            parts, (scale.train, scale.test), ("train", "test"), strict=True
        )
    )
    report.add_stand_in(
        STAND_IN.format(
            widths=", ".join(f"{w:g}" for w in WIDTHS), physics=library.physics,
            missing=library.missing, noise=READOUT.noise, threshold=READOUT.threshold,
        )
    )  # fmt: skip
    report.add_definitions(MEASURES)
    each = len(test)
    report.facts.append(
        f"{number(len(test.tracks.pt) / each, 3)} tracks and"
        f" {number(len(test.clusters.energy) / each, 3)} clusters an event"
    )
    found = reconstructed(run, train, test)
    true = test.truth[0]
    judged = {name: [Judgement.of(true, one) for one in each] for name, each in found.items()}
    report.add_heading("Jets, particles, missing momentum")
    report.add_results(rows_of(judged), "Of events that no method has seen.")
    report.add_heading("An event")
    report.add_figure(
        elements_and_particles(
            test, {name: found[name][0] for name in (LINKS, NETWORK)}, typical(true)
        ),
        "An event of the test: tracks where they enter the calorimeter and clusters, the true"
        " particles, and what is found. The area of a mark is as its pT.",
        wide=True,
    )
    report.add_heading("By pT and eta")
    first = {name: each[0] for name, each in judged.items() if name != FAST}
    add_responses(report, first)
    add_bins(report, binned(first))


def shot(run: Run[Scale], path: Any) -> None:
    """Shoot the showers of the library."""
    generate_library(
        "ecal-hcal", KINDS, run.scale.showers, path, energies=(run.scale.low, run.scale.high),
        seed=1, workers=run.workers, dask=run.dask,
    )  # fmt: skip


def drawn(library: Any, count: int, factors: Any, seed: int, path: Path) -> None:
    """Draw events and write them."""
    write_flow(path, flow_events(library, count, factors=factors, seed=seed))


def reconstructed(
    run: Run[Scale], train: FlowEvents, test: FlowEvents
) -> dict[str, list[FlowParticles]]:
    """Return the particles that each method finds, of each seed where it has some."""
    training = Training(epochs=run.scale.epochs, batch_size=16, learning_rate=3e-3, pool=8)
    towers = run.fitted(ENERGY_FLOW, EnergyFlow(), train)
    links = run.fitted(LINKS, LinkAndSubtract(tune=True), train)
    makes: dict[str, type[MLPF] | type[IncidenceFlow]] = {NETWORK: MLPF, INCIDENCE: IncidenceFlow}
    networks = {
        name: [
            run.fitted(
                f"{name}, seed {seed}", makes[name](width=run.scale.width, training=training),
                train, seed=seed,
            ).predict(test)
            for seed in run.seeds
        ]
        for name in run.scale.networks
    }  # fmt: skip
    said = ", ".join(f"{key} {value:g}" for key, value in links.chosen_.items())
    run.report.facts.append(f"links: {said}")
    return {
        ENERGY_FLOW: [towers.predict(test)],
        FAST: [fast(test.truth[0])],
        LINKS: [links.predict(test)],
        **networks,
        ORACLE: [with_true_shares(test, towers.deposit_)],
    }


def fast(true: FlowParticles) -> FlowParticles:
    """Return what the fast detector's energy flow makes of the true particles."""
    codes = np.array([211, 22, 130, 11, 13])[true.kind]
    charged = np.isin(true.kind, (CHARGED, ELECTRON, MUON))
    columns = {
        "px": true.pt * np.cos(true.phi),
        "py": true.pt * np.sin(true.phi),
        "pz": true.pt * np.sinh(true.eta),
        "E": true.energy,
        "pid": codes,
        # Which way each bends is not kept, and is as good as any.
        "charge": charged * np.where(np.arange(len(codes)) % 2, 1, -1),
    }
    seen = Detector().reconstruct(ak.unflatten(ak.zip(columns), true.counts), 1)
    flat = {name: np.asarray(ak.to_numpy(ak.flatten(seen[name]))) for name in seen.fields}
    pt = np.hypot(flat["px"], flat["py"])
    code = np.abs(flat["pid"])
    kind = np.select(
        [code == 22, code == 130, code == 11, code == 13],
        [PHOTON, NEUTRAL, ELECTRON, MUON],
        CHARGED,
    )
    eta, phi = np.arcsinh(flat["pz"] / pt), np.arctan2(flat["py"], flat["px"])
    event = np.repeat(np.arange(len(seen)), np.asarray(ak.num(seen)))
    return FlowParticles.of(event, len(seen), pt=pt, eta=eta, phi=phi, kind=kind)


def rows_of(judged: dict[str, list[Judgement]]) -> list[Result]:
    """Return the rows of all methods, over seeds where there are some, and resolutions compared."""
    rows = []
    against = judged[ENERGY_FLOW][0].jets
    for name, each in judged.items():
        tables = [flow_rows(name, one) for one in each]
        for same in zip(*tables, strict=True):
            values = [row.estimate for row in same]
            rows.append(Result.over_seeds(name, same[0].quantity, values))
        if name == ENERGY_FLOW:
            continue
        ratios = [
            compared(one.jets.pt, one.jets.event, against.pt, against.event, against.events)
            for one in each
        ]
        rows.append(Result.over_seeds(name, OVER, ratios))
    return rows


STUDY = Study(
    *("particle-flow", "Particle flow: tracks and clusters to particles", SUMMARY, SCALES,
      particle_flow, ("seeds", "workers", "dask")),
    aims=AIMS,
    events="{train} events to train on, {test} to judge, of {showers} showers of each kind",
    stand_in="the detectors of CMS and CLIC",
)  # fmt: skip
