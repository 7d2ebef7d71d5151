"""Shapes of showers: a few numbers of each event's hits, by which particles are told apart."""

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.events.calorimeter.coarse import layers_of
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.tables import Floats

__all__ = ["SHAPES", "shower_shapes"]

SHAPES = (
    *("first share", "front share", "back share", "depth", "depth width", "lateral width"),
    *("hardest share", "hits", "core share"),
)
FRONT, BACK = 0.3, 0.2  # of the layers
CORE = 15.0  # mm


def shower_shapes(hits: CalorimeterHits, depths: ArrayLike) -> dict[str, Floats]:
    """Return shapes of the hits of each event by `SHAPES`, (E,) each; 0 of an event without hits.

    Shares are of the energy of all hits: of the first layer, of the first 30% and the last 20% of
    the layers at `depths` (L,) [mm], of the hardest hit, and within 15 mm of the axis. The depth
    and its width are in layers, the lateral width in mm, both weighted by energy. `hits` is
    ln(1 + their number).
    """
    layer = layers_of(hits.position[:, 2], depths).astype(np.float64)
    layers, count, event, energy = len(np.asarray(depths)), len(hits), hits.event, hits.energy
    total = np.bincount(event, energy, count)
    whole = np.maximum(total, 1e-30)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.bincount(event, energy * values, count) / whole)

    x, y = (hits.position[:, axis] for axis in (0, 1))
    away = (x - mean(x)[event]) ** 2 + (y - mean(y)[event]) ** 2
    depth = mean(layer)
    hardest = np.zeros(count)
    np.maximum.at(hardest, event, energy)
    found = (
        mean((layer == 0).astype(np.float64)),
        mean((layer < FRONT * layers).astype(np.float64)),
        mean((layer >= (1 - BACK) * layers).astype(np.float64)),
        depth,
        np.sqrt(np.maximum(mean((layer - depth[event]) ** 2), 0)),
        np.sqrt(mean(away)),
        hardest / whole,
        np.log1p(hits.counts),
        mean((away < CORE**2).astype(np.float64)),
    )
    return dict(zip(SHAPES, found, strict=True))
