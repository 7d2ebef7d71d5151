"""Small objects in two layers of cells: a charged particle, a neutral one, and both."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.objects import CalorimeterObjects
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.raw_data import RawData
from colliderkit.methods.reconstruction.shape_trees import ShapeTrees
from colliderkit.sources import write
from colliderkit.sources.files.calorimeter_hits import hit_columns, track_columns
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, Keywords, TaskCase
from contracts.cases.neutral_energy import small_pairs

QUICK = Training(epochs=1, batch_size=16, learning_rate=1e-2, devices=1)


def small_objects(count: int, seed: int) -> CalorimeterObjects:
    """Draw pairs of a pi+ and a pi0, of which every third lacks one and every third the other.

    The mass of a pair is 1/100 of the root of the product of the energies for each mm between.
    """
    pairs, track = small_pairs(count, seed)
    kind = np.arange(count) % 3
    there = np.stack([kind != 1, kind != 0], axis=1).reshape(-1)
    share = there[pairs.share_particle]
    moved = np.cumsum(there) - 1
    hits = CalorimeterHits.checked(
        pairs.offsets,
        pairs.position,
        np.bincount(pairs.share_hit, pairs.share_energy * share, len(pairs.energy)),
        particle_offsets=np.concatenate([[0], np.cumsum(there.reshape(-1, 2).sum(1))]),
        particle_energy=pairs.particle_energy[there],
        pdg=pairs.pdg[there],
        share_hit=pairs.share_hit[share],
        share_particle=moved[pairs.share_particle[share]],
        share_energy=pairs.share_energy[share],
    )
    energies = pairs.particle_energy.reshape(-1, 2)
    mass = np.where(kind == 2, 0.17 * np.sqrt(energies.prod(1)), np.nan)
    return CalorimeterObjects.checked(hits, np.where((kind == 1)[:, None], 0.0, track), mass)


def objects(seed: int) -> Data:
    return (small_objects(48, seed),), {}


def answers(method: RawData | ShapeTrees, args: Arguments) -> Floats:
    found = method.predict(args[0])
    columns = [found.probability, found.energy, found.mass, found.neutral]
    return np.concatenate([np.reshape(c, (len(args[0]), -1)) for c in columns], axis=1)


def with_nan(args: Arguments) -> Arguments:
    hits = args[0].hits
    position = hits.position.copy()
    position[3 * hits.counts[0], 0] = np.nan
    return (replace(args[0], hits=replace(hits, position=position)),)


def repeated(args: Arguments, kwargs: Keywords, rows: NDArray[np.int64]) -> Data:
    return (args[0].at(rows),), kwargs


def write_objects(folder: Path) -> None:
    for seed, name in enumerate(("train", "test")):
        events = small_objects(48, seed)
        columns = {**hit_columns(events.hits), **track_columns(events.track), "mass": events.mass}
        write(folder / f"{name}.parquet", columns)


CASES = {
    "raw-data": Case(
        make=lambda: RawData(width=8, training=QUICK),
        data=objects,
        answer=answers,
        repeat=repeated,
        nan=with_nan,
    ),
    "shape-trees": Case(
        make=lambda: ShapeTrees(rounds=3, leaves=3),
        data=objects,
        answer=answers,
        repeat=repeated,
        exact_weight=True,
        weight_tolerance=0.3,
        nan=with_nan,
    ),
}
TASK_CASES = {
    "raw-data": TaskCase(
        write=write_objects,
        fit=lambda folder: ("--files", folder / "train.parquet"),
        methods={
            "raw-data": (
                *("--width", "8"),
                *("--training.epochs", "1", "--training.batch_size", "16"),
            ),
            "shape-trees": ("--rounds", "3", "--leaves", "3"),
        },
        apply=lambda folder: ("--files", folder / "test.parquet"),
        evaluate=lambda folder: ("--files", folder / "test.parquet"),
        export=lambda folder: ("--files", folder / "test.parquet"),
    ),
}
