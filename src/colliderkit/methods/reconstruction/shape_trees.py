"""The floor of raw data: boosted trees on shapes of showers for class, energy, mass, neutrals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.coarse import layers_of
from colliderkit.events.calorimeter.objects import CalorimeterObjects
from colliderkit.events.calorimeter.shapes import SHAPES, shower_shapes
from colliderkit.events.tables import Floats, as_weight
from colliderkit.methods.reconstruction.neutral_energy import neutral_energy
from colliderkit.methods.reconstruction.raw_data import (
    LEAST_SUM,
    Head,
    RawMethod,
    Reconstructed,
)
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.seeds import derive

__all__ = ["ShapeTrees", "shape_table"]

FURTHER = ("ln sum", "track", "ln p", "E / p", "longer width", "shorter width", "off the track")


class ShapeTrees(RawMethod):
    """Find class, energy, mass and neutral energy of events by boosted trees on shapes of showers.

    The shapes are `SHAPES`, the shares of the layers, the widths along both axes of the cells
    across the beam, and what the track says: its momentum, E / p and how far from it the middle of
    the event is. Each head has its own trees; the neutral energy is that of the event, without
    shares of cells.

    Args:
        heads: some of "class", "energy", "mass" and "share".
        depths: of the layers, mm, rising; those of the cells of `fit` if not given.
        rounds: trees of each head at most; fewer where a tenth of the events no longer gains.
        leaves: of a tree.
        learning_rate: what a tree's values are multiplied by.

    After `fit`: `trees_` by head, and `shapes_`, their sizes.
    """

    name: ClassVar[str] = "shape-trees"

    trees_: dict[str, BoostedTrees]
    shapes_: dict[str, dict[str, int]]

    def __init__(
        self,
        *,
        heads: Sequence[Head] = ("class", "energy", "mass", "share"),
        depths: Sequence[float] | None = None,
        rounds: int = 300,
        leaves: int = 15,
        learning_rate: float = 0.1,
    ) -> None:
        self.heads = heads
        self.depths = depths
        self.rounds = rounds
        self.leaves = leaves
        self.learning_rate = learning_rate

    def fit(
        self,
        events: CalorimeterObjects,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Grow trees on events with truth, and return self; `weight` (E,) must not be negative.

        Raises `InputError` as `RawData.fit` does.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        events = CalorimeterObjects.checked(events.hits, events.track, events.mass)
        truth = self._prepared(events)
        weights = as_weight(weight, len(events), "the events", negative="a leaf has no value then")
        weights = weights / weights.mean()
        table = self._table(events)
        share = neutral_energy(events.hits, truth.share) / np.maximum(events.seen, LEAST_SUM)
        targets = {"energy": truth.energy, "mass": truth.mass, "share": share}
        self.trees_ = {}
        for head in self.heads:
            options: dict[str, Any] = {
                "max_iter": self.rounds,
                "max_leaf_nodes": self.leaves,
                "learning_rate": self.learning_rate,
                "early_stopping": len(events) >= 200,
            }
            start = derive(seed, head)
            if head == "class":
                self.trees_[head] = BoostedTrees.fit(table, truth.kind, weights, start, **options)
                continue
            known = np.isfinite(targets[head]) & (weights > 0)
            self.trees_[head] = BoostedTrees.fit_regression(
                table[known], targets[head][known], weights[known], start, **options
            )
        self.shapes_ = {head: trees.options for head, trees in self.trees_.items()}
        return self

    def predict(self, events: CalorimeterObjects) -> Reconstructed:
        """Return what the trees find of events."""
        table = torch.from_numpy(self._table(events).astype(np.float32))
        seen = np.maximum(events.seen, LEAST_SUM)
        with torch.inference_mode():
            out = {head: trees(table).double() for head, trees in self.trees_.items()}
        found: dict[str, Floats] = {}
        if "class" in out:
            found["probability"] = out["class"].softmax(1).numpy()

        def number(head: str) -> Floats:
            values: Tensor = out[head][:, 0]
            return values.numpy()

        if "energy" in out:
            found["energy"] = seen * np.exp(number("energy"))
        if "mass" in out:
            found["mass"] = np.exp(number("mass"))
        if "share" in out:
            found["neutral"] = seen * np.clip(number("share"), 0, 1)
        return Reconstructed(**found)

    def _table(self, events: CalorimeterObjects) -> Floats:
        if not len(events):
            raise InputError("there are no events; give some.")
        return np.stack(list(shape_table(events, self.depths_).values()), axis=1)

    def _rebuild(self) -> None:
        self.trees_ = {head: BoostedTrees(**shape) for head, shape in self.shapes_.items()}


def shape_table(events: CalorimeterObjects, depths: Sequence[float]) -> dict[str, Floats]:
    """Return shapes of events and what their track says by name, (E,) each.

    `SHAPES`, those of `FURTHER` (lengths in mm, 0 where there is no track), and the share of each
    layer at `depths` (L,) [mm].
    """
    hits, count = events.hits, len(events)
    event, energy, seen = hits.event, hits.energy, np.maximum(events.seen, LEAST_SUM)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(event, energy * values, count) / seen, dtype=np.float64)

    x, y = hits.position[:, 0], hits.position[:, 1]
    middle = [mean(x), mean(y)]
    dx, dy = x - middle[0][event], y - middle[1][event]
    xx, yy, xy = mean(dx * dx), mean(dy * dy), mean(dx * dy)
    half, split = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    momentum = events.track[:, 2]
    there = momentum > 0
    p = np.where(there, momentum, 1.0)
    off = np.hypot(*(events.track[:, axis] - middle[axis] for axis in (0, 1)))
    further = (
        np.log(seen), there.astype(np.float64), np.where(there, np.log(p), 0.0),
        np.where(there, seen / p, 0.0), np.sqrt(half + split), np.sqrt(np.maximum(half - split, 0)),
        np.where(there, off, 0.0),
    )  # fmt: skip
    layer = layers_of(hits.position[:, 2], depths)
    table = {name: shape for name, shape in shower_shapes(hits, depths).items() if name in SHAPES}
    table |= dict(zip(FURTHER, further, strict=True))
    table |= {f"layer {i}": mean((layer == i).astype(np.float64)) for i in range(len(list(depths)))}
    return table
