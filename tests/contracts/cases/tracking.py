"""Small trackings: a few helices in the pixels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.reconstruction.edge_tracks import EdgeTracks
from colliderkit.methods.reconstruction.embedded_tracks import EmbeddedTracks
from colliderkit.methods.reconstruction.helix_tracks import HelixTracks
from colliderkit.sources.files.hits import write_hits
from colliderkit.sources.toys.tracker import helix_hits
from colliderkit.training.settings import Training
from contracts.cases.case import Case, Data, TaskCase

QUICK = Training(epochs=1, batch_size=3, learning_rate=1e-2, devices=1)
NETWORK: dict[str, Any] = {"width": 4, "rounds": 1, "training": QUICK, "validation": 0.2}


def events(seed: int) -> Data:
    return (helix_hits(6, vertices=2, particles=5, seed=seed),), {}


def with_nan(args: tuple) -> tuple:
    z = args[0].z.copy()
    z[17] = np.nan
    return (replace(args[0], z=z),)


def tracks(method: Any, args: tuple) -> np.ndarray:
    found = method.find(args[0]).astype(float)
    return np.append(found, method.threshold_)


def placed(method: Any, args: tuple) -> np.ndarray:
    x, beta = method.embed(args[0])
    return np.concatenate([x.ravel(), beta, tracks(method, args)])


def write(folder: Path) -> None:
    write_hits(folder / "train", helix_hits(6, vertices=2, particles=5, seed=1))
    write_hits(folder / "test", helix_hits(2, vertices=2, particles=5, seed=2))


COMMON: dict[str, Any] = {
    "data": events,
    "nan": with_nan,
    "refuses_weight": "tracks of all events count alike",
}
CASES = {
    "edge-tracks": Case(make=lambda: EdgeTracks(**NETWORK), answer=tracks, **COMMON),
    "embedded-tracks": Case(
        make=lambda: EmbeddedTracks(dimensions=3, **NETWORK), answer=placed, **COMMON
    ),
    "helix-tracks": Case(make=lambda: HelixTracks(), answer=tracks, **COMMON),
}
SMALL = ("--width", "4", "--rounds", "1", "--training.epochs", "1")
TASK_CASES = {
    "tracking": TaskCase(
        write=write,
        fit=lambda folder: ("--files", f"{folder}/train/hits.parquet"),
        methods={"edge-tracks": SMALL, "embedded-tracks": SMALL},
        apply=lambda folder: (f"{folder}/test/hits.parquet",),
        evaluate=lambda folder: (f"{folder}/test/hits.parquet",),
        export=lambda folder: ("--files", f"{folder}/test/hits.parquet"),
        applied="tracks.csv",
    ),
}
