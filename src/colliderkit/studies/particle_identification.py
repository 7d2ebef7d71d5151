"""Identification of single particles by their showers: trees on shapes, networks on cells."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.library import ShowerLibrary, calibration, overlay
from colliderkit.events.calorimeter.shapes import SHAPES, shower_shapes
from colliderkit.events.tables import Floats
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.roc import roc
from colliderkit.metrics.value import Value, number
from colliderkit.report.classifiers import roc as roc_curves
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets.overlapping_showers import READOUT
from colliderkit.sources.files.shower_libraries import read_library
from colliderkit.sources.geant4.library import generate_library
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Electrons, photons, muons, pions and protons are told apart by what they leave in a calorimeter.
Boosted trees on a few shapes of the shower are the floor; a network on the cells themselves should
not be below it (as in arXiv:2310.09489, where a residual network beats trees above an efficiency of
95%).
"""
STAND_IN = """
The calorimeter is 22 layers of tungsten and silicon in cells of 10 mm, 20 radiation lengths and
about one interaction length: {physics}, without {missing}. Particles come one by one at right
angles, with {low:g} to {high:g} GeV, log-uniform.
"""
MEASURES = """
The rejection is one over the share of the background that is kept where 90, 95 or 99% of the signal
is. Of charged particles E / p is known, and stands among the shapes; the cells are then in units of
p. Photons have no track: their cells are in units of their sum. Showers are parted by a hash, and a
quarter is for the test. Where no background is kept, the rejection is a limit.
"""
TREES, CELLS = "shapes, boosted trees", "cells, particle-flow network"
KINDS = ("gamma", "e-", "pi+", "mu-", "proton")
# Signal and background.
PAIRS = (("e-", "pi+"), ("gamma", "pi+"), ("mu-", "pi+"), ("proton", "pi+"), ("e-", "gamma"))
RATIO = "E / p"
OF_CELLS = ("x", "y", "depth")
EFFICIENCIES = (0.9, 0.95, 0.99)
AIMS = (
    *(
        Aim(f"Cells reject as much as shapes at {level:.0%}", f"rejection at {level:.0%}, *",
            CELLS, "above", against=TREES)
        for level in EFFICIENCIES
    ),
    Aim("Trees tell electrons from pions", "AUC, e- against pi+", TREES, "above", 0.99),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Showers of each kind, energies [MeV], bins of energy, pairs, epochs and fits."""

    showers: int
    low: float
    high: float
    bins: int
    pairs: int
    epochs: int
    seeds: int
    width: int = 64


SCALES = {
    "smoke": Scale(40, 1e3, 2e3, 1, 1, 1, 1, 8),
    "laptop": Scale(1_500, 1e3, 20e3, 2, 5, 15, 1),
    "night": Scale(20_000, 1e3, 20e3, 4, 5, 40, 3),
    "paper": Scale(200_000, 1e3, 100e3, 6, 5, 60, 5, 128),
}


def particle_identification(run: Run[Scale]) -> None:
    """Simulate single particles and tell them apart."""
    scale, report = run.scale, run.report
    library = read_library(run.file("showers.hdf5", partial(shot, run)))
    train, test = library.parts(0.75, 0.25, seed=1)
    factors = calibration(train)
    report.add_stand_in(
        STAND_IN.format(physics=library.physics, missing=library.missing, low=scale.low / 1e3,
                        high=scale.high / 1e3)
    )  # fmt: skip
    report.add_definitions(MEASURES)
    report.facts.append(f"{number(len(library))} showers, {number(len(test))} of them to test")
    learning, judging = events_of(train, factors), events_of(test, factors)
    edges = np.geomspace(scale.low / 1e3, scale.high / 1e3, scale.bins + 1)
    for signal, background in PAIRS[: scale.pairs]:
        add_pair(run, learning, judging, edges, signal, background)


def shot(run: Run[Scale], path: Any) -> None:
    """Shoot the particles."""
    kinds = KINDS if run.scale.pairs > 1 else PAIRS[0]
    generate_library(
        "silicon-tungsten", kinds, run.scale.showers, path,
        energies=(run.scale.low, run.scale.high), seed=1, workers=run.workers, dask=run.dask,
    )  # fmt: skip


def events_of(library: ShowerLibrary, factors: Floats) -> ak.Array:
    """Return each shower as an event: shapes, cells as massless particles, and what it is.

    A cell is a particle from 1 m before the calorimeter, for the networks on particles; what they
    see of it are its place and its share.
    """
    count = len(library)
    each, nowhere = np.arange(count), np.zeros(count)
    hits = overlay(
        library, each, nowhere, nowhere, each, events=count, factors=factors, readout=READOUT
    )
    seen = hits.counts > 0
    hits, kind, incident = hits.at(seen), library.kind[seen], library.incident[seen] / 1e3
    total = np.bincount(hits.event, hits.energy, len(hits)).astype(np.float64)
    middle = beside(hits, total)
    direction = np.concatenate([middle, hits.position[:, 2:] + 1000.0], axis=1)
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    momentum = hits.energy[:, None] * direction
    cells = {
        **dict(zip(("px", "py", "pz"), momentum.T, strict=True)),
        "E": hits.energy,
        "x": middle[:, 0],
        "y": middle[:, 1],
        "depth": hits.position[:, 2],
        "share of p": np.log(hits.energy / incident[hits.event]),
        "share of E": np.log(hits.energy / total[hits.event]),
    }
    rows = {
        "constituents": ak.zip({n: ak.unflatten(v, hits.counts) for n, v in cells.items()}),
        **shower_shapes(hits, library.z),
        RATIO: total / incident,
        "energy": incident,
        "event": np.arange(len(hits)),
    }
    table = ak.zip(rows, depth_limit=1)
    return ak.with_field(table, np.array(library.kinds)[kind].tolist(), "particle")


def beside(hits: CalorimeterHits, total: Floats) -> Floats:
    """Return the place of each hit beside the middle of its event by energy, (H, 2) [mm]."""
    return np.stack(
        [
            x - (np.bincount(hits.event, hits.energy * x, len(hits)) / total)[hits.event]
            for x in hits.position[:, :2].T
        ],
        axis=1,
    )


def add_pair(
    run: Run[Scale], learning: ak.Array, judging: ak.Array, edges: Floats, signal: str,
    background: str,
) -> None:  # fmt: skip
    """Train on two particles, and add what tells them apart."""
    train, test = (labelled(events, signal, background) for events in (learning, judging))
    label, energy = (ak.to_numpy(test[name]) for name in ("label", "energy"))
    pair, charged = f"{signal} against {background}", "gamma" not in (signal, background)
    training = Training(epochs=run.scale.epochs, learning_rate=2e-3)
    width = run.scale.width
    seen = (*OF_CELLS, "share of p" if charged else "share of E")
    methods = {
        TREES: Tagger("boosted-trees", features=(*SHAPES, *((RATIO,) if charged else ()))),
        CELLS: Tagger(
            "pfn", features=seen, training=training,
            options={"phi": (width, width, width), "f": (width, width)},
        ),
    }  # fmt: skip
    rows, curves = [], {}
    for name, method in methods.items():
        fits = [
            run.fitted(f"{name}, {pair}, seed {seed}", method, train, seed=seed)
            for seed in (run.seeds if name == CELLS else run.seeds[:1])
        ]
        found = [roc(fit.predict_proba(test)[:, 1], label) for fit in fits]
        curves[name] = found[0]
        rows.append(Result.over_seeds(name, f"AUC, {pair}", [each.auc for each in found]))
        for low, high in zip(edges, edges[1:], strict=False):
            inside = (energy >= low) & (energy < high)
            if len(np.unique(label[inside])) < 2:
                continue
            part = [roc(fit.predict_proba(test[inside])[:, 1], label[inside]) for fit in fits]
            for level in EFFICIENCIES:
                quantity = f"rejection at {level:.0%}, {pair}, {low:.3g} to {high:.3g} GeV"
                values: list[Value] = [each.rejection(level) for each in part]
                rows.append(Result.over_seeds(name, quantity, values))
    run.report.add_heading(f"{signal} against {background}")
    run.report.add_results(rows, f"Of {number(len(test))} showers of the test.")
    run.report.add_figure(
        roc_curves(curves), f"Rejection of {background} by the share of {signal} that is kept."
    )


def labelled(events: ak.Array, signal: str, background: str) -> ak.Array:
    """Return the events of two particles, label 1 of the signal."""
    particle = np.array(ak.to_list(events["particle"]))
    chosen = np.isin(particle, (signal, background))
    label = (particle[chosen] == signal).astype(np.int64)
    return ak.with_field(events[chosen], label, "label")


STUDY = Study(
    *("particle-identification", "Particles by their showers", SUMMARY, SCALES,
      particle_identification, ("seeds", "workers", "dask")),
    aims=AIMS,
    events="{showers} showers of each particle",
    stand_in="a prototype in a test beam",
)  # fmt: skip
