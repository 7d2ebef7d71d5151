"""Parametrised subtraction of a track's expected energy, by depth and density of its shower."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.coarse import cells_of, layers_of
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.neutral_energy import checked_tracks, neutral_shares

__all__ = ["ParametrisedSubtraction"]

LEAST = 20  # showers of a depth and a range of momentum, to have an expectation of their own


class ParametrisedSubtraction(Method):
    """Remove what a charged hadron of this momentum usually leaves, in the order of its density.

    As ATLAS' particle flow does (1703.10485): the layer where a shower is densest tells its depth;
    for each depth and range of momentum the mean of E / p and its spread are known from single
    hadrons, and the mean energy density in rings around the track in each layer. From an event the
    rings are removed from the densest on until <E/p> p is reached, the last in part; if what is
    left is less than `remainder` spreads, it is removed as well.

    Args:
        depths: of the layers, mm, rising; those of the hits of `fit` if not given.
        rings: edges around the track, mm, rising from 0.
        core: radius in which the density that tells the depth is taken, mm.
        ranges: of momentum, equally many showers each.
        remainder: spreads of E below which the rest is no neutral particle.

    After `fit`: `depths_` (L,), `edges_` (K + 1,) of momentum, `response_` and `spread_` (K, L) of
    E / p, and `order_` (K, L, L R) of the rings, by the layer that is densest.
    """

    name: ClassVar[str] = "parametrised-subtraction"

    depths_: list[float]
    edges_: Floats
    response_: Floats
    spread_: Floats
    order_: Ints

    def __init__(
        self,
        *,
        depths: Sequence[float] | None = None,
        rings: Sequence[float] = (0.0, 30.0, 60.0, 90.0, 120.0, 180.0, 240.0, 320.0, 420.0),
        core: float = 60.0,
        ranges: int = 5,
        remainder: float = 1.5,
    ) -> None:
        self.depths = depths
        self.rings = rings
        self.core = core
        self.ranges = ranges
        self.remainder = remainder

    def fit(
        self,
        hits: CalorimeterHits,
        track: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn what charged hadrons leave, from what their truth says of it, and return self.

        `track` (E, 3) as for `NeutralEnergy`. What is neutral in the events is left out, as if
        hadrons were alone. Raises `InputError` for weights, hits without truth, and too few events.
        """
        self._begin(seed=seed, folder=folder, resume=resume, hits=hits, track=track)
        if weight is not None:
            raise InputError("means of showers are taken, each once; leave weight out.")
        hits, tracks = hits.check(), checked_tracks(track, hits)
        if not hits.known:
            raise InputError("the hits have no true particles to learn from; give a simulation.")
        if len(hits) < self.ranges * 2:
            raise InputError(f"{len(hits)} events for {self.ranges} ranges of momentum; give more.")
        seen = cells_of(hits)[0] if self.depths is None else self.depths
        self.depths_ = [float(z) for z in seen]
        charged = hits.energy * (1 - neutral_shares(hits))
        rings = self._rings(hits, tracks, charged)
        depth = self._densest(hits, tracks, charged)
        p = tracks[:, 2]
        self.edges_ = np.quantile(p, np.linspace(0, 1, self.ranges + 1))
        part = self._range(p)
        ratio = np.bincount(hits.event, charged, len(hits)) / p
        layers = len(self.depths_)
        shape = self.ranges, layers
        self.response_, self.spread_ = np.zeros(shape), np.zeros(shape)
        self.order_ = np.zeros((*shape, rings.shape[1]), dtype=np.int64)
        area = np.tile(np.diff(np.square(self.rings)), layers)
        for k in range(self.ranges):
            for layer in range(layers):
                # Few showers begin deep: these share the expectation of their momentum, or of all.
                chosen = (part == k) & (depth == layer)
                for wider in (part == k, np.ones(len(p), dtype=bool)):
                    chosen = chosen if chosen.sum() >= LEAST else wider
                self.response_[k, layer] = ratio[chosen].mean()
                self.spread_[k, layer] = ratio[chosen].std()
                density = (rings[chosen] / p[chosen, None]).mean(0) / area
                self.order_[k, layer] = np.argsort(-density, kind="stable")
        return self

    def predict(self, hits: CalorimeterHits, track: ArrayLike) -> Floats:
        """Return the share of each hit that is left after the subtraction, (H,)."""
        response = self.response_
        tracks = checked_tracks(track, hits)
        part, depth = self._range(tracks[:, 2]), self._densest(hits, tracks, hits.energy)
        expected = response[part, depth] * tracks[:, 2]
        rings = self._rings(hits, tracks, hits.energy)
        order = self.order_[part, depth]
        sorted_rings = np.take_along_axis(rings, order, axis=1)
        before = np.cumsum(sorted_rings, axis=1) - sorted_rings
        removed = np.clip((expected[:, None] - before) / np.maximum(sorted_rings, 1e-9), 0.0, 1.0)
        left = np.ones_like(rings)
        np.put_along_axis(left, order, 1 - removed, axis=1)
        near = (left * rings).sum(1)
        # Within the rings: what lies beyond them is not the track's.
        least = self.remainder * self.spread_[part, depth] * tracks[:, 2]
        left[near < least] = 0.0
        place = self._place(hits, tracks)
        inside = place >= 0
        share = np.ones(len(hits.energy))
        share[inside] = left[hits.event[inside], place[inside]]
        return share

    def _range(self, p: Floats) -> Ints:
        return np.clip(np.searchsorted(self.edges_, p, side="right") - 1, 0, self.ranges - 1)

    def _place(self, hits: CalorimeterHits, tracks: Floats) -> Ints:
        """Return the ring of each hit, counted through the layers, -1 beyond all, (H,)."""
        away = hits.position[:, :2] - tracks[hits.event, :2]
        ring = np.searchsorted(self.rings, np.hypot(*away.T), side="right") - 1
        count = len(self.rings) - 1
        layer = layers_of(hits.position[:, 2], self.depths_)
        return np.where(ring < count, layer * count + ring, -1)

    def _rings(self, hits: CalorimeterHits, tracks: Floats, energy: Floats) -> Floats:
        """Return the energy in each ring of each layer, (E, L R)."""
        place = self._place(hits, tracks)
        inside = place >= 0
        count = len(self.depths_) * (len(self.rings) - 1)
        index = hits.event[inside] * count + place[inside]
        total = np.bincount(index, energy[inside], len(hits) * count).astype(np.float64)
        return total.reshape(len(hits), count)

    def _densest(self, hits: CalorimeterHits, tracks: Floats, energy: Floats) -> Ints:
        """Return the layer with the most energy near the track, by its thickness, (E,)."""
        away = hits.position[:, :2] - tracks[hits.event, :2]
        near = np.hypot(*away.T) < self.core
        layers = len(self.depths_)
        index = hits.event[near] * layers + layers_of(hits.position[near, 2], self.depths_)
        sums = np.bincount(index, energy[near], len(hits) * layers).reshape(-1, layers)
        thick = np.gradient(np.asarray(self.depths_, dtype=np.float64)) if layers > 1 else 1.0
        return np.asarray((sums / thick).argmax(1))
