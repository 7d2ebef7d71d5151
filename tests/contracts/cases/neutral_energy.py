"""Small pairs of a charged and a neutral particle in two layers of cells."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from colliderkit.events.calorimeter.coarse import coarser
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.neutral_energy import NeutralEnergy
from colliderkit.methods.reconstruction.subtraction import ParametrisedSubtraction
from colliderkit.methods.reconstruction.superresolution import Superresolution
from colliderkit.sources import write
from colliderkit.sources.files.calorimeter_hits import hit_columns, track_columns
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, TaskCase

DEPTHS, WIDTHS = (10.0, 60.0), (10.0, 20.0)
ROWS = 6  # cells of a side in the first layer, half as many in the second


def small_pairs(count: int, seed: int) -> tuple[CalorimeterHits, Floats]:
    """Draw a charged particle in the middle and a neutral one beside it, both seen in all cells.

    The charged one leaves 0.8 +- 0.1 of its momentum, most of it in the second layer; the neutral
    one is in the first alone. Both fall exponentially with the distance.
    """
    random = np.random.default_rng(seed)
    places, depth = [], []
    for z, width in zip(DEPTHS, WIDTHS, strict=True):
        side = np.arange(-ROWS * 5 + width / 2, ROWS * 5, width)
        x, y = np.meshgrid(side, side)
        places.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], axis=1))
        depth.append(np.full(x.size, z == DEPTHS[1]))
    cells, late = np.concatenate(places), np.concatenate(depth)
    p, neutral = random.uniform(2, 10, (2, count))
    entry = random.uniform(-3, 3, (count, 2))
    beside = entry + random.choice([-12.0, 12.0], (count, 2))
    near = [
        np.exp(-np.hypot(*(cells[None, :, :2] - place[:, None]).transpose(2, 0, 1)) / 8)
        for place in (entry, beside)
    ]
    charged = near[0] * np.where(late, 3.0, 1.0)
    charged *= (p * random.normal(0.8, 0.1, count) / charged.sum(1))[:, None]
    light = near[1] * np.where(late, 1e-3, 1.0)
    light *= (neutral / light.sum(1))[:, None]
    shape = count, len(cells)
    hit = np.arange(count * len(cells)).reshape(shape)
    owner = np.broadcast_to(2 * np.arange(count)[:, None], shape)
    hits = CalorimeterHits.checked(
        np.arange(count + 1) * len(cells),
        np.tile(cells, (count, 1)),
        (charged + light).reshape(-1),
        particle_offsets=2 * np.arange(count + 1),
        particle_energy=np.stack([p, neutral], axis=1).reshape(-1),
        pdg=np.tile([211, 111], count),
        share_hit=np.concatenate([hit.ravel(), hit.ravel()]),
        share_particle=np.concatenate([owner.ravel(), owner.ravel() + 1]),
        share_energy=np.concatenate([charged.ravel(), light.ravel()]),
    )
    return hits, np.concatenate([entry, p[:, None]], axis=1)


def pairs(seed: int) -> Data:
    return small_pairs(40, seed), {}


def with_nan(args: Arguments) -> Arguments:
    position = args[0].position.copy()
    position[3 * args[0].counts[0], 0] = np.nan
    return replace(args[0], position=position), args[1]


def write_pairs(folder: Path) -> None:
    for seed, name in enumerate(("train", "test")):
        hits, track = small_pairs(40, seed)
        write(folder / f"{name}.parquet", {**hit_columns(hits), **track_columns(track)})
    read = coarser(hits, DEPTHS, (20.0, 20.0))
    write(folder / "read.parquet", {**hit_columns(read), **track_columns(track)})


CASES = {
    "neutral-energy": Case(
        make=lambda: NeutralEnergy(
            size=8, channels=4, training=Training(epochs=1, batch_size=8, learning_rate=1e-2)
        ),
        data=pairs,
        answer=lambda method, args: method.predict(*args),
        nan=with_nan,
        refuses_weight="events count once each",
    ),
    "superresolution": Case(
        make=lambda: Superresolution(
            (20.0, 20.0),
            size=8,
            channels=4,
            noise=1.0,
            threshold=1.0,
            training=Training(epochs=1, batch_size=8, learning_rate=1e-2),
        ),
        data=pairs,
        answer=lambda method, args: method.predict(method.read_out(args[0]), args[1])[1],
        nan=with_nan,
        refuses_weight="events count once each",
    ),
    "parametrised-subtraction": Case(
        make=lambda: ParametrisedSubtraction(ranges=2, rings=(0.0, 10.0, 20.0, 60.0), core=15.0),
        data=pairs,
        answer=lambda method, args: method.predict(*args),
        nan=with_nan,
        refuses_weight="leave weight out",
    ),
}
SMALL = ("--size", "8", "--channels", "4", "--training.epochs", "1")
TASK_CASES = {
    "superresolution": TaskCase(
        write=write_pairs,
        fit=lambda folder: ("--files", folder / "train.parquet", "--coarse", "20,20", *SMALL),
        apply=lambda folder: ("--files", folder / "read.parquet"),
        evaluate=lambda folder: ("--files", folder / "test.parquet"),
    ),
    "neutral-energy": TaskCase(
        write=write_pairs,
        fit=lambda folder: ("--files", folder / "train.parquet"),
        methods={
            "neutral-energy": SMALL,
            "parametrised-subtraction": ("--ranges", "2", "--rings", "0,10,20,60"),
        },
        apply=lambda folder: ("--files", folder / "test.parquet"),
        evaluate=lambda folder: ("--files", folder / "test.parquet"),
    ),
}
