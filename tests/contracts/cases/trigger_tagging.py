"""Small seeds of a trigger: tracks of three hits, and towers, drawn by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from colliderkit.events.trigger_seeds import TriggerSeeds
from colliderkit.methods.reconstruction.trigger_tagging import TriggerTagging
from colliderkit.sources.files.trigger_seeds import write_trigger_seeds
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, TaskCase

RADII = np.array([32.0, 72.0, 116.0, 172.0])
TRACKS, TOWERS = 5, 6


def small_seeds(count: int, seed: int) -> TriggerSeeds:
    """Draw events of one seed: two light, two b, two boosted and two W in turn.

    Tracks are straight, and begin on the beam; those of a b pass it at 1 mm. The towers of a
    boosted seed are in three places, those of a W in two, those of others in one. The light
    ones are of the stream.
    """
    random = np.random.default_rng(seed)
    label = np.arange(count) // 2 % 4
    pt = np.exp(random.uniform(np.log(40), np.log(400), count))
    shape = count, TRACKS, len(RADII)
    phi = random.uniform(-0.3, 0.3, (count, TRACKS))[..., None] + np.zeros(len(RADII))
    phi = (
        phi + random.choice([-1.0, 1.0], shape[:2])[..., None] * (label == 1)[:, None, None] / RADII
    )
    z = (
        random.normal(0, 40, count)[:, None, None]
        + random.uniform(-0.3, 0.3, shape[:2])[..., None] * RADII
    )
    place = random.normal(0, 0.05, (count, TOWERS, 2))
    place[label == 2] += np.tile([[0.3, 0.0], [-0.3, 0.0], [0.0, 0.3]], (TOWERS // 3, 1))
    place[label == 3] += np.tile([[0.0, 0.3], [0.0, -0.3]], (TOWERS // 2, 1))
    share = random.dirichlet(np.ones(TOWERS), count) * pt[:, None]
    ends = np.arange(count + 1)
    return TriggerSeeds(
        ends, pt, random.uniform(-1, 1, count), random.uniform(-3, 3, count), label,
        np.where(label == 0, (pt / 40) ** -2.0, 0.0), np.where(label > 0, pt, np.nan),
        ends * TOWERS, place[..., 0].ravel(), place[..., 1].ravel(),
        (0.6 * share).ravel(), (0.4 * share).ravel(), ends * TRACKS * len(RADII),
        np.tile(np.arange(len(RADII)), count * TRACKS),
        np.broadcast_to(RADII, shape).ravel().copy(), phi.ravel(), z.ravel(),
    ).check()  # fmt: skip


def with_nan(args: Arguments) -> Arguments:
    pt = args[0].pt.copy()
    pt[3] = np.nan
    return (replace(args[0], pt=pt),)


def write_seeds(folder: Path) -> None:
    for seed, name in enumerate(("train", "test")):
        write_trigger_seeds(folder / f"{name}.parquet", small_seeds(120, seed))


def seeds(seed: int) -> Data:
    return (small_seeds(120, seed),), {}


CASES = {
    "trigger-tagging": Case(
        make=lambda: TriggerTagging(
            shares=(0.1, 0.1, 0.1),
            width=4,
            training=Training(epochs=1, batch_size=32, learning_rate=1e-2, devices=1),
        ),
        data=seeds,
        answer=lambda method, args: method.scores(args[0]),
        nan=with_nan,
        repeat=lambda args, kwargs, rows: ((args[0].at(rows),), kwargs),
        verbs={
            "probability": lambda method, args: method.probability(args[0]),
            "keeps": lambda method, args: method.keeps(args[0]),
            "seed_keeps": lambda method, args: method.seed_keeps(args[0]),
        },
    ),
}
TASK_CASES = {
    "trigger-tagging": TaskCase(
        write=write_seeds,
        fit=lambda folder: (
            *("--files", folder / "train.parquet", "--shares", "[0.1, 0.1, 0.1]", "--width", "4"),
            *("--training.epochs", "1", "--training.batch_size", "32"),
        ),
        apply=lambda folder: ("--files", folder / "test.parquet"),
        evaluate=lambda folder: ("--files", folder / "test.parquet"),
        export=lambda folder: ("--files", folder / "test.parquet"),
    ),
}
