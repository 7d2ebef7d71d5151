"""CLUE: cluster calorimeter hits by their energy density, without learning (2001.09761)."""

import itertools
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.density import clue
from colliderkit.events.calorimeter.hits import CalorimeterHits, Clusters
from colliderkit.events.tables import Ints
from colliderkit.methods.method import Method
from colliderkit.metrics.clustering import LEAST, f1, match_clusters
from colliderkit.progress import progress_bar

__all__ = ["CLUE", "clue"]

LAYER = 1.0  # mm of depth within which hits are of one layer


class CLUE(Method):
    """Cluster hits around those of high energy density, as CMS' high-granularity calorimeter does.

    With distances d in (x, y, `depth` z), the density and the nearest hit of a higher one,

        rho_i = E_i + 1/2 sum_{0 < d_ij <= d_c} E_j,   delta_i = min {d_ij: rho_j > rho_i}

    a hit is a seed if rho >= rho_c and delta > d_c, noise if rho < rho_c and delta > f d_c, and
    follows its nearest higher otherwise (2001.09761). CMS' choice is d_c 13 mm in each layer by
    itself, rho_c nine times the noise, and f = 2, before layers are linked; here "layers" does so
    and clusters what it found in layers once more in three dimensions, with `link` in place of d_c.

    Args:
        kind: "space" in three dimensions, or "layers" first.
        distance: d_c, mm.
        density: rho_c, GeV.
        outlier: f, at least 1.
        depth: what z is multiplied by.
        link: of "layers", d_c of the second step, mm.
        tune: let `fit` choose distance, density and depth (of "layers", link) by the F1 of
            clusters and true particles at an IoU of 1/2, among `GRID` times the values given.

    After `fit`: `chosen_`, the four values that are used, by name.
    """

    name: ClassVar[str] = "clue"

    chosen_: dict[str, float]

    GRID: ClassVar[dict[str, tuple[float, ...]]] = {
        "distance": (1.0, 1.5, 2.0, 3.0),
        "density": (1.0, 4.0, 16.0, 64.0),
        "depth": (0.25, 1.0, 4.0),
        "link": (1.0, 2.0, 3.0),
    }

    def __init__(
        self,
        *,
        kind: Literal["space", "layers"] = "space",
        distance: float = 13.0,
        density: float = 0.0027,
        outlier: float = 2.0,
        depth: float = 1.0,
        link: float = 20.0,
        tune: bool = False,
    ) -> None:
        self.kind = kind
        self.distance = distance
        self.density = density
        self.outlier = outlier
        self.depth = depth
        self.link = link
        self.tune = tune

    def fit(
        self,
        hits: CalorimeterHits,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Choose the settings by events with truth, where it is to `tune`, and return self.

        Raises `InputError` for weights, hits without truth that it should tune by, and a kind that
        is unknown.
        """
        self._begin(seed=seed, folder=folder, resume=resume, hits=hits)
        if weight is not None:
            raise InputError("CLUE counts clusters, and has no weights; leave weight out.")
        if self.kind not in ("space", "layers"):
            raise InputError(f"kind is '{self.kind}'; choose space or layers.")
        hits = hits.check()
        self.chosen_ = {
            name: getattr(self, name) for name in ("distance", "density", "depth", "link")
        }
        if not self.tune:
            return self
        if not hits.known:
            raise InputError("the hits have no true particles to tune by; leave tune out.")
        names = ("distance", "density", "depth" if self.kind == "space" else "link")
        grid = list(itertools.product(*(self.GRID[name] for name in names)))
        best, found = -1.0, self.chosen_
        with progress_bar(shown=progress) as bar:
            task = bar.add_task("CLUE", total=len(grid))
            for factors in grid:
                tried = dict(self.chosen_)
                for name, factor in zip(names, factors, strict=True):
                    tried[name] = getattr(self, name) * factor
                clusters = Clusters.of(hits, self._labels(hits, tried))
                score = f1(match_clusters(hits, clusters, least=LEAST))
                if score > best:
                    best, found = score, tried
                bar.advance(task)
        self.chosen_ = found
        return self

    def predict(self, hits: CalorimeterHits) -> Clusters:
        """Return the clusters of hits, their energies the sums of these."""
        return Clusters.of(hits, self._labels(hits, self.chosen_))

    def _labels(self, hits: CalorimeterHits, chosen: dict[str, float]) -> Ints:
        scale = np.array([1.0, 1.0, chosen["depth"]])
        if self.kind == "space":
            return clue(
                hits.position * scale,
                hits.energy,
                hits.event,
                distance=chosen["distance"],
                density=chosen["density"],
                outlier=self.outlier,
            )
        layer = np.round(hits.position[:, 2] / LAYER).astype(np.int64)
        depths, layer = np.unique(layer, return_inverse=True)
        group = hits.event * len(depths) + layer
        first = clue(
            hits.position[:, :2],
            hits.energy,
            group,
            distance=chosen["distance"],
            density=chosen["density"],
            outlier=self.outlier,
        )
        inside = first >= 0
        # A place for each cluster of a layer: by its group, and its number in the group.
        most = int(first.max(initial=-1)) + 1
        keys, part = np.unique(group[inside] * max(most, 1) + first[inside], return_inverse=True)
        energy = np.bincount(part, hits.energy[inside], len(keys))
        middle = np.stack(
            [
                np.bincount(part, (hits.energy * hits.position[:, axis])[inside], len(keys))
                / energy
                for axis in range(3)
            ],
            axis=1,
        )
        event = keys // max(most, 1) // max(len(depths), 1)
        second = clue(
            middle * scale,
            energy,
            event,
            distance=chosen["link"],
            density=chosen["density"],
            outlier=self.outlier,
        )
        label = np.full(len(first), -1)
        label[inside] = second[part]
        return label
