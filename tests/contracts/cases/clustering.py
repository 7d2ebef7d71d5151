"""Small events of a calorimeter: three showers of eight cells each, two of which share one."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from colliderkit.events.calorimeter.geometry import Geometry, Grid
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.library import ShowerLibrary
from colliderkit.methods.reconstruction.clue import CLUE
from colliderkit.methods.reconstruction.shower_clustering import ShowerClustering
from colliderkit.sources.files.calorimeter_hits import write_hits
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, TaskCase

SHOWERS, CELLS = 3, 8


def small_events(count: int, seed: int) -> CalorimeterHits:
    """Draw events of three showers, 60 mm apart and 6 mm wide; the last cell of two is shared."""
    random = np.random.default_rng(seed)
    middle = 60.0 * np.arange(SHOWERS)[:, None] * [1.0, 0.5, 0.0] + [0.0, 0.0, 50.0]
    place = middle[:, None] + random.normal(0, 6, (count, SHOWERS, CELLS, 3))
    energy = random.exponential(0.4, (count, SHOWERS, CELLS)) + 0.05
    hit = np.arange(place[..., 0].size).reshape(energy.shape)
    particle = np.arange(count * SHOWERS).reshape(count, SHOWERS)[..., None]
    owner = np.broadcast_to(particle, hit.shape)
    # Of the last cell of shower 0, shower 1 left a fifth.
    last = hit[:, 0, -1]
    shares = np.concatenate([energy.reshape(-1), 0.2 * energy[:, 0, -1]])
    shares[last] *= 0.8
    return CalorimeterHits.checked(
        np.arange(count + 1) * SHOWERS * CELLS,
        place.reshape(-1, 3),
        energy.reshape(-1),
        particle_offsets=np.arange(count + 1) * SHOWERS,
        particle_energy=energy.sum(2).reshape(-1),
        pdg=np.full(count * SHOWERS, 22),
        share_hit=np.concatenate([hit.reshape(-1), last]),
        share_particle=np.concatenate([owner.reshape(-1), particle[:, 1, 0]]),
        share_energy=shares,
    )


def small_library() -> ShowerLibrary:
    """Two layers of 4 x 4 cells of 10 mm and 2 x 2 of 20 mm; an electron's and a pion's shower."""
    geometry = Geometry("small", (Grid(0, 4, 4, 40.0, 40.0), Grid(1, 2, 2, 40.0, 40.0)))
    return ShowerLibrary(
        geometry,
        np.array([5.0, 20.0]),
        np.array([0, 1]),
        ("e-", "pi+"),
        np.array([0, 1]),
        np.array([1000.0, 2000.0]),
        np.zeros(2),
        np.zeros(2),
        np.array([0, 2, 4]),
        # The electron: cells (row 1, column 2) of layer 0 and (0, 1) of layer 1.
        np.array([6, 17, 6, 19]),
        np.array([9.0, 1.0, 4.0, 10.0]),
        "made by hand",
    )


def events(seed: int) -> Data:
    return (small_events(40, seed),), {}


def with_nan(args: Arguments) -> Arguments:
    position = args[0].position.copy()
    position[3 * SHOWERS * CELLS, 0] = np.nan
    return (replace(args[0], position=position),)


def write_events(folder: Path) -> None:
    for seed, name in enumerate(("train", "test")):
        write_hits(folder / f"{name}.parquet", small_events(40, seed))


CASES = {
    "clue": Case(
        make=lambda: CLUE(distance=20.0, density=0.1),
        data=events,
        answer=lambda method, args: method.predict(args[0]).energy,
        nan=with_nan,
        refuses_weight="CLUE counts clusters",
    ),
    "shower-clustering": Case(
        make=lambda: ShowerClustering(
            dimensions=2,
            width=8,
            blocks=1,
            neighbours=4,
            training=Training(epochs=1, batch_size=8),
        ),
        data=events,
        answer=lambda method, args: method.outputs(args[0]),
        nan=with_nan,
        verbs={"predict": lambda method, args: method.predict(args[0])},
        refuses_weight="showers are counted",
    ),
}
SMALL = ("--width", "8", "--blocks", "1", "--training.epochs", "1")
TASK_CASES = {
    "clustering": TaskCase(
        write=write_events,
        fit=lambda folder: ("--files", folder / "train.parquet"),
        methods={"shower-clustering": SMALL, "clue": ("--distance", "20", "--density", "0.1")},
        apply=lambda folder: ("--files", folder / "test.parquet"),
        evaluate=lambda folder: ("--files", folder / "test.parquet"),
        export=lambda folder: ("--files", folder / "test.parquet"),
    ),
}
