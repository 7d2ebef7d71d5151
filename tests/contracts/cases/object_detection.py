"""Events of blobs at known places: one prong is a jet, two are a W, three a top."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from colliderkit.events.event_objects import EventObjects, EventTowers
from colliderkit.methods.reconstruction.clustered_objects import ClusteredObjects
from colliderkit.methods.reconstruction.object_detection import ObjectDetector
from colliderkit.sources.files.event_objects import write_event_objects
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, TaskCase

ROWS, COLUMNS, ETA = 32, 26, 2.6
PRONGS, TOWERS, NOISE = 6, 5, 12  # of an object, of a prong, and of an event


def blobs(count: int, seed: int) -> tuple[EventTowers, EventObjects]:
    """Draw events of two blobs apart, in an azimuth that is anywhere, with soft noise.

    A blob is of one, two or three prongs at 0.45 from its centre, of equal pT: towers that are
    Gaussian around each. Its mass is what massless towers have at small angles.
    """
    random = np.random.default_rng(seed)
    objects = 2 * count
    kind = random.integers(0, 3, objects)
    kind[: min(6, objects)] = np.arange(6)[: min(6, objects)] % 3
    pt = np.exp(random.uniform(np.log(100), np.log(400), objects))
    eta = random.uniform(-1.4, 1.4, objects)
    phi = np.repeat(random.uniform(-np.pi, np.pi, count), 2) + np.tile([0.0, np.pi], count)
    angle = random.uniform(0, 2 * np.pi, objects)[:, None]
    number = kind[:, None] + 1
    prong = np.arange(PRONGS) % number
    turn = angle + 2 * np.pi * prong / number
    away = np.where(kind == 0, 0.0, 0.45)[:, None]
    shape = objects, PRONGS, TOWERS
    place = np.stack([away * np.cos(turn), away * np.sin(turn)])[..., None]
    place = place + random.normal(0, 0.06, (2, *shape))
    place -= place.mean((2, 3), keepdims=True)
    share = np.full(shape, 1.0 / (PRONGS * TOWERS))
    mass = pt * np.sqrt((share * (place**2).sum(0)).sum((1, 2)))
    energy = (share * pt[:, None, None]).reshape(count, -1)
    places = (place + np.stack([eta, phi])[:, :, None, None]).reshape(2, count, -1)
    soft = random.uniform([[[-2.5]], [[-np.pi]]], [[[2.5]], [[np.pi]]], (2, count, NOISE))
    energy = np.concatenate([energy, random.exponential(0.5, (count, NOISE))], axis=1)
    eta_of, phi_of = (np.concatenate([a, b], axis=1) for a, b in zip(places, soft, strict=True))
    size = energy.shape[1]
    towers = EventTowers(
        np.arange(count + 1) * size, eta_of.ravel(), _turned(phi_of).ravel(),
        0.4 * energy.ravel(), 0.6 * energy.ravel(), 0.5 * energy.ravel(),
    )  # fmt: skip
    true = EventObjects.true(np.arange(count + 1) * 2, pt, eta, _turned(phi), mass, kind)
    return towers.check(), true.check()


def _turned(phi: np.ndarray) -> np.ndarray:
    return np.remainder(phi + np.pi, 2 * np.pi) - np.pi


def empty(count: int) -> tuple[EventTowers, EventObjects]:
    """Return events with nothing in them."""
    none = np.zeros(0)
    towers = EventTowers(np.zeros(count + 1, dtype=np.int64), none, none, none, none, none)
    return towers, EventObjects.none(count)


def detector(**options: object) -> ObjectDetector:
    """Return a detector of blobs."""
    chosen = {"width": 8, "training": Training(epochs=1, batch_size=16, devices=1)} | options
    return ObjectDetector(towers=(ROWS, COLUMNS), eta=ETA, threshold=1e-4, **chosen)  # type: ignore[arg-type]


def with_nan(args: Arguments) -> Arguments:
    em = args[0].em.copy()
    em[3] = np.nan
    return replace(args[0], em=em), args[1]


def heat(method: ObjectDetector, args: Arguments) -> np.ndarray:
    """Return what a method says of each event: scores of the objects, summed."""
    found = method.predict(args[0])
    sums = [np.bincount(found.event, column, len(found)) for column in found.score.T]
    sizes = np.bincount(found.event, found.pt, len(found))
    return np.stack([*sums, 1e-3 * sizes], axis=1)


def write_events(folder: Path) -> None:
    for seed, name in enumerate(("train", "test")):
        write_event_objects(folder / f"{name}.parquet", *blobs(60, seed))


def events(seed: int) -> Data:
    return blobs(60, seed), {}


CASES = {
    "object-detection": Case(
        make=detector,
        data=events,
        answer=heat,
        nan=with_nan,
        repeat=lambda args, kwargs, rows: ((args[0].at(rows), args[1].at(rows)), kwargs),
        verbs={"predict": lambda method, args: method.predict(args[0])},
    ),
    "clustered-objects": Case(
        make=lambda: ClusteredObjects(cut=20.0, rounds=5, leaves=4),
        data=events,
        answer=heat,
        exact_weight=True,
        weight_tolerance=0.1,  # bins of values follow the number of rows
        nan=with_nan,
        repeat=lambda args, kwargs, rows: ((args[0].at(rows), args[1].at(rows)), kwargs),
        verbs={"predict": lambda method, args: method.predict(args[0])},
    ),
}
FEW = ("--towers", "[32, 26]", "--eta", "2.6", "--width", "8", "--threshold", "0.0001",
       "--training.epochs", "1", "--training.batch_size", "16")  # fmt: skip
TASK_CASES = {
    "object-detection": TaskCase(
        write=write_events,
        fit=lambda folder: ("--files", folder / "train.parquet"),
        methods={
            "object-detection": FEW,
            "clustered-objects": ("--cut", "20", "--rounds", "5", "--leaves", "4"),
        },
        apply=lambda folder: ("--files", folder / "test.parquet"),
        evaluate=lambda folder: ("--files", folder / "test.parquet"),
        export=lambda folder: ("--files", folder / "test.parquet"),
        on="object-detection",
    ),
}
